"""What a traitlets type accepts, and the words in which it refuses the rest.

Models traitlets 5.14.3, which BinderHub ships; the tests compare with traitlets itself. Values are
those of JSON: a class stands as its dotted name, a callable cannot be written at all.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

    from validate.place import Json


class TraitError(Exception):
    """A value that a trait refuses, in the words of traitlets."""


class _MismatchError(Exception):
    """A value of the wrong type, or an element of one: ``chain`` names the traits from there to the root."""

    def __init__(self, value: Json, expected: str, chain: tuple[str, ...] = ()) -> None:
        super().__init__(value)
        self.value = value
        self.expected = expected
        self.chain = chain


class TraitType(Struct, frozen=True):
    """A traitlets type such as ``List[Unicode]`` or ``Integer | None``.

    Attributes:
        kind: the name of the type, such as ``List``.
        parts: the type of the elements, or the alternatives of a ``Union``.
        allow_none: whether null is a value.
        description: what a refusal says was expected, where the kind alone does not tell.
    """

    kind: str
    parts: tuple[TraitType, ...] = ()
    allow_none: bool = False
    description: str = ""

    @property
    def expected(self) -> str:
        """What a refusal says was expected, such as ``a dict``."""
        if self.kind == "Union":
            return " or ".join(part.expected for part in self.parts)
        expected = self.description or _EXPECTED[self.kind]
        return f"{expected} or None" if self.allow_none and self.kind in _NAMES_NONE else expected

    @property
    def compares_with_default(self) -> bool:
        """Whether setting the default is no change: that of a container is made only when asked for."""
        return self.kind not in _CONTAINERS

    def accept(self, value: Json, trait: str, owner: str) -> Json:
        """Return ``value`` as a trait of the class ``owner`` will hold it.

        Raises:
            TraitError: the trait refuses it.
            KeyError, TypeError, ValueError, OverflowError: BinderHub's own conversion of a byte size, or
                Python's of a list to a set, fails on it.
        """
        try:
            return self._accept(value)
        except _MismatchError as refusal:
            found = _the(refusal.value)
            if refusal.chain:
                chain = " of ".join(_a(kind) for kind in (*refusal.chain, self.kind))
                raise TraitError(
                    f"The '{trait}' trait of {_a(owner)} instance contains {chain} which "
                    f"expected {refusal.expected}, not {found}."
                ) from None
            raise TraitError(
                f"The '{trait}' trait of {_a(owner)} instance expected {refusal.expected}, not {found}."
            ) from None

    def _accept(self, value: Json) -> Json:
        if value is None and self.allow_none:
            return None
        return _ACCEPT.get(self.kind, _refuse)(self, value)


@cache
def parse_type(text: str) -> TraitType:
    """Return the type that ``text`` names, such as ``Union[Unicode, Callable]`` or ``Dict | None``."""
    name, _, none = text.partition(" | ")
    kind, _, parts = name.rstrip("]").partition("[")
    return TraitType(kind, tuple(parse_type(part) for part in parts.split(", ") if part), none == "None")


def byte_specification(value: Json) -> int:
    """Return bytes: a number, or a string with one of the suffixes K, M, G and T (powers of 1024).

    Source: BinderHub's ``ByteSpecification``, which calls ``float`` on whatever is not a number.

    Raises:
        TraitError: a string that is no size, such as ``512Mi``.
        KeyError, TypeError, ValueError, OverflowError: as Python's slicing, ``float`` and ``int``.
    """
    if isinstance(value, bool | int | float):
        return int(value)
    if isinstance(value, dict):
        # BinderHub's image has Python 3.13, where a slice may be a key.
        raise KeyError(slice(None, -1))
    if value is None:
        raise TypeError("'NoneType' object is not subscriptable")
    unit = _UNITS.get(value[-1]) if isinstance(value, str) and value else None
    try:
        number = float(value[:-1])  # type: ignore[arg-type]  # a list raises what it raises in BinderHub
    except ValueError:
        unit = None
    if unit is None:
        raise TraitError(
            f"{value} is not a valid memory specification. Must be an int or a string with suffix K, M, G, T"
        )
    return int(number * unit)


_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_CONTAINERS = frozenset({"Dict", "List", "Set", "Instance"})
# Only these say it (traitlets: ``Instance.info``, ``Type.info``, ``Enum.info``).
_NAMES_NONE = _CONTAINERS | {"Type", "Enum"}
_LOG_LEVELS = (0, 10, 20, 30, 40, 50, "DEBUG", "INFO", "WARN", "ERROR", "CRITICAL")
_EXPECTED = {
    "Any": "any value",
    "Bool": "a boolean",
    "Bytes": "a bytes object",
    "ByteSpecification": "an int",
    "Callable": "a callable",
    "Dict": "a dict",
    # The one enumeration is ``Application.log_level``.
    "Enum": f"any of {list(_LOG_LEVELS)}",
    "Float": "a float",
    "Instance": "an object",
    "Integer": "an int",
    "List": "a list",
    "Set": "a set",
    "Type": "a subclass of 'object'",
    "Unicode": "a unicode string",
}


def _refuse(kind: TraitType, value: Json) -> Json:
    raise _MismatchError(value, kind.expected)


def _any(_: TraitType, value: Json) -> Json:
    return value


def _instance_of(*types: type) -> Callable[[TraitType, Json], Json]:
    def accept(kind: TraitType, value: Json) -> Json:
        return value if isinstance(value, types) else _refuse(kind, value)

    return accept


def _bool(kind: TraitType, value: Json) -> Json:
    is_flag = isinstance(value, bool) or (isinstance(value, int) and value in {0, 1})
    return bool(value) if is_flag else _refuse(kind, value)


def _float(kind: TraitType, value: Json) -> Json:
    return float(value) if isinstance(value, int | float) else _refuse(kind, value)


def _enum(kind: TraitType, value: Json) -> Json:
    return value if value in _LOG_LEVELS else _refuse(kind, value)


def _list(kind: TraitType, value: Json) -> Json:
    if isinstance(value, str):
        # ``List.set`` and ``Set.set`` of traitlets: a string is one element.
        value = [value]
    return _elements(kind, value) if isinstance(value, list) else _refuse(kind, value)


def _set(kind: TraitType, value: Json) -> Json:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return _refuse(kind, value)
    for element in value:
        hash(element)
    return _elements(kind, value)


def _elements(kind: TraitType, values: list[Json]) -> Json:
    for part in kind.parts:
        for value in values:
            try:
                part._accept(value)  # noqa: SLF001 - a type knows its elements
            except _MismatchError as refusal:
                raise _MismatchError(refusal.value, refusal.expected, (*refusal.chain, part.kind)) from None
    return values


def _union(kind: TraitType, value: Json) -> Json:
    for part in kind.parts:
        try:
            return part._accept(value)  # noqa: SLF001 - a type knows its alternatives
        except _MismatchError:
            continue
    return _refuse(kind, value)


_ACCEPT: dict[str, Callable[[TraitType, Json], Json]] = {
    "Any": _any,
    "Bool": _bool,
    "ByteSpecification": lambda _, value: byte_specification(value),
    "Dict": _instance_of(dict),
    "Enum": _enum,
    "Float": _float,
    "Integer": _instance_of(int),
    "List": _list,
    "Set": _set,
    "Type": _instance_of(str),
    "Unicode": _instance_of(str),
    "Union": _union,
}


def _the(value: Json) -> str:
    return f"the {type(value).__name__} {value!r}"


def _a(name: str) -> str:
    return f"an {name}" if name[:1].lower() in set("aeiou") else f"a {name}"
