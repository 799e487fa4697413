"""What an overlay yields: every object, and the objects that controllers will make from it.

An ExternalSecret, a SealedSecret or a Certificate is as good as the Secret that it becomes, keys
included. So is what Kubernetes makes by itself in every namespace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from validate.cluster.reference_table import CLUSTER_WIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from validate.cluster.objects import KubeObject
    from validate.place import Place

ANY_NAMESPACE = "*"


class Producer(Struct, frozen=True):
    """An object that will exist once the overlay runs.

    Attributes:
        kind: its kind.
        name: its name.
        namespace: its namespace, empty for cluster-wide kinds, ``*`` for one in every namespace.
        keys: what it holds by name (data keys of a Secret or ConfigMap, port names and numbers of a
            Service, listeners of a Gateway); None where that cannot be known.
        place: what produces it, None where Kubernetes or somebody outside the tree does.
        group: its API group, None where that is not known.
        creates: false for what only adds keys to an object that somebody else makes.
    """

    kind: str
    name: str
    namespace: str
    keys: frozenset[str] | None
    place: Place | None
    group: str | None = ""
    creates: bool = True


class Provided(Protocol):
    """An object outside the tree, as the facts of the cluster declare it; without keys: unknown ones."""

    @property
    def kind(self) -> str:
        """Its kind."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def namespace(self) -> str:
        """Its namespace; where none is declared, any."""

    @property
    def keys(self) -> Collection[str]:
        """The keys that it holds."""


def producers(objects: Iterable[KubeObject], provided: Iterable[Provided] = ()) -> Iterator[Producer]:
    """Yield what the tree, the cluster (``provided``) and Kubernetes itself bring into being."""
    yield from _BUILT_IN
    for given in provided:
        keys = frozenset(given.keys) if given.keys else None
        yield Producer(given.kind, given.name, given.namespace or ANY_NAMESPACE, keys, None, None)
    for item in objects:
        yield from _YIELDS.get((item.group, item.kind), _itself)(item)


def is_built_in(kind: str, name: str) -> bool:
    """Whether every cluster has it: the names that begin with ``system`` are Kubernetes' own."""
    return (kind == "ClusterRole" and name.startswith("system:")) or (
        kind == "PriorityClass" and name.startswith("system-")
    )


# https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles,
# .../docs/concepts/configuration/configmap/ (kube-root-ca.crt), .../docs/concepts/security/service-accounts/;
# Argo CD creates its project `default` at start.
_BUILT_IN = (
    Producer("ServiceAccount", "default", ANY_NAMESPACE, None, None),
    Producer("ConfigMap", "kube-root-ca.crt", ANY_NAMESPACE, frozenset({"ca.crt"}), None),
    Producer("Service", "kubernetes", "default", frozenset({"https", "443"}), None),
    *(
        Producer("ClusterRole", name, "", None, None, "rbac.authorization.k8s.io")
        for name in ("cluster-admin", "admin", "edit", "view")
    ),
    Producer("AppProject", "default", ANY_NAMESPACE, None, None, "argoproj.io"),
)


def _itself(item: KubeObject, keys: frozenset[str] | None = None) -> Iterator[Producer]:
    # Kustomize 5.8 writes a namespace on cluster-wide kinds that it does not know: admission policies.
    namespace = "" if item.kind in CLUSTER_WIDE else item.namespace
    yield Producer(item.kind, item.name, namespace, keys, item.place, item.group)


def _secret_from(item: KubeObject, name: Place, keys: frozenset[str] | None) -> Producer:
    return Producer(
        "Secret", name.text or item.name, item.namespace, keys, name if name.exists else item.place
    )


def _keys(place: Place, *fields: str) -> frozenset[str]:
    return frozenset(key for field in fields for key in (place / field).mapping)


def _config_map(item: KubeObject) -> Iterator[Producer]:
    yield from _itself(item, _keys(item.place, "data", "binaryData"))


def _secret(item: KubeObject) -> Iterator[Producer]:
    keys = _keys(item.place, "data", "stringData")
    if item.value.get("type") == "kubernetes.io/service-account-token":
        keys |= {"token", "ca.crt", "namespace"}
    yield from _itself(item, keys)


def _service(item: KubeObject) -> Iterator[Producer]:
    ports = [port / key for port in (item.place / "spec" / "ports").each() for key in ("name", "port")]
    yield from _itself(item, frozenset(str(port.value) for port in ports if port.exists))


def _gateway(item: KubeObject) -> Iterator[Producer]:
    listeners = (item.place / "spec" / "listeners").each()
    yield from _itself(item, frozenset((listener / "name").text for listener in listeners))


def _persistent_volume(item: KubeObject) -> Iterator[Producer]:
    yield from _itself(item)
    # A claim may name the class of a volume that already exists: no StorageClass object is needed then.
    storage_class = item.place / "spec" / "storageClassName"
    if storage_class.text:
        yield Producer("StorageClass", storage_class.text, "", None, storage_class, "storage.k8s.io")


def _external_secret(item: KubeObject) -> Iterator[Producer]:
    yield from _itself(item)
    yield from _from_external_secret(item.place / "spec", item.name, item.namespace)


