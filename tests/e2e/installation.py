"""One installation of this repository on the test cluster: an overlay, and what a test changes of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.e2e.cluster import ROOT, find_tool
from tests.e2e.errors import CannotRunError
from validate.binderhub.config import find_config
from validate.cluster.objects import KubeObject
from validate.place import Origin, Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from validate.binderhub.config import BinderHubConfig
    from validate.place import Json
    from validate.place import Path as FieldPath

_ADDITIONS = Path(__file__).with_name("additions")
_PINNED = re.compile(r"(:[\w.-]+)@sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Installation:
    """What is rendered and applied: an overlay, ``additions/``, and what a test wants of it.

    Attributes:
        overlay: relative to the repository.
        namespace: of everything in it.
        config: a last fragment of BinderHub's configuration: class to trait to value.
        patches: as in a kustomization.
        root: the repository, or another revision of it.
    """

    overlay: Path = Path("overlays/kind")
    namespace: str = "binderhub"
    config: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    patches: Sequence[Mapping[str, Any]] = ()
    root: Path = ROOT

    def but(self, **changes: Any) -> Installation:
        """Return the installation with these attributes instead."""
        return replace(self, **changes)

    def render(self) -> list[dict[str, Any]]:
        """Return the objects.

        Raises:
            CannotRunError: Kustomize fails; the message is its own.
        """
        with tempfile.TemporaryDirectory(prefix="e2e-") as scratch:
            directory = Path(scratch).resolve()
            fragments = [_ADDITIONS / "config" / "60-e2e.yaml"]
            if self.config:
                test = directory / "90-test.yaml"
                test.write_text(json.dumps(self.config), encoding="utf-8")
                fragments.append(test)
            generator = {
                "name": "binderhub-config",
                "namespace": self.namespace,
                "behavior": "merge",
                # Not as files: Kustomize reads none from elsewhere.
                "literals": [f"{one.name}={one.read_text(encoding='utf-8')}" for one in fragments],
            }
            impatient = (_ADDITIONS / "deployment.impatient.yaml").read_text(encoding="utf-8")
            kustomization = {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "namespace": self.namespace,
                "resources": [
                    os.path.relpath(one, directory) for one in (self.root / self.overlay, _ADDITIONS)
                ],
                "patches": [{"patch": impatient}, *self.patches],
                "configMapGenerator": [generator],
            }
            (directory / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
            return kustomize(directory)


def json_patch(kind: str, name: str, *operations: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON 6902 patch for an installation."""
    return {"target": {"kind": kind, "name": name}, "patch": json.dumps(operations)}


def kustomize(directory: Path) -> list[dict[str, Any]]:
    """Return what Kustomize renders of a directory, each image by its tag alone.

    Raises:
        CannotRunError: it fails; the message is its own.
    """
    build = [str(find_tool("kustomize")), "build", str(directory)]
    try:
        done = subprocess.run(build, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CannotRunError(f"{build[0]} is not there; run `make setup`, which installs it") from error
    if done.returncode:
        raise CannotRunError(f"kustomize build {directory}: {done.stderr.strip()}")
    # What is loaded into a node has the digest of its archive, not the one that a fork has pinned.
    rendered = _PINNED.sub(r"\1", done.stdout)
    return [one for one in yaml.load_all(rendered, Loader=yaml.CSafeLoader) if one]


def views(objects: Iterable[dict[str, Any]]) -> list[KubeObject]:
    """Return rendered objects as validate looks at them, without the lines that wrote them."""

    def writers(_: FieldPath) -> tuple[Origin, ...]:
        return (Origin("rendered", 1, 1, Writer.RESOURCE, 1),)

    return [KubeObject(one, writers) for one in objects]


def references(objects: Iterable[dict[str, Any]]) -> list[str]:
    """Return the images that these objects run, each once."""
    pods = [view.pod for view in views(objects) if view.pod]
    return list(dict.fromkeys(container.image for pod in pods for container in pod.all_containers))


def effective_config(objects: Sequence[dict[str, Any]]) -> BinderHubConfig:
    """Return the configuration that the BinderHub among these objects reads."""
    known = views(objects)
    for view in known:
        if view.kind == "Deployment" and view.name == "binderhub" and view.pod:
            config = find_config(known, view.pod, next(view.pod.containers))
            if config:
                return config
    raise AssertionError("no BinderHub with a configuration among the objects")
