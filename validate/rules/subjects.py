"""What rules talk about, each by name; where an overlay has no such thing, the rule is not applicable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.dockerd import Dockerd, read_dockerd
from validate.cluster.network import Network, other_policies
from validate.cluster.rbac import Grants
from validate.rules.rule import NotApplicable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.argocd.applications import SyncedPath
    from validate.binderhub.config import BinderHubConfig
    from validate.cluster.objects import KubeObject
    from validate.overlay import Overlay, Repository, Workload
    from validate.place import Place


def the_binder(overlay: Overlay) -> Workload:
    """Return the workload that runs BinderHub."""
    if overlay.binder is None:
        raise NotApplicable("nothing here runs BinderHub")
    return overlay.binder


def the_docker_api(overlay: Overlay) -> Workload:
    """Return the DaemonSet that runs dockerd for the build pods."""
    if overlay.docker_api is None:
        raise NotApplicable("nothing here runs docker-api")
    return overlay.docker_api


def the_dockerd(overlay: Overlay) -> Dockerd:
    """Return what the daemon of docker-api does."""
    workload = the_docker_api(overlay)
    return read_dockerd(workload.container, workload.pod, overlay.objects)


def the_config(overlay: Overlay) -> BinderHubConfig:
    """Return the configuration that BinderHub will run with."""
    if overlay.config is None:
        raise NotApplicable("nothing here configures BinderHub")
    return overlay.config


def the_build_pod(overlay: Overlay) -> KubeObject:
    """Return the pod that BinderHub will create for a build."""
    the_config(overlay)
    build = overlay.build_pod
    if build is None or build.object is None:
        raise NotApplicable("BinderHub does not start with this configuration, so it creates no build pod")
    return build.object


def the_mounted_socket(overlay: Overlay) -> Place:
    """Return the path of the node that build pods mount as the daemon's socket."""
    for volume in the_build_pod(overlay).place.at("spec", "volumes").each():
        if (volume / "name").value == "docker-socket":
            return volume.at("hostPath", "path")
    raise NotApplicable("docker_host is null, so build pods mount no socket")


def the_push_secret(overlay: Overlay) -> Place:
    """Return the name of the Secret that build pods mount as their docker configuration."""
    for volume in the_build_pod(overlay).place.at("spec", "volumes").each():
        if (volume / "name").value == "docker-config":
            return volume.at("secret", "secretName")
    raise NotApplicable("build pods mount no Secret to push with")


def the_grants(overlay: Overlay) -> tuple[Grants, str]:
    """Return what BinderHub may do, and the namespace of its build pods, where it has to do it."""
    binder = the_binder(overlay)
    account = (binder.pod.spec / "serviceAccountName").text or "default"
    grants = Grants.of(overlay.objects, account, binder.object.namespace)
    return grants, the_config(overlay).namespaces.builder


def image_places(overlay: Overlay) -> Iterator[tuple[Place, str]]:
    """Yield where each image of a container stands, and what it says; that of build pods last."""
    for pod in overlay.pods:
        for container in pod.all_containers:
            yield container.place / "image", container.image
    if overlay.config is not None:
        trait = ("KubernetesBuildExecutor", "build_image")
        yield overlay.config.trait(*trait), str(overlay.config.effective(*trait))


def the_network(overlay: Overlay) -> Network:
    """Return the network of the overlay, where its network policies are all that there is to judge."""
    for policy in other_policies(overlay.objects):
        raise NotApplicable(f"{policy.title} may allow or deny more than network policies say")
    return Network.of(overlay.objects, overlay.facts.namespaces)


def the_applications(repository: Repository) -> tuple[SyncedPath, ...]:
    """Return what Argo CD syncs from the repository that overlays are synced from; all, where none is."""
    if repository.synced is None:
        raise NotApplicable("no applications are known: there is no argocd/, or it cannot be read")
    ours = {one.repository for one in repository.synced if one.path in repository.overlays}
    return tuple(one for one in repository.synced if not ours or one.repository in ours)
