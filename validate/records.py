"""Records: frozen data of validate as JSON text, and back without running anything that the text says.

Pickle calls what a file tells it to call. This names classes that are loaded already, and of those
only frozen structs, named tuples and enumerations of this package.
"""

from __future__ import annotations

import json
import sys
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PACKAGE = __package__
_SCALARS = frozenset({bool, int, float, str, type(None)})
_COLLECTIONS: dict[str, Callable[[Iterable[Any]], Any]] = {"list": list, "tuple": tuple, "set": frozenset}
_TAGS: dict[type, str] = {list: "list", tuple: "tuple", frozenset: "set"}


def dump(value: object) -> str:
    """Return ``value`` as one line of JSON.

    Raises:
        TypeError: something in it is no plain data, and no record of this package.
    """
    classes: dict[type, int] = {}
    plain = _plain(value, classes)
    names = [f"{known.__module__}:{known.__qualname__}" for known in classes]
    return json.dumps([names, plain], separators=(",", ":"))


def load(text: str) -> Any:
    """Return what :func:`dump` was given.

    Raises:
        ValueError: no text of :func:`dump`; it names something that is no record, or has other fields.
    """
    try:
        names, plain = json.loads(text)
        return _value(plain, [_known(str(name)) for name in names])
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise ValueError("is not what was dumped") from error


def _plain(value: Any, classes: dict[type, int]) -> Any:
    kind: type = type(value)
    if kind in _SCALARS:
        return value
    if kind in _TAGS:
        return [_TAGS[kind], *[_plain(item, classes) for item in value]]
    if kind is dict:
        return ["dict", *[_plain(item, classes) for pair in value.items() for item in pair]]
    names = _fields(kind)
    number = classes.setdefault(kind, len(classes))
    if names is None:
        return [number, value.value]
    return [number, *[_plain(getattr(value, name), classes) for name in names]]


def _value(plain: Any, classes: list[type]) -> Any:
    if type(plain) is not list:
        if type(plain) in _SCALARS:
            return plain
        raise ValueError("is not what was dumped")
    head, *rest = plain
    if type(head) is int:
        kind = classes[head]
        names = _fields(kind)
        if len(rest) != (1 if names is None else len(names)):
            raise ValueError(f"{kind.__name__} has other fields")
        return kind(*[_value(item, classes) for item in rest])
    items = [_value(item, classes) for item in rest]
    if head == "dict":
        return dict(zip(items[::2], items[1::2], strict=True))
    return _COLLECTIONS[head](items)


@cache
def _fields(kind: type) -> tuple[str, ...] | None:
    """Return the fields of a record, in the order in which it takes them; None for an enumeration.

    Raises:
        TypeError: it is no record.
    """
    if kind.__module__.partition(".")[0] == _PACKAGE:
        if issubclass(kind, Enum):
            return None
        if issubclass(kind, tuple):
            return tuple(getattr(kind, "_fields", ()))
        if issubclass(kind, Struct) and kind.__struct_config__.frozen:
            return kind.__struct_fields__
    raise TypeError(f"{kind.__module__}.{kind.__qualname__} is no record")


def _known(name: str) -> type:
    module, _, attribute = name.partition(":")
    # Nothing is imported because a file says so.
    found = vars(sys.modules[module]).get(attribute) if module in sys.modules else None
    if not isinstance(found, type) or found.__module__ != module:
        raise ValueError(f"{name} is no record that is known")
    _fields(found)
    return found
