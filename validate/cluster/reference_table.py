"""The kinds of references that Kubernetes objects make to each other, one row each.

Fields as in the API of Kubernetes 1.34, Gateway API v1, External Secrets v1, cert-manager v1,
Prometheus Operator v1 and Argo CD v1alpha1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

_CORE = ""


class Row(Struct, frozen=True):
    """One kind of reference.

    ``holder`` leads to the mapping that names something; ``[]`` is any element of a list, ``*`` any
    key, ``**`` any depth. ``name``, ``keys`` and ``namespace`` are fields of that mapping.
    ``group_field`` says where it names the group, and then also a ``kind``; ``only`` is the one kind
    that counts. ``all_of`` are keys that whoever reads the object takes for granted, ``any_of`` keys of
    which it takes one.
    """

    holder: str
    kind: str
    otherwise: str
    group: str = _CORE
    name: str = "name"
    keys: str = ""
    all_of: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    namespace: str = ""
    group_field: str = ""
    only: str = ""


_UNMOUNTED = "the kubelet cannot mount the volume and the pod stays in ContainerCreating"
_UNCONFIGURED = "the container is never created (CreateContainerConfigError)"
_UNPULLED = "the kubelet pulls the image without these credentials"
_UNADMITTED = "the API server refuses the pod"
_UNROUTED = "requests are answered with an error (503)"
_UNBOUND = "the binding grants nothing"
_UNSYNCED = "the operator reports an error and makes no Secret"
_UNCALLED = "calls to the webhook fail"
_UNSCALED = "nothing is scaled"
_PENDING = "the claim stays Pending, and with it the pod"

# Kinds without a namespace, among those that something refers to.
CLUSTER_WIDE = frozenset(
    {
        "ClusterGenerator",
        "ClusterIssuer",
        "ClusterRole",
        "ClusterSecretStore",
        "ClusterTrustBundle",
        "CustomResourceDefinition",
        "GatewayClass",
        "IngressClass",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "MutatingAdmissionPolicy",
    }
)

_RBAC = "rbac.authorization.k8s.io"
_ESO = "external-secrets.io"
_GENERATORS = "generators.external-secrets.io"
_GATEWAY_API = "gateway.networking.k8s.io"

# Below the spec of a pod.
POD_ROWS = (
    Row("volumes[].configMap", "ConfigMap", _UNMOUNTED, keys="items[].key"),
    Row("volumes[].secret", "Secret", _UNMOUNTED, name="secretName", keys="items[].key"),
    Row("volumes[].projected.sources[].configMap", "ConfigMap", _UNMOUNTED, keys="items[].key"),
    Row("volumes[].projected.sources[].secret", "Secret", _UNMOUNTED, keys="items[].key"),
    Row(
        "volumes[].projected.sources[].clusterTrustBundle",
        "ClusterTrustBundle",
        _UNMOUNTED,
        "certificates.k8s.io",
    ),
    Row("volumes[].csi.nodePublishSecretRef", "Secret", _UNMOUNTED),
    Row(
        "volumes[].csi.volumeAttributes",
        "SecretProviderClass",
        _UNMOUNTED,
        "secrets-store.csi.x-k8s.io",
        "secretProviderClass",
    ),
    *(
        Row(f"volumes[].{driver}.secretRef", "Secret", _UNMOUNTED)
        for driver in ("cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos")
    ),
    Row("volumes[].azureFile", "Secret", _UNMOUNTED, name="secretName"),
    Row(
        "volumes[].persistentVolumeClaim",
        "PersistentVolumeClaim",
        "the pod is never scheduled",
        name="claimName",
    ),
    Row(
        "volumes[].ephemeral.volumeClaimTemplate.spec",
        "StorageClass",
        _PENDING,
        "storage.k8s.io",
        "storageClassName",
    ),
    *(
        row
        for containers in ("initContainers[]", "containers[]")
        for row in (
            Row(f"{containers}.env[].valueFrom.configMapKeyRef", "ConfigMap", _UNCONFIGURED, keys="key"),
            Row(f"{containers}.env[].valueFrom.secretKeyRef", "Secret", _UNCONFIGURED, keys="key"),
            Row(f"{containers}.envFrom[].configMapRef", "ConfigMap", _UNCONFIGURED),
            Row(f"{containers}.envFrom[].secretRef", "Secret", _UNCONFIGURED),
        )
    ),
    Row("imagePullSecrets[]", "Secret", _UNPULLED, any_of=(".dockerconfigjson", ".dockercfg")),
    Row("", "ServiceAccount", "the API server refuses to create the pods", name="serviceAccountName"),
    Row("", "PriorityClass", _UNADMITTED, "scheduling.k8s.io", "priorityClassName"),
    Row("", "RuntimeClass", _UNADMITTED, "node.k8s.io", "runtimeClassName"),
    Row(
        "resourceClaims[]",
        "ResourceClaim",
        "the pod is never scheduled",
        "resource.k8s.io",
        "resourceClaimName",
    ),
    Row(
        "resourceClaims[]",
        "ResourceClaimTemplate",
        "the pod is never scheduled",
        "resource.k8s.io",
        "resourceClaimTemplateName",
    ),
)

_ROLE_REF = Row("roleRef", "", _UNBOUND, _RBAC, group_field="apiGroup")
_SUBJECTS = Row(
    "subjects[]", "", _UNBOUND, namespace="namespace", group_field="apiGroup", only="ServiceAccount"
)
_TLS_KEYS = ("tls.crt", "tls.key")


def _backend(holder: str) -> Row:
    return Row(holder, "Service", _UNROUTED, keys="port", namespace="namespace", group_field="group")


_ROUTE = (
    Row(
        "spec.parentRefs[]",
        "Gateway",
        "the route is attached to nothing",
        _GATEWAY_API,
        keys="sectionName",
        namespace="namespace",
        group_field="group",
    ),
    _backend("spec.rules[].backendRefs[]"),
    _backend("spec.rules[].filters[].requestMirror.backendRef"),
)
_WEBHOOK = Row("webhooks[].clientConfig.service", "Service", _UNCALLED, keys="port", namespace="namespace")
_PROBE_SECRETS = "the target is not scraped"
_SCRAPED = tuple(
    row
    for field in ("spec.endpoints[]", "spec.podMetricsEndpoints[]")
    for row in (
        *(
            Row(f"{field}.{holder}", "Secret", _PROBE_SECRETS, keys="key")
            for holder in (
                "basicAuth.username",
                "basicAuth.password",
                "bearerTokenSecret",
                "authorization.credentials",
                "tlsConfig.keySecret",
                "tlsConfig.ca.secret",
                "tlsConfig.cert.secret",
            )
        ),
        Row(f"{field}.tlsConfig.ca.configMap", "ConfigMap", _PROBE_SECRETS, keys="key"),
    )
)


def _external_secret(spec: str) -> tuple[Row, ...]:
    return (
        *(
            Row(f"{spec}.{holder}", "SecretStore", _UNSYNCED, _ESO, group_field="apiVersion")
            for holder in ("secretStoreRef", "data[].sourceRef.storeRef", "dataFrom[].sourceRef.storeRef")
        ),
        *(
            Row(
                f"{spec}.{holder}.sourceRef.generatorRef",
                "",
                _UNSYNCED,
                _GENERATORS,
                group_field="apiVersion",
            )
            for holder in ("data[]", "dataFrom[]")
        ),
        Row(f"{spec}.target.template.templateFrom[].configMap", "ConfigMap", _UNSYNCED, keys="items[].key"),
        Row(f"{spec}.target.template.templateFrom[].secret", "Secret", _UNSYNCED, keys="items[].key"),
    )


# How a store or a generator logs in. The name of the field ends alike for every provider.
_LOGIN = (
    Row("spec.**.serviceAccountRef", "ServiceAccount", _UNSYNCED, namespace="namespace"),
    Row("spec.**.*SecretRef", "Secret", _UNSYNCED, keys="key", namespace="namespace"),
    Row("spec.**.authSecretRef.*", "Secret", _UNSYNCED, keys="key", namespace="namespace"),
)

_ROWS: Mapping[tuple[str, str], tuple[Row, ...]] = {
    (_CORE, "ServiceAccount"): (
        Row("secrets[]", "Secret", "the ServiceAccount has no such token"),
        Row("imagePullSecrets[]", "Secret", _UNPULLED, any_of=(".dockerconfigjson", ".dockercfg")),
    ),
    (_CORE, "PersistentVolumeClaim"): (
        Row("spec", "StorageClass", _PENDING, "storage.k8s.io", "storageClassName"),
        Row("spec", "PersistentVolume", _PENDING, name="volumeName"),
        Row("spec.dataSourceRef", "", _PENDING, group_field="apiGroup", namespace="namespace"),
    ),
    ("apps", "StatefulSet"): (
        Row("spec", "Service", "its pods have no names of their own in DNS", name="serviceName"),
        Row(
            "spec.volumeClaimTemplates[].spec", "StorageClass", _PENDING, "storage.k8s.io", "storageClassName"
        ),
    ),
    (_RBAC, "RoleBinding"): (_ROLE_REF, _SUBJECTS),
    (_RBAC, "ClusterRoleBinding"): (_ROLE_REF, _SUBJECTS),
    ("networking.k8s.io", "Ingress"): (
        Row(
            "spec",
            "IngressClass",
            "no controller serves the Ingress",
            "networking.k8s.io",
            "ingressClassName",
        ),
        Row("spec.defaultBackend.service", "Service", _UNROUTED, keys="port.*"),
        Row("spec.rules[].http.paths[].backend.service", "Service", _UNROUTED, keys="port.*"),
        Row("spec.rules[].http.paths[].backend.resource", "", _UNROUTED, group_field="apiGroup"),
        Row(
            "spec.tls[]",
            "Secret",
            "the controller answers with its own certificate, which no client trusts",
            name="secretName",
            all_of=_TLS_KEYS,
        ),
    ),
    (_GATEWAY_API, "Gateway"): (
        Row("spec", "GatewayClass", "no controller serves the Gateway", _GATEWAY_API, "gatewayClassName"),
        Row(
            "spec.listeners[].tls.certificateRefs[]",
            "Secret",
            "the listener is not programmed",
            all_of=_TLS_KEYS,
            namespace="namespace",
            group_field="group",
        ),
    ),
    **{(_GATEWAY_API, f"{kind}Route"): _ROUTE for kind in ("HTTP", "GRPC", "TLS", "TCP", "UDP")},
    ("autoscaling", "HorizontalPodAutoscaler"): (
        Row("spec.scaleTargetRef", "", _UNSCALED, group_field="apiVersion"),
    ),
    ("autoscaling.k8s.io", "VerticalPodAutoscaler"): (
        Row("spec.targetRef", "", _UNSCALED, group_field="apiVersion"),
    ),
    ("keda.sh", "ScaledObject"): (
        Row("spec.scaleTargetRef", "Deployment", _UNSCALED, "apps", group_field="apiVersion"),
    ),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): (_WEBHOOK,),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): (_WEBHOOK,),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): (
        Row(
            "spec",
            "ValidatingAdmissionPolicy",
            "the policy is never enforced",
            "admissionregistration.k8s.io",
            "policyName",
        ),
    ),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"): (
        Row(
            "spec",
            "MutatingAdmissionPolicy",
            "the policy is never enforced",
            "admissionregistration.k8s.io",
            "policyName",
        ),
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (
        Row(
            "spec.conversion.webhook.clientConfig.service",
            "Service",
            _UNCALLED,
            keys="port",
            namespace="namespace",
        ),
    ),
    ("apiregistration.k8s.io", "APIService"): (
        Row("spec.service", "Service", "the API is not available", keys="port", namespace="namespace"),
    ),
    (_ESO, "ExternalSecret"): _external_secret("spec"),
    (_ESO, "ClusterExternalSecret"): _external_secret("spec.externalSecretSpec"),
    (_ESO, "SecretStore"): _LOGIN,
    (_ESO, "ClusterSecretStore"): _LOGIN,
    (_ESO, "PushSecret"): (
        Row("spec.secretStoreRefs[]", "SecretStore", _UNSYNCED, _ESO, group_field="apiVersion"),
        Row("spec.selector.secret", "Secret", "nothing is pushed"),
    ),
    ("cert-manager.io", "Certificate"): (
        Row("spec.issuerRef", "Issuer", "no certificate is issued", "cert-manager.io", group_field="group"),
    ),
    ("monitoring.coreos.com", "ServiceMonitor"): _SCRAPED,
    ("monitoring.coreos.com", "PodMonitor"): _SCRAPED,
    ("argoproj.io", "Application"): (
        Row("spec", "AppProject", "Argo CD refuses to sync the application", "argoproj.io", "project"),
    ),
    ("argoproj.io", "ApplicationSet"): (
        Row(
            "spec.template.spec",
            "AppProject",
            "Argo CD refuses to sync the applications",
            "argoproj.io",
            "project",
        ),
    ),
}


def rows_of(group: str, kind: str) -> tuple[Row, ...]:
    """Return the rows for objects of that kind, without those of the pods that it makes."""
    return _LOGIN if group == _GENERATORS else _ROWS.get((group, kind), ())
