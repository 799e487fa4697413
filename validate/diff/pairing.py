"""Which object of the base is which object of the head."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from validate.cluster.generated import stem
from validate.cluster.scope import is_cluster_wide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from validate.cluster.objects import KubeObject

K = TypeVar("K")


class Pair(NamedTuple):
    """An object as it was and as it is; one of the two is None where it comes or goes."""

    before: KubeObject | None
    after: KubeObject | None

    @property
    def title(self) -> str:
        """How reports name it: without the hash of a generated name."""
        item = self.after or self.before
        assert item is not None  # noqa: S101 - for the type checker: one of the two is there
        return title(item)

    @property
    def is_moved(self) -> bool:
        """Whether it has another name or namespace, which is another object for the API server."""
        return bool(self.before and self.after) and _identity(self.before) != _identity(self.after)


def title(item: KubeObject) -> str:
    """Return the title of an object, without the hash of a generated name.

    That of the build pod has no name at all: each build has one of its own.
    """
    without = item.title.removesuffix(item.name)
    return item.title if without == item.title else without + stem(item)


def pairs(before: Iterable[KubeObject], after: Iterable[KubeObject]) -> list[Pair]:
    """Return the pairs, in the order of ``after``, then what goes.

    What is left over is paired by kind and name, as where an overlay gives its objects another namespace.
    """
    old, new = list(before), list(after)
    partner: dict[int, KubeObject] = {}
    for identity in (_identity, _named):
        by_identity = _unique(old, identity)
        for item in new:
            if id(item) not in partner:
                match = by_identity.get(identity(item))
                if match is not None:
                    partner[id(item)] = match
                    old.remove(match)
                    del by_identity[identity(item)]
    return [
        *(Pair(partner.get(id(item)), item) for item in new),
        *(Pair(item, None) for item in old),
    ]


def _identity(item: KubeObject | None) -> tuple[str, ...]:
    # Kustomize writes a namespace on kinds that it does not know; the API server takes it off again.
    return (item.group, item.kind, _namespace(item), stem(item)) if item else ()


def _namespace(item: KubeObject) -> str:
    return "" if is_cluster_wide(item.kind) else item.namespace


def _named(item: KubeObject) -> tuple[str, ...]:
    return item.group, item.kind, stem(item)


def _unique(items: Sequence[KubeObject], identity: Callable[[KubeObject], K]) -> dict[K, KubeObject]:
    """Return the items by what only one of them has."""
    found: dict[K, list[KubeObject]] = defaultdict(list)
    for item in items:
        found[identity(item)].append(item)
    return {key: those[0] for key, those in found.items() if len(those) == 1}


def generated_names(items: Iterable[KubeObject]) -> Iterator[tuple[str, str]]:
    """Yield the names with a hash, and the names without it."""
    for item in items:
        name = stem(item)
        if name != item.name:
            yield item.name, name
