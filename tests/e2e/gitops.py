"""Argo CD on the test cluster: its core install, and what it says of an application."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.e2e.cluster import CORE
from tests.e2e.errors import CannotRunError
from tests.e2e.installation import kustomize, references
from tests.e2e.kube import until
from tests.e2e.sync import Application

if TYPE_CHECKING:
    from tests.e2e.supply import Supply
    from tests.e2e.world import World

NAMESPACE = "argocd"
_HERE = Path(__file__).with_name("argocd")
# Its go.mod names the release, for the published images as well.
_MODULE = Path(__file__).parent / "airgap" / "programs" / "argocd"
_PATH = "github.com/argoproj/argo-cd/v3"
_INSTALL = "core-install.yaml"
_APPLICATION = ("argoproj.io/v1alpha1", "Application")
_GZIP = b"\x1f\x8b"
# Prints each value that the repo-server keeps, in a line of its own.
_KEPT = """
export REDISCLI_AUTH="$1"
redis-cli --scan --pattern 'mfst|*' | while read -r key; do
  redis-cli --raw get "$key" | base64 -w0
  echo
done
"""


class ArgoCD:
    """Argo CD, installed."""

    def __init__(self, world: World, supply: Supply) -> None:
        """Install it, and wait until it is healthy.

        Raises:
            CannotRunError: its manifests or images cannot be had.
        """
        self._kube = world.kube
        objects = _manifests(supply)
        wanted = references(objects)
        # The world was brought up with them at hand.
        found = [one for one in world.sources if one.reference in wanted]
        world.cluster.load({world.cluster.node(CORE): found})
        # Custom resource definitions are an application's objects like any other.
        self._install = Application("argocd", self._kube)
        self._install.sync(objects)
        self._kube.forget_kinds()

    def delete(self) -> None:
        """Take Argo CD away, and leave what it has synced."""
        self._install.delete()
        until("Argo CD is gone", lambda: not self._kube.get("v1", "Namespace", NAMESPACE), seconds=120)

    def application(self, name: str) -> dict[str, Any]:
        """Return an Application, empty where there is none yet."""
        return self._kube.get(*_APPLICATION, name, NAMESPACE) or {}

    def refresh(self, name: str) -> None:
        """Have the application look at git now, as a webhook does."""
        annotations = {"argocd.argoproj.io/refresh": "normal"}
        self._kube.patch(*_APPLICATION, name, NAMESPACE, {"metadata": {"annotations": annotations}})

    def wait_until_synced(self, name: str, revision: str, *, seconds: float = 240) -> dict[str, Any]:
        """Wait until a revision is synced and all of it healthy, and return the application's status."""

        def synced() -> dict[str, Any] | None:
            status = self.application(name).get("status") or {}
            is_done = (
                status.get("sync", {}).get("status") == "Synced"
                and status.get("sync", {}).get("revision") == revision
                and status.get("health", {}).get("status") == "Healthy"
                and status.get("operationState", {}).get("phase") == "Succeeded"
            )
            return status if is_done else None

        return until(
            f"{name} Synced and Healthy at {revision[:7]}",
            synced,
            seconds=seconds,
            state=lambda: self.story(name),
        )

    def story(self, name: str) -> str:
        """Return what Argo CD says of an application, for the reader of a test that fails."""
        status = self.application(name).get("status") or {}
        kept = ("sync", "health", "conditions", "operationState")
        return json.dumps({key: status.get(key) for key in kept}, indent=1)[:6000]

    def rendered(self, revision: str) -> list[dict[str, Any]]:
        """Return the manifests that the repo-server has rendered of a revision, as it keeps them in Redis."""
        secret = self._kube.core.read_namespaced_secret("argocd-redis", NAMESPACE).data["auth"]
        redis = self._kube.the_pod(NAMESPACE, "app.kubernetes.io/name=argocd-redis")
        password = base64.b64decode(secret).decode()
        printed = self._kube.run_in(redis, "sh", "-c", _KEPT, "sh", password)
        for line in printed.split():
            value = base64.b64decode(line).rstrip(b"\n")
            if not value.startswith(_GZIP):
                continue
            answer = json.loads(gzip.decompress(value)).get("manifestResponse") or {}
            if answer.get("revision") == revision and answer.get("manifests"):
                return [json.loads(text) for text in answer["manifests"]]
        raise AssertionError(f"Argo CD has rendered nothing of {revision}")


def images(supply: Supply) -> list[str]:
    """Return the images that Argo CD runs.

    Raises:
        CannotRunError: its manifests cannot be had.
    """
    return references(_manifests(supply))


def _manifests(supply: Supply) -> list[dict[str, Any]]:
    """Return the objects of Argo CD's core install."""
    with tempfile.TemporaryDirectory(prefix="argocd-") as scratch:
        directory = Path(scratch) / "argocd"
        shutil.copytree(_HERE, directory)
        shutil.copy(_module() / "manifests" / _INSTALL, directory)
        if not supply.is_published:
            kustomization = directory / "kustomization.yaml"
            kustomization.write_text(
                kustomization.read_text("utf-8") + "components: [airgap]\n", encoding="utf-8"
            )
        return kustomize(directory)


def _module() -> Path:
    """Return the directory of Argo CD's module, downloaded where it is not there."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", _PATH]
    try:
        subprocess.run(["go", "mod", "download", _PATH], cwd=_MODULE, capture_output=True, check=True)
        done = subprocess.run(command, cwd=_MODULE, capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise CannotRunError(f"the manifests of Argo CD cannot be had from its Go module: {error}") from error
    return Path(done.stdout.strip())
