"""Edits: a change of one file as data, which a rule gives with a breach whose mending is certain.

An edit says where something stands and what stands there, so that it is made there or not at all.
:mod:`validate.rewrite` makes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from validate.place import Origin, Place, Writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from validate.place import Json, Key, Path, Scalar, Spot

# What these wrote stands in the file as it is rendered: somebody can write beside it.
_WRITTEN_OUT = frozenset({Writer.RESOURCE, Writer.STRATEGIC_MERGE, Writer.JSON_PATCH, Writer.FRAGMENT})


class Replace(Struct, frozen=True):
    """The scalar at ``at`` is ``old`` and becomes ``new``; it keeps its quotes."""

    at: Origin
    old: Scalar
    new: Scalar


class Rename(Struct, frozen=True):
    """The key of the value at ``at`` is ``old`` and becomes ``new``."""

    at: Origin
    old: str
    new: str


class Add(Struct, frozen=True):
    """The mapping at ``at``, which stands under ``key`` (None: an element, a document), gets an entry."""

    at: Origin
    key: str | None
    name: str
    value: Json


class Put(Struct, frozen=True):
    """The list at ``at``, which stands under ``key``, gets ``item``, in the place of one of its name."""

    at: Origin
    key: str | None
    item: Json


class Remove(Struct, frozen=True):
    """The value at ``at`` goes with its ``key`` (None: the element of a list), and what it leaves empty."""

    at: Origin
    key: str | None


Edit: TypeAlias = Replace | Rename | Add | Put | Remove


def write(place: Place, value: Json) -> tuple[Edit, ...]:
    """Return the edits that give ``place`` that value, none where no line can be told that decides it."""
    if place.exists:
        old = place.value
        if old is None or isinstance(old, dict | list) or isinstance(value, dict | list):
            return ()
        return (Replace(place.origin, old, value),)
    *above, name = place.path
    if not isinstance(name, str):
        return ()
    parent = Place.root(place.document).at(*above)
    if not parent.exists:
        return write(parent, {name: value}) if above else ()
    at = _written_out(parent)
    if at is None or not isinstance(parent.value, dict):
        return ()
    return (Add(at, _name(parent.path), name, value),)


def put(place: Place, item: dict[str, Json]) -> tuple[Edit, ...]:
    """Return the edits that give the list at ``place`` an item with a name, none as :func:`write`."""
    if not place.exists:
        return write(place, [item])
    at = _written_out(place)
    return (Put(at, _name(place.path), item),) if at and isinstance(place.value, list) else ()


def rename(place: Place, name: str) -> tuple[Edit, ...]:
    """Return the edits that write ``name`` for the key of ``place``, in each file that has it."""
    old = _name(place.path)
    return tuple(Rename(at, old, name) for at in place.writers) if old is not None and place.exists else ()


def remove(place: Place) -> tuple[Edit, ...]:
    """Return the edits that remove what stands at ``place``, in each file that writes it."""
    return tuple(Remove(at, _name(place.path)) for at in place.writers) if place.exists else ()


def relist(whole: Spot, entries: Mapping[str, Spot], wanted: Sequence[str]) -> tuple[Edit, ...]:
    """Return the edits that make a list of texts one of ``wanted``, which keep what is right where it is.

    ``entries`` are those it has, each under what it means. None where there is no list.
    """
    if not isinstance(whole.value, list):
        return ()
    key = _name(whole.path)
    wrong = [entry for text, entry in entries.items() if text not in wanted and isinstance(entry.value, str)]
    missing = [text for text in wanted if text not in entries]
    replaced = [
        Replace(entry.origin, str(entry.value), text) for entry, text in zip(wrong, missing, strict=False)
    ]
    removed = [Remove(entry.origin, None) for entry in wrong[len(missing) :]]
    return (*replaced, *removed, *(Put(whole.origin, key, text) for text in missing[len(wrong) :]))


def _name(path: Path) -> str | None:
    last: Key | None = path[-1] if path else None
    return last if isinstance(last, str) else None


def _written_out(place: Place) -> Origin | None:
    return next((origin for origin in place.writers if origin.writer in _WRITTEN_OUT), None)
