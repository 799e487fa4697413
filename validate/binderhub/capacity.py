"""Where builds can run: the declared node pools that admit both the build pod and docker-api.

How many nodes a pool has is not known here (autoscalers decide it), so capacity is counted for one node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from validate.cluster.limits import pod_requests
from validate.cluster.scheduling import Placement, admits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from validate.cluster.facts import NodePool
    from validate.cluster.limits import Quantity
    from validate.cluster.objects import KubeObject, PodView

_PER_NODE = ("cpu", "memory")


class Capacity(NamedTuple):
    """One pool on which builds can run.

    ``builds`` is how many build pods fit on a node at a time, beside the DaemonSets of the tree; None where
    the pool declares no allocatable, or build pods request nothing.
    """

    pool: str
    builds: int | None

    def __str__(self) -> str:
        """Return ``builds (6 at a time on a node)``."""
        return self.pool if self.builds is None else f"{self.pool} ({self.builds} at a time on a node)"


def capacity(
    pools: Sequence[NodePool], build_pod: PodView, docker_api: PodView | None, objects: Sequence[KubeObject]
) -> tuple[Capacity, ...]:
    """Return the pools on which builds can run, in the order of ``cluster.yaml``."""
    build = Placement.of(build_pod.spec.mapping, daemonset=False)
    daemon = Placement.of(docker_api.spec.mapping, daemonset=True) if docker_api else None
    return tuple(
        Capacity(pool.name, _fitting(pool, build_pod, objects))
        for pool in pools
        if admits(build, pool.node) and (daemon is None or admits(daemon, pool.node))
    )


def _fitting(pool: NodePool, build_pod: PodView, objects: Sequence[KubeObject]) -> int | None:
    wanted = pod_requests(build_pod.spec.mapping)
    counts = []
    for resource in _PER_NODE:
        free, each = pool.allocatable.get(resource), wanted.get(resource)
        if free is not None and each is not None and each.nano > 0:
            taken = sum(amount.nano for amount in _daemons(pool, objects, resource))
            counts.append(max(0, free.nano - taken) // each.nano)
    return min(counts, default=None)


def _daemons(pool: NodePool, objects: Sequence[KubeObject], resource: str) -> list[Quantity]:
    """Return what the DaemonSets of the tree take of a node."""
    requests: list[Mapping[str, Quantity]] = [
        pod_requests(pod.spec.mapping)
        for item in objects
        if item.kind == "DaemonSet"
        and (pod := item.pod) is not None
        and admits(Placement.of(pod.spec.mapping, daemonset=True), pool.node)
    ]
    return [amounts[resource] for amounts in requests if resource in amounts]
