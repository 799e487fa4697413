"""Rendered Kubernetes objects, and typed views of the parts that rules ask about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from validate.place import Json, Origin, Path, Place
from validate.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# As near as one letter or one short word more or less.
_SLIP = 0.85
# Where each kind keeps its pod template; a Pod is its own.
_POD_TEMPLATES: dict[str, Path] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


class KubeObject(Struct, frozen=True, eq=False):
    """One object as Kustomize rendered it; a :class:`validate.place.Document`."""

    value: dict[str, Json]
    find_writers: Callable[[Path], tuple[Origin, ...]]

    @property
    def api_version(self) -> str:
        """``apps/v1``."""
        return str(self.value.get("apiVersion", ""))

    @property
    def group(self) -> str:
        """``apps`` of ``apps/v1``, the empty string for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def kind(self) -> str:
        """``DaemonSet``."""
        return str(self.value.get("kind", ""))

    @property
    def name(self) -> str:
        """``metadata.name``."""
        return str(self._metadata("name") or "")

    @property
    def namespace(self) -> str:
        """``metadata.namespace``, the empty string where none is written."""
        return str(self._metadata("namespace") or "")

    @property
    def labels(self) -> dict[str, str]:
        """``metadata.labels``."""
        return string_map(self._metadata("labels"))

    @property
    def annotations(self) -> dict[str, str]:
        """``metadata.annotations``."""
        return string_map(self._metadata("annotations"))

    def _metadata(self, key: str) -> Json:
        metadata = self.value.get("metadata")
        return metadata.get(key) if isinstance(metadata, dict) else None

    @property
    def title(self) -> str:
        """``DaemonSet binder/docker-api``, without the namespace where there is none."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def place(self) -> Place:
        """The place of the whole object."""
        return Place.root(self)

    def writers(self, path: Path) -> tuple[Origin, ...]:
        """Return who wrote the value at ``path``, the last writer first."""
        return self.find_writers(path)

    @property
    def pod(self) -> PodView | None:
        """The pod that this object is or makes, None for objects without pods."""
        path = _POD_TEMPLATES.get(self.kind)
        if path is None:
            return None
        template = self.place.at(*path)
        return PodView(self, template) if (template / "spec").exists else None


class PodView(Struct, frozen=True, eq=False):
    """A pod (template): ``template`` is the place that has ``metadata`` and ``spec``."""

    owner: KubeObject
    template: Place

    @property
    def spec(self) -> Place:
        """The pod's ``spec``."""
        return self.template / "spec"

    @property
    def labels(self) -> dict[str, str]:
        """The pod's labels."""
        return string_map(self.template.at("metadata", "labels").value)

    @property
    def containers(self) -> Iterator[ContainerView]:
        """The containers, without the init containers."""
        return (ContainerView(place) for place in (self.spec / "containers").each())

    @property
    def init_containers(self) -> Iterator[ContainerView]:
        """The init containers (sidecars, which restart always, included)."""
        return (ContainerView(place) for place in (self.spec / "initContainers").each())

    @property
    def all_containers(self) -> Iterator[ContainerView]:
        """Init containers, then containers."""
        yield from self.init_containers
        yield from self.containers

    def volume(self, name: str) -> Place | None:
        """Return the volume of that name."""
        for volume in (self.spec / "volumes").each():
            if (volume / "name").value == name:
                return volume
        return None


class ContainerView(Struct, frozen=True, eq=False):
    """One container of a pod."""

    place: Place

    @property
    def name(self) -> str:
        """Its name."""
        return (self.place / "name").text

    @property
    def image(self) -> str:
        """Its image reference."""
        return (self.place / "image").text

    @property
    def command_line(self) -> list[str]:
        """``command`` and ``args`` in one list."""
        return [str(word) for part in ("command", "args") for word in (self.place / part).items]

    def env(self, name: str) -> Place | None:
        """Return the entry of ``env`` with that name (the last one, which is the one that counts)."""
        found = None
        for entry in (self.place / "env").each():
            if (entry / "name").value == name:
                found = entry
        return found

    def slip(self, name: str) -> Place | None:
        """Return the name in ``env`` that is almost ``name``, and not it: what somebody wrote instead."""
        names = {(entry / "name").text: entry / "name" for entry in (self.place / "env").each()}
        near = nearest(name, names, cutoff=_SLIP)
        return names[near] if near and near != name else None

    @property
    def mounts(self) -> Iterator[Place]:
        """The entries of ``volumeMounts``."""
        return (self.place / "volumeMounts").each()

    @property
    def ports(self) -> Iterator[Place]:
        """The entries of ``ports``."""
        return (self.place / "ports").each()


def string_map(value: Json) -> dict[str, str]:
    """Return the entries of a mapping whose values are strings, as labels and annotations are."""
    if not isinstance(value, dict):
        return {}
    return {key: item for key, item in value.items() if isinstance(item, str)}
