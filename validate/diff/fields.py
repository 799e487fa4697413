"""Two objects, field by field: what differs, and where in each of the two.

Elements of a list are told apart as the API server tells them apart (containers by name), so that one more
container in front does not change all that follow.
"""

from __future__ import annotations

import json
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

from validate.kustomize.merge import MergeSchema, schema_of
from validate.place import Key, Place, dotted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from validate.cluster.objects import KubeObject

# What elements of lists are known by, where the API has no say: custom resources.
_USUAL_KEYS = ("name", "key", "id", "secretKey", "mountPath", "host", "path")


class Difference(NamedTuple):
    """A value that differs, comes or goes.

    Attributes:
        shown: the path as people write it: ``spec.containers[docker-api].image``.
        before: its place in the one object, existing or not.
        after: its place in the other.
        order: what elements of a list are called, in their new order, where only that differs.
    """

    shown: str
    before: Place
    after: Place
    order: tuple[str, ...] = ()


def differences(before: KubeObject, after: KubeObject, renamed: Mapping[str, str]) -> Iterator[Difference]:
    """Yield what differs between two objects of one kind.

    ``renamed`` maps former generated names to new ones: a reference that follows one is no difference, and
    neither is the name itself.
    """
    walk = _Walk(renamed)
    for difference in walk.mapping("", before.place, after.place, schema_of(after.api_version, after.kind)):
        if difference.after.path != ("metadata", "name") or not walk.follows(difference):
            yield difference


class _Walk:
    def __init__(self, renamed: Mapping[str, str]) -> None:
        self.renamed = renamed

    def follows(self, difference: Difference) -> bool:
        """Whether it is the name of a generated object, and nothing else."""
        before, after = difference.before.value, difference.after.value
        return isinstance(before, str) and before in self.renamed and self.renamed[before] == after

    def values(
        self, shown: str, before: Place, after: Place, schema: MergeSchema | None
    ) -> Iterator[Difference]:
        if before.exists and after.exists and before.value == after.value and _typed(before) == _typed(after):
            return
        if isinstance(before.value, dict) and isinstance(after.value, dict):
            yield from self.mapping(shown, before, after, schema)
        elif isinstance(before.value, list) and isinstance(after.value, list):
            yield from self.sequence(shown, before, after, schema)
        else:
            difference = Difference(shown, before, after)
            if not self.follows(difference):
                yield difference

    def mapping(
        self, shown: str, before: Place, after: Place, schema: MergeSchema | None
    ) -> Iterator[Difference]:
        for key in dict.fromkeys([*after.mapping, *before.mapping]):
            below = schema.below(key) if schema else None
            yield from self.values(_joined(shown, key), before / key, after / key, below)

    def sequence(
        self, shown: str, before: Place, after: Place, schema: MergeSchema | None
    ) -> Iterator[Difference]:
        elements = schema.elements if schema else None
        old, new = _labels(before, schema), _labels(after, schema)
        if old is not None and new is not None:
            for label in dict.fromkeys([*new, *old]):
                there, here = _index(old, label), _index(new, label)
                yield from self.values(f"{shown}[{label}]", before / there, after / here, elements)
            kept = [label for label in new if label in old]
            if kept != [label for label in old if label in new]:
                yield Difference(shown, before, after, tuple(new))
            return
        yield from self.aligned(shown, before, after, elements)

    def aligned(
        self, shown: str, before: Place, after: Place, schema: MergeSchema | None
    ) -> Iterator[Difference]:
        """Yield the elements that differ, the longest runs of equal ones left out."""
        matcher = SequenceMatcher(None, _texts(before), _texts(after), autojunk=False)
        for tag, old, old_end, new, new_end in matcher.get_opcodes():
            if tag == "equal":
                continue
            for offset in range(max(old_end - old, new_end - new)):
                there = old + offset if old + offset < old_end else len(before.items)
                here = new + offset if new + offset < new_end else len(after.items)
                label = new + offset if new + offset < new_end else old + offset
                yield from self.values(f"{shown}[{label}]", before / there, after / here, schema)


def _texts(place: Place) -> list[str]:
    return [json.dumps(item, sort_keys=True) for item in place.items]


def _typed(place: Place) -> str:
    # 1 == True == 1.0 for Python, and not for the API server.
    return json.dumps(place.value, sort_keys=True)


def _joined(shown: str, key: Key) -> str:
    text = dotted((key,))
    return text if not shown else f"{shown}{text}" if text.startswith("[") else f"{shown}.{text}"


def _index(labels: Sequence[str], label: str) -> int:
    return labels.index(label) if label in labels else len(labels)


def _labels(place: Place, schema: MergeSchema | None) -> list[str] | None:
    """Return what tells the elements of a list apart, None where nothing does."""
    if not all(isinstance(item, dict) for item in place.items):
        return None
    keys = schema.keys if schema and schema.merges else ()
    for known in (keys, *((key,) for key in _USUAL_KEYS)):
        labels = [_label(item, known) for item in place.each()]
        if known and all(labels) and len(set(labels)) == len(labels):
            return labels
    return [] if not place.items else None


def _label(item: Place, keys: Sequence[str]) -> str:
    values = [(item / key).value for key in keys]
    known = [str(value) for value in values if isinstance(value, str | int)]
    return "/".join(known)
