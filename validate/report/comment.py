"""Comments on a pull request, in GitHub's Markdown: what fits, and text in which nothing is markup."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from validate.report.lines import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST = 65_536
# What is markup in a paragraph of GitHub's Markdown, as references to characters, which are not.
_MARKUP = {ord(character): f"&#{ord(character)};" for character in "\\`*_[]<>|~&$#"}
# A mention would send mail to somebody; with a space of no width after the @, it is none.
_MENTION = {ord("@"): "@&#8203;"}


def fitting(texts: Sequence[str], room: int) -> int:
    """Return how many of the texts fit, one after the other."""
    for number, text in enumerate(texts):
        room -= len(text)
        if room < 0:
            return number
    return len(texts)


def fold(summary: str, content: str) -> str:
    """Return what is opened by a click; ``summary`` is HTML, ``content`` Markdown."""
    # Without the empty line, GitHub reads the content as HTML.
    return f"<details><summary>{summary}</summary>\n\n{content}\n</details>\n\n"


def fenced(text: str, language: str = "text") -> str:
    """Return a code block, with a fence longer than any in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}\n"


def plain(text: str) -> str:
    """Return ``text`` for a paragraph of Markdown, one line of it, where nothing in it is markup."""
    return _line(text).translate(_MARKUP).translate(_MENTION)


def escaped(text: str) -> str:
    """Return ``text`` for HTML, one line of it: a blank line would end the block."""
    return html.escape(_line(text), quote=False).translate(_MENTION)


def _line(text: str) -> str:
    return printable(" ".join(text.split()))
