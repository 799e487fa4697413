"""build-pod-without-docker-api."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.scheduling import Node, Placement, counter_example, find_refusal
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_build_pod, the_mounted_socket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.cluster.objects import PodView
    from validate.overlay import Overlay, Workload
    from validate.place import Place

_ROOTLESS = "rootless"
# Types of hostPath with which the kubelet makes no directory.
_NOT_MADE = ("", "Directory")


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

    Where docker-api runs, it has to start. dockerd needs a privileged container, and the directories of
    the node have to be made where they are not there yet: `/run` is empty after each boot. A hostPath that
    the pod mounts with a sub path has the type `DirectoryOrCreate`.
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
        yield from _never_starts(overlay.docker_api, selector)
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


def _never_starts(workload: Workload, selector: Place) -> Iterator[Breach]:
    """Yield why docker-api does not start on a node that admits it."""
    privileged = workload.container.place.at("securityContext", "privileged")
    if privileged.value is not True and _ROOTLESS not in workload.container.image:
        yield Breach(
            at=privileged,
            problem="dockerd does not start in a container that is not privileged, so build pods wait on "
            "every node for a daemon",
            fix=f"set privileged: true for {workload.container.name} in {privileged.origin.file}",
            related=(selector,),
        )
    for volume in (workload.pod.spec / "volumes").each():
        path, kind = volume.at("hostPath", "path"), volume.at("hostPath", "type")
        if path.text and kind.text in _NOT_MADE and (kind.text or _has_sub_path(workload.pod, volume)):
            yield Breach(
                at=kind,
                problem=f"nothing makes {path.text} on a node that has no such directory: docker-api does "
                "not start there, and build pods wait for it",
                fix=f"set type: DirectoryOrCreate in {kind.origin.file}",
                related=(path,),
            )


def _has_sub_path(pod: PodView, volume: Place) -> bool:
    """Whether a mount leads below the volume, where the kubelet wants the volume itself to be there."""
    return any(
        (mount / "name").value == (volume / "name").value
        and ((mount / "subPath").exists or (mount / "subPathExpr").exists)
        for container in pod.all_containers
        for mount in container.mounts
    )
