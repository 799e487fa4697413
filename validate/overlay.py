"""What rules look at: an overlay as it will run, and the repository that it stands in."""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct, field

from validate.binderhub.buildpod import BuildPod, predict_build_pod
from validate.binderhub.config import BinderHubConfig, find_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from validate.argocd.applications import SyncedPath
    from validate.cluster.facts import ClusterFacts
    from validate.cluster.objects import ContainerView, KubeObject, PodView
    from validate.errors import SourceError
    from validate.kustomize.tree import Entry
    from validate.kustomize.undone import Undone
    from validate.place import Place
    from validate.waivers import Waiver


class Workload(Struct, frozen=True):
    """An object with pods, and the one container of it that matters."""

    object: KubeObject
    pod: PodView
    container: ContainerView


class Overlay(Struct, frozen=True, dict=True):
    """Everything that one overlay renders, with the facts about its cluster.

    Attributes:
        name: posix path relative to the repository, such as ``overlays/kind``.
        objects: what Kustomize rendered, in its order.
        facts: what ``cluster.yaml`` says of the cluster.
        entries: what its kustomizations ask for (patches, images ...), and whether it changed anything.
        reads: every file that the overlay reads, posix paths relative to the repository.
        undone: what its patches write and Kustomize writes over.
        complete: nothing but ``reads`` decides what it renders.
    """

    name: str
    objects: tuple[KubeObject, ...]
    facts: ClusterFacts
    entries: tuple[Entry, ...] = ()
    reads: frozenset[str] = frozenset()
    undone: tuple[Undone, ...] = ()
    complete: bool = False

    def of_kind(self, *kinds: str) -> Iterator[KubeObject]:
        """Yield the objects of these kinds."""
        return (item for item in self.objects if item.kind in kinds)

    def find(self, kind: str, name: str, namespace: str = "") -> KubeObject | None:
        """Return the object of that kind, name and namespace (empty: any)."""
        for item in self.of_kind(kind):
            if item.name == name and (not namespace or item.namespace == namespace):
                return item
        return None

    @cached_property
    def pods(self) -> tuple[PodView, ...]:
        """The pods of all workloads; the build pod is not among them."""
        return tuple(pod for item in self.objects if (pod := item.pod) is not None)

    @cached_property
    def binder(self) -> Workload | None:
        """The Deployment that runs BinderHub, known by its image or by what it is started with."""
        for item in self.of_kind("Deployment", "StatefulSet"):
            pod = item.pod
            for container in pod.containers if pod else ():
                if _runs_binderhub(container):
                    assert pod is not None  # noqa: S101 - for the type checker: it has containers
                    return Workload(item, pod, container)
        return None

    @cached_property
    def docker_api(self) -> Workload | None:
        """The DaemonSet that runs dockerd for the build pods, known by what it runs."""
        for item in self.of_kind("DaemonSet"):
            pod = item.pod
            for container in pod.containers if pod else ():
                if container.command_line[:1] == ["dockerd"]:
                    assert pod is not None  # noqa: S101 - for the type checker: it has containers
                    return Workload(item, pod, container)
        return None

    @cached_property
    def config(self) -> BinderHubConfig | None:
        """The configuration that BinderHub will run with; None where none is deployed, or it reads none."""
        return find_config(self.objects, self.binder.pod, self.binder.container) if self.binder else None

    @cached_property
    def build_pod(self) -> BuildPod | None:
        """The pod that BinderHub will create for a build; None without a configuration."""
        return predict_build_pod(self.config) if self.config else None


class Repository(Struct, frozen=True):
    """The repository: what its overlays have in common, and what could not be rendered.

    Attributes:
        root: its directory.
        overlays: names of all overlays, checked in this run or not.
        unrenderable: per overlay that could not be rendered, why and where.
        synced: the paths that Argo CD applications of ``argocd/`` sync, None without that directory.
        barren: its generators that yield no application.
        reads: the files that each overlay reads, of those that were checked and render.
        unread: files among the manifests that no overlay and no other kustomization reads; none where
            not every overlay was checked.
        waivers: what ``policies/waivers.yaml`` waives.
        idle_waivers: those of them that could have waived something in this run, and did not.
        rules: the ids of all rules, judged in this run or not, and what a waiver of each has besides
            :data:`validate.waivers.KEYS`.
        today: the day on which waivers have expired or not.
    """

    root: Path
    overlays: tuple[str, ...]
    unrenderable: Mapping[str, SourceError] = field(default_factory=dict)
    synced: tuple[SyncedPath, ...] | None = None
    barren: tuple[Place, ...] = ()
    reads: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    idle_waivers: frozenset[Waiver] = frozenset()
    rules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    today: date = field(default_factory=date.today)


def _runs_binderhub(container: ContainerView) -> bool:
    words = container.command_line
    if "binderhub" in container.image.rpartition("/")[2].partition("@")[0].partition(":")[0]:
        return True
    return container.env("BUILD_NAMESPACE") is not None and any(word.startswith("--config") for word in words)
