"""idle-docker-api."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from validate.cluster.scheduling import Placement, counter_example, why_not
from validate.rules.rule import Breach, OverlayRule, Severity
from validate.rules.subjects import the_build_pod, the_docker_api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay


class IdleDockerApi(OverlayRule):
    """docker-api runs on nodes that no build pod can reach.

    docker-api is a privileged daemon: whoever controls it is root on the node. On a node that no
    build pod can land on, it is that risk, and its memory, for nothing. Typical: the DaemonSet
    tolerates every taint, and build pods tolerate two.

    Give docker-api the node selector of the build pods, and the two tolerations that they have.
    """

    id = "idle-docker-api"
    severity = Severity.WARNING
    requires = ("unschedulable-build-pod", "build-pod-without-docker-api")

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look for a node that admits docker-api and not the build pod."""
        selector = the_build_pod(overlay).place.at("spec", "nodeSelector")
        spec = the_docker_api(overlay).pod.spec
        # Without the tolerations that Kubernetes adds to a DaemonSet: they say nothing of what was meant.
        daemons = replace(
            Placement.of(spec.mapping, daemonset=True),
            tolerations=Placement.of(spec.mapping, daemonset=False).tolerations,
        )
        builds = Placement.of(the_build_pod(overlay).place.at("spec").mapping, daemonset=False)
        node = counter_example(daemons, builds)
        if node is None:
            return
        demand = spec / ("tolerations" if node.taints else "nodeSelector")
        yield Breach(
            at=demand,
            problem=f"no build pod can reach some nodes that docker-api runs on: {why_not(builds, node)}",
            fix=f"narrow docker-api in {demand.origin.file} to what build pods are placed by",
            evidence=f"this node admits docker-api and not the build pod:\n{node}",
            related=(selector,),
        )
