"""What a mutant is: one edit of the sources, typed, that somebody could have made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """What an edit does."""

    DROP = "drop"
    RENAME = "rename"
    RETARGET = "retarget"
    LOOSEN = "loosen"
    TIGHTEN = "tighten"
    SWAP = "swap"
    # It changes nothing that matters: nothing may be found after it.
    HARMLESS = "harmless"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One edit.

    Attributes:
        kind: what it does.
        file: where it does it.
        path: of the value that it changes, as in :class:`tools.mutate.sources.Setting`; empty for a file.
        line: of the value, 1-based.
        change: what somebody would write about it: ``8585 -> 8586``.
        changes: the new text of each file that it changes, None for a file that goes.
    """

    kind: Kind
    file: str
    path: str
    line: int
    change: str
    changes: Mapping[str, str | None]

    @property
    def at(self) -> str:
        """Where it is, without the line, which moves: ``base/binderhub/service.yaml:spec.selector``."""
        return f"{self.file}:{self.path}"

    def __str__(self) -> str:
        """Return one line for a list of mutants."""
        return f"{self.kind} {self.file}:{self.line} {self.path}: {self.change}"
