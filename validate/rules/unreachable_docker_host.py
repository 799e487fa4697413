"""unreachable-docker-host."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlparse

from validate.rules.rule import Breach, NotApplicable, OverlayRule
from validate.rules.subjects import the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay


class UnreachableDockerHost(OverlayRule):
    """`docker_host` is no file that a build pod can mount.

    BinderHub takes the path out of `KubernetesBuildExecutor.docker_host` as out of any URL, and
    mounts it from the node. `tcp://host:2375` has no path, and the API server refuses the pod
    ("Unhandled error watching for build events"). Two slashes, as in `unix://run/docker.sock`, make
    `run` the host and `/docker.sock` the path. What follows `#`, `?` or `;` is cut off.

    Write an absolute path, or `unix:///` with three slashes.
    """

    id = "unreachable-docker-host"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Take the value apart as BinderHub does, and see whether a path is left as it was meant."""
        place = the_config(overlay).trait("KubernetesBuildExecutor", "docker_host")
        if not place.exists:
            raise NotApplicable("docker_host is not set: BinderHub takes /var/run/docker.sock")
        if place.value is None:
            raise NotApplicable("docker_host is null, so build pods mount no socket")
        reason = _reason(place.text)
        if reason:
            yield Breach(
                at=place,
                problem=f"docker_host {reason}: no build pod can mount it",
                fix=f"write the absolute path of docker-api's socket on the node in {place.origin.file}",
            )


def _reason(value: str) -> str:
    """Return what is wrong with a ``docker_host``, the empty string where nothing is."""
    parts = urlparse(value)
    if not value:
        return "is empty"
    if parts.scheme not in ("", "unix"):
        return f"{value} is an address and no file"
    if parts.netloc:
        return f"{value} has two slashes, which makes {parts.netloc!r} a host and leaves {parts.path!r}"
    if not parts.path.startswith("/"):
        return f"{value} is not an absolute path"
    if parts.path != value.removeprefix("unix://"):
        return f"{value} is cut off at its first '#', '?' or ';', which leaves {parts.path!r}"
    return ""
