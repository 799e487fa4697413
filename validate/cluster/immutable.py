"""Changes that the API server refuses: fields that cannot change once an object exists.

From the validation of updates in Kubernetes 1.34 (``pkg/apis/*/validation``, ``pkg/registry/*/strategy.go``).
A sync with such a change fails, and goes on failing until somebody deletes the object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from validate.cluster.limits import parse_quantity
from validate.place import Json, Path, Place, lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from validate.cluster.objects import KubeObject


class Refused(NamedTuple):
    """A field that was one thing and is to be another one.

    ``before`` and ``after`` are the places in the two objects, existing or not.
    """

    before: Place
    after: Place

    @property
    def field(self) -> str:
        """The path as people write it."""
        return str(self.after)


def refused_changes(before: KubeObject, after: KubeObject) -> Iterator[Refused]:
    """Yield what the API server refuses where ``after`` is applied to the cluster that has ``before``."""
    kind = (after.group, after.kind)
    for path, default in _FIXED.get(kind, {}).items():
        if _known(before, path, default) != _known(after, path, default):
            yield _refused(before, after, path)
    for path in _FIXED_ONCE_SET.get(kind, ()):
        # What is left out is kept: the API server copies it from the object that there is.
        old, new = lookup(before.value, path), lookup(after.value, path)
        if old not in (None, "") and new not in (None, "") and old != new:
            yield _refused(before, after, path)
    for path, mutable in _FIXED_BUT.get(kind, {}).items():
        yield from _fixed_but(before, after, path, mutable)
    if kind in _OTHERWISE:
        yield from _OTHERWISE[kind](before, after)


def _refused(before: KubeObject, after: KubeObject, path: Path) -> Refused:
    return Refused(before.place.at(*path), after.place.at(*path))


def _known(item: KubeObject, path: Path, default: Json) -> Json:
    value = lookup(item.value, path)
    return default if value is None else value


def _fixed_but(
    before: KubeObject, after: KubeObject, path: Path, mutable: frozenset[str]
) -> Iterator[Refused]:
    """Yield the entries of a mapping that differ and are none of those that may."""
    old, new = lookup(before.value, path), lookup(after.value, path)
    keys = dict.fromkeys([*_mapping(old), *_mapping(new)])
    for key in keys:
        if key not in mutable and _mapping(old).get(key) != _mapping(new).get(key):
            yield _refused(before, after, (*path, key))


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _rolls_no_more(path: Path) -> Callable[[KubeObject, KubeObject], Iterator[Refused]]:
    """Return a check of a strategy that is to be no rolling update any more.

    What the API server had filled in for one stays, and goes with no other strategy; a server-side apply
    takes away no more than was applied before.
    """

    def check(before: KubeObject, after: KubeObject) -> Iterator[Refused]:
        rolled, rolls = (
            lookup(one.value, (*path, "type")) in (None, "RollingUpdate") for one in (before, after)
        )
        if rolled and not rolls and lookup(before.value, (*path, "rollingUpdate")) is None:
            yield _refused(before, after, (*path, "type"))

    return check


def _other_containers(before: KubeObject, after: KubeObject) -> Iterator[Refused]:
    """Yield the containers of a pod of which more than the image changes."""
    for field in ("containers", "initContainers"):
        if _without_images(before, field) != _without_images(after, field):
            yield _refused(before, after, ("spec", field))


def _without_images(item: KubeObject, field: str) -> list[Json]:
    containers = lookup(item.value, ("spec", field))
    return [
        {key: value for key, value in _mapping(one).items() if key != "image"}
        for one in (containers if isinstance(containers, list) else ())
    ]


def _completed_otherwise(before: KubeObject, after: KubeObject) -> Iterator[Refused]:
    """Yield a changed number of completions, but for an indexed Job that runs all of them at once."""
    completions: Path = ("spec", "completions")
    if lookup(before.value, completions) == lookup(after.value, completions):
        return
    is_elastic = _known(after, ("spec", "completionMode"), "") == "Indexed" and lookup(
        after.value, completions
    ) == lookup(after.value, ("spec", "parallelism"))
    if not is_elastic:
        yield _refused(before, after, completions)


def _sealed(before: KubeObject, after: KubeObject) -> Iterator[Refused]:
    """Yield what changes of a ConfigMap or Secret that says of itself that it is immutable."""
    if lookup(before.value, ("immutable",)) is not True:
        return
    if lookup(after.value, ("immutable",)) is not True:
        yield _refused(before, after, ("immutable",))
    for field in ("data", "binaryData", "stringData"):
        yield from _fixed_but(before, after, (field,), frozenset())


def _shrunk(before: KubeObject, after: KubeObject) -> Iterator[Refused]:
    path: Path = ("spec", "resources", "requests", "storage")
    try:
        smaller = parse_quantity(lookup(after.value, path)) < parse_quantity(lookup(before.value, path))
    except ValueError:
        return
    if smaller:
        yield _refused(before, after, path)


# By kind: the fields that may not change, each with the value that it has where it is left out.
_FIXED: dict[tuple[str, str], dict[Path, Json]] = {
    ("apps", "Deployment"): {("spec", "selector"): None},
    ("apps", "DaemonSet"): {("spec", "selector"): None},
    ("apps", "ReplicaSet"): {("spec", "selector"): None},
    ("apps", "StatefulSet"): {
        ("spec", "selector"): None,
        ("spec", "serviceName"): "",
        ("spec", "podManagementPolicy"): "OrderedReady",
        ("spec", "volumeClaimTemplates"): None,
    },
    ("batch", "Job"): {
        ("spec", "selector"): None,
        ("spec", "template"): None,
        ("spec", "completionMode"): "NonIndexed",
        ("spec", "podFailurePolicy"): None,
        ("spec", "backoffLimitPerIndex"): None,
        ("spec", "successPolicy"): None,
        ("spec", "managedBy"): None,
    },
    ("rbac.authorization.k8s.io", "RoleBinding"): {("roleRef",): None},
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): {("roleRef",): None},
    ("", "Secret"): {("type",): "Opaque"},
    ("storage.k8s.io", "StorageClass"): {
        ("provisioner",): None,
        ("parameters",): None,
        ("reclaimPolicy",): "Delete",
        ("volumeBindingMode",): "Immediate",
    },
    ("storage.k8s.io", "VolumeAttributesClass"): {("driverName",): None, ("parameters",): None},
    ("scheduling.k8s.io", "PriorityClass"): {
        ("value",): 0,
        ("preemptionPolicy",): "PreemptLowerPriority",
    },
    ("node.k8s.io", "RuntimeClass"): {("handler",): None},
    ("networking.k8s.io", "IngressClass"): {("spec", "controller"): None},
    ("discovery.k8s.io", "EndpointSlice"): {("addressType",): None},
}
# What may be set, or left out, but not become something else (registry/core/service/storage,
# patchAllocatedValues).
_FIXED_ONCE_SET: dict[tuple[str, str], tuple[Path, ...]] = {
    ("", "Service"): (("spec", "clusterIP"), ("spec", "loadBalancerClass")),
}
# Where everything is fixed but these.
_FIXED_BUT: dict[tuple[str, str], dict[Path, frozenset[str]]] = {
    ("", "PersistentVolumeClaim"): {("spec",): frozenset({"resources", "volumeAttributesClassName"})},
    ("", "PersistentVolume"): {
        ("spec",): frozenset(
            "accessModes capacity claimRef mountOptions persistentVolumeReclaimPolicy storageClassName "
            "volumeAttributesClassName".split()
        )
    },
    ("", "Pod"): {
        ("spec",): frozenset(
            {"containers", "initContainers", "activeDeadlineSeconds", "tolerations", "schedulingGates"}
        )
    },
}
_OTHERWISE: dict[tuple[str, str], Callable[[KubeObject, KubeObject], Iterator[Refused]]] = {
    ("apps", "Deployment"): _rolls_no_more(("spec", "strategy")),
    ("apps", "StatefulSet"): _rolls_no_more(("spec", "updateStrategy")),
    ("batch", "Job"): _completed_otherwise,
    ("", "ConfigMap"): _sealed,
    ("", "PersistentVolumeClaim"): _shrunk,
    ("", "Pod"): _other_containers,
    ("", "Secret"): _sealed,
}
