"""Survivors: mutants that no rule catches, each with the reason, in ``survivors.yaml``."""

from __future__ import annotations

import re
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

from validate.errors import CannotCheckError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tools.mutate.mutant import Mutant

FILE = Path(__file__).with_name("survivors.yaml")
_KEYS = {"kinds", "files", "paths", "changes"}


class Why(StrEnum):
    """Why nothing is found."""

    # The system works as well, or as well as anybody could ask of these files.
    HARMLESS = "harmless"
    # Something is lost, and no rule looks at it.
    MISSING = "missing"


class Reason(NamedTuple):
    """A reason for some survivors, by what they have in common.

    Attributes:
        why: harmless, or missing.
        text: the reason, a sentence.
        kinds: of mutants, all where it is empty.
        files: a pattern as shells have them.
        paths: a regular expression that is searched for.
        changes: another, for what is written.
    """

    why: Why
    text: str
    kinds: frozenset[str]
    files: str
    paths: re.Pattern[str]
    changes: re.Pattern[str]

    def covers(self, mutant: Mutant) -> bool:
        """Whether it is a reason for this mutant."""
        return (
            (not self.kinds or mutant.kind in self.kinds)
            and fnmatchcase(mutant.file, self.files)
            and bool(self.paths.search(mutant.path))
            and bool(self.changes.search(mutant.change))
        )


def read_reasons(file: Path = FILE) -> tuple[Reason, ...]:
    """Return the reasons in ``survivors.yaml``.

    Raises:
        CannotCheckError: an entry that is none.
    """
    entries = yaml.safe_load(file.read_text(encoding="utf-8"))
    return tuple(_reason(file, number, entry) for number, entry in enumerate(entries, 1))


def _reason(file: Path, number: int, entry: object) -> Reason:
    whys = set(Why) & set(entry) if isinstance(entry, dict) else set()
    if not isinstance(entry, dict) or len(whys) != 1 or set(entry) - whys - _KEYS:
        choice = f"one of {', '.join(Why)}, and any of {', '.join(sorted(_KEYS))}"
        raise CannotCheckError(f"{file}: entry {number} has to have {choice}")
    (why,) = whys
    return Reason(
        why,
        str(entry[why]),
        frozenset(entry.get("kinds", ())),
        entry.get("files", "*"),
        re.compile(entry.get("paths", "")),
        re.compile(entry.get("changes", "")),
    )


def reason_for(mutant: Mutant, reasons: Iterable[Reason]) -> Reason | None:
    """Return the first reason that covers the mutant."""
    return next((reason for reason in reasons if reason.covers(mutant)), None)
