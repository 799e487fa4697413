"""The Go programs of the cluster, built from Go modules."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from shutil import which
from subprocess import run
from typing import TYPE_CHECKING

from tests.e2e.airgap.store import Part
from tests.e2e.errors import CannotRunError

if TYPE_CHECKING:
    from tests.e2e.airgap.store import Workbench

# programs/kubernetes/go.mod has the modules of this version.
KUBERNETES = "v1.34.4"
_SOURCES = Path(__file__).with_name("programs")
# Into a file of its own, not linked with the C library of the machine, and alike wherever it is built.
_ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-trimpath -mod=readonly", "GOOS": "linux", "GOWORK": "off"}
_SMALL = "-s -w"


@cache
def kubernetes() -> Part:
    """Return every Kubernetes program in one file: it behaves as the one that it is called as."""
    version = KUBERNETES.removeprefix("v").split(".")
    stamped = {
        "gitVersion": KUBERNETES,
        "gitMajor": version[0],
        "gitMinor": version[1],
        "gitTreeState": "clean",
    }
    flags = " ".join(
        [
            _SMALL,
            *(
                f"-X {package}.{name}={value}"
                for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
                for name, value in stamped.items()
            ),
        ]
    )
    return _from_source("kubernetes", f"Kubernetes {KUBERNETES}, from Go modules", 10, flags)


@cache
def etcd() -> Part:
    """Return etcd."""
    return _from_source("etcd", "etcd, from Go modules", 1, _SMALL)


@cache
def coredns() -> Part:
    """Return CoreDNS."""
    return _from_module("coredns", "github.com/coredns/coredns@v1.12.4", "CoreDNS, from Go modules", 3)


@cache
def kube_router() -> Part:
    """Return kube-router, which enforces network policies."""
    module = "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router@v2.1.0"
    return _from_module("kube-router", module, "kube-router, from Go modules", 1)


@cache
def argocd() -> Part:
    """Return Argo CD's core controllers in one file: it behaves as the one that it is called as."""
    return _from_source("argocd", "Argo CD, from Go modules", 3, _SMALL)


def _from_source(name: str, title: str, minutes: float, flags: str) -> Part:
    source = _SOURCES / name

    def build(bench: Workbench) -> None:
        bench.run(_go(), "build", "-ldflags", flags, "-o", bench.target, ".", cwd=source, env=_ENVIRONMENT)

    return Part(name, title, minutes, build, (source, flags, str(_ENVIRONMENT), _go_version()))


def _from_module(name: str, module: str, title: str, minutes: float) -> Part:
    def build(bench: Workbench) -> None:
        environment = {**_ENVIRONMENT, "GOBIN": str(bench.scratch)}
        bench.run(_go(), "install", "-ldflags", _SMALL, module, cwd=bench.scratch, env=environment)
        (bench.scratch / name).rename(bench.target)

    return Part(name, title, minutes, build, (module, _SMALL, str(_ENVIRONMENT), _go_version()))


def _go() -> str:
    go = which("go")
    if go is None:
        raise CannotRunError(
            "Go is not installed, and the air-gapped supply builds Kubernetes with it; "
            "install Go (https://go.dev/dl), or let this machine reach the published images"
        )
    return go


@cache
def _go_version() -> str:
    # The oldest that is needed stands in the modules; a newer toolchain than the one here is not fetched.
    return run([_go(), "env", "GOVERSION"], check=True, capture_output=True, text=True).stdout.strip()
