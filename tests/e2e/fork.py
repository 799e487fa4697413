"""A fork of this repository on the git server of the cluster, for a GitOps tool to sync."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.e2e.cluster import ROOT

if TYPE_CHECKING:
    from tests.e2e.repositories import Repositories

NAME = "platform"
URL = f"git://git.e2e.svc/{NAME}.git"
OVERLAY = "overlays/kind"
_OURS = "https://git.example.org/platform/binderhub-service.git"
_ADDITIONS = Path(__file__).with_name("additions")
_COMPONENT = "components/e2e"


class Fork:
    """The files of the fork, and its newest commit.

    It has one overlay, its own address in ``argocd/``, and as a component what the tests add to it.
    """

    def __init__(self, repositories: Repositories) -> None:
        """Make the fork, and push it."""
        self._repositories = repositories
        self.files: dict[str, str] = {}
        for directory in ("argocd", "base", "components", "policies", OVERLAY):
            self._copy(ROOT / directory, directory)
        self._copy(_ADDITIONS, _COMPONENT)
        for path in [path for path in self.files if path.startswith("argocd/")]:
            self.files[path] = self.files[path].replace(_OURS, URL)
        self._add_component()
        self.commit = self.push()

    def edit(self, path: str, old: str, new: str) -> str:
        """Replace text in a file, push it, and return the commit.

        Raises:
            AssertionError: the text is not there.
        """
        assert old in self.files[path], f"{old!r} is not in {path}"
        self.files[path] = self.files[path].replace(old, new)
        return self.push()

    def push(self) -> str:
        """Commit the files as they are now, and return the commit."""
        self.commit = self._repositories.commit(NAME, self.files).commit
        return self.commit

    def write(self, root: Path) -> None:
        """Write the files into a directory."""
        for path, text in self.files.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")

    def _copy(self, source: Path, target: str) -> None:
        for file in sorted(source.rglob("*")):
            if file.is_file():
                self.files[f"{target}/{file.relative_to(source).as_posix()}"] = file.read_text(
                    encoding="utf-8"
                )

    def _add_component(self) -> None:
        kustomization = yaml.safe_load(self.files[f"{_COMPONENT}/kustomization.yaml"])
        component = {
            **kustomization,
            "apiVersion": "kustomize.config.k8s.io/v1alpha1",
            "kind": "Component",
            "patches": [{"path": "deployment.impatient.yaml"}],
            "configMapGenerator": [
                {"name": "binderhub-config", "behavior": "merge", "files": ["config/60-e2e.yaml"]}
            ],
        }
        self.files[f"{_COMPONENT}/kustomization.yaml"] = yaml.safe_dump(component)
        for name, key, entry in (
            ("kustomization.yaml", "components", f"../../{_COMPONENT}"),
            ("cluster.yaml", "generatePaths", f"/{_COMPONENT}"),
        ):
            path = f"{OVERLAY}/{name}"
            content = yaml.safe_load(self.files[path])
            content[key].append(entry)
            self.files[path] = yaml.safe_dump(content, sort_keys=False)
