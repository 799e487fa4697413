"""buffered-stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.exposure import ways_in
from validate.cluster.services import services_of
from validate.cluster.streams import obstacles
from validate.rules.rule import Breach, NotApplicable, OverlayRule
from validate.rules.subjects import the_binder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay

# BinderHub sends a comment whenever nothing happened for so long.
_KEEPALIVE = 25
# Builds take minutes, and the first one of an environment takes many.
_BUILD = 3600


class BufferedStream(OverlayRule):
    """What stands before BinderHub holds the log of a build back, or cuts it off.

    A build answers with a stream of events that lasts as long as the build. A proxy that buffers
    responses shows nothing until it ends: the log stands still (2i2c-org/infrastructure commit
    f07c32939, after a change of the Ingress controller). A proxy that waits less than 25 seconds for
    the next byte, or bounds the whole response, cuts the stream: the build goes on, and nobody hears of
    it (jupyterhub/binderhub issue 140).

    Which controller serves an Ingress is what `ingressClassName` says; without it, whichever is the default
    of the cluster, or none. Which annotation counts depends on the controller:
    `nginx.ingress.kubernetes.io/...` is read by ingress-nginx, `nginx.org/...` by F5's controller, and each
    ignores the other's.
    """

    id = "buffered-stream"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Ask of each Ingress and route to BinderHub what it does to a stream."""
        pod = the_binder(overlay).pod
        ways = {item.title: item for item, _ in ways_in(pod, overlay.objects) if item.kind != "Service"}
        if not ways:
            raise NotApplicable("no Ingress or route leads to BinderHub")
        services = tuple(services_of(pod, overlay.objects))
        for way in ways.values():
            for place, problem, remedy in obstacles(
                way, services, overlay.objects, silence=_KEEPALIVE, length=_BUILD
            ):
                yield Breach(
                    at=place,
                    problem=f"{way.title}: {problem}, and nobody follows a build",
                    fix=f"set {place.path[-1]} to {remedy} in {place.origin.file}",
                )
