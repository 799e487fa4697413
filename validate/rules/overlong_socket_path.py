"""overlong-socket-path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.hostpaths import on_the_node
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_docker_api, the_dockerd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay

# sun_path of struct sockaddr_un holds 108 bytes, the last of them zero (unix(7)).
_LONGEST = 107


class OverlongSocketPath(OverlayRule):
    """The path of docker-api's socket is longer than a unix socket can have.

    Linux cuts the address of a unix socket at 107 bytes. dockerd refuses to bind a longer one, so
    docker-api never becomes Ready. On the node the path is longer than in the container: the
    directory there carries namespace and installation. Whoever connects on the node (a debugging
    shell, another mount) meets the limit there.

    Shorten the mount path, the directory on the node, or the namespace.
    """

    id = "overlong-socket-path"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Measure each socket of dockerd, in the container and on the node."""
        workload = the_docker_api(overlay)
        for socket in the_dockerd(overlay).sockets:
            host = on_the_node(socket.value, workload.container, workload.pod)
            for where, path in (
                ("in the container", socket.value),
                ("on the node", host.path if host else ""),
            ):
                size = len(path.encode())
                if size > _LONGEST:
                    yield Breach(
                        at=socket.place,
                        problem=f"the socket's path {where} has {size} bytes of at most {_LONGEST}: {path}",
                        fix=f"shorten the path in {socket.place.origin.file}",
                    )
                    break
