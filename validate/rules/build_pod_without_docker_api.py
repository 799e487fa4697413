"""build-pod-without-docker-api."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.scheduling import Node, Placement, counter_example, find_refusal
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_build_pod, the_mounted_socket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay


class BuildPodWithoutDockerApi(OverlayRule):
    """A build pod can land on a node that has no docker-api.

    A build pod has no daemon of its own: it mounts the socket of the docker-api pod on the same
    node. BinderHub places it by `KubernetesBuildExecutor.node_selector` and two tolerations that
    nobody can change; docker-api is placed by its DaemonSet. Where a node admits the one and not the
    other, the build pod waits there for a socket that never comes, and whoever asked for the build
    sees "Waiting for build to start..." for hours (2i2c-org/infrastructure pull requests 4595, 4404).

    The two need not be equal. Every node that admits the build pod must admit docker-api: that is
    proved over all labels and taints a node could have, and where it does not hold, the finding
    shows the smallest such node. Make docker-api wider (its nodeSelector, affinity, tolerations) or
    build pods narrower (`node_selector`).
    """

    id = "build-pod-without-docker-api"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look for a node that admits the build pod and not docker-api."""
        build = the_build_pod(overlay)
        the_mounted_socket(overlay)
        selector = build.place.at("spec", "nodeSelector")
        if overlay.docker_api is None:
            yield Breach(
                at=selector,
                problem="build pods mount the socket of docker-api, and no DaemonSet here runs dockerd",
                fix="add base/docker-api to the resources of the overlay",
            )
            return
        spec = overlay.docker_api.pod.spec
        builds = Placement.of(build.place.at("spec").mapping, daemonset=False)
        daemons = Placement.of(spec.mapping, daemonset=True)
        node = counter_example(builds, daemons)
        if node is not None:
            yield self._breach(node, daemons, overlay)

    def _breach(self, node: Node, daemons: Placement, overlay: Overlay) -> Breach:
        assert overlay.docker_api is not None  # noqa: S101 - for the type checker: tested by the caller
        selector = the_build_pod(overlay).place.at("spec", "nodeSelector")
        refusal = find_refusal(daemons, node)
        assert refusal is not None  # noqa: S101 - for the type checker: a counter-example is refused
        demand = overlay.docker_api.pod.spec.at(*refusal.path)
        return Breach(
            at=demand,
            problem=f"a build pod can land on a node where docker-api does not run: {refusal.sentence}",
            fix=f"make docker-api admit that node in {demand.origin.file}, "
            f"or narrow node_selector in {selector.origin.file}",
            evidence=f"this node admits the build pod and not docker-api:\n{node}",
            related=(selector,),
        )
