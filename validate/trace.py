"""Trace: from what Kustomize rendered to objects of which each field knows the lines that wrote it.

Exact by its own definition: edit the value at the line reported for a field and render again, and
that field changes; whatever else changes was reported with that line as well. A line is claimed
only where Kustomize's output and :mod:`validate.kustomize.tree` agree about the value; elsewhere
the nearest field above it that they agree about answers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct

from validate.cluster.objects import KubeObject
from validate.errors import SourceError
from validate.kustomize.tree import Entry, Item, Tree, read_tree
from validate.place import Json, Key, Origin, Path, Writer, lookup, unhashed
from validate.source import Field, load_rendered

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping, Sequence

    from validate.kustomize.render import Build
    from validate.kustomize.undone import Undone


# No line of a document can be that: whatever stands in one is indented, or has a key in front.
_SEPARATOR = "\n---\n"


class Traced(Struct, frozen=True):
    """What an overlay renders, what its kustomizations asked for (or wrote over), and what it reads.

    ``complete``: nothing but ``reads`` decides what it renders; a base that is fetched would.
    """

    objects: tuple[KubeObject, ...]
    entries: tuple[Entry, ...]
    reads: frozenset[str]
    undone: tuple[Undone, ...] = ()
    complete: bool = False


# Overlays share most of their objects, and so do the two sides of a change. Values are never changed.
@lru_cache(maxsize=4096)
def _load(text: str) -> Json:
    """Return a document as Kustomize printed it; the same text is the same value."""
    return next(load_rendered(text), None)


def trace_build(root: pathlib.Path, build: Build) -> Traced:
    """Trace a rendering under way: reads the tree while Kustomize works.

    Raises:
        SourceError: the overlay cannot be read or rendered, with the file and line where that is known.
    """
    try:
        tree = read_tree(root, build.overlay)
    except SourceError:
        build.cancel()
        raise
    except BaseException:
        build.cancel()
        raise
    return trace(tree, build.overlay, build.result())


def trace(tree: Tree, name: str, rendered: str) -> Traced:
    """Return the objects of ``rendered`` with the writers that ``tree`` knows."""
    fallback = Origin(f"{name}/kustomization.yaml", 1, 1, Writer.SOURCE, 1)
    values = [value for text in rendered.split(_SEPARATOR) if isinstance(value := _load(text), dict)]
    pairs = _pair(values, tree.items)
    renamed: dict[str, list[tuple[str, Item]]] = {}
    for value, item in pairs:
        if item is not None and (item.hashed or len(item.names) > 1):
            for former in item.names:
                renamed.setdefault(former, []).append((_name(value), item))
    objects = tuple(KubeObject(value, _Writers(value, item, renamed, fallback)) for value, item in pairs)
    return Traced(
        objects, tuple(tree.entries), frozenset(tree.reads), tuple(tree.undone), complete=not tree.opaque
    )


class _Writers(Struct, frozen=True, eq=False):
    """Finds who wrote a path of one rendered object.

    ``renamed`` maps former names of objects to their final name and the object: Kustomize rewrites
    references to them, so a reference was written by its own line and by what makes up the name.
    """

    value: dict[str, Json]
    item: Item | None
    renamed: Mapping[str, list[tuple[str, Item]]]
    fallback: Origin

    def __call__(self, path: Path) -> tuple[Origin, ...]:
        if self.item is None:
            return (self.fallback,)
        if self.item.hashed and path == ("metadata", "name"):
            return _name_writers(self.item)
        field: Field = self.item.field
        value: Json = self.value
        for key in path:
            below = field.below(key)
            rendered = _below(value, key)
            if below is None or not _alike(below.value, rendered):
                return self._renaming(below, rendered) or field.writers
            field, value = below, rendered
        return field.writers

    def _renaming(self, field: Field | None, rendered: Json) -> tuple[Origin, ...]:
        """Return the writers of a reference to an object whose name Kustomize changed."""
        if field is not None and isinstance(field.value, str):
            for name, item in self.renamed.get(field.value, ()):
                if name == rendered:
                    return field.writers + _name_writers(item)
        return ()


def _name_writers(item: Item) -> tuple[Origin, ...]:
    """Return who wrote a generated name: its own line and, by its hash, those of the content."""
    name = item.field.get("metadata", "name") or item.field
    content = [field for key in ("data", "binaryData") for field in item.field.mapping(key).values()]
    return tuple(dict.fromkeys(origin for field in (name, *content) for origin in field.writers))


def _pair(
    values: Sequence[dict[str, Json]], items: Sequence[Item]
) -> list[tuple[dict[str, Json], Item | None]]:
    left: dict[tuple[str, str, str], list[Item]] = {}
    for item in items:
        left.setdefault((item.api_version, item.kind, item.name), []).append(item)

    def take(value: dict[str, Json]) -> Item | None:
        kind = (str(value.get("apiVersion")), str(value.get("kind")))
        name = _name(value)
        hashed = [item for item in left.get((*kind, unhashed(name)), ()) if item.hashed]
        candidates = hashed or left.get((*kind, name), [])
        namespace = lookup(value, ("metadata", "namespace")) or ""
        found = next((item for item in candidates if item.namespace == namespace), None)
        return found or (candidates[0] if len(candidates) == 1 else None)

    return [(value, take(value)) for value in values]


def _name(value: dict[str, Json]) -> str:
    return str(lookup(value, ("metadata", "name")) or "")


def _below(value: Json, key: Key) -> Json:
    return lookup(value, (key,))


def _alike(mine: object, rendered: Json) -> bool:
    """Whether a value of the tree can be the rendered one: the same scalar or kind of collection."""
    if isinstance(mine, dict):
        return isinstance(rendered, dict)
    if isinstance(mine, list):
        return isinstance(rendered, list) and len(mine) == len(rendered)
    return mine == rendered and isinstance(mine, bool) == isinstance(rendered, bool)
