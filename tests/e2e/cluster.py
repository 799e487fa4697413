"""The kind cluster: pytest-kind's, with what that lacks.

One control plane, a worker for each node pool that ``overlays/kind/cluster.yaml`` declares, and a decoy
that tolerant pods may land on and build pods may not: it has the taints of the build pool, and not its label.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from pytest_kind import KindCluster

from tests.e2e.errors import CannotRunError
from tests.e2e.kube import Kube, NotReachedError, until
from validate.cluster.facts import read_facts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.e2e.supply import Source
    from validate.cluster.scheduling import Taint

ROOT = Path(__file__).resolve().parents[2]
FACTS = "overlays/kind/cluster.yaml"
POOL = "hub.jupyter.org/node-purpose"
BUILDS, CORE, DECOY = "builds", "core", "decoy"
REGISTRY = "registry.binderhub.svc:5000"
# Of the overlay's registry, of additions/, and of a second installation: on every node.
REGISTRY_PORT, BINDERHUB_PORT, SECOND_PORT = 30500, 30585, 30586
_HOSTS = f"""\
# The containerd of a node knows no cluster DNS: it reaches the registry through the NodePort of its own node.
server = "http://127.0.0.1:{REGISTRY_PORT}"

[host."http://127.0.0.1:{REGISTRY_PORT}"]
  capabilities = ["pull", "resolve"]
"""
_STATE = Path(".pytest-kind")
_MEMORY = "cluster.json"
_DNS_SECONDS = 120
_ANSWER_SECONDS = 60


@dataclass(frozen=True)
class Pool:
    """Nodes to make: one worker."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]


class Ports(NamedTuple):
    """Where the machine listens for the cluster, on its loopback address."""

    binderhub: int
    registry: int
    second: int


