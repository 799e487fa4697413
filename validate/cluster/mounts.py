"""The files that a container finds where the kubelet mounts ConfigMaps and Secrets."""

from __future__ import annotations

from base64 import b64decode
from posixpath import join, normpath
from typing import TYPE_CHECKING, NamedTuple

from validate.cluster.index import index_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validate.cluster.index import Index
    from validate.cluster.objects import ContainerView, KubeObject, PodView
    from validate.place import Place

# Volume source -> kind of object, and the field of the source that names it.
_SOURCES = {"configMap": ("ConfigMap", "name"), "secret": ("Secret", "secretName")}
_PROJECTED = {"configMap": ("ConfigMap", "name"), "secret": ("Secret", "name")}
# Where each kind keeps its entries: field, and whether it is base64. A later field wins.
_ENTRIES = {
    "ConfigMap": (("data", False), ("binaryData", True)),
    "Secret": (("data", True), ("stringData", False)),
}


class MountedFile(NamedTuple):
    """A file in a container: ``place`` is the entry of the ConfigMap or Secret that it shows."""

    place: Place
    encoded: bool

    @property
    def content(self) -> bytes:
        """What a process reads.

        Raises:
            ValueError: the entry is not the base64 that it must be.
        """
        text = self.place.text
        # Kustomize breaks long base64 into lines.
        return b64decode("".join(text.split()), validate=True) if self.encoded else text.encode()


def mounted_files(
    objects: Iterable[KubeObject], pod: PodView, container: ContainerView
) -> dict[str, MountedFile]:
    """Return the files of the ConfigMaps and Secrets that the tree renders, by absolute path.

    A deeper mount hides what a shallower one shows below it. Objects that only controllers make (such
    as the Secret of an ExternalSecret) have no content here and yield no files.
    """
    known = index_of(tuple(objects))
    files: dict[str, MountedFile] = {}
    for mount in sorted(container.mounts, key=lambda mount: _depth(mount_path(mount))):
        target = mount_path(mount)
        files = {path: file for path, file in files.items() if not _is_in(path, target)}
        volume = pod.volume((mount / "name").text)
        sub_path = (mount / "subPath").text.strip("/")
        # An expanded path depends on the environment; whoever uses it for configuration is not followed.
        if volume is None or (mount / "subPathExpr").text:
            continue
        for name, file in _volume_files(volume, pod.owner.namespace, known):
            if not sub_path:
                files[join(target, name)] = file
            elif name == sub_path:
                files[target] = file
            elif _is_in(name, sub_path):
                files[join(target, name[len(sub_path) + 1 :])] = file
    return files


def volume_files(objects: Iterable[KubeObject], pod: PodView) -> Iterator[tuple[str, MountedFile]]:
    """Yield the files in the volumes of a pod, mounted or not, by their path in the volume."""
    known = index_of(tuple(objects))
    for volume in (pod.spec / "volumes").each():
        yield from _volume_files(volume, pod.owner.namespace, known)


def mount_path(mount: Place) -> str:
    """Return ``mountPath`` without trailing or double slashes."""
    return normpath((mount / "mountPath").text or "/")


def _volume_files(volume: Place, namespace: str, known: Index) -> Iterator[tuple[str, MountedFile]]:
    for field, (kind, name) in _SOURCES.items():
        yield from _source_files(volume / field, kind, name, namespace, known)
    for source in volume.at("projected", "sources").each():
        for field, (kind, name) in _PROJECTED.items():
            yield from _source_files(source / field, kind, name, namespace, known)


def _source_files(
    source: Place, kind: str, name: str, namespace: str, known: Index
) -> Iterator[tuple[str, MountedFile]]:
    item = known.get(kind, (source / name).text, namespace)
    if not source.exists or item is None:
        return
    entries = {
        key: MountedFile(place, encoded)
        for field, encoded in _ENTRIES[kind]
        for key, place in (item.place / field).entries()
    }
    items = source / "items"
    if not items.items:
        yield from entries.items()
    for entry in items.each():
        key = (entry / "key").text
        if key in entries:
            yield normpath((entry / "path").text), entries[key]


def _depth(path: str) -> int:
    return path.rstrip("/").count("/")


def _is_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
