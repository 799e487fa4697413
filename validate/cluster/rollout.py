"""What becomes of the pods of a workload when its pod template changes.

From ``k8s.io/api/apps/v1/types.go`` of Kubernetes 1.34, and the defaults in ``pkg/apis/apps/v1``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from validate.cluster.selectors import as_text
from validate.place import lookup

if TYPE_CHECKING:
    from validate.cluster.objects import KubeObject
    from validate.place import Json

_DEFAULT_GRACE_SECONDS = 30
_QUARTER = "25%"


class Rollout(NamedTuple):
    """What happens: ``restarts`` whether pods are replaced by themselves, ``how`` what the workload does."""

    restarts: bool
    how: str


_ON_DELETE = Rollout(restarts=False, how="changes a pod when somebody deletes it (OnDelete)")


def rollout(item: KubeObject) -> Rollout | None:
    """Return what a changed template does to the pods that ``item`` has; None for what has none."""
    pod = item.pod
    if pod is None:
        return None
    seconds = (pod.spec / "terminationGracePeriodSeconds").value
    grace = f"each has {_DEFAULT_GRACE_SECONDS if seconds is None else as_text(seconds)} s to end"
    match item.kind:
        case "Deployment":
            return _deployment(item, grace)
        case "DaemonSet":
            at_once = _strategy(item, "updateStrategy", "rollingUpdate", "maxUnavailable")
            how = f"replaces its pod on each node, {as_text(at_once or 1)} at a time, and {grace}"
            return _unless_on_delete(item, how)
        case "StatefulSet":
            return _unless_on_delete(item, f"replaces its pods one after the other, and {grace}")
        case "CronJob":
            return Rollout(restarts=False, how="has it in its next run")
    return Rollout(restarts=False, how="keeps the pods that it has as they are")


def _unless_on_delete(item: KubeObject, how: str) -> Rollout:
    by_hand = _strategy(item, "updateStrategy", "type") == "OnDelete"
    return _ON_DELETE if by_hand else Rollout(restarts=True, how=how)


def _deployment(item: KubeObject, grace: str) -> Rollout:
    replicas = lookup(item.value, ("spec", "replicas"))
    count = 1 if replicas is None else replicas
    if lookup(item.value, ("spec", "paused")) is True:
        return Rollout(restarts=False, how="is paused: it replaces nothing before somebody resumes it")
    if count == 0:
        return Rollout(restarts=False, how="has no pod (replicas: 0)")
    pods = "its pod" if count == 1 else f"its {as_text(count)} pods"
    if _strategy(item, "strategy", "type") == "Recreate":
        return Rollout(restarts=True, how=f"stops {pods} before a new one starts (Recreate), and {grace}")
    fewer = _strategy(item, "strategy", "rollingUpdate", "maxUnavailable")
    # Of one pod a quarter, rounded down, is none that may be missing.
    if fewer in (0, "0", "0%") or (count == 1 and fewer in (None, _QUARTER)):
        return Rollout(restarts=True, how=f"replaces {pods} as new ones become ready, and {grace}")
    at_once = as_text(fewer or _QUARTER)
    return Rollout(restarts=True, how=f"replaces {pods}, {at_once} at a time, and {grace}")


def _strategy(item: KubeObject, *path: str) -> Json:
    return lookup(item.value, ("spec", *path))
