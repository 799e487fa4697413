"""duplicate-owner."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from validate.cluster.scope import is_cluster_wide
from validate.place import Origin, Spot
from validate.rules.rule import Breach, NotApplicable, RepositoryRule
from validate.rules.subjects import the_applications

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from validate.argocd.applications import SyncedPath
    from validate.overlay import Overlay, Repository

    # The applications that render one object, each with that object.
    _Claims: TypeAlias = "list[tuple[SyncedPath, _Object]]"

_FEWEST = 2
_MOST = 5
# Two names that Argo CD has for the cluster where it runs itself.
_IN_CLUSTER = {"https://kubernetes.default.svc": "in-cluster"}


class _Object(NamedTuple):
    """What no two objects of a cluster share, and the line that wrote the name.

    ``namespace`` is None where the object has none, and the destination's where it says none.
    """

    group: str
    kind: str
    namespace: str | None
    name: str
    origin: Origin


class DuplicateOwner(RepositoryRule[tuple[_Object, ...]]):
    """Two Argo CD applications render one object for the same cluster.

    Each takes the object for its own. They sync over each other without end, and the application that
    stops rendering it takes it away from the other one. With `FailOnSharedResource=true` the second
    application does not sync at all.

    Give one of the overlays a namespace of its own or another destination; what has no namespace needs
    another name. What both need goes into an application of its own, or stays in one of the two.
    """

    id = "duplicate-owner"

    def observe(self, overlay: Overlay) -> tuple[_Object, ...]:
        """Return what the overlay renders."""
        return tuple(
            _Object(
                item.group,
                item.kind,
                None if is_cluster_wide(item.kind) else item.namespace,
                item.name,
                item.place.at("metadata", "name").origin,
            )
            for item in overlay.objects
        )

    def check(
        self, repository: Repository, facts: Mapping[str, tuple[_Object, ...]]
    ) -> Iterator[tuple[str, Breach]]:
        """Look for objects that several applications bring to one cluster."""
        applications = [one for one in the_applications(repository) if one.path in facts]
        if len(applications) < _FEWEST:
            raise NotApplicable("fewer than two applications sync overlays that were checked")
        owners: dict[tuple[object, ...], dict[str, tuple[SyncedPath, _Object]]] = defaultdict(dict)
        for application in applications:
            cluster = _IN_CLUSTER.get(application.destination, application.destination)
            for item in facts[application.path]:
                namespace = application.namespace if item.namespace == "" else item.namespace
                key = (cluster, item.group, item.kind, namespace, item.name)
                owners[key].setdefault(application.application, (application, item))
        for group in _together([list(found.values()) for found in owners.values() if len(found) > 1]):
            yield "", _breach(group)


def _together(shared: list[_Claims]) -> Iterator[list[_Claims]]:
    """Yield what is shared by the same applications, or by some that share something else: one cause."""
    groups: list[tuple[set[str], list[_Claims]]] = []
    for claims in shared:
        owners, members = {application.application for application, _ in claims}, [claims]
        for group in [group for group in groups if group[0] & owners]:
            groups.remove(group)
            owners, members = group[0] | owners, [*group[1], *members]
        groups.append((owners, members))
    return (members for _, members in groups)


def _breach(shared: Sequence[_Claims]) -> Breach:
    (first, item), (second, _), *_ = shared[0]
    title = _title(item, first.namespace)
    more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
    file = second.place.origin.file
    way_out = f"another namespace in the kustomization of {second.path}"
    if all(claims[0][1].namespace is None for claims in shared):
        way_out = f"a nameSuffix in the kustomization of {second.path}"
    if first.path == second.path:
        way_out = f"remove {second.application} from {file}"
    return Breach(
        at=second.place,
        problem=f"the applications {first.application} ({first.path}) and {second.application} "
        f"({second.path}) both bring {title}{more} to {second.destination}: each undoes what the other syncs",
        fix=f"give one of them another destination in {file}, or {way_out}",
        evidence="\n".join(_listed(shared)) if more or len(shared[0]) > _FEWEST else "",
        related=(
            *([first.place] if first.place.origin != second.place.origin else []),
            Spot(title, ("metadata", "name"), item.name, True, (item.origin,)),  # noqa: FBT003 - Spot.exists
        ),
    )


def _listed(shared: Sequence[_Claims]) -> Iterator[str]:
    """Yield what is shared, and by whom."""
    for claims in shared[:_MOST]:
        application, item = claims[0]
        yield f"{_title(item, application.namespace)}: {', '.join(owner.application for owner, _ in claims)}"
    if len(shared) > _MOST:
        yield f"... and {len(shared) - _MOST} more"


def _title(item: _Object, namespace: str) -> str:
    where = namespace if item.namespace == "" else item.namespace
    return f"{item.kind} {where}/{item.name}" if where else f"{item.kind} {item.name}"
