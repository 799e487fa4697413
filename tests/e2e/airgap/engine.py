"""A Docker engine of our own, where the machine has the program and no engine that answers.

Its data lie in the cache, so that an image that was loaded once is there the next time. It is started
and stopped by its process id; whoever has an engine never meets this one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from tests.e2e.errors import CannotRunError

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_SECONDS = 60
_STOP_SECONDS = 90
_ANSWER_SECONDS = 20
_CAP_SYS_RESOURCE = 24
_RUNTIME = Path(__file__).parent / "engine" / "runc-without-sys-resource"


def engine_answers(host: str | None = None) -> str:
    """Return the version of the engine at ``host`` (None: that of the docker command), or nothing."""
    environment = {**os.environ, **({"DOCKER_HOST": host} if host else {})}
    try:
        asked = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            env=environment, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False,
        )  # fmt: skip
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


@dataclass(frozen=True)
class Engine:
    """The engine whose data are in one directory."""

    directory: Path

    @property
    def host(self) -> str:
        """What ``DOCKER_HOST`` is for it."""
        # The path of a socket may have 107 bytes, and a cache can lie deep.
        return "unix:///run/binderhub-service/engine.sock"

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
        self.directory.mkdir(parents=True, exist_ok=True)
        Path("/run/binderhub-service").mkdir(exist_ok=True)
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                ["dockerd", *self._options()], stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        deadline = time.monotonic() + _START_SECONDS
        while not engine_answers(self.host):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise CannotRunError(f"the Docker engine does not come up; its log is {self._log}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop the engine and wait until it is gone; nothing happens where it does not run."""
        pid = self._pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while self._pid() is not None:
            if time.monotonic() > deadline:
                raise CannotRunError(
                    f"the Docker engine (process {pid}) does not stop; its log is {self._log}"
                )
            time.sleep(0.2)

    def _pid(self) -> int | None:
        """Return the process id, where that process is still a dockerd of this directory."""
        try:
            pid = int(self._pid_file.read_text(encoding="ascii"))
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        return pid if f"--pidfile={self._pid_file}".encode() in words else None

    def _options(self) -> Iterator[str]:
        yield f"--host={self.host}"
        yield f"--data-root={self.directory / 'data'}"
        yield "--exec-root=/run/binderhub-service/engine"
        yield f"--pidfile={self._pid_file}"
        if not _may_give(_CAP_SYS_RESOURCE):
            yield f"--add-runtime=without-sys-resource={_RUNTIME}"
            yield "--default-runtime=without-sys-resource"


def _may_give(capability: int) -> bool:
    """Tell whether a privileged container can have the capability: whether it is in our bounding set."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapBnd:"):
            return bool(int(line.split()[1], 16) >> capability & 1)
    return True
