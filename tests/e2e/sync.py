"""Applies what Kustomize renders as Argo CD does: in waves, each healthy before the next, and prunes last.

The order within a wave and the tracking annotation are those of Argo CD 3
(https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/, gitops-engine ``pkg/sync/sync_tasks.go``).
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tests.e2e.kube import summary, until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MANAGER = "argocd-controller"
_WAVE = "argocd.argoproj.io/sync-wave"
_OPTIONS = "argocd.argoproj.io/sync-options"
_TRACKING = "argocd.argoproj.io/tracking-id"
# Kinds that come first in a wave; all others follow by name.
_FIRST = """
    Namespace NetworkPolicy ResourceQuota LimitRange PodDisruptionBudget ServiceAccount Secret
    ConfigMap StorageClass PersistentVolume PersistentVolumeClaim CustomResourceDefinition
    ClusterRole ClusterRoleBinding Role RoleBinding Service DaemonSet Pod ReplicaSet Deployment
    StatefulSet Job CronJob IngressClass Ingress
""".split()
# Kustomize writes a namespace on these, and the API server takes it off.
_CLUSTER_SCOPED = ("Namespace", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


class Identity(NamedTuple):
    """What tells objects of a cluster apart."""

    api_version: str
    kind: str
    namespace: str | None
    name: str


class Objects(Protocol):
    """What a sync asks of a cluster; :class:`tests.e2e.kube.Kube` says what each does."""

    def apply(self, value: Mapping[str, Any], *, manager: str) -> dict[str, Any]: ...

    def get(self, api_version: str, kind: str, name: str, namespace: str | None) -> dict[str, Any] | None: ...

    def list_all(self, api_version: str, kind: str) -> list[dict[str, Any]]: ...

    def delete(self, api_version: str, kind: str, name: str, namespace: str | None) -> None: ...

    def pods(self, namespace: str, selector: str) -> list[Any]: ...


class Application:
    """What one overlay has on the cluster, as one Argo CD Application does: what is tracked as its own."""

    def __init__(self, name: str, kube: Objects) -> None:
        """Name it; nothing is applied yet."""
        self.name = name
        self._kube = kube
        self._kinds: set[tuple[str, str]] = set()

    def sync(self, objects: Sequence[Mapping[str, Any]], *, seconds: float = 180) -> list[Identity]:
        """Apply ``objects``, wait until they are healthy, and return what was pruned.

        Raises:
            ApiException: the API server refuses an object.
            NotReachedError: a wave is not healthy in time; no later one is applied, and nothing pruned.
        """
        wanted = {identity(one): one for one in objects}
        order = sorted(wanted, key=lambda one: (_wave(wanted[one]), _kind_order(one), one.name))
        for _, wave in groupby(order, key=lambda one: _wave(wanted[one])):
            members = list(wave)
            for one in members:
                self._kube.apply(self._tracked(wanted[one], one), manager=_MANAGER)
            for one in members:
                self.wait_for(one, seconds=seconds)
        self._kinds |= {(one.api_version, one.kind) for one in wanted}
        there = self._there()
        gone = [one for one in there if one not in wanted and "Prune=false" not in _options(there[one])]
        for one in gone:
            self._kube.delete(one.api_version, one.kind, one.name, one.namespace)
        return gone

    def delete(self) -> None:
        """Delete all that was synced, the last wave first."""
        there = self._there()
        for one in sorted(there, key=lambda one: -_wave(there[one])):
            self._kube.delete(one.api_version, one.kind, one.name, one.namespace)

    def _there(self) -> dict[Identity, dict[str, Any]]:
        """Return the objects on the cluster that are tracked as this application's."""
        found = [value for kind in sorted(self._kinds) for value in self._kube.list_all(*kind)]
        mine = [one for one in found if _tracking(one).startswith(f"{self.name}:")]
        return {identity(one): one for one in mine}

    def wait_for(self, one: Identity, *, seconds: float) -> None:
        """Wait until a workload is healthy; other objects are as soon as they are applied."""
        if one.kind not in ("Deployment", "DaemonSet", "StatefulSet"):
            return

        def healthy() -> bool:
            value = self._kube.get(one.api_version, one.kind, one.name, one.namespace)
            return value is not None and is_healthy(value)

        until(f"{one.kind} {one.name} healthy", healthy, seconds=seconds, state=lambda: self._pods(one))

    def _pods(self, one: Identity) -> list[str]:
        value = self._kube.get(one.api_version, one.kind, one.name, one.namespace) or {}
        labels = value.get("spec", {}).get("selector", {}).get("matchLabels", {})
        selector = ",".join(f"{key}={text}" for key, text in labels.items())
        return [summary(pod) for pod in self._kube.pods(one.namespace or "", selector)]

    def _tracked(self, value: Mapping[str, Any], one: Identity) -> dict[str, Any]:
        group = one.api_version.rpartition("/")[0]
        tracking = f"{self.name}:{group}/{one.kind}:{one.namespace or ''}/{one.name}"
        metadata = dict(value["metadata"])
        metadata["annotations"] = {**metadata.get("annotations", {}), _TRACKING: tracking}
        if one.namespace is None:
            metadata.pop("namespace", None)
        return {**value, "metadata": metadata}


def identity(value: Mapping[str, Any]) -> Identity:
    """Return what names an object on the cluster."""
    kind, metadata = value["kind"], value["metadata"]
    namespace = None if kind in _CLUSTER_SCOPED else metadata.get("namespace")
    return Identity(value["apiVersion"], kind, namespace, metadata["name"])


def is_healthy(value: Mapping[str, Any]) -> bool:
    """Tell whether the rollout of a workload is complete, as Argo CD judges health."""
    spec, status = value["spec"], value.get("status") or {}
    if status.get("observedGeneration", 0) < value["metadata"]["generation"]:
        return False

    def count(name: str) -> int:
        return int(status.get(name, 0))

    if value["kind"] == "DaemonSet":
        wanted = count("desiredNumberScheduled")
        return count("updatedNumberScheduled") >= wanted and count("numberAvailable") >= wanted
    wanted = int(spec.get("replicas", 1))
    are_new = count("updatedReplicas") >= wanted and count("availableReplicas") >= wanted
    return are_new and count("replicas") <= wanted


def _tracking(value: Mapping[str, Any]) -> str:
    return str((value["metadata"].get("annotations") or {}).get(_TRACKING, ""))


def _wave(value: Mapping[str, Any]) -> int:
    return int((value["metadata"].get("annotations") or {}).get(_WAVE, "0"))


def _options(value: Mapping[str, Any]) -> list[str]:
    options = str((value["metadata"].get("annotations") or {}).get(_OPTIONS, ""))
    return [option.strip() for option in options.split(",")]


def _kind_order(one: Identity) -> int:
    return _FIRST.index(one.kind) if one.kind in _FIRST else len(_FIRST)
