"""Rendering an overlay with Kustomize: the only module that runs it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from validate.errors import CannotCheckError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VERSION = "5.8"
_PINNED = "5.8.1"
_MODULE = "sigs.k8s.io/kustomize/kustomize/v5"
# A rendering of 40 objects needs 35 MB in all: collecting garbage on the way is a third of its work.
_LESS_GARBAGE_COLLECTION = {"GOGC": "400"}
_WAY_OUT = f"run 'make setup' or 'go install {_MODULE}@v{_PINNED}', or set KUSTOMIZE to one"
_WRAPPER = "kustomization.yaml"
_SCHEMA = "merge-keys.json"
# Kustomize compares each object of an overlay with all others: 5,000 take half a minute, 10,000 two or more.
# What takes longer hangs, or will not end today.
_TIMEOUT_SECONDS = 300
_VERSION_TIMEOUT_SECONDS = 60


class Kustomize(NamedTuple):
    """A kustomize of the version that Argo CD uses.

    ``scratch`` is the directory for what is thrown away, the system's own where it is None: whoever
    names one removes it, and with it what an interrupted rendering left behind.
    """

    path: str
    scratch: str | None = None

    def start(self, root: Path, overlay: str, *, plain: bool = False) -> Build:
        """Start rendering ``overlay`` (relative to ``root``); it goes on while something else is done.

        A strategic-merge patch makes Kustomize parse its whole OpenAPI document, which is most of
        its time. A wrapper kustomization outside the repository gives it the part that matters
        instead; ``plain`` renders without the wrapper, as Argo CD does.
        """
        workspace = None if plain else _Workspace(root, overlay, self.scratch)
        target = str(root / overlay) if workspace is None else workspace.directory
        process = subprocess.Popen(  # noqa: S603 - our own tool, no shell
            [self.path, "build", target],
            env={**os.environ, **_LESS_GARBAGE_COLLECTION},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        return Build(root, overlay, process, workspace)

    def build(self, root: Path, overlay: str, *, plain: bool = False) -> str:
        """Return what ``overlay`` renders.

        Raises:
            SourceError: Kustomize refuses; with its own words.
        """
        return self.start(root, overlay, plain=plain).result()


class Build:
    """A rendering under way."""

    def __init__(
        self, root: Path, overlay: str, process: subprocess.Popen[bytes], workspace: _Workspace | None
    ) -> None:
        self.overlay = overlay
        self._root = root
        self._process = process
        self._workspace = workspace

    def result(self) -> str:
        """Wait for it and return the rendered YAML.

        Raises:
            SourceError: Kustomize refuses, or is not done within the limit.
        """
        try:
            output, errors = self._process.communicate(timeout=_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            problem = (
                f"is not rendered after {_TIMEOUT_SECONDS} s; look for a base that is fetched from "
                "elsewhere, or split what has many thousands of objects"
            )
            raise SourceError(f"{self.overlay}/{_WRAPPER}", 1, problem) from None
        finally:
            self.cancel()
        _pass_on_interrupt(self._process)
        if self._process.returncode != 0:
            words = _clean(errors.decode(errors="replace"), self._root)
            raise SourceError(f"{self.overlay}/{_WRAPPER}", 1, f"cannot be rendered: {words}")
        return output.decode()

    def cancel(self) -> None:
        """Stop it if it still runs, and leave nothing behind."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        if self._workspace is not None:
            self._workspace.remove()


class _Workspace:
    """A throw-away directory with a kustomization around an overlay."""

    def __init__(self, root: Path, overlay: str, scratch: str | None) -> None:
        self.directory = tempfile.mkdtemp(prefix="validate-", dir=scratch)
        # Kustomize refuses absolute paths to bases, and resolves links before it goes up.
        target = os.path.relpath((root / overlay).resolve(), os.path.realpath(self.directory))
        here = Path(self.directory)
        (here / _WRAPPER).write_text(
            f"resources: [{target!r}]\nopenapi: {{path: {_SCHEMA}}}\n", encoding="utf-8"
        )
        (here / _SCHEMA).write_bytes(_schema())

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


