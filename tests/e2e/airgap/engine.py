"""A Docker engine of our own, where the machine has the program and no engine that answers.

Its data lie in the cache, so that an image that was loaded once is there the next time. It is started
and stopped by its process id; whoever has an engine never meets this one.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree, which
from typing import TYPE_CHECKING

from tests.e2e.errors import CannotRunError

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_SECONDS = 60
_STOP_SECONDS = 90
_ANSWER_SECONDS = 20
_POLL_SECONDS = 0.2
_CAP_SYS_RESOURCE = 24
_NAME_LENGTH = 12
_RUNTIME = Path(__file__).parent / "engine" / "runc-without-sys-resource"
# By the directory of their data: to be waited for at their end, where that comes before ours.
_STARTED: dict[Path, subprocess.Popen[bytes]] = {}


def engine_answers(host: str | None = None) -> str:
    """Return the version of the engine at ``host`` (None: that of the docker command), or nothing."""
    asked = _ask(host)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def engine_is_forbidden() -> bool:
    """Tell whether the docker command finds an engine that this user may not use."""
    return "permission denied" in _ask(None).stderr


def _ask(host: str | None) -> subprocess.CompletedProcess[str]:
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    environment = {**os.environ, **({"DOCKER_HOST": host} if host else {})}
    try:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return subprocess.CompletedProcess(command, 1, "", "")


@dataclass(frozen=True)
class Engine:
    """The engine whose data are in one directory.

    Attributes:
        directory: of its data.
        runtimes: what holds the directory of its socket. The path of a socket may have 107 bytes, and a
            cache can lie deep.
    """

    directory: Path
    runtimes: Path = Path("/run/binderhub-service")

    @property
    def runtime(self) -> Path:
        """The directory of its socket, which no engine with other data has."""
        return self.runtimes / hashlib.sha256(bytes(self.directory)).hexdigest()[:_NAME_LENGTH]

    @property
    def host(self) -> str:
        """What ``DOCKER_HOST`` is for it."""
        return f"unix://{self.runtime / 'engine.sock'}"

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self._pid() is not None

    @property
    def _pid_file(self) -> Path:
        return self.directory / "dockerd.pid"

    @property
    def _log(self) -> Path:
        return self.directory / "dockerd.log"

    def start(self) -> None:
        """Start the engine where it does not run, and wait until it answers.

        Raises:
            CannotRunError: there is no dockerd, no permission, or the engine does not come up.
        """
        if engine_answers(self.host):
            return
        if which("dockerd") is None:
            raise CannotRunError(
                "no Docker engine answers, and there is none to start: start Docker, "
                "or on Debian run tests/e2e/airgap/install as root, and this starts one for itself"
            )
        if os.geteuid() != 0:
            raise CannotRunError(
                "no Docker engine answers, and only root can start one: start Docker, or run this as root"
            )
        process = self._run()
        try:
            self._wait_for(process)
        except BaseException:
            # Not killed: then its containerd would outlive it.
            process.terminate()
            process.wait(_STOP_SECONDS)
            raise
        _STARTED[self.directory] = process

    def _run(self) -> subprocess.Popen[bytes]:
        command = ["dockerd", *self._options()]
        try:
            for directory in (self.directory, self.runtime):
                directory.mkdir(parents=True, exist_ok=True)
            with self._log.open("wb") as log:
                return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        except OSError as error:
            raise CannotRunError(
                f"the Docker engine cannot be started: {error.filename}: {error.strerror}"
            ) from error

    def _wait_for(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not engine_answers(self.host):
            if process.poll() is not None or time.monotonic() > deadline:
                raise CannotRunError(
                    f"the Docker engine does not come up; the log {self._log} ends with: {self._last_words()}"
                )
            time.sleep(_POLL_SECONDS)

    def _last_words(self) -> str:
        said = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line for line in reversed(said) if line.strip()), "nothing")

    def stop(self) -> None:
        """Stop the engine and wait until it is gone; nothing happens where it does not run."""
        pid = self._pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while self._pid() is not None:
            if time.monotonic() > deadline:
                raise CannotRunError(
                    f"the Docker engine (process {pid}) does not stop; its log is {self._log}"
                )
            time.sleep(_POLL_SECONDS)
        if self.directory in _STARTED:
            _STARTED.pop(self.directory).wait()
        rmtree(self.runtime, ignore_errors=True)

    def _pid(self) -> int | None:
        """Return the process id, where that process is still a dockerd of this directory."""
        try:
            pid = int(self._pid_file.read_text(encoding="ascii"))
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if f"--pidfile={self._pid_file}".encode() in words else None

    def _options(self) -> Iterator[str]:
        yield f"--host={self.host}"
        yield f"--data-root={self.directory / 'data'}"
        yield f"--exec-root={self.runtime / 'engine'}"
        yield f"--pidfile={self._pid_file}"
        if not may_give(_CAP_SYS_RESOURCE):
            yield f"--add-runtime=without-sys-resource={_RUNTIME}"
            yield "--default-runtime=without-sys-resource"


def may_give(capability: int) -> bool:
    """Tell whether a privileged container can have the capability: whether it is in our bounding set."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapBnd:"):
            return bool(int(line.split()[1], 16) >> capability & 1)
    return True
