"""Which changes the API server refuses, and near misses that it accepts."""

from __future__ import annotations

import copy

import pytest
import yaml

from validate.cluster.immutable import refused_changes
from validate.cluster.objects import KubeObject

OBJECTS = {
    "deployment": """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: x}
        spec:
          replicas: 1
          selector: {matchLabels: {app: x}}
          template: {metadata: {labels: {app: x}}, spec: {containers: [{name: x, image: a}]}}
    """,
    "rolling": """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: x}
        spec:
          selector: {matchLabels: {app: x}}
          strategy: {rollingUpdate: {maxSurge: 1}}
          template: {metadata: {labels: {app: x}}, spec: {containers: [{name: x, image: a}]}}
    """,
    "stateful set": """
        apiVersion: apps/v1
        kind: StatefulSet
        metadata: {name: x}
        spec:
          serviceName: x
          selector: {matchLabels: {app: x}}
          volumeClaimTemplates: [{metadata: {name: d}, spec: {resources: {requests: {storage: 1Gi}}}}]
          template: {spec: {containers: [{name: x, image: a}]}}
    """,
    "job": """
        apiVersion: batch/v1
        kind: Job
        metadata: {name: x}
        spec:
          backoffLimit: 1
          template: {spec: {restartPolicy: Never, containers: [{name: x, image: a}]}}
    """,
    "service": """
        apiVersion: v1
        kind: Service
        metadata: {name: x}
        spec: {clusterIP: 10.0.0.10, selector: {app: x}, ports: [{port: 80}]}
    """,
    "role binding": """
        apiVersion: rbac.authorization.k8s.io/v1
        kind: RoleBinding
        metadata: {name: x}
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: x}
        subjects: [{kind: ServiceAccount, name: x}]
    """,
    "secret": """
        apiVersion: v1
        kind: Secret
        metadata: {name: x}
        type: Opaque
        data: {a: YQ==}
    """,
    "sealed config map": """
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: x, labels: {app: x}}
        immutable: true
        data: {a: b}
    """,
    "claim": """
        apiVersion: v1
        kind: PersistentVolumeClaim
        metadata: {name: x}
        spec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 2Gi}}}
    """,
    "storage class": """
        apiVersion: storage.k8s.io/v1
        kind: StorageClass
        metadata: {name: x}
        provisioner: example.org/disk
        allowVolumeExpansion: false
    """,
    "pod": """
        apiVersion: v1
        kind: Pod
        metadata: {name: x}
        spec: {nodeName: a, containers: [{name: x, image: a}]}
    """,
}
GONE = object()


def changed(name, path, value):
    before = yaml.safe_load(OBJECTS[name])
    after = copy.deepcopy(before)
    *above, last = path.split(".")
    holder = after
    for key in above:
        holder = holder[int(key) if key.isdigit() else key]
    if value is GONE:
        del holder[last]
    else:
        holder[last] = value
    pair = [KubeObject(item, lambda _: ()) for item in (before, after)]
    return [one.field for one in refused_changes(*pair)]


@pytest.mark.parametrize(
    ("name", "path", "value", "field"),
    [
        ("deployment", "spec.selector.matchLabels.app", "y", "spec.selector"),
        ("stateful set", "spec.serviceName", "y", "spec.serviceName"),
        ("stateful set", "spec.podManagementPolicy", "Parallel", "spec.podManagementPolicy"),
        ("stateful set", "spec.volumeClaimTemplates", [], "spec.volumeClaimTemplates"),
        ("job", "spec.template.spec.restartPolicy", "OnFailure", "spec.template"),
        ("service", "spec.clusterIP", "10.0.0.11", "spec.clusterIP"),
        ("service", "spec.clusterIP", "None", "spec.clusterIP"),
        ("role binding", "roleRef.name", "y", "roleRef"),
        ("secret", "type", "kubernetes.io/dockerconfigjson", "type"),
        ("sealed config map", "data.a", "c", "data.a"),
        ("sealed config map", "data.b", "c", "data.b"),
        ("sealed config map", "immutable", GONE, "immutable"),
        ("claim", "spec.storageClassName", "slow", "spec.storageClassName"),
        ("claim", "spec.resources.requests.storage", "1Gi", "spec.resources.requests.storage"),
        ("storage class", "provisioner", "y", "provisioner"),
        ("storage class", "reclaimPolicy", "Retain", "reclaimPolicy"),
        ("pod", "spec.nodeName", "b", "spec.nodeName"),
        ("pod", "spec.containers.0.command", ["true"], "spec.containers"),
        ("deployment", "spec.strategy", {"type": "Recreate"}, "spec.strategy.type"),
        ("stateful set", "spec.updateStrategy", {"type": "OnDelete"}, "spec.updateStrategy.type"),
        ("job", "spec.completions", 2, "spec.completions"),
    ],
)
def test_what_the_api_server_refuses(name, path, value, field):
    assert changed(name, path, value) == [field]


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("deployment", "spec.replicas", 2),
        ("deployment", "spec.template.metadata.labels.more", "y"),
        ("stateful set", "spec.template.spec.containers.0.image", "b"),
        ("stateful set", "spec.podManagementPolicy", "OrderedReady"),
        ("job", "spec.backoffLimit", 2),
        ("deployment", "spec.strategy", {"type": "RollingUpdate"}),
        ("rolling", "spec.strategy", {"type": "Recreate"}),
        ("service", "spec.clusterIP", GONE),
        ("service", "spec.selector.app", "y"),
        ("role binding", "subjects", []),
        ("secret", "type", GONE),
        ("secret", "data.a", "Yg=="),
        ("sealed config map", "metadata.labels.app", "y"),
        ("claim", "spec.resources.requests.storage", "3Gi"),
        ("storage class", "reclaimPolicy", "Delete"),
        ("storage class", "allowVolumeExpansion", True),
        ("pod", "spec.containers.0.image", "b"),
    ],
)
def test_what_the_api_server_accepts(name, path, value):
    assert changed(name, path, value) == []
