"""Strategic-merge patches as Kustomize applies them, on fields that know their writers.

Follows kyaml v0.21.1 (Kustomize 5.8.1): ``yaml/merge2``, ``yaml/walk`` and its built-in schema of
Kubernetes 1.21, of which ``merge-keys.json`` is the part that says which lists are merged.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from validate.source import Field

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_DIRECTIVE = "$patch"


class MergeSchema(Struct, frozen=True):
    """One node of the schema: what lies below a field, and how a list there is merged."""

    node: Mapping[str, Any]

    def below(self, key: str) -> MergeSchema | None:
        """Return the schema of a mapping's entry, None where nothing below it is merged."""
        target = self._resolved()
        node = target.get("properties", {}).get(key) or target.get("additionalProperties")
        return MergeSchema(node) if isinstance(node, dict) else None

    @property
    def elements(self) -> MergeSchema | None:
        """The schema of a list's elements."""
        node = self.node.get("items")
        return MergeSchema(node) if node else None

    @property
    def merges(self) -> bool:
        """Whether a list here is merged; otherwise a patch replaces it."""
        return "merge" in str(self.node.get("x-kubernetes-patch-strategy", "")).split(",")

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys by which the elements of a merged list are told apart; none for a list of scalars."""
        several = self.node.get("x-kubernetes-list-map-keys")
        one = self.node.get("x-kubernetes-patch-merge-key")
        return tuple(several) if several else (one,) if one else ()

    def _resolved(self) -> Mapping[str, Any]:
        reference = self.node.get("$ref")
        return _definitions()[reference.rpartition("/")[2]] if reference else self.node


def schema_of(api_version: str, kind: str) -> MergeSchema | None:
    """Return the schema of a kind, None for kinds that Kustomize does not know (their lists are replaced)."""
    name = _kinds().get((api_version, kind))
    return MergeSchema(_definitions()[name]) if name else None


def strategic_merge(field: Field, patch: Field, schema: MergeSchema | None) -> Field | None:
    """Return ``field`` with ``patch`` applied, None where the patch deletes it.

    What the patch writes has the patch's line as its last writer. Keys that only say *which*
    object or element is meant (``name`` of a container) keep theirs.
    """
    return _merge(field, patch, schema, identity=("apiVersion", "kind", "metadata"))


def _merge(
    field: Field | None, patch: Field, schema: MergeSchema | None, identity: Sequence[str] = ()
) -> Field | None:
    if patch.value is None:
        return None
    if isinstance(patch.value, dict):
        return _merge_mapping(field, patch, schema, identity)
    if isinstance(patch.value, list):
        return _merge_list(field, patch, schema)
    return _written(patch, field)


def _merge_mapping(
    field: Field | None, patch: Field, schema: MergeSchema | None, identity: Sequence[str]
) -> Field | None:
    patched = patch.mapping()
    directive = patch.text(_DIRECTIVE)
    if directive == "delete":
        return None
    if field is None or not isinstance(field.value, dict) or directive == "replace":
        content = {key: below for key, below in patched.items() if key != _DIRECTIVE}
        return _written(Field(content, patch.writers), field)
    result = dict(field.value)
    writes = False
    for key, below in patched.items():
        if key == _DIRECTIVE or (key in identity and not isinstance(below.value, dict | list)):
            continue
        writes |= not isinstance(below.value, dict)
        names = ("name", "namespace") if key == "metadata" and identity else ()
        merged = _merge(result.get(key), below, schema.below(key) if schema else None, names)
        if merged is None:
            result.pop(key, None)
        else:
            result[key] = merged
    return Field(result, patch.writers + field.writers if writes else field.writers)


def _merge_list(field: Field | None, patch: Field, schema: MergeSchema | None) -> Field | None:
    elements = patch.sequence()
    directives = [element.text(_DIRECTIVE) for element in elements if set(element.mapping()) == {_DIRECTIVE}]
    plain = [element for element in elements if set(element.mapping()) != {_DIRECTIVE}]
    if "delete" in directives:
        return None
    if field is None or not isinstance(field.value, list) or not (schema and schema.merges):
        return _written(Field(plain, patch.writers), field)
    if "replace" in directives:
        return _written(Field(plain, patch.writers), field)
    if not schema.keys:
        return _merge_scalars(field, patch)
    return Field(list(_merge_elements(field, plain, schema)), patch.writers + field.writers)


def _merge_elements(field: Field, patches: Sequence[Field], schema: MergeSchema) -> Iterator[Field]:
    """Yield the elements: those of the patch first, in its order, then the others in theirs."""
    left = list(field.sequence())
    for patch in patches:
        match = next((element for element in left if _agree(element, patch, schema.keys)), None)
        if match is not None:
            if _given(match, schema.keys) != _given(patch, schema.keys):
                # One names the protocol of a port and the other does not: Kustomize 5.8.1 takes them
                # for the same, then does not find it, and drops what the patch says.
                continue
            left.remove(match)
        merged = _merge(match, patch, schema.elements, schema.keys)
        if merged is not None:
            yield merged
    yield from left


def _agree(element: Field, patch: Field, keys: Sequence[str]) -> bool:
    """Whether two elements agree in a merge key, and differ in one only where it is left out."""
    agreed = False
    for key in keys:
        mine, other = element.get(key), patch.get(key)
        if mine is None or other is None:
            continue
        if mine.value != other.value:
            return False
        agreed = True
    return agreed


def _given(element: Field, keys: Sequence[str]) -> list[str]:
    return [key for key in keys if element.get(key) is not None]


def _merge_scalars(field: Field, patch: Field) -> Field:
    mine = [element.value for element in patch.sequence()]
    others = [element for element in field.sequence() if element.value not in mine]
    return Field([*patch.sequence(), *others], patch.writers + field.writers)


def _written(patch: Field, before: Field | None) -> Field:
    return Field(patch.value, patch.writers + before.writers) if before is not None else patch


@cache
def _definitions() -> dict[str, Any]:
    text = Path(__file__).with_name("merge-keys.json").read_text(encoding="utf-8")
    definitions: dict[str, Any] = json.loads(text)["definitions"]
    return definitions


@cache
def _kinds() -> dict[tuple[str, str], str]:
    return {
        (f"{kind['group']}/{kind['version']}" if kind["group"] else kind["version"], kind["kind"]): name
        for name, definition in _definitions().items()
        for kind in definition.get("x-kubernetes-group-version-kind", ())
    }