class Cluster(KindCluster):  # type: ignore[misc]  # it has no types
    """A kind cluster of this project."""

    def __init__(self, name: str, *, image: str = "", ports: Ports) -> None:
        """Describe the cluster; nothing is made yet. ``image``: of its nodes, kind's own choice if empty."""
        state = ROOT / _STATE / name
        super().__init__(
            name,
            state / "kubeconfig",
            image=image or None,
            kind_path=find_tool("kind"),
            kubectl_path=find_kubectl(),
        )
        # pytest-kind makes its directory at once; here it comes and goes with the cluster.
        _remove_empty(self.path)
        self.state = state
        self.ports = ports
        self._loaded: set[str] = set()

    @cached_property
    def kube(self) -> Kube:
        """A client for it, as its administrator."""
        return Kube(self.kubeconfig_path)

    def exists(self) -> bool:
        """Tell whether a cluster of this name is there, whole or not."""
        return self.name in self.all_names()

    def all_names(self) -> list[str]:
        """Return the names of all kind clusters of this engine."""
        return self._kind("get", "clusters").split()

    def create(self, config_file: str | Path | None = None) -> None:
        """Create the cluster and wait until its DNS answers; nothing is left of one that fails.

        Raises:
            CannotRunError: kind fails; the message has the end of what it said.
        """
        config = Path(config_file) if config_file else self._write_config()
        image = ["--image", self.image] if self.image else []
        self._kind(
            "create", "cluster", "--name", self.name, "--kubeconfig", str(self.kubeconfig_path),
            "--config", str(config), "--wait", "120s", *image,
        )  # fmt: skip
        kube = self.kube
        # kind says Ready before names resolve.
        until(
            "cluster DNS", lambda: _is_available(kube, "coredns"), seconds=_DNS_SECONDS,
            state=lambda: [pod.status.phase for pod in kube.pods("kube-system", "k8s-app=kube-dns")],
        )  # fmt: skip

    def delete(self) -> None:
        """Delete the cluster, whole or not, and what it kept beside the clone; once more is fine."""
        self._kind("delete", "cluster", "--name", self.name, "--kubeconfig", str(self.kubeconfig_path))
        shutil.rmtree(self.state, ignore_errors=True)
        _remove_empty(self.state)

    def export_logs(self, directory: Path) -> None:
        """Write the logs of every node and pod."""
        self._kind("export", "logs", str(directory), "--name", self.name)

    def node(self, pool: str) -> str:
        """Return the name of the worker of a pool, as Kubernetes and the engine call it."""
        names = [pool.name for pool in pools()]
        index = names.index(pool)
        return f"{self.name}-worker{index + 1 if index else ''}"

    @property
    def control_plane(self) -> str:
        """The name of the control plane's node."""
        return f"{self.name}-control-plane"

    def address(self, node: str) -> str:
        """Return the IPv4 address of a node in the cluster's network."""
        addresses = self.kube.core.read_node(node).status.addresses
        return next(
            str(one.address) for one in addresses if one.type == "InternalIP" and ":" not in one.address
        )

    def on_node(self, node: str, *command: str, check: bool = True, timeout: float = 120) -> str:
        """Run a command on a node, as root, and return what it prints."""
        done = subprocess.run(
            ["docker", "exec", node, *command], capture_output=True, text=True, check=False, timeout=timeout
        )
        if check and done.returncode:
            raise AssertionError(
                f"{command} on {node} failed with {done.returncode}: {done.stdout}{done.stderr}"
            )
        return done.stdout

    def load(self, images: Mapping[str, Sequence[Source]]) -> None:
        """Give nodes (by name) the images that run there and that they lack, all nodes at the same time.

        Raises:
            CannotRunError: an image cannot be read, or the node has no room for it.
        """
        missing = {
            node: [source for source in sources if _mark(node, source) not in self._loaded]
            for node, sources in images.items()
        }
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._load_all, missing, missing.values()))
        self._loaded |= {
            _mark(node, source) for node, sources in images.items() for source in sources if source.archive
        }
        state = {"ports": self.ports, "loaded": sorted(self._loaded)}
        (self.state / _MEMORY).write_text(json.dumps(state), encoding="utf-8")

    def remember(self) -> None:
        """Take a cluster of this name that is there for this one: its ports, and the images that it has.

        Raises:
            CannotRunError: nothing is known of it.
        """
        try:
            state = json.loads((self.state / _MEMORY).read_text(encoding="utf-8"))
            self.ports = Ports(*state["ports"])
            self._loaded = set(state["loaded"])
        except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
            raise CannotRunError(
                f"a cluster {self.name} is there, and nothing is known of it; "
                f"`make down CLUSTER={self.name}` removes it"
            ) from error

    def require_answer(self) -> None:
        """Wait until the API server of a cluster that was there answers.

        Raises:
            CannotRunError: it does not.
        """
        kube = self.kube
        try:
            until("the API server answers", lambda: kube.core.list_node().items, seconds=_ANSWER_SECONDS)
        except NotReachedError as error:
            # An engine that was restarted may have given its nodes other addresses.
            raise CannotRunError(
                f"a cluster {self.name} is there, and does not answer; "
                f"`make down CLUSTER={self.name}` removes it"
            ) from error
        finally:
            kube.close()

    def _load_all(self, node: str, sources: Sequence[Source]) -> None:
        for source in sources:
            self._load(node, source)

    def _load(self, node: str, source: Source) -> None:
        importing = [
            "docker",
            "exec",
            "--interactive",
            node,
            "ctr",
            "--namespace=k8s.io",
            "images",
            "import",
            "-",
        ]
        if source.archive:
            with source.archive.open("rb") as archive:
                done = subprocess.run(importing, stdin=archive, capture_output=True, check=False)
        else:
            with subprocess.Popen(["docker", "save", source.local], stdout=subprocess.PIPE) as saving:
                done = subprocess.run(importing, stdin=saving.stdout, capture_output=True, check=False)
        if done.returncode:
            problem = done.stderr.decode(errors="replace").strip().splitlines()
            raise CannotRunError(f"{source.reference} cannot be loaded into {node}: {' '.join(problem[-1:])}")
        name = full_name(source.local)
        if name != source.reference:
            self.on_node(
                node, "ctr", "--namespace=k8s.io", "images", "tag", "--force", name, source.reference
            )

    def _write_config(self) -> Path:
        trusted = self.state / "certs.d" / REGISTRY
        trusted.mkdir(parents=True, exist_ok=True)
        (trusted / "hosts.toml").write_text(_HOSTS, encoding="utf-8")
        file = self.state / "kind.yaml"
        file.write_text(yaml.safe_dump(self._config(), sort_keys=False), encoding="utf-8")
        return file

    def _config(self) -> dict[str, Any]:
        """Return the configuration for kind."""
        # The containerd of a node is no pod: it reaches the registry through the port of its own node.
        trust = {
            "hostPath": str(self.state / "certs.d"),
            "containerPath": "/etc/containerd/certs.d",
            "readOnly": True,
        }
        ports = {
            BINDERHUB_PORT: self.ports.binderhub,
            REGISTRY_PORT: self.ports.registry,
            SECOND_PORT: self.ports.second,
        }
        return {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "nodes": [
                {
                    "role": "control-plane",
                    "extraMounts": [trust],
                    "extraPortMappings": [
                        {"containerPort": there, "hostPort": here, "listenAddress": "127.0.0.1"}
                        for there, here in ports.items()
                    ],
                },
                *({**_worker(pool), "extraMounts": [trust]} for pool in pools()),
            ],
        }

    def _kind(self, *words: str) -> str:
        try:
            done = subprocess.run([str(self.kind_path), *words], capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise CannotRunError(
                f"{self.kind_path} is not there; run `make e2e` or `make up`, which install kind"
            ) from error
        if done.returncode:
            # Before it stands the whole of a long command.
            output = done.stderr.rpartition("Command Output:")[2]
            said = [line.strip() for line in output.splitlines() if line.strip()]
            raise CannotRunError(f"kind {words[0]} {words[1]} fails: {' '.join(said[-3:])}")
        return done.stdout


def pools() -> list[Pool]:
    """Return the pools to make: those that the overlay declares, and the decoy."""
    declared = [
        Pool(pool.name, _settable(pool.labels), pool.taints) for pool in read_facts(ROOT, FACTS).pools
    ]
    builds = next(pool for pool in declared if pool.name == BUILDS)
    return [*declared, Pool(DECOY, {POOL: DECOY}, builds.taints)]


def find_tool(name: str) -> Path:
    """Return the program that ``KIND`` or ``KUSTOMIZE`` names, that of the Makefile, or the path's."""
    named = os.environ.get(name.upper())
    own = ROOT / ".tools" / name
    return Path(named or (own if own.exists() else which(name) or name))


def find_kubectl() -> Path:
    """Return kubectl, for pytest-kind: nothing here needs it."""
    return Path(which("kubectl") or "kubectl")


def _remove_empty(state: Path) -> None:
    """Remove a directory of state and the one above it, where they are empty."""
    with suppress(OSError):
        state.rmdir()
    with suppress(OSError):
        state.parent.rmdir()


def _mark(node: str, source: Source) -> str:
    return f"{node} {source.reference} {source.version}"


def full_name(reference: str) -> str:
    """Return an image's name as containerd keeps it: with a registry."""
    first, slash, _ = reference.partition("/")
    if not slash:
        return f"docker.io/library/{reference}"
    return reference if "." in first or ":" in first or first == "localhost" else f"docker.io/{reference}"


def _worker(pool: Pool) -> dict[str, Any]:
    taints = [{"key": taint.key, "value": taint.value, "effect": taint.effect} for taint in pool.taints]
    joining = {"kind": "JoinConfiguration", "nodeRegistration": {"taints": taints}}
    return {"role": "worker", "labels": dict(pool.labels), "kubeadmConfigPatches": [yaml.safe_dump(joining)]}


def _settable(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that the kubelet does not set by itself."""
    return {key: value for key, value in labels.items() if not key.startswith("kubernetes.io/")}


def _is_available(kube: Kube, name: str) -> bool:
    status = kube.apps.read_namespaced_deployment(name, "kube-system").status
    return bool(status.available_replicas)
