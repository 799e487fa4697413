"""unschedulable-build-pod."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.scheduling import Placement, Refusal, admitting_pools, find_refusal
from validate.place import dotted
from validate.rules.rule import Breach, NotApplicable, OverlayRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.cluster.facts import NodePool
    from validate.cluster.objects import PodView
    from validate.overlay import Overlay
    from validate.place import Place

# In which order a node is asked: the further a pod comes, the nearer it is to running there.
_DEMANDS = ("nodeName", "nodeSelector", "affinity", "tolerations")


class UnschedulableBuildPod(OverlayRule):
    """No node pool of the cluster admits the build pod, or a pod that it depends on.

    BinderHub gives a build pod its `node_selector` and two tolerations: `hub.jupyter.org/dedicated`
    and `hub.jupyter.org_dedicated`, both `=user:NoSchedule`. There is no setting for more
    (2i2c-org/infrastructure pull request 4595 tried three). A pod that fits no node stays Pending
    without a word to the client, and BinderHub's cleaner never removes it, since it has no start time.

    BinderHub itself, docker-api, a registry and whatever else an overlay runs have to fit some node too:
    a rollout that cannot place its new pod keeps the old one until its node goes, and then there is none.

    Label a node pool as the node selector says, and give it no taint that the pod does not tolerate; or
    correct the selector, or the pools in `cluster.yaml` if they are not what the cluster has.
    """

    id = "unschedulable-build-pod"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Ask each declared node pool about the build pod, then about the pods of each workload."""
        pools = overlay.facts.pools
        if not pools:
            raise NotApplicable("cluster.yaml declares no node pools")
        build = overlay.build_pod.object if overlay.build_pod else None
        builds = Placement.of(build.place.at("spec").mapping, daemonset=False) if build else None
        buildable = bool(builds and admitting_pools(builds, pools))
        if build and builds and not buildable:
            selector = build.place.at("spec", "nodeSelector")
            outcome = "the build pod: every build stays Pending"
            yield _breach(selector, "node_selector", outcome, builds, pools)
        for pod in overlay.pods:
            # Where build pods have a node and docker-api has none, build-pod-without-docker-api says more.
            if overlay.docker_api and pod.owner is overlay.docker_api.object and buildable:
                continue
            yield from _unplaced(pod, pools)


def _unplaced(pod: PodView, pools: tuple[NodePool, ...]) -> Iterator[Breach]:
    of_daemon = pod.owner.kind == "DaemonSet"
    placement = Placement.of(pod.spec.mapping, daemonset=of_daemon)
    if admitting_pools(placement, pools):
        return
    refusals = (_refusal(placement, pool) for pool in pools)
    nearest = max(refusals, key=lambda refusal: _DEMANDS.index(str(refusal.path[0])))
    outcome = "it runs nowhere" if of_daemon else "its pod stays Pending"
    at = pod.spec.at(*nearest.path)
    yield _breach(at, dotted(nearest.path), f"{pod.owner.title}: {outcome}", placement, pools)


def _breach(at: Place, field: str, outcome: str, placement: Placement, pools: tuple[NodePool, ...]) -> Breach:
    return Breach(
        at=at,
        problem=f"no node pool of the cluster admits {outcome}",
        fix=f"correct {field} in {at.origin.file}, or the pools in {pools[0].place.origin.file}",
        evidence="\n".join(f"pool {pool.name}: {_refusal(placement, pool).sentence}" for pool in pools),
        related=tuple(pool.place for pool in pools),
    )


def _refusal(placement: Placement, pool: NodePool) -> Refusal:
    refusal = find_refusal(placement, pool.node)
    assert refusal is not None  # noqa: S101 - for the type checker: the pool does not admit it
    return refusal
