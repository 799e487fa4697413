"""Both sides of a comparison as directories: what is checked out, and revisions as git has them."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NoReturn

from msgspec import Struct

from validate.discover import Checkout, open_checkout
from validate.errors import CannotCheckError, SourceError
from validate.kustomize.files import FILE_NAMES
from validate.kustomize.reach import Reach, mentioned, reach

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

    from validate.git import Git, Listing, Revision

# Where validate looks whether somebody names it or not.
_ALWAYS = ("overlays", "argocd", "base", "components", "policies")
_FACTS = "cluster.yaml"
_TOOLS = ".tools"
_TERMINATED = 143


class Tree(Struct, frozen=True, eq=False, dict=True):
    """One side of a comparison.

    Attributes:
        root: the directory.
        name: how people call it: ``the working tree``, or a revision.
        checkout: the overlays; none where it has none.
        submodules: directories of which git keeps no content here; none where they are checked out.
    """

    root: Path
    name: str
    checkout: Checkout
    submodules: frozenset[str] = frozenset()

    @property
    def overlays(self) -> tuple[str, ...]:
        """The names of its overlays."""
        return self.checkout.overlays

    @cached_property
    def reaches(self) -> dict[str, Reach]:
        """What each overlay may read, as far as somebody has asked."""
        return {}

    def reach(self, overlay: str) -> Reach:
        """Return what an overlay may read, its ``cluster.yaml`` included."""
        if overlay not in self.reaches:
            found = reach(self.root, overlay)
            facts = os.path.normpath(f"{overlay}/{_FACTS}")
            self.reaches[overlay] = Reach(found.paths | {facts}, found.routes, found.opaque)
        return self.reaches[overlay]

    def lacking(self, overlay: str) -> str | None:
        """Return a submodule that an overlay reads from and that is not here."""
        for path in sorted(self.reach(overlay).paths):
            for submodule in self.submodules:
                if path == submodule or path.startswith(f"{submodule}/"):
                    return submodule
        return None


@contextmanager
def both_sides(git: Git, base: Revision, head: Revision | None) -> Iterator[tuple[Tree, Tree]]:
    """Give both sides; what was written for that is gone with the block, whatever ends it.

    Raises:
        CannotCheckError: one of them cannot be read from git, or the head has no overlay.
    """
    with _ending_in_order(), TemporaryDirectory(prefix="validate-") as scratch:
        # Links of the system's own (/tmp on a Mac) are none of the repository.
        directory = Path(scratch).resolve()
        if head is None:
            after = Tree(git.root, "the working tree", open_checkout(git.root))
        else:
            after = _written(git, head, directory / "head")
            _lend_tools(git.root, after.root)
        before = _written(git, base, directory / "base", is_base=True)
        yield before, after


def _lend_tools(root: Path, directory: Path) -> None:
    """Let what is installed for the repository be found from a revision of it as well."""
    if (root / _TOOLS).is_dir() and not (directory / _TOOLS).exists():
        (directory / _TOOLS).symlink_to(root / _TOOLS)


def _written(git: Git, revision: Revision, directory: Path, *, is_base: bool = False) -> Tree:
    listing = git.listing(revision)
    _write(git, revision, listing, directory)
    return Tree(directory, str(revision), _checkout(directory, revision, is_base=is_base), listing.submodules)


def _checkout(directory: Path, revision: Revision, *, is_base: bool) -> Checkout:
    try:
        return open_checkout(directory)
    except CannotCheckError:
        if is_base:
            # Then every overlay is a new one.
            return Checkout(directory, ())
        raise CannotCheckError(f"{revision} has no overlay in overlays/; name a revision that has") from None


def _write(git: Git, revision: Revision, listing: Listing, directory: Path) -> None:
    """Write what overlays can read: the usual directories, and whatever else a kustomization names."""
    wanted = {file.partition("/")[0] for file in listing.files} & set(_ALWAYS)
    wanted |= {file for file in listing.files if "/" not in file}
    done: set[str] = set()
    while wanted - done:
        new = wanted - done
        files = [file for file in listing.files if file.partition("/")[0] in new]
        git.write(revision, files, directory)
        done |= new
        tops = {file.partition("/")[0] for file in listing.files}
        wanted |= {path.partition("/")[0] for path in _named(directory, files)} & tops


def _named(directory: Path, files: Iterable[str]) -> Iterator[str]:
    """Yield the paths that kustomizations and links among these files lead to."""
    for file in files:
        if os.path.basename(file) in FILE_NAMES:  # noqa: PTH119 - a path of git
            with suppress(SourceError):
                yield from (mention.path for mention in mentioned(directory, file))
        elif (directory / file).is_symlink():
            target = os.path.relpath(os.path.realpath(directory / file), directory)
            if not target.startswith(".."):
                yield target


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let a signal that ends the process unwind it: the directory is removed on the way."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(_TERMINATED if number == signal.SIGTERM else 128 + number)

    before = {}
    # A thread cannot set handlers, and nobody sends signals to one.
    with suppress(ValueError):
        before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
