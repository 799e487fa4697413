"""Which line made a difference: the one of those that wrote a value that itself changed.

A field of the head has the lines that wrote it, one of the base as well. Where none of them changed, what
brings their file in did: the line of a kustomization that names it.
"""

from __future__ import annotations

from difflib import SequenceMatcher
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from validate.diff.changes import Cause

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterable, Iterator, Sequence

    from validate.kustomize.reach import Reach
    from validate.place import Origin, Place

# Beyond that, every line between the first and the last that differ counts as changed.
_MOST_COMPARISONS = 4_000_000


class Side(NamedTuple):
    """One of two revisions as a directory, and what an overlay reads there; None where it has no such one."""

    root: pathlib.Path
    overlay: str
    reach: Reach | None


class Causes:
    """Finds the lines that made the differences of one overlay."""

    def __init__(self, before: Side, after: Side) -> None:
        self._before = before
        self._after = after
        self._changed: dict[str, _Lines] = {}

    def of(self, before: Place | None, after: Place | None) -> Cause | None:
        """Return the line that made the difference between two places; None where neither is known."""
        old = before.writers if before is not None else ()
        new = after.writers if after is not None else ()
        return self.of_writers(old, new)

    def of_writers(self, old: Sequence[Origin], new: Sequence[Origin]) -> Cause | None:
        """Return which of the lines that wrote a value changed, or brought in one that wrote it."""
        candidates = (
            *((Cause(origin), True) for origin in new),
            *((Cause(origin, gone=True), False) for origin in old),
            *((Cause(origin), True) for one in new for origin in _way(self._after, one)),
            *((Cause(origin, gone=True), False) for one in old for origin in _way(self._before, one)),
        )
        for cause, is_new in candidates:
            if self._lines(cause.origin.file, is_new=is_new).has(cause.origin, is_new=is_new):
                return cause
        if new:
            return Cause(new[0])
        return Cause(old[0], gone=True) if old else None

    def first(self, places: Iterable[tuple[Place | None, Place | None]]) -> tuple[Cause, ...]:
        """Return the causes of several differences, each once."""
        found = (self.of(before, after) for before, after in places)
        return tuple(dict.fromkeys(cause for cause in found if cause is not None))

    def _lines(self, file: str, *, is_new: bool) -> _Lines:
        old, new = self._both(file, is_new=is_new)
        if new not in self._changed:
            self._changed[new] = _Lines(_text(self._before.root / old), _text(self._after.root / new))
        return self._changed[new]

    def _both(self, file: str, *, is_new: bool) -> tuple[str, str]:
        """Return what a file is called on each side: that of an overlay that was renamed moved with it."""
        was, now = self._before.overlay, self._after.overlay
        if not was or not now or was == now:
            return file, file
        if is_new and file.startswith(f"{now}/"):
            return was + file.removeprefix(now), file
        if not is_new and file.startswith(f"{was}/"):
            return file, now + file.removeprefix(was)
        return file, file


def _way(side: Side, origin: Origin) -> Iterator[Origin]:
    if side.reach is not None:
        yield from side.reach.way_to(origin.file)


class _Lines:
    """Which lines of a file differ between two texts of it (None: there is none)."""

    def __init__(self, before: list[str] | None, after: list[str] | None) -> None:
        self._before = before
        self._after = after

    def has(self, origin: Origin, *, is_new: bool) -> bool:
        """Whether the line of ``origin`` differs."""
        return origin.line in self._changed[1 if is_new else 0]

    @cached_property
    def _changed(self) -> tuple[frozenset[int], frozenset[int]]:
        if self._before == self._after:
            return frozenset(), frozenset()
        return changed_lines(self._before or [], self._after or [])


def changed_lines(before: Sequence[str], after: Sequence[str]) -> tuple[frozenset[int], frozenset[int]]:
    """Return the numbers, from 1, of the lines that go and of those that come."""
    gone: set[int] = set()
    come: set[int] = set()
    for tag, old, old_end, new, new_end in opcodes(before, after):
        if tag != "equal":
            gone.update(range(old + 1, old_end + 1))
            come.update(range(new + 1, new_end + 1))
    return frozenset(gone), frozenset(come)


def opcodes(before: Sequence[str], after: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    """Return how to come from one text to the other, as difflib does; of long ones roughly."""
    start = next(
        (n for n, (one, two) in enumerate(zip(before, after, strict=False)) if one != two),
        min(len(before), len(after)),
    )
    if (len(before) - start) * (len(after) - start) > _MOST_COMPARISONS:
        return [("equal", 0, start, 0, start), ("replace", start, len(before), start, len(after))]
    return SequenceMatcher(None, before, after, autojunk=False).get_opcodes()


def _text(path: pathlib.Path) -> list[str] | None:
    try:
        return path.read_bytes().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
