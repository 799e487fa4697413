"""unrepaired-socket-directory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from validate.cluster.hostpaths import environment, expand, on_the_node
from validate.rules.rule import Breach, NotApplicable, OverlayRule, Severity
from validate.rules.subjects import the_docker_api, the_dockerd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.cluster.objects import ContainerView, PodView
    from validate.overlay import Overlay


_PATH = re.compile(r"/[\w./-]+")


class UnrepairedSocketDirectory(OverlayRule):
    """Nothing removes a directory that was left at the path of docker-api's socket.

    Whatever mounts the path of the socket before the socket exists, without `type: Socket`, makes
    the kubelet create a directory there. From then on dockerd cannot bind, on that node, until
    somebody logs in and removes it (jupyterhub/binderhub issues 349 and 1343; it still happened on
    mybinder.org in 2026: jupyterhub/mybinder.org-deploy issues 3603 and 3778). jupyterhub/binderhub pull
    request 1828 cures it with an init container that removes such a directory.

    Add an init container to docker-api that mounts the same directory and runs `rmdir` on the path
    of the socket if it is a directory.
    """

    id = "unrepaired-socket-directory"
    severity = Severity.WARNING

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look for an init container that mounts the socket's directory and removes a directory."""
        workload = the_docker_api(overlay)
        sockets = [
            (socket, host)
            for socket in the_dockerd(overlay).sockets
            if (host := on_the_node(socket.value, workload.container, workload.pod))
        ]
        if not sockets:
            raise NotApplicable("dockerd listens on no socket of the node")
        for socket, host in sockets:
            directory = host.path.rpartition("/")[0]
            if not any(
                _removes_directories(container) and _names({host.path, directory}, container, workload.pod)
                for container in workload.pod.init_containers
            ):
                where = workload.pod.spec / "initContainers"
                yield Breach(
                    at=where,
                    problem=f"no init container removes a directory at {host.path}: dockerd cannot bind",
                    fix=f"add one that mounts {directory} and runs rmdir to {where.origin.file}",
                    related=(socket.place,),
                )


def _removes_directories(container: ContainerView) -> bool:
    text = " ".join(container.command_line)
    return "rmdir" in text or "rm -rf" in text or "rm -fr" in text


def _names(paths: set[str], container: ContainerView, pod: PodView) -> bool:
    """Whether its command line has a path that is one of those, as the node sees it."""
    known = environment(container, pod)
    words = (expand(word, known) for word in container.command_line)
    named = (on_the_node(path, container, pod) for word in words for path in _PATH.findall(word))
    return any(host is not None and host.path in paths for host in named)
