"""References to images, read as a container runtime reads them."""

from __future__ import annotations

from typing import NamedTuple

_HUB = "docker.io"


class ImageReference(NamedTuple):
    """``name:tag@digest``; tag and digest are empty where they are not written.

    ``name`` has its registry, written or not: ``docker`` is ``docker.io/library/docker``
    (https://github.com/distribution/reference, ``normalize.go``).
    """

    name: str
    tag: str
    digest: str


def read_image(text: str) -> ImageReference:
    """Return the parts of an image reference; what is malformed comes back as it is."""
    named, _, digest = text.partition("@")
    name, colon, tag = named.rpartition(":")
    if not colon or "/" in tag:
        # That colon is before a port.
        name, tag = named, ""
    host, slash, _ = name.partition("/")
    if not slash:
        name = f"{_HUB}/library/{name}"
    elif host != "localhost" and "." not in host and ":" not in host and host == host.lower():
        name = f"{_HUB}/{name}"
    return ImageReference(name, tag, digest)
