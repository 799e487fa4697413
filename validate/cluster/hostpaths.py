"""Where a path inside a container lies on the node, as the kubelet resolves it."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from validate.cluster.objects import ContainerView, PodView
    from validate.place import Place

# ``$(NAME)``, and ``$$(NAME)`` which stands for itself (kubernetes: third_party/forked/golang/expansion).
_REFERENCE = re.compile(r"\$(\$|\([^()]*\))")
_LABEL = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class HostPath(Struct, frozen=True):
    """A path on the node, and the places that decide it: the volume's ``path`` first."""

    path: str
    places: tuple[Place, ...]


def environment(container: ContainerView, pod: PodView) -> dict[str, str]:
    """Return the variables of a container whose values are known before it runs.

    Literal values and the pod's own namespace, name labels and annotations; values from Secrets
    and ConfigMaps are left out.
    """
    known: dict[str, str] = {}
    for entry in (container.place / "env").each():
        name = (entry / "name").text
        source = entry.at("valueFrom", "fieldRef", "fieldPath").text
        if (entry / "value").exists:
            known[name] = expand((entry / "value").text, known)
        elif source == "metadata.namespace":
            known[name] = pod.owner.namespace
        elif match := _LABEL.fullmatch(source):
            value = pod.template.at("metadata", match[1], match[2])
            if value.exists:
                known[name] = value.text
    return known


def expand(text: str, known: Mapping[str, str]) -> str:
    """Return ``text`` with each ``$(NAME)`` replaced that is known, the others as they stand."""

    def value(match: re.Match[str]) -> str:
        inner = match[1]
        return "$" if inner == "$" else known.get(inner[1:-1], match[0])

    return _REFERENCE.sub(value, text)


def on_the_node(path: str, container: ContainerView, pod: PodView) -> HostPath | None:
    """Return where ``path`` of a container lies on the node, None where it stays in the container.

    The longest mount path above it counts; its volume must be a hostPath. ``subPath`` and
    ``subPathExpr`` come between the two.
    """
    wanted = posixpath.normpath(path)
    mounts = [mount for mount in container.mounts if _within(wanted, (mount / "mountPath").text)]
    if not mounts:
        return None
    mount = max(mounts, key=lambda one: len(posixpath.normpath((one / "mountPath").text)))
    volume = pod.volume((mount / "name").text)
    host = volume.at("hostPath", "path") if volume else None
    if host is None or not host.exists:
        return None
    sub = mount / "subPath" if (mount / "subPath").exists else mount / "subPathExpr"
    below = expand(sub.text, environment(container, pod)) if sub.path[-1] == "subPathExpr" else sub.text
    rest = posixpath.relpath(wanted, posixpath.normpath((mount / "mountPath").text))
    joined = posixpath.normpath(posixpath.join(host.text, below, rest))
    return HostPath(joined, (host, *((sub,) if sub.exists else ()), mount / "mountPath"))


def host_directories(pod: PodView) -> Iterator[HostPath]:
    """Yield each directory of the node that a container of the pod mounts."""
    for container in pod.all_containers:
        for mount in container.mounts:
            found = on_the_node((mount / "mountPath").text, container, pod)
            if found is not None:
                yield found


def _within(path: str, directory: str) -> bool:
    if not directory:
        return False
    base = posixpath.normpath(directory)
    return path == base or path.startswith(base.rstrip("/") + "/")
