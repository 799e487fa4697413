"""What reports say of a pair of objects: fields, texts and lines, without what may be a credential."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from typing import TYPE_CHECKING

from validate.diff.causes import opcodes
from validate.diff.changes import FieldChange, How, Line, ObjectChange
from validate.diff.fields import Difference, differences
from validate.diff.pairing import Pair, title
from validate.diff.secrecy import HIDDEN, hidden_lines, hides_element, redacted
from validate.dump import as_yaml
from validate.place import Place, lookup

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from validate.cluster.objects import KubeObject
    from validate.diff.causes import Causes
    from validate.diff.changes import Cause
    from validate.place import Json

# How many lines are shown around those of a text that differ.
_CONTEXT = 1
# What stands for itself: a name, a path, an image, an amount.
_PLAIN = re.compile(r"[A-Za-z/.$_-][^\n\t#\"'{}\[\],&*!|>%@`]*(?<!\s)(?<!:)")
_AMBIGUOUS = frozenset({"", "true", "false", "yes", "no", "on", "off", "y", "n", "null", "~"})


def object_change(pair: Pair, causes: Causes, renamed: Mapping[str, str]) -> ObjectChange | None:
    """Return what becomes of an object, None where nothing does."""
    before, after = pair
    if before is None or after is None:
        how = How.ADDED if before is None else How.REMOVED
        return ObjectChange(pair.title, how, cause=causes.of(_name(before), _name(after)))
    fields = tuple(
        change
        for difference in differences(before, after, renamed)
        if (change := _field_change(difference, before, after, causes)) is not None
    )
    # Another namespace is a field that says so; another name is not.
    was = title(before) if pair.is_moved and before.namespace == after.namespace else ""
    return ObjectChange(pair.title, How.CHANGED, fields, was) if fields or was else None


def _name(item: KubeObject | None) -> Place | None:
    return item.place.at("metadata", "name") if item else None


def _field_change(
    difference: Difference, before: KubeObject, after: KubeObject, causes: Causes
) -> FieldChange | None:
    old, new = difference.before, difference.after
    how = How.CHANGED if old.exists and new.exists else How.ADDED if new.exists else How.REMOVED
    cause = causes.of(old if old.exists else None, new if new.exists or how is How.CHANGED else None)
    if how is How.REMOVED and (cause is None or not cause.gone):
        # What deletes a field stands in the head: a patch with null, say, at what is above it.
        cause = causes.of(old, new)
    if difference.order:
        return FieldChange(difference.shown, how, after=f"order: {', '.join(difference.order)}", cause=cause)
    is_text = _is_text(old) and _is_text(new) and not _is_binary(new if new.exists else old)
    if is_text and not (_hides(before, old) or _hides(after, new)):
        lines, hidden, first = _lines(old, new)
        return FieldChange(difference.shown, how, lines=lines, hidden=hidden, cause=_within(cause, first))
    was, was_hidden = _shown(before, old)
    now, now_hidden = _shown(after, new)
    hidden = was_hidden or now_hidden
    if hidden and was == now:
        was = now = ""
    return FieldChange(difference.shown, how, was, now, hidden=hidden, cause=cause)


def _is_binary(place: Place) -> bool:
    return place.path[:1] == ("binaryData",) and isinstance(place.value, str)


def _is_text(place: Place) -> bool:
    return "\n" in place.text or not place.exists


def _hides(item: KubeObject, place: Place) -> bool:
    return place.exists and hides_element(item, place.path, lookup(item.value, place.path[:-1]), place.value)


def _shown(item: KubeObject, place: Place) -> tuple[str, bool]:
    """Return a value as YAML, without what may be a credential, and whether that leaves something out."""
    if not place.exists:
        return "", False
    if _is_binary(place):
        return f"{len(b64decode(place.text))} bytes", False
    if not isinstance(place.value, dict | list):
        if _hides(item, place):
            return HIDDEN, True
        value, hidden = redacted(item, place.path, place.value)
        return scalar_text(value), hidden
    value, hidden = redacted(item, place.path, place.value)
    return as_yaml(value).rstrip("\n") if value else json.dumps(value), hidden


def scalar_text(value: Json) -> str:
    """Return a scalar as YAML, without quotes where nobody could take it for something else."""
    if not isinstance(value, str):
        return json.dumps(value)
    is_plain = _PLAIN.fullmatch(value) and value.lower() not in _AMBIGUOUS and ": " not in value
    return value if is_plain else json.dumps(value, ensure_ascii=False)


def _lines(before: Place, after: Place) -> tuple[tuple[Line, ...], bool, int]:
    """Return the lines of a text that differ, whether one is hidden, and the first that does, from 0.

    The first is negative where it is one that goes: -1 is line 0 of the text before.
    """
    old, new = before.text.split("\n"), after.text.split("\n")
    secret_old, secret_new = hidden_lines(old), hidden_lines(new)
    starts = [_start(place) for place in (before, after)]
    found: list[Line] = []
    hidden = False
    first: int | None = None
    for tag, old_start, old_end, new_start, new_end in opcodes(old, new):
        if tag == "equal":
            found += _unchanged(new, secret_new, range(new_start, new_end), starts[1])
            continue
        for number in range(old_start, old_end):
            hidden |= number in secret_old
            found.append(_line("-", old, number, secret_old, starts[0]))
        for number in range(new_start, new_end):
            hidden |= number in secret_new
            found.append(_line("+", new, number, secret_new, starts[1]))
        if first is None:
            first = new_start if new_start < new_end else -1 - old_start
    return _hunks(found), hidden, first or 0


def _start(place: Place) -> int:
    """Return the line of its file that a text begins on, 0 where there is no text."""
    return (place.origin.text_line or place.origin.line) if place.exists else 0


def _line(sign: str, lines: Sequence[str], number: int, secret: frozenset[int], start: int) -> Line:
    text = HIDDEN if number in secret else lines[number]
    return Line(sign, text, start + number if start else 0)


def _unchanged(lines: Sequence[str], secret: frozenset[int], numbers: range, start: int) -> Iterator[Line]:
    return (_line(" ", lines, number, secret, start) for number in numbers)


def _hunks(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Return the lines that differ with a few around them; one stands for those that are left out."""
    changed = [index for index, line in enumerate(lines) if line.sign != " "]
    near = {other for index in changed for other in range(index - _CONTEXT, index + _CONTEXT + 1)}
    kept: list[Line] = []
    for index, line in enumerate(lines):
        if index in near and (line.sign != " " or line.text.strip()):
            kept.append(line)
        elif kept and kept[-1].sign != "@":
            kept.append(Line("@", ""))
    while kept and kept[-1].sign in "@ " and (kept[-1].sign == "@" or not kept[-1].text.strip()):
        kept.pop()
    return tuple(kept)


def _within(cause: Cause | None, first: int) -> Cause | None:
    """Return the cause of a text that changed: the first line of it that did."""
    if cause is None:
        return None
    origin = cause.origin
    is_of_text = bool(origin.text_line) and cause.gone == (first < 0)
    if not is_of_text:
        return cause
    line = origin.text_line + (first if first >= 0 else -1 - first)
    return cause._replace(origin=origin._replace(line=line, column=1))
