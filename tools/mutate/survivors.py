"""Survivors: why some mutants are not found, in ``survivors.yaml``.

Each entry says either that they are ``harmless``, and why, or which rule is ``missing``. What it is
about stands in ``at`` (a regular expression, or several, for all of ``file:path``) and, where that is not
narrow enough, in ``change`` (for all of the change) and ``kinds``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from validate.errors import CannotCheckError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tools.mutate.mutant import Mutant

FILE = Path(__file__).with_name("survivors.yaml")
_KEYS = {"at", "change", "kinds"}


class Why(StrEnum):
    """Why nothing is found."""

    # The system works as well as before, or what is lost is nothing that these files promise.
    HARMLESS = "harmless"
    # Something is lost, and no rule looks at it.
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some mutants survive.

    Attributes:
        why: they are harmless, or a rule is missing.
        text: the reason, in sentences.
        at: what they are about.
        change: what they do, anything where it is None.
        kinds: of mutants, all where it is empty.
    """

    why: Why
    text: str
    at: tuple[re.Pattern[str], ...]
    change: re.Pattern[str] | None = None
    kinds: frozenset[str] = frozenset()

    def covers(self, mutant: Mutant) -> bool:
        """Whether it is a reason for this mutant."""
        return (
            (not self.kinds or mutant.kind in self.kinds)
            and any(pattern.fullmatch(mutant.at) for pattern in self.at)
            and (self.change is None or bool(self.change.fullmatch(mutant.change)))
        )


def read_reasons(file: Path = FILE) -> tuple[Reason, ...]:
    """Return the reasons in ``survivors.yaml``, in their order.

    Raises:
        CannotCheckError: an entry that is none.
    """
    entries = yaml.safe_load(file.read_text(encoding="utf-8"))
    return tuple(_reason(file, number, entry) for number, entry in enumerate(entries or (), 1))


def _reason(file: Path, number: int, entry: object) -> Reason:
    whys = set(Why) & set(entry) if isinstance(entry, dict) else set()
    if not isinstance(entry, dict) or len(whys) != 1 or "at" not in entry or set(entry) - whys - _KEYS:
        keys = f"one of {', '.join(Why)}, at, and perhaps change and kinds"
        raise CannotCheckError(f"{file.name}: entry {number} has other keys than a reason has: {keys}")
    (why,) = map(Why, whys)
    at = entry["at"] if isinstance(entry["at"], list) else [entry["at"]]
    change = entry.get("change")
    return Reason(
        why,
        " ".join(str(entry[why]).split()),
        tuple(map(re.compile, at)),
        re.compile(change) if change else None,
        frozenset(entry.get("kinds", ())),
    )


def reason_for(mutant: Mutant, reasons: Iterable[Reason]) -> Reason | None:
    """Return the first reason that covers the mutant."""
    return next((reason for reason in reasons if reason.covers(mutant)), None)
