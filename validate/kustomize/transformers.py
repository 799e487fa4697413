"""Kustomize's built-in transformers, on fields that know their writers.

Which fields they touch follows ``api/internal/konfig/builtinpluginconsts`` of kustomize/api v0.21.1.
Each function takes an object and returns it changed; what did not change is the same object.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from validate.place import Origin, Writer
from validate.source import Field

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Setter: TypeAlias = Callable[[Field | None], Field]

# Kinds without a namespace, as Kustomize 5.8.1 knows them (kyaml/openapi, from Kubernetes 1.21). Of others
# it assumes that they have one: it writes a namespace on newer cluster-wide kinds too.
_CLUSTER_SCOPED = {
    "admissionregistration.k8s.io/v1": "MutatingWebhookConfiguration ValidatingWebhookConfiguration",
    "admissionregistration.k8s.io/v1beta1": "MutatingWebhookConfiguration ValidatingWebhookConfiguration",
    "apiextensions.k8s.io/v1": "CustomResourceDefinition",
    "apiextensions.k8s.io/v1beta1": "CustomResourceDefinition",
    "apiregistration.k8s.io/v1": "APIService",
    "apiregistration.k8s.io/v1beta1": "APIService",
    "certificates.k8s.io/v1": "CertificateSigningRequest",
    "certificates.k8s.io/v1beta1": "CertificateSigningRequest",
    "flowcontrol.apiserver.k8s.io/v1beta1": "FlowSchema PriorityLevelConfiguration",
    "networking.k8s.io/v1": "IngressClass",
    "networking.k8s.io/v1beta1": "IngressClass",
    "node.k8s.io/v1": "RuntimeClass",
    "node.k8s.io/v1beta1": "RuntimeClass",
    "policy/v1beta1": "PodSecurityPolicy",
    "rbac.authorization.k8s.io/v1": "ClusterRole ClusterRoleBinding",
    "rbac.authorization.k8s.io/v1beta1": "ClusterRole ClusterRoleBinding",
    "scheduling.k8s.io/v1": "PriorityClass",
    "scheduling.k8s.io/v1beta1": "PriorityClass",
    "storage.k8s.io/v1": "CSIDriver CSINode StorageClass VolumeAttachment",
    "storage.k8s.io/v1beta1": "CSIDriver CSINode StorageClass VolumeAttachment",
    "v1": "ComponentStatus Namespace Node NodeProxyOptions PersistentVolume",
}
# Kinds whose name a prefix or suffix leaves alone.
KEEPS_NAME = frozenset({"APIService", "CustomResourceDefinition", "Namespace"})


class FieldSpec(NamedTuple):
    """A path that a transformer writes, for one kind (or, without one, for all)."""

    path: str
    kind: str = ""
    create: bool = False


def _created(path: str, *kinds: str) -> tuple[FieldSpec, ...]:
    return tuple(FieldSpec(path, kind, create=True) for kind in kinds)


def _present(path: str, *kinds: str) -> tuple[FieldSpec, ...]:
    return tuple(FieldSpec(path, kind) for kind in kinds)


_WORKLOADS = ("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "Job", "ReplicationController")
METADATA_LABELS = (FieldSpec("metadata/labels", create=True),)
TEMPLATE_LABELS = (
    *METADATA_LABELS,
    *_created("spec/template/metadata/labels", *_WORKLOADS),
    *_created("spec/volumeClaimTemplates/metadata/labels", "StatefulSet"),
    *_created("spec/jobTemplate/metadata/labels", "CronJob"),
    *_created("spec/jobTemplate/spec/template/metadata/labels", "CronJob"),
)
_AFFINITIES = tuple(
    f"spec/template/spec/{affinity}/{strength}/labelSelector/matchLabels"
    for affinity in ("affinity/podAffinity", "affinity/podAntiAffinity")
    for strength in (
        "preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm",
        "requiredDuringSchedulingIgnoredDuringExecution",
    )
)
SELECTOR_LABELS = (
    *_created("spec/selector", "Service", "ReplicationController"),
    *_created("spec/selector/matchLabels", "Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"),
    *_present("spec/selector/matchLabels", "Job", "PodDisruptionBudget"),
    *_present("spec/jobTemplate/spec/selector/matchLabels", "CronJob"),
    *(spec for path in _AFFINITIES for spec in _present(path, "Deployment", "StatefulSet")),
    *_present(
        "spec/template/spec/topologySpreadConstraints/labelSelector/matchLabels",
        "Deployment",
        "StatefulSet",
    ),
    *_present("spec/podSelector/matchLabels", "NetworkPolicy"),
    *_present("spec/ingress/from/podSelector/matchLabels", "NetworkPolicy"),
    *_present("spec/egress/to/podSelector/matchLabels", "NetworkPolicy"),
    *TEMPLATE_LABELS,
)
ANNOTATIONS = (
    FieldSpec("metadata/annotations", create=True),
    *_created("spec/template/metadata/annotations", *_WORKLOADS),
    *_created("spec/jobTemplate/metadata/annotations", "CronJob"),
    *_created("spec/jobTemplate/spec/template/metadata/annotations", "CronJob"),
)
_SCALED = frozenset({"Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"})


def by(field: Field, writer: Writer) -> Field:
    """Return a field of a kustomization as written by what it asks for."""
    return Field(field.value, tuple(origin._replace(writer=writer) for origin in field.writers))


def overwrite(value: Field) -> Setter:
    """Return a setter that puts ``value`` over whatever stands there."""
    return lambda before: Field(value.value, value.writers + before.writers) if before else value


def set_at(field: Field, path: Sequence[str], setter: Setter, *, create: Origin | None) -> Field:
    """Return ``field`` with what stands at ``path`` replaced; a list on the way means each of its elements.

    Mappings that are missing on the way are made, written by ``create``; without it nothing is added.
    """
    if isinstance(field.value, list):
        elements = [set_at(element, path, setter, create=create) for element in field.value]
        same = all(one is other for one, other in zip(elements, field.value, strict=True))
        return field if same else Field(elements, field.writers)
    if not isinstance(field.value, dict):
        return field
    first, rest = path[0], path[1:]
    below = field.value.get(first)
    if below is None and create is None:
        return field
    if not rest:
        after = setter(below)
    elif below is None or below.value is None:
        assert create is not None  # noqa: S101 - for the type checker: tested above
        after = set_at(Field({}, (create,)), rest, setter, create=create)
    else:
        after = set_at(below, rest, setter, create=create)
    return field if after is below else Field({**field.value, first: after}, field.writers)


def set_entry(item: Field, specs: Sequence[FieldSpec], key: str, value: Field) -> Field:
    """Return ``item`` with the entry ``key: value`` in every mapping that ``specs`` name for its kind."""
    kind = item.text("kind")
    for path in dict.fromkeys((spec.path, spec.create) for spec in specs if spec.kind in ("", kind)):
        steps = [*path[0].split("/"), key]
        if path[1]:
            item = set_at(item, steps, overwrite(value), create=value.origin)
        elif _reaches(item, steps[:-1]):
            # Without "create" the mapping must be there, the entry in it need not.
            item = _set_in_existing(item, steps, value)
    return item


def _reaches(field: Field, path: Sequence[str]) -> bool:
    if isinstance(field.value, list):
        return any(_reaches(element, path) for element in field.value)
    if not path:
        return isinstance(field.value, dict)
    below = field.below(path[0])
    return below is not None and _reaches(below, path[1:])


def _set_in_existing(field: Field, path: Sequence[str], value: Field) -> Field:
    if isinstance(field.value, list):
        return Field([_set_in_existing(element, path, value) for element in field.value], field.writers)
    first, rest = path[0], path[1:]
    below = field.below(first)
    if not isinstance(field.value, dict) or (below is None and rest):
        return field
    after = _set_in_existing(below, rest, value) if below is not None and rest else overwrite(value)(below)
    return Field({**field.value, first: after}, field.writers)


def set_namespace(item: Field, namespace: Field) -> Field:
    """Return ``item`` in ``namespace``; a Namespace gets it as name, a subject ``default`` as namespace."""
    kind = item.text("kind")
    if kind not in _CLUSTER_SCOPED.get(item.text("apiVersion"), "").split():
        item = set_at(item, ("metadata", "namespace"), overwrite(namespace), create=namespace.origin)
    if kind == "Namespace" and item.text("apiVersion") == "v1":
        item = set_at(item, ("metadata", "name"), overwrite(namespace), create=namespace.origin)
    if kind == "APIService":
        item = set_at(item, ("spec", "service", "namespace"), overwrite(namespace), create=namespace.origin)
    if kind in ("RoleBinding", "ClusterRoleBinding"):
        subjects = item.sequence("subjects")
        for index, subject in enumerate(subjects):
            if subject.text("name") == "default":
                item = _replace_subject(item, index, namespace)
    return item


def _replace_subject(item: Field, index: int, namespace: Field) -> Field:
    subject = item.sequence("subjects")[index]
    after = overwrite(namespace)(subject.get("namespace"))
    elements = list(item.sequence("subjects"))
    elements[index] = Field({**subject.mapping(), "namespace": after}, subject.writers)
    return set_at(
        item, ("subjects",), lambda before: Field(elements, before.writers if before else ()), create=None
    )


def set_subject_namespaces(item: Field, namespace_of: Callable[[str, str], Field | None]) -> Field:
    """Return a binding with the namespace that ``namespace_of`` gives a subject's name and namespace.

    None leaves the subject as it is; its namespace is empty where it has none.
    """
    for index, subject in enumerate(item.sequence("subjects")):
        namespace = namespace_of(subject.text("name"), subject.text("namespace"))
        if namespace is not None and namespace.value != subject.text("namespace"):
            item = _replace_subject(item, index, namespace)
    return item


def set_affix(item: Field, affix: Field, *, prefix: bool) -> Field:
    """Return ``item`` with ``namePrefix`` or ``nameSuffix`` on its name."""
    if item.text("kind") in KEEPS_NAME:
        return item

    def renamed(before: Field | None) -> Field:
        name = str(before.value) if before else ""
        value = f"{affix.value}{name}" if prefix else f"{name}{affix.value}"
        return Field(value, affix.writers + (before.writers if before else ()))

    return set_at(item, ("metadata", "name"), renamed, create=None)


def set_replicas(item: Field, count: Field) -> Field:
    """Return ``item`` with an entry of ``replicas`` applied, if it is of a kind that has replicas."""
    if item.text("kind") not in _SCALED:
        return item
    return set_at(item, ("spec", "replicas"), overwrite(count), create=count.origin)


def set_image(item: Field, entry: Field) -> Field:
    """Return ``item`` with an entry of ``images`` applied to all its containers and image volumes."""
    if item.text("kind") == "CustomResourceDefinition":
        return item
    pattern = re.compile(rf"^{entry.text('name')}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$")

    def retagged(before: Field | None) -> Field:
        assert before is not None  # noqa: S101 - for the type checker: nothing is created here
        value = before.value
        if not isinstance(value, str) or not pattern.match(value):
            return before
        parts = [
            part for part in map(entry.get, ("digest", "newTag", "newName", "tagSuffix")) if part is not None
        ]
        if not parts:
            return before
        writers = tuple(origin for part in parts for origin in by(part, Writer.IMAGES).writers)
        return Field(_new_image(value, entry), writers + before.writers)

    return _in_containers(item, retagged)


def _in_containers(field: Field, setter: Setter) -> Field:
    if isinstance(field.value, list):
        elements = [_in_containers(element, setter) for element in field.value]
        same = all(one is other for one, other in zip(elements, field.value, strict=True))
        return field if same else Field(elements, field.writers)
    if not isinstance(field.value, dict):
        return field
    content = {
        key: _in_containers(below, setter) if isinstance(below.value, dict | list) else below
        for key, below in field.value.items()
    }
    for key in ("containers", "initContainers"):
        if key in content and isinstance(content[key].value, list):
            content[key] = set_at(content[key], ("image",), setter, create=None)
    if "volumes" in content and isinstance(content["volumes"].value, list):
        content["volumes"] = set_at(content["volumes"], ("image", "reference"), setter, create=None)
    same = all(content[key] is field.value[key] for key in content)
    return field if same else Field(content, field.writers)


def _new_image(image: str, entry: Field) -> str:
    name, tag, digest = split_image(image)
    name = entry.text("newName") or name
    field = entry.get("newTag")
    new_tag = "" if field is None or field.value is None else str(field.value)
    new_digest = entry.text("digest")
    if new_tag or new_digest:
        tag, digest = new_tag, new_digest
    elif entry.text("tagSuffix"):
        tag, digest = tag + entry.text("tagSuffix"), ""
    return name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def split_image(image: str) -> tuple[str, str, str]:
    """Return name, tag and digest of an image reference; the port of a registry is part of the name."""
    rest, _, digest = image.partition("@")
    head, slash, tail = rest.rpartition("/")
    last, _, tag = tail.partition(":")
    return f"{head}{slash}{last}", tag, digest
