"""socket-path-mismatch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from validate.cluster.hostpaths import on_the_node
from validate.cluster.mounts import mounted_files
from validate.edits import write
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_config, the_docker_api, the_dockerd, the_mounted_socket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.cluster.objects import ContainerView
    from validate.edits import Edit
    from validate.overlay import Overlay, Workload
    from validate.place import Place

_CLIENT = "DOCKER_HOST"
_UNIX = "unix://"
_DEFAULT = "/var/run/docker.sock"
# Clients that ask the daemon; `docker` alone, and files that are called so, do not.
_ASKS = re.compile(
    r"(^|[\s;&|(`])docker\s+(builder|buildx|container|image|images|info|ps|system|version|volume)\b",
    re.MULTILINE,
)
_HOST_OPTION = re.compile(r"\s(-H|--host)[\s=]")
_HOOKS = (
    ("startupProbe",),
    ("readinessProbe",),
    ("livenessProbe",),
    ("lifecycle", "preStop"),
    ("lifecycle", "postStart"),
)


class SocketPathMismatch(OverlayRule):
    """Build pods mount another file of the node than the socket that docker-api listens on.

    A build pod reaches its daemon through a file of the node: BinderHub mounts the path of
    `KubernetesBuildExecutor.docker_host` with type `Socket`, and docker-api makes that file. The
    kubelet waits until a socket is there. If the two differ, each build pod stays in
    ContainerCreating with `hostPath type check failed: ... is not a socket file`, and whoever asked
    for the build sees "Waiting for build to start..." and then nothing, for hours
    (2i2c-org/infrastructure pull request 4595).

    What counts is the path as seen on the node: the volume's `hostPath.path`, then `subPath` or
    `subPathExpr` of the mount, then what `--host=` adds to the mount path. Write that path into
    `docker_host`. The other containers of docker-api, which clean up for it, have to find the same
    file at what their `DOCKER_HOST` says, and so have its own probes.
    """

    id = "socket-path-mismatch"
    requires = ("unreachable-docker-host",)

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Compare the build pod's hostPath with every socket of dockerd, as the node sees it."""
        wanted = the_mounted_socket(overlay)
        workload = the_docker_api(overlay)
        sockets = the_dockerd(overlay).sockets
        if not sockets:
            yield Breach(
                at=workload.container.place / "args",
                problem=f"dockerd listens on no unix socket, and build pods mount {wanted.text} of the node",
                fix=f"add --host=unix://... to the args in {workload.container.place.origin.file}",
                related=(wanted,),
            )
            return
        found = [(socket, on_the_node(socket.value, workload.container, workload.pod)) for socket in sockets]
        if any(host is not None and host.path == wanted.text for _, host in found):
            yield from _misled_clients(workload, {host.path for _, host in found if host is not None})
            yield from _lost_clients(workload, overlay, {socket.value for socket in sockets})
            return
        socket, host = found[0]
        if host is None:
            yield Breach(
                at=socket.place,
                problem=f"dockerd listens on {socket.value} of its container, which is not on the node",
                fix=f"mount a hostPath volume at that directory in {workload.container.place.origin.file}",
                related=(wanted,),
            )
            return
        yield Breach(
            at=wanted,
            problem=f"build pods mount {wanted.text} of the node, and docker-api listens on {host.path}: "
            "every build waits for a socket that never comes",
            fix=f"set docker_host to {host.path} in {wanted.origin.file}",
            related=(socket.place, *host.places),
            edits=_edits(overlay, wanted.text, host.path) if len(sockets) == 1 else (),
        )


def _misled_clients(workload: Workload, sockets: set[str]) -> Iterator[Breach]:
    """Yield each ``DOCKER_HOST`` in docker-api's pod that is none of the sockets, as the node sees it."""
    for container in workload.pod.all_containers:
        entry = container.env(_CLIENT)
        if entry is None or not (entry / "value").text.startswith(_UNIX):
            continue
        value = entry / "value"
        host = on_the_node(value.text.removeprefix(_UNIX), container, workload.pod)
        if host is None or host.path not in sockets:
            where = host.path if host else "nothing of the node"
            yield Breach(
                at=value,
                problem=f"DOCKER_HOST of {container.name} is {where}, and docker-api listens on "
                f"{' and '.join(sorted(sockets))}: it reaches no daemon",
                fix=f"mount the directory of the socket as docker-api does, in {value.origin.file}",
                related=host.places if host else (container.place / "volumeMounts",),
            )


def _lost_clients(workload: Workload, overlay: Overlay, sockets: set[str]) -> Iterator[Breach]:
    """Yield each container of docker-api's pod that runs `docker` and is not told where the daemon is."""
    for container in workload.pod.all_containers:
        entry = container.env(_CLIENT)
        if entry is not None and ((entry / "value").text or (entry / "valueFrom").exists):
            continue
        asks = _runs_docker(container, workload, overlay)
        if asks is None or _HOST_OPTION.search(asks.text) or _DEFAULT in sockets:
            continue
        yield Breach(
            at=entry or container.place / "env",
            problem=f"{container.name} runs docker without {_CLIENT}, which then looks for {_DEFAULT}: it "
            "reaches no daemon",
            fix=f"set {_CLIENT} to {_UNIX}{min(sockets)} in {container.place.origin.file}",
            related=(asks,),
        )


def _runs_docker(container: ContainerView, workload: Workload, overlay: Overlay) -> Place | None:
    """Return the first command, hook or script of a container that has `docker` ask a daemon."""
    hooks = [container.place.at(*path, "exec", "command") for path in _HOOKS]
    for argv in (container.place / "command", container.place / "args", *hooks):
        if _ASKS.search(" ".join(str(word) for word in argv.items)):
            return argv
    files = mounted_files(overlay.objects, workload.pod, container)
    for word in container.command_line:
        if word in files and _ASKS.search(files[word].place.text):
            return files[word].place
    return None


def _edits(overlay: Overlay, wanted: str, listened: str) -> tuple[Edit, ...]:
    """Write the path where it is decided; none where part of it is known on the node alone."""
    docker_host = the_config(overlay).trait("KubernetesBuildExecutor", "docker_host")
    if "$(" in listened or (docker_host.exists and not docker_host.text.endswith(wanted)):
        return ()
    return write(docker_host, docker_host.text.removesuffix(wanted) + listened)
