"""JSON 6902 patches on fields that know their writers (RFC 6902, as json-patch.v4 applies them)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.errors import SourceError
from validate.source import Field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validate.place import Origin


def apply_operations(field: Field, operations: Sequence[Field]) -> Field:
    """Return ``field`` with the operations of a patch applied, in order.

    Raises:
        SourceError: an operation that is none, or whose path leads nowhere.
    """
    for operation in operations:
        field = _apply(field, operation)
    return field


def _apply(field: Field, operation: Field) -> Field:
    name = operation.text("op")
    pointer = _pointer(operation.text("path"))
    origin = (operation.get("path") or operation).origin
    match name:
        case "add" | "replace":
            value = operation.get("value") or Field(None, operation.writers)
            return _put(field, pointer, value, origin, replace=name == "replace")
        case "remove":
            return _remove(field, pointer, origin)
        case "move" | "copy":
            source, read = _pointer(operation.text("from")), (operation.get("from") or operation).origin
            found = _find(field, source, read)
            rest = _remove(field, source, read) if name == "move" else field
            return _put(rest, pointer, found, origin, replace=False)
        case "test":
            return field
    raise SourceError(
        operation.origin.file,
        operation.origin.line,
        f"has the JSON patch operation {name!r}; use add, replace or remove",
    )


def _pointer(text: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _find(field: Field, pointer: Sequence[str], origin: Origin) -> Field:
    for part in pointer:
        below = field.below(_index(field, part) if isinstance(field.value, list) else part)
        if below is None:
            raise _lost(pointer, origin)
        field = below
    return field


def _put(field: Field, pointer: Sequence[str], value: Field, origin: Origin, *, replace: bool) -> Field:
    if not pointer:
        return Field(value.value, value.writers + field.writers)
    first, rest = pointer[0], pointer[1:]
    if isinstance(field.value, dict):
        before = field.value.get(first)
        if rest or replace:
            if before is None:
                raise _lost(pointer, origin)
            after = _put(before, rest, value, origin, replace=replace)
        else:
            after = Field(value.value, value.writers + before.writers) if before else value
        writers = field.writers if rest else value.writers + field.writers
        return Field({**field.value, first: after}, writers)
    if isinstance(field.value, list):
        elements = list(field.value)
        index = len(elements) if first == "-" else _index(field, first)
        if rest or replace:
            if not 0 <= index < len(elements):
                raise _lost(pointer, origin)
            elements[index] = _put(elements[index], rest, value, origin, replace=replace)
        else:
            elements.insert(index, value)
        return Field(elements, field.writers if rest else value.writers + field.writers)
    raise _lost(pointer, origin)


def _remove(field: Field, pointer: Sequence[str], origin: Origin) -> Field:
    first, rest = pointer[0], pointer[1:]
    writers = field.writers if rest else (origin, *field.writers)
    if isinstance(field.value, dict):
        if first not in field.value:
            raise _lost(pointer, origin)
        content = dict(field.value)
        if rest:
            content[first] = _remove(content[first], rest, origin)
        else:
            del content[first]
        return Field(content, writers)
    if isinstance(field.value, list):
        elements = list(field.value)
        index = _index(field, first)
        if not 0 <= index < len(elements):
            raise _lost(pointer, origin)
        if rest:
            elements[index] = _remove(elements[index], rest, origin)
        else:
            del elements[index]
        return Field(elements, writers)
    raise _lost(pointer, origin)


def _index(field: Field, part: str) -> int:
    return int(part) if part.isdigit() else len(field.sequence())


def _lost(pointer: Sequence[str], origin: Origin) -> SourceError:
    where = "/".join(pointer)
    return SourceError(
        origin.file, origin.line, f"has a JSON patch for {where!r}, which is not there; correct its path"
    )
