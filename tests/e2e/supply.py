"""Where the images come from: a registry, where one answers, and the air-gapped supply where none does.

The published images are always preferred. What stands in for one never gets its name in the machine's
engine: it goes to the nodes as an archive.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.airgap import images, node
from tests.e2e.airgap.build import build
from tests.e2e.airgap.programs import KUBERNETES
from tests.e2e.airgap.store import Store, default_directory
from tests.e2e.errors import CannotRunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.e2e.airgap.store import Part

GIT_SERVER = "localhost/git-server:1"
BASE = "localhost/base:1"
BINDERHUB = "quay.io/jupyterhub/k8s-binderhub"
# By the name without the tag: the manifests decide on the tag.
_STAND_INS: Mapping[str, Callable[[str], Part]] = {
    BINDERHUB: images.binderhub,
    "docker.io/library/docker": images.docker,
    "docker.io/library/registry": images.registry,
    "quay.io/jupyterhub/repo2docker": images.repo2docker,
    "quay.io/argoproj/argocd": images.argocd,
    GIT_SERVER.partition(":")[0]: images.git_server,
    BASE.partition(":")[0]: images.base,
}
_REGISTRIES = ("https://registry-1.docker.io/v2/", "https://quay.io/v2/")
_ANSWER_SECONDS = 5
# What has Python, and nothing that a test needs beside it.
_PUBLISHED_BASE = "docker.io/library/python:3.13-slim"


class Choice(StrEnum):
    """What ``SUPPLY`` may say."""

    AUTO = "auto"
    PUBLISHED = "published"
    AIRGAP = "airgap"


@dataclass(frozen=True)
class Source:
    """One image, and where the nodes get it from.

    Attributes:
        reference: the name that the manifests ask for.
        archive: a file to import; None where the engine has it.
        local: its name in the engine, or in the archive.
        is_stand_in: whether it only stands in for what it is called.
    """

    reference: str
    archive: Path | None
    local: str
    is_stand_in: bool = False

    def __str__(self) -> str:
        """Say what it is, in a line."""
        if self.is_stand_in:
            return f"{self.reference}: stand-in"
        given = self.archive or self.local
        return f"{self.reference}: {'published' if given == self.reference else given}"

    @property
    def version(self) -> str:
        """What tells an image from earlier ones of its name: a stand-in has its hash in the file's name."""
        if not self.archive:
            return self.local
        date = "" if self.is_stand_in else f" {self.archive.stat().st_mtime_ns}"
        return f"{self.archive.name}{date}"


