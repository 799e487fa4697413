"""How Argo CD syncs objects: in which order, and what it takes away again.

Annotations and options as in https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/ and
.../user-guide/sync-waves/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.place import Json, lookup

if TYPE_CHECKING:
    from validate.cluster.objects import KubeObject
    from validate.place import Place

_WAVE = "argocd.argoproj.io/sync-wave"
_HOOK = "argocd.argoproj.io/hook"
_OPTIONS = "argocd.argoproj.io/sync-options"
# Of one wave, Argo CD applies these before anything that runs pods (kindOrder of gitops-engine).
_BEFORE_PODS = frozenset(
    {
        "Namespace",
        "ServiceAccount",
        "Secret",
        "ConfigMap",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
    }
)
# With pods, and with a health of their own that is bad until the pods run (pkg/health of gitops-engine).
_PROGRESSING = frozenset({"DaemonSet", "Deployment", "Job", "Pod", "ReplicaSet", "StatefulSet"})

# By these an object stays, or stays until somebody says otherwise.
KEEPING = frozenset({"Prune=false", "Prune=confirm"})
# What goes with an object of that kind, where it goes.
LOST_WITH = {
    "Namespace": "everything in it",
    "CustomResourceDefinition": "every object of that kind",
    "PersistentVolume": "the data on it",
    "PersistentVolumeClaim": "the data on it",
    "Secret": "the credentials that pods are using",
    "ExternalSecret": "the Secret that it makes",
    "SealedSecret": "the Secret that it makes",
}


def wave(item: KubeObject) -> int:
    """Return the sync wave of an object; what is no number counts as 0, as it does for Argo CD."""
    try:
        return int(item.annotations.get(_WAVE, "0"))
    except ValueError:
        return 0


def wave_place(item: KubeObject) -> Place:
    """Return where the wave of an object stands, or would."""
    return item.place.at("metadata", "annotations", _WAVE)


def is_hook(item: KubeObject) -> bool:
    """Whether Argo CD runs the object in a phase of its own, before or after the waves."""
    return _HOOK in item.annotations


def latest_wave(item: KubeObject, workload: KubeObject) -> int:
    """Return the last wave in which ``item`` is there before the pods of ``workload`` are."""
    return wave(workload) if item.kind in _BEFORE_PODS else wave(workload) - 1


def awaits_pods(item: KubeObject) -> bool:
    """Whether the next wave waits until pods of ``item`` run."""
    return item.kind in _PROGRESSING and item.place.at("spec", "replicas").value != 0


def options_place(item: KubeObject) -> Place:
    """Return where the sync options of an object stand, or would."""
    return item.place.at("metadata", "annotations", _OPTIONS)


def object_options(item: KubeObject) -> frozenset[str]:
    """Return the sync options of an object: ``Prune=false``."""
    return frozenset(option.strip() for option in item.annotations.get(_OPTIONS, "").split(","))


def application_options(spec: Json) -> frozenset[str]:
    """Return the sync options of an Application: ``PruneLast=true``."""
    options = lookup(spec, ("syncPolicy", "syncOptions"))
    return frozenset(str(option).strip() for option in options) if isinstance(options, list) else frozenset()


def prunes(spec: Json) -> bool:
    """Whether an Application takes away, by itself, what is no longer rendered."""
    automated = lookup(spec, ("syncPolicy", "automated"))
    if not isinstance(automated, dict) or automated.get("enabled") is False:
        return False
    return automated.get("prune") is True
