"""What a run of the tests took, beside what it may take: the table at its end."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_GIB = 1024**3
_SAMPLE_SECONDS = 2
# Seconds on two cores with a warm cache, unless it says otherwise.
BOUNDS = {
    "cluster up": 60.0,
    "images loaded": 60.0,
    "overlay Ready": 45.0,
    "first build": 20.0,
    "whole suite": 900.0,
}
MEMORY_BOUND, DISK_BOUND = 12.0, 25.0


@dataclass
class Measures:
    """The figures of one run.

    Attributes:
        seconds: by stage, in the order in which they came.
        disk: where the cache and the cluster lie.
    """

    disk: Path
    seconds: dict[str, float] = field(default_factory=dict)
    memory: float = 0.0
    space: float = 0.0
    _done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Look at memory and disk from now on."""
        self._start = time.monotonic()
        self._memory, self._space = _memory_used(), _disk_used(self.disk)
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage."""
        start = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - start

    def finish(self) -> None:
        """Look no more."""
        self._done.set()
        self._sampler.join()
        self.seconds["whole suite"] = time.monotonic() - self._start

    def table(self) -> Iterator[str]:
        """Yield the lines of the table."""
        yield f"{'':30} {'took':>10} {'may take':>10}"
        for name, seconds in self.seconds.items():
            bound = f"{BOUNDS[name]:.0f} s" if name in BOUNDS else ""
            yield f"{name:30} {seconds:8.1f} s {bound:>10}".rstrip()
        for name, amount, most in (("memory", self.memory, MEMORY_BOUND), ("disk", self.space, DISK_BOUND)):
            yield f"{f'{name} beyond the start':30} {amount:6.1f} GiB {most:6.0f} GiB"

    def _sample(self) -> None:
        while not self._done.wait(_SAMPLE_SECONDS):
            self.memory = max(self.memory, (_memory_used() - self._memory) / _GIB)
            self.space = max(self.space, (_disk_used(self.disk) - self._space) / _GIB)


def _memory_used() -> float:
    """Return the bytes in use on this machine, 0 where it does not say."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return 0
    fields = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
    total, available = (int(fields[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    return total - available


def _disk_used(path: Path) -> float:
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).used
