"""unschedulable-build-pod."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.scheduling import Placement, admitting_pools, why_not
from validate.rules.rule import Breach, NotApplicable, OverlayRule
from validate.rules.subjects import the_build_pod

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay


class UnschedulableBuildPod(OverlayRule):
    """No node pool of the cluster admits the build pod.

    BinderHub gives a build pod its `node_selector` and two tolerations: `hub.jupyter.org/dedicated`
    and `hub.jupyter.org_dedicated`, both `=user:NoSchedule`. There is no setting for more
    (2i2c-org/infrastructure pull request 4595 tried three). A pod that fits no node stays Pending
    without a word to the client, and BinderHub's cleaner never removes it, since it has no start time.

    Label a node pool as `node_selector` says, and give it no taint but those two; or correct
    `node_selector`, or the pools in `cluster.yaml` if they are not what the cluster has.
    """

    id = "unschedulable-build-pod"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Ask each declared node pool."""
        build = the_build_pod(overlay)
        pools = overlay.facts.pools
        if not pools:
            raise NotApplicable("cluster.yaml declares no node pools")
        placement = Placement.of(build.place.at("spec").mapping, daemonset=False)
        if admitting_pools(placement, pools):
            return
        selector = build.place.at("spec", "nodeSelector")
        yield Breach(
            at=selector,
            problem="no node pool of the cluster admits the build pod: every build stays Pending",
            fix=f"correct node_selector in {selector.origin.file}, or the pools in cluster.yaml",
            evidence="\n".join(f"pool {pool.name}: {why_not(placement, pool.node)}" for pool in pools),
            related=tuple(pool.place for pool in pools),
        )
