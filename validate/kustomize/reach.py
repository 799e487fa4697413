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
    start = find_kustomization(root, directory)
    if start is None:
        return Reach(frozenset(_candidates(directory)), {}, opaque=False)
    paths = set(_candidates(directory))
    routes: dict[str, Mention] = {}
    opaque = False
    left = deque([start])
    seen = {start}
    while left:
        file = left.popleft()
        try:
            mentions = mentioned(root, file)
            opaque |= _is_opaque(root, file)
        except SourceError:
            continue
        for mention in mentions:
            paths.add(mention.path)
            paths.add(_real(root, mention.path))
            paths.update(_candidates(mention.path))
            below = find_kustomization(root, mention.path)
            routes.setdefault(below or mention.path, mention)
            if below and below not in seen:
                seen.add(below)
                left.append(below)
    return Reach(frozenset(paths), routes, opaque)


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


def _is_opaque(root: pathlib.Path, kustomization: str) -> bool:
    """Whether it asks for something of which the files are named elsewhere: a chart, a plugin."""
    documents = read_documents(root, kustomization, Writer.SOURCE)
    return any(document.get(key) is not None for document in documents for key in UNFOLLOWED)


def _candidates(directory: str) -> Iterator[str]:
    """Yield the files that make a directory a kustomization, if one of them is there."""
    return (join(directory, name) for name in FILE_NAMES)


@cache
def _real(root: pathlib.Path, path: str) -> str:
    """Return where links lead, relative to the repository; the path itself where that is nowhere in it."""
    real = os.path.relpath(os.path.realpath(root / path), root)
    return path if real.startswith("..") else real
