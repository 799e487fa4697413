"""Lines of files as reports show them."""

from __future__ import annotations

import re

# What follows a value on its line: a comment, or the end of a flow collection.
_VALUE = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s,\[\]{}](?:[^,\]}#]|(?<!\s)#)*""")


def value_end(line: str, start: int) -> int:
    """Return where the value ends that begins at ``start`` of ``line``, both counted from 0."""
    value = _VALUE.match(line, start)
    return start + len(value.group().rstrip()) if value else start + 1


def printable(text: str) -> str:
    """Return ``text`` with control characters spelt out: no file commands the terminal that shows it."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
