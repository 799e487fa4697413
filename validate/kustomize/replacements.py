"""Kustomize's ``replacements``: a value copied from one field to others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from validate.source import Field

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from validate.kustomize.tree import Item

_STEP = re.compile(r"(?:[^.\[\\]|\\.)+|\[[^\]]*\]")


def apply_replacement(items: Sequence[Item], entry: Field, selects: Callable[[Field, Item], bool]) -> bool:
    """Copy the source's value to every target of ``entry``; return whether a value changed.

    The line that writes a target is the source's own: that is what somebody edits to change it.
    """
    source = entry.get("source")
    given = entry.get("sourceValue")
    value = given if given is not None else _source(items, source, selects) if source is not None else None
    if value is None:
        return False
    changed = False
    for target in entry.sequence("targets"):
        select = target.get("select")
        for item in items:
            if select is None or not selects(select, item):
                continue
            if any(selects(rejected, item) for rejected in target.sequence("reject")):
                continue
            before = item.field
            for path in target.sequence("fieldPaths") or [Field("metadata.name", target.writers)]:
                options = target.get("options")
                item.field = _replace(item.field, _steps(str(path.value)), value, options)
            changed |= item.field.plain() != before.plain()
    return changed


def _source(items: Sequence[Item], source: Field, selects: Callable[[Field, Item], bool]) -> Field | None:
    path = source.text("fieldPath") or "metadata.name"
    for item in items:
        if selects(source, item):
            found = _get(item.field, _steps(path))
            options = source.get("options")
            if found is None or options is None or not options.text("delimiter"):
                return found
            parts = str(found.value).split(options.text("delimiter"))
            index = _number(options)
            return Field(parts[index], found.writers) if 0 <= index < len(parts) else None
    return None


def _steps(path: str) -> list[str]:
    return [step.replace("\\.", ".") for step in _STEP.findall(path)]


def _get(field: Field, steps: Sequence[str]) -> Field | None:
    for step in steps:
        if isinstance(field.value, list):
            below = next((one for index, one in enumerate(field.value) if _is_step(step, index, one)), None)
        else:
            below = field.below(step.strip("[]"))
        if below is None:
            return None
        field = below
    return field


def _replace(field: Field, steps: Sequence[str], value: Field, options: Field | None) -> Field:
    if not steps:
        return _written(field, value, options)
    step, rest = steps[0], steps[1:]
    if isinstance(field.value, list):
        elements = [
            _replace(one, rest, value, options) if _is_step(step, index, one) else one
            for index, one in enumerate(field.value)
        ]
        return Field(elements, field.writers)
    if not isinstance(field.value, dict):
        return field
    key = step.strip("[]")
    below = field.value.get(key)
    if below is None:
        create = options.get("create") if options is not None else None
        if create is None or create.value is not True:
            return field
        below = Field({} if rest else None, value.writers)
    return Field({**field.value, key: _replace(below, rest, value, options)}, field.writers)


def _is_step(step: str, index: int, element: Field) -> bool:
    inner = step.strip("[]")
    if inner == "*":
        return True
    if "=" in inner:
        key, _, wanted = inner.partition("=")
        found = element.get(key) if key else element
        return found is not None and str(found.value) == wanted
    return inner.isdigit() and int(inner) == index


def _written(before: Field, value: Field, options: Field | None) -> Field:
    delimiter = options.text("delimiter") if options is not None else ""
    if not delimiter:
        return Field(value.value, value.writers + before.writers)
    assert options is not None  # noqa: S101 - for the type checker: it has a delimiter
    parts = str(before.value).split(delimiter)
    index = _number(options)
    if index < 0:
        parts.insert(0, str(value.value))
    elif index >= len(parts):
        parts.append(str(value.value))
    else:
        parts[index] = str(value.value)
    return Field(delimiter.join(parts), value.writers + before.writers)


def _number(options: Field) -> int:
    field = options.get("index")
    return field.value if field is not None and isinstance(field.value, int) else 0