def _cluster_external_secret(item: KubeObject) -> Iterator[Producer]:
    """Yield what it makes in the namespaces that it selects, which are labelled outside the tree."""
    yield from _itself(item)
    name = (item.place / "spec" / "externalSecretName").text or item.name
    spec = item.place / "spec" / "externalSecretSpec"
    yield Producer("ExternalSecret", name, ANY_NAMESPACE, None, spec, item.group)
    yield from _from_external_secret(spec, name, ANY_NAMESPACE)


def _from_external_secret(spec: Place, name: str, namespace: str) -> Iterator[Producer]:
    target = spec / "target"
    policy = (target / "creationPolicy").text or "Owner"
    if policy == "None" or (target / "manifest").exists:
        return
    named = target / "name"
    yield Producer(
        kind="Secret",
        name=named.text or name,
        namespace=namespace,
        keys=_external_secret_keys(spec),
        place=named if named.exists else spec,
        creates=policy != "Merge",
    )


def _external_secret_keys(spec: Place) -> frozenset[str] | None:
    """Return the keys of the Secret: https://external-secrets.io/latest/guides/templating/.

    A template with data replaces what was fetched, unless its ``mergePolicy`` is ``Merge``; a
    template without data only adds metadata.
    """
    fetched: frozenset[str] | None = None
    if not (spec / "dataFrom").items:
        fetched = frozenset((entry / "secretKey").text for entry in (spec / "data").each())
    template = spec / "target" / "template"
    written: frozenset[str] | None = _keys(template, "data")
    for source in (template / "templateFrom").each():
        written = _union(written, _template_keys(source))
    if written is not None and not written:
        return fetched
    return _union(written, fetched) if (template / "mergePolicy").text == "Merge" else written


def _template_keys(source: Place) -> frozenset[str] | None:
    if ((source / "target").text or "Data") != "Data":
        return frozenset()
    keys: frozenset[str] | None = frozenset()
    if (source / "literal").exists:
        return None
    for holder in (source / "configMap", source / "secret"):
        for entry in (holder / "items").each():
            as_values = ((entry / "templateAs").text or "Values") == "Values"
            keys = _union(keys, frozenset({(entry / "key").text}) if as_values else None)
    return keys


def _union(some: frozenset[str] | None, more: frozenset[str] | None) -> frozenset[str] | None:
    return None if some is None or more is None else some | more


def _sealed_secret(item: KubeObject) -> Iterator[Producer]:
    """Yield the Secret, which always has the name and namespace that it was sealed for."""
    yield from _itself(item)
    spec = item.place / "spec"
    keys = _keys(spec, "encryptedData") | _keys(spec / "template", "data", "stringData")
    yield Producer("Secret", item.name, item.namespace, keys, spec / "encryptedData")


def _certificate(item: KubeObject) -> Iterator[Producer]:
    """Yield the Secret of a certificate: https://cert-manager.io/docs/usage/certificate/."""
    yield from _itself(item)
    spec = item.place / "spec"
    keys = {"tls.crt", "tls.key", "ca.crt"}
    formats = {"DER": "key.der", "CombinedPEM": "tls-combined.pem"}
    for entry in (spec / "additionalOutputFormats").each():
        keys |= {formats[kind] for kind in formats if kind == (entry / "type").text}
    for store, suffix in (("jks", "jks"), ("pkcs12", "p12")):
        if (spec / "keystores" / store / "create").value is True:
            keys |= {f"keystore.{suffix}", f"truststore.{suffix}"}
    yield _secret_from(item, spec / "secretName", frozenset(keys))


def _bundle(item: KubeObject) -> Iterator[Producer]:
    """Yield what a trust-manager Bundle writes into the namespaces that it selects."""
    yield from _itself(item)
    for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
        key = (item.place / "spec" / "target").at(field, "key")
        if key.exists:
            yield Producer(kind, item.name, ANY_NAMESPACE, frozenset({key.text}), key)


def _secret_provider_class(item: KubeObject) -> Iterator[Producer]:
    """Yield the Secrets that the Secrets Store CSI driver writes while a pod mounts the class."""
    yield from _itself(item)
    for entry in (item.place / "spec" / "secretObjects").each():
        keys = frozenset((data / "key").text for data in (entry / "data").each())
        yield _secret_from(item, entry / "secretName", keys)


_YIELDS: dict[tuple[str, str], Callable[[KubeObject], Iterator[Producer]]] = {
    ("", "ConfigMap"): _config_map,
    ("", "Secret"): _secret,
    ("", "Service"): _service,
    ("", "PersistentVolume"): _persistent_volume,
    ("gateway.networking.k8s.io", "Gateway"): _gateway,
    ("external-secrets.io", "ExternalSecret"): _external_secret,
    ("external-secrets.io", "ClusterExternalSecret"): _cluster_external_secret,
    ("bitnami.com", "SealedSecret"): _sealed_secret,
    ("cert-manager.io", "Certificate"): _certificate,
    ("trust.cert-manager.io", "Bundle"): _bundle,
    ("secrets-store.csi.x-k8s.io", "SecretProviderClass"): _secret_provider_class,
}