@dataclass(frozen=True)
class Supply:
    """The images of one cluster."""

    store: Store = field(default_factory=lambda: Store(default_directory()))
    choice: Choice = Choice.AUTO

    @classmethod
    def chosen(cls) -> Supply:
        """Return the supply that the environment asks for (``SUPPLY``, ``BINDERHUB_SERVICE_CACHE``).

        Raises:
            CannotRunError: there is no such one.
        """
        name = os.environ.get("SUPPLY") or Choice.AUTO
        if name not in list(Choice):
            raise CannotRunError(f"SUPPLY is {name!r}; it may be {', '.join(Choice)}")
        return cls(choice=Choice(name))

    @cached_property
    def is_published(self) -> bool:
        """Whether images are pulled: somebody says so, or every registry answers."""
        if self.choice is not Choice.AUTO:
            return self.choice is Choice.PUBLISHED
        return registries_answer()

    def node_image(self) -> str:
        """Return the node image for kind, empty for kind's own choice; it is in the engine, or can be pulled.

        ``NODE_IMAGE`` names one, ``KUBERNETES_VERSION`` the version of the published one.

        Raises:
            CannotRunError: it cannot be had.
        """
        named = os.environ.get("NODE_IMAGE", "")
        version = os.environ.get("KUBERNETES_VERSION", "").removeprefix("v")
        ours = KUBERNETES.removeprefix("v")
        if named:
            return named
        if self.is_published:
            if version and not re.fullmatch(r"\d+\.\d+\.\d+", version):
                raise CannotRunError(
                    f"KUBERNETES_VERSION is {version!r}, which is no release of Kubernetes as {ours} is one; "
                    "https://hub.docker.com/r/kindest/node/tags has those that there are"
                )
            return f"kindest/node:v{version}" if version else ""
        if version not in ("", ours, ours.rpartition(".")[0]):
            raise CannotRunError(
                f"the air-gapped supply has Kubernetes {ours}, and KUBERNETES_VERSION is {version!r}; "
                "unset it, or name an image that is in the engine in NODE_IMAGE"
            )
        reference = node.node_reference()
        if not in_engine(reference):
            build(self.store, [node.node_image()])
            archive = self.store.path(node.node_image())
            _docker(
                "load", "--quiet", "--input", str(archive),
                problem=f"the node image {archive} cannot be loaded into the engine",
                way_out="`docker info` says whether it has room and is well",
            )  # fmt: skip
            remove_nodes(but=reference)
        return reference

    def sources(self, references: Iterable[str]) -> list[Source]:
        """Return where each image comes from; what has to be pulled or built is then there.

        ``BINDERHUB_IMAGE`` names what runs as BinderHub: an image in the engine, or an archive of one.

        Raises:
            CannotRunError: an image cannot be had.
        """
        wanted = list(dict.fromkeys(references))
        # The git server needs git and Python, which BinderHub's image has.
        with_git = next((one for one in wanted if one.startswith(f"{BINDERHUB}:")), "")
        published = {GIT_SERVER: with_git, BASE: _PUBLISHED_BASE}
        found = {one: self._in_engine(one, published.get(one, one)) for one in wanted}
        parts = {one: _stand_in(one) for one in wanted if found[one] is None}
        build(self.store, parts.values())
        return [
            found[one] or Source(one, self.store.path(parts[one]), one, is_stand_in=True) for one in wanted
        ]

    def _in_engine(self, reference: str, published: str) -> Source | None:
        """Return the image in the engine, pulled where that is possible, None where a stand-in has to do."""
        own = os.environ.get("BINDERHUB_IMAGE", "")
        if own and reference.startswith(f"{BINDERHUB}:"):
            return _given(reference, own)
        if self.choice is Choice.AIRGAP:
            return None
        if not in_engine(published):
            if not self.is_published:
                return None
            _docker(
                "pull", "--quiet", published,
                problem=f"{published} cannot be pulled",
                way_out="SUPPLY=airgap builds what stands in for it",
            )  # fmt: skip
        return Source(reference, None, published)


def registries_answer() -> bool:
    """Tell whether every registry of the published images answers."""
    with ThreadPoolExecutor() as pool:
        return all(pool.map(_answers, _REGISTRIES))


def in_engine(reference: str) -> bool:
    """Tell whether the engine has an image of this name."""
    found = subprocess.run(["docker", "image", "inspect", reference], capture_output=True, check=False)
    return found.returncode == 0


def remove_nodes(*, but: str = "") -> None:
    """Remove the node images of other commits from the engine, but for those of clusters that are there."""
    listing = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", node.REPOSITORY]
    listed = subprocess.run(listing, capture_output=True, text=True, check=False).stdout.split()
    for reference in set(listed) - {but}:
        # The engine refuses where a container has it.
        subprocess.run(["docker", "image", "rm", reference], capture_output=True, check=False)


def _given(reference: str, own: str) -> Source:
    """Return what ``BINDERHUB_IMAGE`` names."""
    file = Path(own)
    if file.is_file():
        return Source(reference, file, _name_in(file))
    if not in_engine(own):
        raise CannotRunError(
            f"BINDERHUB_IMAGE is {own}, which is neither an image in the engine nor a file; "
            f"pull or load it first, or name an archive of docker save"
        )
    return Source(reference, None, own)


def _name_in(archive: Path) -> str:
    """Return the first name of the first image in an archive of ``docker save``."""
    try:
        with tarfile.open(archive) as tar:
            member = tar.extractfile("manifest.json")
            manifest = json.load(member) if member else []
        return str(manifest[0]["RepoTags"][0])
    except (OSError, tarfile.TarError, KeyError, IndexError, TypeError, ValueError) as error:
        raise CannotRunError(
            f"BINDERHUB_IMAGE is {archive}, which names no image; make it with `docker save NAME:TAG`"
        ) from error


def _stand_in(reference: str) -> Part:
    name = reference.rpartition(":")[0]
    if name not in _STAND_INS:
        raise CannotRunError(
            f"{reference} is neither in the engine nor to be pulled, and nothing stands in for it; "
            "let this machine reach its registry, or load it into the engine"
        )
    return _STAND_INS[name](reference)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS):
            return True
    except urllib.error.HTTPError:
        # It wants a token, and so it is there.
        return True
    except OSError:
        return False


def _docker(*words: str, problem: str, way_out: str) -> None:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"docker {words[0]} says nothing"]
        raise CannotRunError(f"{problem} ({said[-1]}); {way_out}")
