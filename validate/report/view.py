"""How a report is to look: what is left out, and in which colours."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Style(StrEnum):
    """What a piece of text is, by the codes of a terminal (ECMA-48, "select graphic rendition")."""

    PLAIN = ""
    STRONG = "1"
    FAINT = "2"
    ERROR = "1;31"
    WARNING = "1;33"
    GOOD = "1;32"
    PLACE = "36"


class View(Struct, frozen=True):
    """Options of a report. Without colours it is the same text without the codes."""

    verbose: bool = False
    colour: bool = False

    def paint(self, text: str, style: Style) -> str:
        """Return ``text`` in its colour."""
        return f"\x1b[{style}m{text}\x1b[0m" if self.colour and style and text else text
