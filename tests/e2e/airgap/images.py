"""What stands in for which image, made of Debian and Python packages.

Each has the name that the manifests ask for. None of them is ever in the machine's own engine: the
archives go straight to the nodes, so that nobody there takes a stand-in for what it stands in for.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.airgap import archives, debian, programs
from tests.e2e.airgap.archives import Image, Layer, write_archive
from tests.e2e.airgap.debian import root_file_system
from tests.e2e.airgap.packages import SITE_PACKAGES, python_packages
from tests.e2e.airgap.store import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.e2e.airgap.store import Workbench

ROOT = Path(__file__).parents[3]
_HERE = Path(__file__).parent
_FILES = _HERE / "files"
_SUITE = "trixie"
# What decides the form of an archive, beside what is in it.
_FORM = (Path(archives.__file__), Path(debian.__file__))


@cache
def _docker_root() -> Part:
    wanted = ["docker.io", "docker-cli", "docker-buildx", "iptables", "ca-certificates", "runc", "containerd"]
    return root_file_system("docker-root", _SUITE, wanted, title="Debian with Docker")


@cache
def _registry_root() -> Part:
    wanted = ["docker-registry", "ca-certificates"]
    return root_file_system("registry-root", _SUITE, wanted, title="Debian with docker-registry")


@cache
def _tools_root() -> Part:
    wanted = ["python3", "git", "docker-cli", "docker-buildx", "ca-certificates", "tini", "curl"]
    return root_file_system("tools-root", _SUITE, wanted, title="Debian with Python and git")


@cache
def _base_root() -> Part:
    return root_file_system("base-root", _SUITE, ["python3"], title="Debian with Python")


@cache
def docker(reference: str) -> Part:
    """Return what stands in for Docker's dind image: Debian's dockerd, its entry point by the same name."""
    script = _FILES / "dockerd-entrypoint.sh"

    def lay(layer: Layer, _made: Mapping[str, Path]) -> None:
        layer.file("/usr/local/bin/dockerd-entrypoint.sh", script, 0o755)

    settings = {"Entrypoint": ["dockerd-entrypoint.sh"]}
    return _image("docker", reference, (_docker_root(),), settings, lay, (script,))


@cache
def registry(reference: str) -> Part:
    """Return what stands in for the registry: Debian's docker-registry, an older release."""
    return _image("registry", reference, (_registry_root(),), {"Entrypoint": ["/usr/bin/docker-registry"]})


@cache
def repo2docker(reference: str) -> Part:
    """Return what stands in for repo2docker's image: the package of PyPI on Debian's Python."""
    lock = ROOT / "requirements" / "repo2docker.txt"
    installed = python_packages("repo2docker", lock, title="repo2docker, from PyPI")
    script = _FILES / "jupyter-repo2docker"

    def lay(layer: Layer, _made: Mapping[str, Path]) -> None:
        layer.file("/usr/local/bin/jupyter-repo2docker", script, 0o755)

    settings = {"Env": [archives.PATH, "HOME=/root", "PYTHONUNBUFFERED=1"]}
    return _image("repo2docker", reference, (_tools_root(), installed), settings, lay, (script,))


@cache
def binderhub(reference: str) -> Part:
    """Return what stands in for BinderHub: the service in ``standin/``, on validate's model."""
    lock = ROOT / "requirements" / "standin.txt"
    installed = python_packages("binderhub", lock, title="what the stand-in for BinderHub needs, from PyPI")
    sources = {"validate": ROOT / "validate", "binderhub": _HERE / "standin" / "binderhub"}

    def lay(layer: Layer, _made: Mapping[str, Path]) -> None:
        for name, source in sources.items():
            layer.tree(f"{SITE_PACKAGES}/{name}", source)

    settings = {
        "Entrypoint": ["tini", "--", "python3", "-m", "binderhub"],
        "Env": [archives.PATH, "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"],
    }
    return _image("binderhub", reference, (_tools_root(), installed), settings, lay, tuple(sources.values()))


@cache
def argocd(reference: str) -> Part:
    """Return what stands in for Argo CD's image: its core controllers, git, Kustomize, and Redis as well."""
    wanted = ["git", "redis-server", "tini", "ca-certificates"]
    root = root_file_system("argocd-root", _SUITE, wanted, title="Debian with git and Redis")
    program = programs.argocd()
    # The one of the Makefile, which validate renders with.
    kustomize = (ROOT / ".tools" / "kustomize").resolve()
    script = _FILES / "argocd-entrypoint.sh"

    def lay(layer: Layer, made: Mapping[str, Path]) -> None:
        layer.file("/usr/local/bin/argocd", made[program.name], 0o755)
        for name in ("application-controller", "applicationset-controller", "repo-server", "git-ask-pass"):
            layer.link(f"/usr/local/bin/argocd-{name}", "argocd")
        layer.file("/usr/local/bin/kustomize", kustomize, 0o755)
        layer.file("/usr/local/bin/entrypoint.sh", script, 0o755)
        layer.directory("/home/argocd", 0o777)

    settings = {
        "User": "999",
        "WorkingDir": "/home/argocd",
        "Env": [archives.PATH, "HOME=/home/argocd"],
        "Entrypoint": ["tini", "--"],
    }
    return _image("argocd", reference, (root,), settings, lay, (script, kustomize), (program,))


@cache
def git_server(reference: str) -> Part:
    """Return the image of the git server: git, and Python for the few files that are served by HTTP."""
    return _image("git-server", reference, (_tools_root(),), {})


@cache
def base(reference: str) -> Part:
    """Return the image that the repositories of the tests are built on: Debian with Python, nothing else."""
    return _image("base", reference, (_base_root(),), {"Cmd": ["python3", "-m", "http.server", "8888"]})


def _image(
    name: str,
    reference: str,
    layers: tuple[Part, ...],
    settings: Mapping[str, object],
    lay: Callable[[Layer, Mapping[str, Path]], None] | None = None,
    files: tuple[Path, ...] = (),
    needs: tuple[Part, ...] = (),
) -> Part:
    def build(bench: Workbench) -> None:
        paths = [bench.made[part.name] for part in layers]
        if lay:
            own = bench.scratch / "own.tar"
            with Layer(own) as layer:
                lay(layer, bench.made)
            paths.append(own)
        write_archive(bench.target, [Image([reference], paths, settings)])

    inputs: tuple[str | Path, ...] = (reference, repr(settings), *files, *_FORM, Path(__file__))
    return Part(f"{name}.image.tar", f"image {reference}", 0.1, build, inputs, (*layers, *needs))
