"""The cache: what the supply has built, each part under the hash of everything that it was made of.

A part is written beside its final name and renamed when it is whole, so an interrupted run leaves
nothing that a later one takes for finished. The cache is outside the clone: a new clone, and the next
commit, find what they have in common with the last one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from subprocess import STDOUT, Popen, TimeoutExpired
from typing import IO, TYPE_CHECKING

from tests.e2e.errors import CannotRunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# Of one part: more of them than commits that somebody goes to and fro between, and for as long as that lasts.
_KEPT = 4
_UNUSED_SECONDS = 30 * 24 * 3600
_LINES_OF_A_FAILURE = 15
_POLL_SECONDS = 0.2


def default_directory() -> Path:
    """Return ``binderhub-service`` in ``$BINDERHUB_SERVICE_CACHE``, or in the user's cache directory.

    It is always a directory of its own: ``make clean-cache`` removes it whole.
    """
    named = os.environ.get("BINDERHUB_SERVICE_CACHE") or os.environ.get("XDG_CACHE_HOME")
    return (Path(named).absolute() if named else Path.home() / ".cache") / "binderhub-service"


@dataclass(frozen=True)
class Part:
    """One thing that the supply is made of, and how it comes to be.

    Attributes:
        name: of the file or directory, without the hash.
        title: what is built, for the person who waits for it.
        minutes: how long that took on two cores, from nothing.
        build: writes it.
        inputs: everything that decides what comes out: text, files, directories.
        needs: the parts that it is made of.
    """

    name: str
    title: str
    minutes: float
    build: Callable[[Workbench], None]
    inputs: tuple[str | Path, ...]
    needs: tuple[Part, ...] = ()

    @cached_property
    def key(self) -> str:
        """Twelve digits that change when anything does that the part is made of."""
        digest = sha256(self.name.encode())
        for text in self._contents():
            digest.update(len(text).to_bytes(8, "big"))
            digest.update(text)
        return digest.hexdigest()[:12]

    def _contents(self) -> Iterator[bytes]:
        for part in self.needs:
            yield part.key.encode()
        for given in self.inputs:
            if isinstance(given, str):
                yield given.encode()
                continue
            for file in sorted(given.rglob("*")) if given.is_dir() else [given]:
                if file.is_file() and file.suffix != ".pyc":
                    yield file.relative_to(given.parent).as_posix().encode()
                    yield file.read_bytes()
                    if file.stat().st_mode & stat.S_IXUSR:
                        yield b"executable"


@dataclass(frozen=True)
class Workbench:
    """What the builder of a part has.

    Attributes:
        target: the file or directory to write.
        scratch: an empty directory, removed afterwards.
        made: the parts that it needs, by name.
        log: what the commands print.
        key: that of the part.
        stopping: whether to end what runs, since nobody waits for it any more.
    """

    target: Path
    scratch: Path
    made: Mapping[str, Path]
    log: IO[bytes]
    key: str
    stopping: threading.Event

    def run(
        self, *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        """Run a command, its output in the log, ``env`` added to the environment.

        Raises:
            CannotRunError: it cannot be started, fails, or was stopped.
        """
        words = [str(word) for word in command]
        self.log.write(f"$ {' '.join(words)}\n".encode())
        self.log.flush()
        try:
            process = Popen(words, cwd=cwd, env={**os.environ, **(env or {})}, stdout=self.log, stderr=STDOUT)
        except FileNotFoundError as error:
            raise CannotRunError(
                f"{words[0]} is not installed, and the air-gapped supply needs it; "
                "tests/e2e/airgap/README.md says what it needs"
            ) from error
        status = self._wait(process)
        if status:
            raise CannotRunError(f"{words[0]} failed (exit status {status})")

    def _wait(self, process: Popen[bytes]) -> int:
        try:
            while not self.stopping.is_set():
                with suppress(TimeoutExpired):
                    return process.wait(_POLL_SECONDS)
        finally:
            process.terminate()
            process.wait()
        raise CannotRunError("interrupted")

    def output(self, *command: str | Path) -> str:
        """Run a command and return what it prints.

        Raises:
            CannotRunError: as ``run``.
        """
        printed = self.scratch / "output"
        with printed.open("wb") as output:
            replace(self, log=output).run(*command)
        return printed.read_text(encoding="utf-8").partition("\n")[2]


@dataclass(frozen=True)
class Store:
    """The directory that parts are kept in."""

    directory: Path

    def path(self, part: Part) -> Path:
        """Return where the part is, once it is built."""
        return self.directory / f"{part.name}-{part.key}"

    def has(self, part: Part) -> bool:
        """Tell whether the part is there, and note that it was wanted."""
        path = self.path(part)
        if not path.exists():
            return False
        # A cache that is somebody else's, or read-only, does as well.
        with suppress(OSError):
            os.utime(path)
        return True

    def keep(self, part: Part, stopping: threading.Event | None = None) -> Path:
        """Return the part; build it first where it is not there, one process at a time, until ``stopping``.

        Raises:
            CannotRunError: it cannot be built; the message has the end of the log.
        """
        path = self.path(part)
        if self.has(part):
            return path
        stopping = stopping or threading.Event()
        with self._locked(part.name, stopping):
            if self.has(part):
                return path
            new, scratch = (self.directory / f"{part.name}.{what}" for what in ("new", "scratch"))
            log = self.directory / f"{part.name}.log"
            try:
                _remove(new, scratch)
                scratch.mkdir()
                with log.open("wb") as output:
                    made = {needed.name: self.path(needed) for needed in part.needs}
                    part.build(Workbench(new, scratch, made, output, part.key, stopping))
                os.utime(new)
                new.rename(path)
            except CannotRunError as error:
                raise CannotRunError(f"{part.title}: {error}; {_end_of(log)}") from error
            except OSError as error:
                raise CannotRunError(
                    f"{part.title} cannot be written into {self.directory} ({error.strerror or error}); "
                    "make room there, or name another directory in BINDERHUB_SERVICE_CACHE"
                ) from error
            finally:
                _remove(new, scratch)
            self._forget_unused(part)
        return path

    @contextmanager
    def _locked(self, name: str, stopping: threading.Event) -> Iterator[None]:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = (self.directory / f"{name}.lock").open("w")
        except OSError as error:
            raise CannotRunError(
                f"the cache {self.directory} cannot be written ({error.strerror}); "
                "name another directory in BINDERHUB_SERVICE_CACHE"
            ) from error
        with lock:
            while not _is_free(lock):
                if stopping.wait(_POLL_SECONDS):
                    raise CannotRunError(f"interrupted while another process builds {name}")
            yield

    def _forget_unused(self, part: Part) -> None:
        """Remove what other commits made of this part, but for the few that were wanted last and lately."""
        pattern = f"{part.name}-{'[0-9a-f]' * len(part.key)}"
        last_wanted = {path: path.stat().st_mtime for path in self.directory.glob(pattern)}
        for rank, path in enumerate(sorted(last_wanted, key=lambda path: -last_wanted[path])):
            if rank >= _KEPT or time.time() - last_wanted[path] > _UNUSED_SECONDS:
                _remove(path)


def _is_free(lock: IO[str]) -> bool:
    """Take the lock, unless another process, or thread, has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(*paths: Path) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _end_of(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES_OF_A_FAILURE:]
    return "\n".join([f"the log {log} ends with", *(f"  {line}" for line in lines)])
