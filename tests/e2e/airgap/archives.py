"""Image archives, written without an engine: what ``docker load`` and ``ctr images import`` read.

The format is that of ``docker save``: layers, a configuration for each image, and a manifest of both
(https://github.com/moby/docker-image-spec). Everything in it has one date and one owner, so that the
same content has the same digest wherever it is written.
"""

from __future__ import annotations

import io
import json
import platform
import stat
import tarfile
from dataclasses import dataclass, field
from hashlib import file_digest, sha256
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from tests.e2e.airgap.debian import EPOCH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

# What Docker and Debian call the processor of this machine.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Image:
    """One image of an archive.

    Attributes:
        references: its names, each with a tag.
        layers: tar archives, the lowest first.
        settings: more of its configuration, in Docker's words (``Entrypoint``, ``Cmd``, ``User`` ...).
    """

    references: Sequence[str]
    layers: Sequence[Path]
    settings: Mapping[str, Any] = field(default_factory=dict)


class Layer:
    """Writes one layer; a directory stands before what is in it."""

    def __init__(self, target: Path) -> None:
        """Begin the layer at ``target``."""
        self._tar = tarfile.open(target, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by __exit__
        self._known = {PurePosixPath("/"), PurePosixPath(".")}

    def __enter__(self) -> Layer:  # noqa: PYI034 - Self is for classes that are inherited from
        """Write, and close at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the archive."""
        self._tar.close()

    def directory(self, path: str, mode: int = 0o755) -> None:
        """Make a directory, and those above it."""
        at = PurePosixPath(path)
        if at in self._known:
            return
        self.directory(at.parent.as_posix())
        self._known.add(at)
        self._add(at, tarfile.DIRTYPE, mode)

    def file(self, path: str, content: bytes | Path, mode: int = 0o644) -> None:
        """Write a file."""
        at = PurePosixPath(path)
        self.directory(at.parent.as_posix())
        if isinstance(content, bytes):
            self._add(at, tarfile.REGTYPE, mode, io.BytesIO(content), len(content))
            return
        with content.open("rb") as source:
            self._add(at, tarfile.REGTYPE, mode, source, content.stat().st_size)

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link."""
        at = PurePosixPath(path)
        self.directory(at.parent.as_posix())
        self._add(at, tarfile.SYMTYPE, 0o777, target=target)

    def tree(self, path: str, source: Path) -> None:
        """Copy what is in a directory, executable files as such."""
        for file in sorted(source.rglob("*")):
            name = f"{path}/{file.relative_to(source).as_posix()}"
            if file.is_symlink():
                self.link(name, str(file.readlink()))
            elif file.is_dir():
                self.directory(name)
            elif file.suffix != ".pyc":
                self.file(name, file, 0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644)

    def _add(
        self,
        at: PurePosixPath,
        kind: bytes,
        mode: int,
        content: Any = None,
        size: int = 0,
        target: str = "",
    ) -> None:
        member = tarfile.TarInfo(at.as_posix().lstrip("/"))
        member.type, member.mode, member.mtime, member.size, member.linkname = kind, mode, EPOCH, size, target
        self._tar.addfile(member, content)


def write_archive(target: Path, images: Sequence[Image]) -> None:
    """Write one archive of these images; what several share is in it once."""
    digests = {path: _digest(path) for image in images for path in image.layers}
    configs: dict[str, bytes] = {}
    manifest = []
    for image in images:
        layers = [digests[path] for path in image.layers]
        config = json.dumps(_config(image, layers), sort_keys=True).encode()
        name = f"{sha256(config).hexdigest()}.json"
        configs[name] = config
        manifest.append(
            {
                "Config": name,
                "RepoTags": list(image.references),
                "Layers": [f"{digest}/layer.tar" for digest in layers],
            }
        )
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for digest, path in {digest: path for path, digest in digests.items()}.items():
            tar.add(path, f"{digest}/layer.tar", filter=_plain)
        for name, config in configs.items():
            _add_bytes(tar, name, config)
        _add_bytes(tar, "manifest.json", json.dumps(manifest).encode())


def _config(image: Image, layers: Sequence[str]) -> dict[str, Any]:
    created = "2026-01-01T00:00:00Z"
    return {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": created,
        "config": {"Env": [PATH], **image.settings},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in layers]},
        "history": [{"created": created, "created_by": "tests/e2e/airgap"} for _ in layers],
    }


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return file_digest(content, "sha256").hexdigest()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode, member.mtime = 0o644, EPOCH
    return member


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    tar.addfile(_plain(_sized(name, len(content))), io.BytesIO(content))


def _sized(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member
