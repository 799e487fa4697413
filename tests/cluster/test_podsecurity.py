"""Pod Security: for each check of each level a pod that it refuses and its nearest neighbour that passes."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest
import yaml

from validate.cluster.objects import KubeObject
from validate.cluster.podsecurity import Level, namespace_level, namespace_version, violations
from validate.place import dotted
from validate.source import compose

# What the restricted level demands, so that each case is about one thing.
RESTRICTED_CONTAINER = """
    name: main
    securityContext:
      allowPrivilegeEscalation: false
      runAsNonRoot: true
      seccompProfile: {type: RuntimeDefault}
      capabilities: {drop: [ALL]}
"""


def merge(value: Any, change: Any) -> Any:
    if isinstance(value, dict) and isinstance(change, dict):
        return {**value, **{key: merge(value.get(key), item) for key, item in change.items()}}
    return change


def pod(container: str = "", spec: str = "", metadata: str = "") -> dict[str, Any]:
    """Return a pod that the restricted level admits, changed as told."""
    main = merge(yaml.safe_load(dedent(RESTRICTED_CONTAINER)), yaml.safe_load(container) or {})
    changed: dict[str, Any] = merge({"containers": [main]}, yaml.safe_load(spec) or {})
    return {"metadata": yaml.safe_load(metadata) or {}, "spec": changed}


def found(level: Level, value: dict[str, Any], version: str = "1.36") -> list[str]:
    return [f"{dotted(item.path)}: {item.sentence}" for item in violations(level, value, version)]


def sc(fields: str) -> str:
    return f"{{securityContext: {{{fields}}}}}"


MAIN = "spec.containers[0]"
OWN = f"{MAIN}.securityContext"
APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/main"
BASELINE = [
    (
        pod(spec="{hostNetwork: true}"),
        "spec.hostNetwork: the pod sets hostNetwork",
        pod(spec="{hostNetwork: false}"),
    ),
    (pod(spec="{hostPID: true}"), "spec.hostPID: the pod sets hostPID", pod(spec="{hostPID: null}")),
    (pod(spec="{hostIPC: true}"), "spec.hostIPC: the pod sets hostIPC", pod(spec="{hostUsers: true}")),
    (
        pod(sc("privileged: true")),
        f"{OWN}.privileged: container main is privileged",
        pod(sc("privileged: false")),
    ),
    (
        pod(sc("capabilities: {drop: [ALL], add: [NET_RAW]}")),
        f"{OWN}.capabilities.add[0]: container main adds the capability NET_RAW",
        pod(sc("capabilities: {drop: [ALL], add: [CHOWN, NET_BIND_SERVICE]}")),
    ),
    (
        pod(spec="{volumes: [{name: socket, hostPath: {path: /run/x.sock, type: Socket}}]}"),
        "spec.volumes[0].hostPath: volume socket is the host's /run/x.sock",
        pod(spec="{volumes: [{name: socket, emptyDir: {}, hostPath: null}, {name: d, nfs: {server: s}}]}"),
    ),
    (
        pod("{ports: [{containerPort: 80}, {containerPort: 81, hostPort: 81}]}"),
        f"{MAIN}.ports[1].hostPort: container main takes port 81 of the host",
        pod("{ports: [{containerPort: 80, hostPort: 0}]}"),
    ),
    (
        pod(metadata=f"{{annotations: {{{APP_ARMOR}: unconfined}}}}"),
        f'metadata.annotations["{APP_ARMOR}"]: container main has the AppArmor profile unconfined',
        pod(metadata=f"{{annotations: {{{APP_ARMOR}: localhost/a, b: c}}}}"),
    ),
    (
        pod(sc("appArmorProfile: {type: Unconfined}")),
        f"{OWN}.appArmorProfile.type: container main has an AppArmor profile of type Unconfined",
        pod(sc("appArmorProfile: {type: Localhost, localhostProfile: a}")),
    ),
    (
        pod(spec=sc("seLinuxOptions: {type: spc_t}")),
        "spec.securityContext.seLinuxOptions.type: the pod has the SELinux type spc_t",
        pod(spec=sc("seLinuxOptions: {type: container_engine_t, level: s0}")),
    ),
    (
        pod(sc("seLinuxOptions: {user: system_u}")),
        f"{OWN}.seLinuxOptions.user: container main has the SELinux user system_u",
        pod(sc("seLinuxOptions: {user: ''}")),
    ),
    (
        pod(sc("seLinuxOptions: {role: sysadm_r}")),
        f"{OWN}.seLinuxOptions.role: container main has the SELinux role sysadm_r",
        pod(sc("seLinuxOptions: {type: container_t}")),
    ),
    (
        pod(sc("procMount: Unmasked")),
        f"{OWN}.procMount: container main has a /proc that is Unmasked",
        pod(sc("procMount: Default")),
    ),
    (
        pod(sc("seccompProfile: {type: Unconfined}")),
        f"{OWN}.seccompProfile.type: container main has a seccomp profile of type Unconfined",
        pod(sc("seccompProfile: {type: Localhost, localhostProfile: a}")),
    ),
    (
        pod(spec=sc("sysctls: [{name: net.ipv4.tcp_rmem, value: a}, {name: kernel.msgmax, value: '1'}]")),
        "spec.securityContext.sysctls[1].name: the pod sets the sysctl kernel.msgmax",
        pod(spec=sc("sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: '0'}]")),
    ),
    (
        pod(spec=sc("windowsOptions: {hostProcess: true}")),
        "spec.securityContext.windowsOptions.hostProcess: the pod runs as a process of the host",
        pod(spec=sc("windowsOptions: {hostProcess: false}")),
    ),
    (
        pod("{readinessProbe: {httpGet: {path: /, port: 80, host: 10.0.0.1}}}"),
        f"{MAIN}.readinessProbe.httpGet.host: the readinessProbe of container main asks the host 10.0.0.1",
        pod("{readinessProbe: {httpGet: {path: /, port: 80, host: ''}}}"),
    ),
    (
        pod("{lifecycle: {preStop: {tcpSocket: {port: 80, host: db}}}}"),
        f"{MAIN}.lifecycle.preStop.tcpSocket.host: the preStop of container main asks the host db",
        pod("{lifecycle: {preStop: {exec: {command: [sleep, '5']}}}}"),
    ),
]
RESTRICTED = [
    (
        pod(spec="{volumes: [{name: data, nfs: {server: s, path: /}}]}"),
        "spec.volumes[0].nfs: volume data is of type nfs",
        pod(spec="{volumes: [{name: data}, {name: i, image: {reference: r}}, {name: s, secret: {}}]}"),
    ),
    (
        pod(sc("allowPrivilegeEscalation: null")),
        f"{OWN}.allowPrivilegeEscalation: container main may gain privileges",
        pod(),
    ),
    (
        pod(sc("runAsNonRoot: null")),
        f"{OWN}.runAsNonRoot: container main may run as root",
        pod(sc("runAsNonRoot: null"), sc("runAsNonRoot: true")),
    ),
    (
        pod(spec=sc("runAsNonRoot: false")),
        "spec.securityContext.runAsNonRoot: the pod sets runAsNonRoot to false",
        pod(spec=sc("runAsNonRoot: true")),
    ),
    (
        pod(sc("runAsUser: 0")),
        f"{OWN}.runAsUser: container main runs as user 0",
        pod(sc("runAsUser: 1")),
    ),
    (
        pod(sc("seccompProfile: null")),
        f"{OWN}.seccompProfile: container main has no seccomp profile",
        pod(sc("seccompProfile: null"), sc("seccompProfile: {type: RuntimeDefault}")),
    ),
    (
        pod(sc("capabilities: {drop: [NET_RAW]}")),
        f"{OWN}.capabilities.drop: container main does not drop ALL capabilities",
        pod(sc("capabilities: {drop: [ALL, NET_RAW]}")),
    ),
    (
        pod(sc("capabilities: {drop: [ALL], add: [CHOWN]}")),
        f"{OWN}.capabilities.add[0]: container main adds the capability CHOWN",
        pod(sc("capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}")),
    ),
]


@pytest.mark.parametrize(
    ("refused", "expected", "admitted"), BASELINE, ids=[case[1].split(": ")[0] for case in BASELINE]
)
def test_baseline_refuses_the_miss_and_admits_the_near_miss(
    refused: dict[str, Any], expected: str, admitted: dict[str, Any]
) -> None:
    assert found(Level.BASELINE, refused) == [expected]
    assert found(Level.BASELINE, admitted) == []
    assert found(Level.PRIVILEGED, refused) == []


@pytest.mark.parametrize(
    "refused", [case[0] for case in BASELINE], ids=[case[1].split(": ")[0] for case in BASELINE]
)
def test_restricted_refuses_all_that_baseline_refuses(refused: dict[str, Any]) -> None:
    assert len(found(Level.RESTRICTED, refused)) == 1


@pytest.mark.parametrize(
    ("refused", "expected", "admitted"), RESTRICTED, ids=[case[1].split(": ")[0] for case in RESTRICTED]
)
def test_restricted_refuses_what_baseline_lets_pass(
    refused: dict[str, Any], expected: str, admitted: dict[str, Any]
) -> None:
    assert found(Level.RESTRICTED, refused) == [expected]
    assert found(Level.RESTRICTED, admitted) == []
    assert found(Level.BASELINE, refused) == []


def test_a_pod_without_any_security_context_passes_baseline_and_fails_each_demand_of_restricted() -> None:
    bare = {"spec": {"containers": [{"name": "main"}]}}
    assert found(Level.BASELINE, bare) == []
    assert [
        line.rpartition("securityContext.")[2].partition(":")[0] for line in found(Level.RESTRICTED, bare)
    ] == [
        "allowPrivilegeEscalation",
        "runAsNonRoot",
        "seccompProfile",
        "capabilities.drop",
    ]


@pytest.mark.parametrize("field", ["initContainers", "ephemeralContainers"])
def test_other_containers_are_judged_as_the_main_ones_are(field: str) -> None:
    value = pod(spec=f"{{{field}: [{{name: other, securityContext: {{privileged: true}}}}]}}")
    assert found(Level.BASELINE, value) == [
        f"spec.{field}[0].securityContext.privileged: container other is privileged"
    ]


@pytest.mark.parametrize(
    ("value", "refusing", "admitting"),
    [
        (pod("{livenessProbe: {tcpSocket: {port: 1, host: h}}}"), "1.34", "1.33"),
        (pod(sc("seLinuxOptions: {type: container_engine_t}")), "1.30", "1.31"),
        (pod(spec=sc("sysctls: [{name: net.ipv4.tcp_rmem, value: a}]")), "1.31", "1.32"),
        (pod(spec=sc("sysctls: [{name: net.ipv4.tcp_notsent_lowat, value: a}]")), "1.36", "1.37"),
        (pod(sc("procMount: Unmasked"), "{hostUsers: false}"), "1.34", "1.35"),
    ],
)
def test_what_a_policy_version_brought_holds_from_that_version_on(
    value: dict[str, Any], refusing: str, admitting: str
) -> None:
    assert len(found(Level.BASELINE, value, refusing)) == 1
    assert found(Level.BASELINE, value, admitting) == []


def test_a_user_namespace_of_its_own_lets_a_restricted_pod_run_as_root_but_not_unmask_proc() -> None:
    root = pod(sc("runAsNonRoot: null, runAsUser: 0"), "{hostUsers: false}")
    assert found(Level.RESTRICTED, root, "1.35") == []
    assert len(found(Level.RESTRICTED, root, "1.34")) == 2
    assert len(found(Level.RESTRICTED, pod(sc("procMount: Unmasked"), "{hostUsers: false}"), "1.35")) == 1


def test_windows_pods_are_spared_what_only_linux_has() -> None:
    bare = {
        "spec": {
            "os": {"name": "windows"},
            "containers": [{"name": "main", "securityContext": {"runAsNonRoot": True}}],
        }
    }
    assert found(Level.RESTRICTED, bare) == []
    bare["spec"]["os"] = {"name": "linux"}
    assert len(found(Level.RESTRICTED, bare)) == 3


@pytest.mark.parametrize(
    ("labels", "level"),
    [
        ({}, Level.PRIVILEGED),
        ({"pod-security.kubernetes.io/enforce": "baseline"}, Level.BASELINE),
        ({"pod-security.kubernetes.io/enforce": "Baseline"}, Level.RESTRICTED),
        ({"pod-security.kubernetes.io/warn": "restricted"}, Level.PRIVILEGED),
    ],
)
def test_a_namespace_enforces_only_what_its_enforce_label_says(labels: dict[str, str], level: Level) -> None:
    assert namespace_level(labels) is level


@pytest.mark.parametrize(
    ("pinned", "version"),
    [(None, "1.34"), ("latest", "1.34"), ("v1.30", "1.30"), ("v1.36", "1.34"), ("v1.9", "1.9")],
)
def test_a_namespace_may_pin_an_older_policy_but_no_newer_one(pinned: str | None, version: str) -> None:
    labels = {} if pinned is None else {"pod-security.kubernetes.io/enforce-version": pinned}
    assert namespace_version(labels, "1.34") == version


def test_a_place_is_judged_as_its_value_and_the_path_leads_to_the_line() -> None:
    (field,) = compose(
        dedent("""\
        apiVersion: apps/v1
        kind: DaemonSet
        metadata: {name: docker-api}
        spec:
          template:
            spec:
              containers:
                - name: dockerd
                  securityContext:
                    privileged: true
        """),
        "daemonset.yaml",
    )
    plain = field.plain()
    assert isinstance(plain, dict)
    view = KubeObject(plain, field.writers_at).pod
    assert view is not None
    (violation,) = violations(Level.BASELINE, view.template)
    assert view.template.at(*violation.path).origin.line == 10