@contextmanager
def started(root: Path, overlays: Sequence[str]) -> Iterator[list[Build]]:
    """Give renderings of ``overlays`` that are under way; what is left of them ends with the block.

    The version of Kustomize is asked for beside them: nothing that it renders counts before
    :func:`find_kustomize` has the answer.

    Raises:
        CannotCheckError: there is no kustomize for it.
    """
    builds: list[Build] = []
    with tempfile.TemporaryDirectory(prefix="validate-") as scratch:
        version = _ask_version(_locate(root)) if overlays else None
        try:
            builds += (Kustomize(_locate(root), scratch).start(root, overlay) for overlay in overlays)
            yield builds
        finally:
            for build in builds:
                build.cancel()
            if version is not None:
                version.answer()


@cache
def _schema() -> bytes:
    return Path(__file__).with_name(_SCHEMA).read_bytes()


def locate_kustomize(root: Path) -> str | None:
    """Return the path of ``$KUSTOMIZE``, else of the one in ``.tools``, else of the one on the path."""
    candidates = [os.environ.get("KUSTOMIZE"), str(root / ".tools" / "kustomize"), shutil.which("kustomize")]
    return next((one for one in candidates if one and os.access(one, os.X_OK)), None)


@cache
def find_kustomize(root: Path) -> Kustomize:
    """Return the kustomize to use, once it has said that it is of the right version.

    Raises:
        CannotCheckError: there is none, or not of version 5.8.
    """
    path = _locate(root)
    found = re.search(r"\d+\.\d+\.\d+", _ask_version(path).answer())
    version = found.group() if found else "of an unknown version"
    if not version.startswith(VERSION + "."):
        problem = f"{path} is kustomize {version}, and Argo CD renders with {VERSION}"
        raise CannotCheckError(f"{problem}: what is checked would not be what is synced; {_WAY_OUT}")
    return Kustomize(path)


def _locate(root: Path) -> str:
    path = locate_kustomize(root)
    if path is None:
        raise CannotCheckError(f"kustomize is not installed; {_WAY_OUT}")
    return path


@cache
def _ask_version(path: str) -> _Version:
    return _Version(path)


class _Version:
    """What a kustomize says of its version: asked for at once, and waited for where it matters."""

    def __init__(self, path: str) -> None:
        command = [path, "version"]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own tool, no shell
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        except OSError as error:
            raise CannotCheckError(f"{path} cannot be run ({error.strerror}); {_WAY_OUT}") from None
        self._answer: str | None = None

    def answer(self) -> str:
        if self._answer is None:
            try:
                self._answer, _ = self._process.communicate(timeout=_VERSION_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._answer, _ = self._process.communicate()
            _pass_on_interrupt(self._process)
        return self._answer


def _pass_on_interrupt(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """Raise :class:`KeyboardInterrupt` where somebody interrupted the process, and so all of us."""
    if process.returncode == -signal.SIGINT:
        raise KeyboardInterrupt


# What Kustomize wraps around the sentence that matters, once per directory on the way.
_WRAPPING = re.compile(
    r"^(Error: |accumulating (resources|components): |accumulation err=|accumulateDirectory: |"
    r"recursed (accumulation|merging) (of|from) path '[^']*': |"
    r"(accumulating|merging) resources from '[^']*': |['\"]+)"
)
_SECOND_THOUGHT = re.compile(r"['\"\\]*: must build at directory: .*|['\"\\]+$")


def _clean(text: str, root: Path) -> str:
    """Return Kustomize's message in one line: the sentence that matters, with paths of the repository."""
    line = _SECOND_THOUGHT.sub("", " ".join(text.split()))
    shorter = _WRAPPING.sub("", line)
    while shorter != line:
        line, shorter = shorter, _WRAPPING.sub("", shorter)
    return line.replace(f"{root}/", "") or "kustomize says nothing"
