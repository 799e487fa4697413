"""Would Pod Security admission refuse a pod, level by level.

The checks of the Pod Security Standards, each with the policy version that brought it
(https://kubernetes.io/docs/concepts/security/pod-security-standards/; Kubernetes 1.37,
``staging/src/k8s.io/pod-security-admission/policy``). Two things are not tied to a policy version:
servers since 1.33 let restricted pods mount volumes of type ``image``, and those since 1.30 read the
field ``appArmorProfile``. They are taken for granted here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from validate.place import Json, Path, Place, lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_NEWEST_MINOR = 37
_ENFORCE = "pod-security.kubernetes.io/enforce"


class Level(StrEnum):
    """What a namespace lets pods do."""

    PRIVILEGED = "privileged"
    BASELINE = "baseline"
    RESTRICTED = "restricted"


class Violation(NamedTuple):
    """One thing that a level forbids.

    Attributes:
        path: from the pod (or pod template) to the field; where something is missing, to where it is wanted.
        sentence: a clause that names the container or volume and the value.
    """

    path: Path
    sentence: str


def namespace_level(labels: Mapping[str, str]) -> Level:
    """Return what a namespace with these labels enforces.

    Without a label that is the cluster's default, privileged unless the API server is configured
    otherwise. A level that does not exist counts as restricted (``api/helpers.go``, ParseLevel).
    """
    level = labels.get(_ENFORCE, Level.PRIVILEGED)
    return Level(level) if level in list(Level) else Level.RESTRICTED


def namespace_version(labels: Mapping[str, str], kubernetes: str) -> str:
    """Return the policy version, such as ``1.33``, that applies on a cluster of that Kubernetes version.

    A namespace may pin an older one; ``latest``, which is the default, and what is newer than the
    cluster mean the cluster's own.
    """
    pinned = labels.get(f"{_ENFORCE}-version", "latest").removeprefix("v")
    return pinned if pinned != "latest" and _minor(pinned) < _minor(kubernetes) else kubernetes


def violations(level: Level, pod: Place | Mapping[str, Json], version: str = "latest") -> list[Violation]:
    """Return what the level forbids in a pod or pod template (``metadata`` and ``spec``).

    ``version`` is that of the policy: ``latest``, or such as ``1.33``.
    """
    if level is Level.PRIVILEGED:
        return []
    parts = _Pod(pod.mapping if isinstance(pod, Place) else dict(pod), _minor(version))
    checks = _BASELINE if level is Level.BASELINE else _RESTRICTED
    return [violation for check in checks for violation in check(parts)]


def _minor(version: str) -> int:
    minor = version.partition(".")[2]
    return int(minor) if minor.isdigit() else _NEWEST_MINOR


class _Container(NamedTuple):
    path: Path
    name: str
    value: Json

    def get(self, *path: str) -> Json:
        return lookup(self.value, path)

    def at(self, *path: str) -> Path:
        return (*self.path, *path)


class _Pod:
    """A pod, the parts that checks ask for, and the minor version of the policy."""

    def __init__(self, value: dict[str, Json], minor: int) -> None:
        self.value = value
        self.minor = minor
        self.windows = self.get("os", "name") == "windows"
        self.own_user_namespace = self.get("hostUsers") is False
        self.containers = [
            _Container(("spec", field, index), str(lookup(container, ("name",)) or index), container)
            for field in ("initContainers", "containers", "ephemeralContainers")
            for index, container in enumerate(self.items(field))
        ]

    def since(self, minor: int) -> bool:
        """Whether the policy has what that minor version brought."""
        return self.minor >= minor

    def get(self, *path: str) -> Json:
        return lookup(self.value, ("spec", *path))

    def items(self, *path: str) -> list[Json]:
        items = self.get(*path)
        return items if isinstance(items, list) else []

    def security_contexts(self, *path: str) -> Iterator[tuple[Path, str, Json]]:
        """Yield where, of whom and what for a field below each ``securityContext`` that has it."""
        below = ("securityContext", *path)
        if self.get(*below) is not None:
            yield ("spec", *below), "the pod", self.get(*below)
        for container in self.containers:
            if container.get(*below) is not None:
                yield container.at(*below), f"container {container.name}", container.get(*below)


def _host_namespaces(pod: _Pod) -> Iterator[Violation]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field) is True:
            yield Violation(("spec", field), f"the pod sets {field}")


def _privileged(pod: _Pod) -> Iterator[Violation]:
    for container in pod.containers:
        if container.get("securityContext", "privileged") is True:
            path = container.at("securityContext", "privileged")
            yield Violation(path, f"container {container.name} is privileged")


_BASELINE_CAPABILITIES = frozenset(
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID "
    "SYS_CHROOT".split()
)


def _added_capabilities(pod: _Pod, allowed: frozenset[str]) -> Iterator[Violation]:
    for container in pod.containers:
        added = container.get("securityContext", "capabilities", "add")
        for index, capability in enumerate(added if isinstance(added, list) else ()):
            if capability not in allowed:
                path = (*container.at("securityContext", "capabilities", "add"), index)
                yield Violation(path, f"container {container.name} adds the capability {capability}")


def _baseline_capabilities(pod: _Pod) -> Iterator[Violation]:
    return _added_capabilities(pod, _BASELINE_CAPABILITIES)


def _host_paths(pod: _Pod) -> Iterator[Violation]:
    for index, volume in enumerate(pod.items("volumes")):
        path = lookup(volume, ("hostPath", "path"))
        if lookup(volume, ("hostPath",)) is not None:
            name = lookup(volume, ("name",))
            yield Violation(("spec", "volumes", index, "hostPath"), f"volume {name} is the host's {path}")


def _host_ports(pod: _Pod) -> Iterator[Violation]:
    for container in pod.containers:
        ports = container.get("ports")
        for index, port in enumerate(ports if isinstance(ports, list) else ()):
            if lookup(port, ("hostPort",)):
                path = (*container.at("ports"), index, "hostPort")
                number = lookup(port, ("hostPort",))
                yield Violation(path, f"container {container.name} takes port {number} of the host")


def _app_armor(pod: _Pod) -> Iterator[Violation]:
    annotations = lookup(pod.value, ("metadata", "annotations"))
    for key, profile in annotations.items() if isinstance(annotations, dict) else ():
        permitted = profile in ("", "runtime/default") or str(profile).startswith("localhost/")
        if key.startswith("container.apparmor.security.beta.kubernetes.io/") and not permitted:
            container = key.partition("/")[2]
            path: Path = ("metadata", "annotations", key)
            yield Violation(path, f"container {container} has the AppArmor profile {profile}")
    for path, who, profile in pod.security_contexts("appArmorProfile", "type"):
        if profile not in ("RuntimeDefault", "Localhost"):
            yield Violation(path, f"{who} has an AppArmor profile of type {profile}")


def _selinux(pod: _Pod) -> Iterator[Violation]:
    types = {"", "container_t", "container_init_t", "container_kvm_t"}
    types |= {"container_engine_t"} if pod.since(31) else set()
    for path, who, value in pod.security_contexts("seLinuxOptions", "type"):
        if value not in types:
            yield Violation(path, f"{who} has the SELinux type {value}")
    for field in ("user", "role"):
        for path, who, value in pod.security_contexts("seLinuxOptions", field):
            if value:
                yield Violation(path, f"{who} has the SELinux {field} {value}")


def _any_proc_mount(pod: _Pod) -> Iterator[Violation]:
    for container in pod.containers:
        mount = container.get("securityContext", "procMount")
        if mount not in (None, "Default"):
            path = container.at("securityContext", "procMount")
            yield Violation(path, f"container {container.name} has a /proc that is {mount}")


def _proc_mount(pod: _Pod) -> Iterator[Violation]:
    if not (pod.since(35) and pod.own_user_namespace):
        yield from _any_proc_mount(pod)


def _seccomp(pod: _Pod) -> Iterator[Violation]:
    for path, who, profile in pod.security_contexts("seccompProfile", "type"):
        if profile not in ("RuntimeDefault", "Localhost"):
            yield Violation(path, f"{who} has a seccomp profile of type {profile}")


# Since which minor version of the policy.
_SYSCTLS = {
    "kernel.shm_rmid_forced": 0,
    "net.ipv4.ip_local_port_range": 0,
    "net.ipv4.tcp_syncookies": 0,
    "net.ipv4.ping_group_range": 0,
    "net.ipv4.ip_unprivileged_port_start": 0,
    "net.ipv4.ip_local_reserved_ports": 27,
    "net.ipv4.tcp_keepalive_time": 29,
    "net.ipv4.tcp_fin_timeout": 29,
    "net.ipv4.tcp_keepalive_intvl": 29,
    "net.ipv4.tcp_keepalive_probes": 29,
    "net.ipv4.tcp_rmem": 32,
    "net.ipv4.tcp_wmem": 32,
    "net.ipv4.tcp_slow_start_after_idle": 37,
    "net.ipv4.tcp_notsent_lowat": 37,
}


def _sysctls(pod: _Pod) -> Iterator[Violation]:
    for index, sysctl in enumerate(pod.items("securityContext", "sysctls")):
        name = str(lookup(sysctl, ("name",)))
        if name not in _SYSCTLS or not pod.since(_SYSCTLS[name]):
            path: Path = ("spec", "securityContext", "sysctls", index, "name")
            yield Violation(path, f"the pod sets the sysctl {name}")


def _host_process(pod: _Pod) -> Iterator[Violation]:
    for path, who, value in pod.security_contexts("windowsOptions", "hostProcess"):
        if value is True:
            yield Violation(path, f"{who} runs as a process of the host")


def _probe_hosts(pod: _Pod) -> Iterator[Violation]:
    if not pod.since(34):
        return
    handlers = (
        *((probe,) for probe in ("livenessProbe", "readinessProbe", "startupProbe")),
        *(("lifecycle", hook) for hook in ("postStart", "preStop")),
    )
    for container in pod.containers:
        for handler in handlers:
            for action in ("httpGet", "tcpSocket"):
                path = (*handler, action, "host")
                host = container.get(*path)
                if host:
                    sentence = f"the {handler[-1]} of container {container.name} asks the host {host}"
                    yield Violation(container.at(*path), sentence)


_RESTRICTED_VOLUMES = frozenset(
    "configMap csi downwardAPI emptyDir ephemeral image persistentVolumeClaim projected secret".split()
)


def _restricted_volumes(pod: _Pod) -> Iterator[Violation]:
    for index, volume in enumerate(pod.items("volumes")):
        sources = (
            {key for key, value in volume.items() if value is not None} if isinstance(volume, dict) else set()
        )
        sources -= {"name"}
        # A volume without a source is an emptyDir.
        if sources and not sources & _RESTRICTED_VOLUMES:
            (source, *_) = sorted(sources)
            name = lookup(volume, ("name",))
            yield Violation(("spec", "volumes", index, source), f"volume {name} is of type {source}")


def _privilege_escalation(pod: _Pod) -> Iterator[Violation]:
    for container in pod.containers:
        if not pod.windows and container.get("securityContext", "allowPrivilegeEscalation") is not False:
            path = container.at("securityContext", "allowPrivilegeEscalation")
            yield Violation(path, f"container {container.name} may gain privileges")


def _run_as_non_root(pod: _Pod) -> Iterator[Violation]:
    if pod.since(35) and pod.own_user_namespace:
        return
    for path, who, value in pod.security_contexts("runAsNonRoot"):
        if value is False:
            yield Violation(path, f"{who} sets runAsNonRoot to false")
    for container in pod.containers:
        own = container.get("securityContext", "runAsNonRoot")
        if own is None and pod.get("securityContext", "runAsNonRoot") is not True:
            path = container.at("securityContext", "runAsNonRoot")
            yield Violation(path, f"container {container.name} may run as root")


def _run_as_user(pod: _Pod) -> Iterator[Violation]:
    if pod.since(35) and pod.own_user_namespace:
        return
    for path, who, user in pod.security_contexts("runAsUser"):
        if user == 0:
            yield Violation(path, f"{who} runs as user 0")


def _seccomp_required(pod: _Pod) -> Iterator[Violation]:
    if pod.windows:
        return
    yield from _seccomp(pod)
    path = ("securityContext", "seccompProfile")
    inherited = lookup(pod.get(*path), ("type",)) in ("RuntimeDefault", "Localhost")
    for container in pod.containers:
        if container.get(*path) is None and not inherited:
            yield Violation(container.at(*path), f"container {container.name} has no seccomp profile")


def _restricted_capabilities(pod: _Pod) -> Iterator[Violation]:
    if pod.windows:
        return
    for container in pod.containers:
        dropped = container.get("securityContext", "capabilities", "drop")
        if not isinstance(dropped, list) or "ALL" not in dropped:
            path = container.at("securityContext", "capabilities", "drop")
            yield Violation(path, f"container {container.name} does not drop ALL capabilities")
    yield from _added_capabilities(pod, frozenset({"NET_BIND_SERVICE"}))


# In the order of the standard's page.
_BASELINE: tuple[Callable[[_Pod], Iterator[Violation]], ...] = (
    _host_process,
    _host_namespaces,
    _privileged,
    _baseline_capabilities,
    _host_paths,
    _host_ports,
    _probe_hosts,
    _app_armor,
    _selinux,
    _proc_mount,
    _seccomp,
    _sysctls,
)
# The restricted level replaces what it tightens.
_TIGHTENED = (_baseline_capabilities, _host_paths, _proc_mount, _seccomp)
_RESTRICTED: tuple[Callable[[_Pod], Iterator[Violation]], ...] = (
    *(check for check in _BASELINE if check not in _TIGHTENED),
    _restricted_volumes,
    _privilege_escalation,
    _run_as_non_root,
    _run_as_user,
    _seccomp_required,
    _restricted_capabilities,
    _any_proc_mount,
)
