"""The objects of a tree by what they are asked for, so that nobody goes through all of them for one."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from validate.cluster.objects import KubeObject, PodView


class Index:
    """Objects by kind, namespace and name; those of a tree differ in one of them, or in their group."""

    def __init__(self, objects: Iterable[KubeObject]) -> None:
        self._named: dict[tuple[str, str, str, str], KubeObject] = {}
        self._kinds: dict[tuple[str, str], list[KubeObject]] = {}
        self._pods: dict[tuple[str, str, str], list[PodView]] = {}
        for item in objects:
            group, kind, namespace = item.group, item.kind, item.namespace
            self._named.setdefault((group, kind, namespace, item.name), item)
            self._kinds.setdefault((group, kind), []).append(item)
            if (pod := item.pod) is not None:
                for key, value in pod.labels.items():
                    self._pods.setdefault((namespace, key, value), []).append(pod)

    def get(self, kind: str, name: str, namespace: str = "", group: str = "") -> KubeObject | None:
        """Return the object of that kind, name and namespace (empty: of the cluster)."""
        return self._named.get((group, kind, namespace, name))

    def of_kind(self, kind: str, group: str = "") -> Sequence[KubeObject]:
        """Return the objects of a kind, in their order."""
        return self._kinds.get((group, kind), ())

    def pods(self, namespace: str, key: str, value: str) -> Sequence[PodView]:
        """Return the pods of a namespace with that label, in the order of what makes them."""
        return self._pods.get((namespace, key, value), ())


@lru_cache(maxsize=2)
def index_of(objects: tuple[KubeObject, ...]) -> Index:
    """Return the index of a tree, made once for all that ask about it."""
    return Index(objects)
