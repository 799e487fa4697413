"""Which files may decide what an overlay renders, told from the kustomizations alone.

Reading every manifest for that would cost as much as tracing it. A kustomization names what it reads, so any
text in it that can be a path is taken for one: too much now and then, and never too little. What an overlay
really reads is in ``Overlay.reads``, once it has been traced.
"""

from __future__ import annotations

import os
from collections import deque
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from validate.errors import SourceError
from validate.kustomize.files import FILE_NAMES, find_kustomization, join
from validate.kustomize.tree import UNFOLLOWED
from validate.place import Writer
from validate.source import read_documents

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterable, Iterator

    from validate.place import Origin
    from validate.source import Field


class Mention(NamedTuple):
    """A path that a kustomization may name, relative to the repository, and the line that does."""

    path: str
    origin: Origin


class Reach(Struct, frozen=True):
    """What an overlay may read.

    Attributes:
        paths: files and directories, there or not, relative to the repository.
        routes: the line that brings in each of them: the first one on the shortest way.
        opaque: files that no kustomization names may matter as well.
    """

    paths: frozenset[str]
    routes: dict[str, Mention]
    opaque: bool

    def meets(self, changed: Iterable[str]) -> bool:
        """Whether one of these files may be one that the overlay reads."""
        return any(True for _ in self.met(changed))

    def met(self, changed: Iterable[str]) -> Iterator[str]:
        """Yield those of these files that the overlay may read."""
        return (file for file in changed if self.opaque or file in self.paths)

    def way_to(self, file: str) -> list[Origin]:
        """Return the lines that bring a file in, the nearest to it first."""
        lines: list[Origin] = []
        step = self.routes.get(file)
        while step is not None and step.origin not in lines:
            lines.append(step.origin)
            step = self.routes.get(step.origin.file)
        return lines


def reach(root: pathlib.Path, directory: str) -> Reach:
    """Return what the kustomization in ``directory`` (relative to ``root``) may read.

    What cannot be read ends the search there: nothing that it names is rendered either.
    """
    paths = set(_candidates(directory))
    routes: dict[str, Mention] = {}
    opaque = False
    start = find_kustomization(root, directory)
    left = deque([start] if start else [])
    seen = set(left)
    while left:
        step = _step(root, left.popleft())
        paths |= step.paths
        opaque |= step.opaque
        for target, mention in step.targets.items():
            routes.setdefault(target, mention)
        new = [file for file in step.kustomizations if file not in seen]
        seen.update(new)
        left += new
    return Reach(frozenset(paths), routes, opaque)


class _Step(NamedTuple):
    """What one kustomization adds: overlays share most of theirs.

    Attributes:
        paths: what it may read itself.
        targets: the same where links and directories lead, with the lines that name them.
        kustomizations: those that it names.
        opaque: it asks for something of which the files are named elsewhere: a chart, a plugin.
    """

    paths: frozenset[str]
    targets: dict[str, Mention]
    kustomizations: tuple[str, ...]
    opaque: bool


@cache
def _step(root: pathlib.Path, file: str) -> _Step:
    try:
        mentions = mentioned(root, file)
        documents = read_documents(root, file, Writer.SOURCE)
    except SourceError:
        return _Step(frozenset(), {}, (), opaque=False)
    paths: set[str] = set()
    targets: dict[str, Mention] = {}
    kustomizations: list[str] = []
    for mention in mentions:
        path = mention.path
        paths |= {path, _real(root, path), *_candidates(path)}
        below = find_kustomization(root, path) if os.path.isdir(root / path) else None  # noqa: PTH112 - fast
        targets.setdefault(below or path, mention)
        if below:
            kustomizations.append(below)
    opaque = any(document.get(key) is not None for document in documents for key in UNFOLLOWED)
    return _Step(frozenset(paths), targets, tuple(kustomizations), opaque)


@cache
def mentioned(root: pathlib.Path, kustomization: str) -> tuple[Mention, ...]:
    """Return the paths that a kustomization may name: any text in it that can be one.

    Raises:
        SourceError: it cannot be read.
    """
    directory = os.path.dirname(kustomization)  # noqa: PTH120 - relative to the repository
    documents = read_documents(root, kustomization, Writer.SOURCE)
    found = (
        # A generator may give the key before the file: `config.yaml=production.yaml`.
        Mention(join(directory, str(text.value).rpartition("=")[2]), text.origin)
        for document in documents
        for text in _texts(document)
    )
    return tuple(mention for mention in found if not mention.path.startswith(("..", "/")))


def _texts(field: Field) -> Iterator[Field]:
    if isinstance(field.value, str):
        # A patch that is written in the kustomization is no path.
        if "\n" not in field.value:
            yield field
    elif isinstance(field.value, dict | list):
        for below in field.value.values() if isinstance(field.value, dict) else field.value:
            yield from _texts(below)


def _candidates(directory: str) -> Iterator[str]:
    """Yield the files that make a directory a kustomization, if one of them is there."""
    return (name if directory == "." else f"{directory}/{name}" for name in FILE_NAMES)


@cache
def _real(root: pathlib.Path, path: str) -> str:
    """Return where links lead, relative to the repository; the path itself where that is nowhere in it."""
    real = os.path.relpath(os.path.realpath(root / path), root)
    return path if real.startswith("..") else real
