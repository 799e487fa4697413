"""What has to be there before a cluster is made: an engine, room, free ports, no cluster of that name."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.airgap.engine import Engine, engine_answers, engine_is_forbidden
from tests.e2e.errors import CannotRunError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.airgap.store import Store

_GIB = 1024**3
# Measured on the whole suite: what it takes of each at its peak, and a little more.
DISK_GIB, MEMORY_GIB, INOTIFY_INSTANCES = 15, 5, 75
_PROC = Path("/proc")
_INOTIFY = "anon_inode:inotify"


def require_room(store: Store) -> None:
    """Check that disk and memory suffice.

    Raises:
        CannotRunError: they do not.
    """
    _require_disk(store.directory, "make room, or name another disk in BINDERHUB_SERVICE_CACHE")
    data = _data_of_the_engine()
    if data and data.exists():
        _require_disk(data, "make room; `docker system prune` removes what the engine does not use")
    available = _available_memory()
    if available is not None and available < MEMORY_GIB:
        raise CannotRunError(
            f"{available:.1f} GiB of memory are available, and the cluster takes {MEMORY_GIB}; "
            "end something that takes much"
        )
    instances = _free_inotify_instances()
    if instances is not None and instances < INOTIFY_INSTANCES:
        raise CannotRunError(
            f"{instances} inotify instances are left to root, and the nodes take {INOTIFY_INSTANCES} "
            "(https://kind.sigs.k8s.io/docs/user/known-issues/#pod-errors-due-to-too-many-open-files); "
            "end another cluster, or `sysctl fs.inotify.max_user_instances=512`"
        )


def _require_disk(at: Path, way_out: str) -> None:
    while not at.exists():
        at = at.parent
    free = shutil.disk_usage(at).free / _GIB
    if free < DISK_GIB:
        raise CannotRunError(
            f"{free:.1f} GiB are free at {at}, and the cluster and its images take {DISK_GIB}; {way_out}"
        )


def _data_of_the_engine() -> Path | None:
    """Return where the engine keeps images and nodes, None where it does not say; it may be elsewhere."""
    asked = subprocess.run(
        ["docker", "info", "--format", "{{.DockerRootDir}}"], capture_output=True, text=True, check=False
    )
    return Path(asked.stdout.strip()) if asked.stdout.strip() else None


def require_port(port: int, variable: str) -> None:
    """Check that a port of the loopback address can be had.

    Raises:
        CannotRunError: something listens there, or it is not for everybody.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CannotRunError(
                f"port {port} cannot be had ({error.strerror}); {variable}={free_port()} would do"
            ) from error


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_engine(store: Store) -> Engine | None:
    """Make the docker command reach an engine: the one that it finds, else our own, started here.

    Returns our own, for whoever has to stop it.

    Raises:
        CannotRunError: there is no docker command, or no engine that could be started.
    """
    if shutil.which("docker") is None:
        raise CannotRunError(
            "the docker command is not installed; install Docker (https://docs.docker.com/engine/install/)"
        )
    own = Engine(store.directory / "engine")
    if os.environ.get("DOCKER_HOST") != own.host and engine_answers():
        return None
    if engine_is_forbidden():
        raise CannotRunError(
            "there is a Docker engine, and this user may not use it; join the group docker "
            "(`sudo usermod --append --groups docker $USER`, then log in again), or run this as root"
        )
    if os.environ.get("DOCKER_HOST") not in (None, "", own.host):
        raise CannotRunError(
            f"no Docker engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}; "
            "start it, or unset DOCKER_HOST"
        )
    own.start()
    os.environ["DOCKER_HOST"] = own.host
    return own


@contextmanager
def engine(store: Store, *, keep: bool = False) -> Iterator[None]:
    """Have an engine; one that was started for this is stopped at the end, unless it is to be kept."""
    running = bool(engine_answers(Engine(store.directory / "engine").host))
    before = os.environ.get("DOCKER_HOST")
    own = find_engine(store)
    try:
        yield
    finally:
        if own and not running and not keep:
            own.stop()
        os.environ.pop("DOCKER_HOST", None)
        if before is not None:
            os.environ["DOCKER_HOST"] = before


def _free_inotify_instances() -> int | None:
    """Return how many inotify instances root may still have, None where nobody may count them."""
    limit = _PROC / "sys" / "fs" / "inotify" / "max_user_instances"
    if os.geteuid() != 0 or not limit.exists():
        return None
    used = 0
    for process in _PROC.glob("[0-9]*"):
        # One that ends meanwhile has none.
        with suppress(OSError):
            if process.stat().st_uid == 0:
                used += sum(str(one.readlink()) == _INOTIFY for one in (process / "fd").iterdir())
    return int(limit.read_text(encoding="ascii")) - used


def _available_memory() -> float | None:
    """Return the GiB that new processes may take, None where the machine does not say."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return None
    for line in meminfo.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024 / _GIB
    return None
