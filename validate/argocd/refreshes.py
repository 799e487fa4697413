"""Which commits make Argo CD render an application again: ``manifest-generate-paths``, against what it reads.

As ``AppFilesHaveChanged`` of Argo CD 3.1 decides: a changed file counts if it is a path of the list, stands
below one, or matches it as a glob of which no part crosses a slash.
"""

from __future__ import annotations

from collections import defaultdict
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT = "."
_GLOB = frozenset("*?[")


class Refreshes:
    """The files that overlays read, and the directories that stand for them.

    ``reads`` maps overlays to files. All paths are posix and relative to the repository, which itself
    is ``.``.
    """

    def __init__(self, reads: Mapping[str, frozenset[str]]) -> None:
        self._reads = reads
        self._below: dict[str, set[str]] = defaultdict(set)
        for file in frozenset().union(*reads.values()):
            for directory in _above(file):
                self._below[directory].add(file)

    def missed(self, overlay: str, paths: Iterable[str]) -> list[str]:
        """Return the files that the overlay reads and none of ``paths`` covers, by name."""
        named = set(paths)
        globs = [path for path in named if _GLOB & set(path)]
        return sorted(
            file
            for file in self._reads[overlay]
            if file not in named
            and named.isdisjoint(_above(file))
            and not any(_matches(file, glob) for glob in globs)
        )

    def idle(self, overlay: str, path: str) -> bool:
        """Whether ``path`` covers nothing that the overlay reads."""
        return self._reads[overlay].isdisjoint(self._covered(path))

    def foreign(self, overlay: str, path: str) -> list[str]:
        """Return the files that ``path`` covers, and that only other overlays read, by name."""
        return sorted(self._covered(path) - self._reads[overlay])

    def exact(self, overlay: str) -> list[str]:
        """Return the fewest directories that cover what the overlay reads, and nothing that only others read.

        The overlay's own comes first. A file stands for itself where its directory would say too much.
        """
        paths = sorted(self._exact(overlay, ROOT))
        return sorted(paths, key=lambda path: path != overlay)

    def _exact(self, overlay: str, directory: str) -> Iterator[str]:
        reads = self._reads[overlay]
        inside = self._below[directory] & reads
        own = [file for file in inside if next(_above(file)) == directory]
        if own and directory != ROOT and self._below[directory] <= reads:
            yield directory
            return
        yield from own
        deeper = len(_parts(directory)) + 1
        for below in {"/".join(_parts(file)[:deeper]) for file in inside if len(_parts(file)) > deeper}:
            yield from self._exact(overlay, below)

    def _covered(self, path: str) -> set[str]:
        if _GLOB & set(path):
            return {file for file in self._below[ROOT] if _matches(file, path)}
        return self._below.get(path) or self._below[ROOT] & {path}


def _parts(path: str) -> list[str]:
    return [] if path == ROOT else path.split("/")


def _above(file: str) -> Iterator[str]:
    """Yield the directories above a file, the nearest first, the repository last."""
    directory = file
    while "/" in directory:
        directory = directory.rpartition("/")[0]
        yield directory
    yield ROOT


def _matches(file: str, glob: str) -> bool:
    names, patterns = file.split("/"), glob.split("/")
    return len(names) == len(patterns) and all(map(fnmatchcase, names, patterns))
