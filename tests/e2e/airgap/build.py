"""Builds the parts that are not in the cache: what is needed first, two at a time, and says how far it is."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.e2e.airgap.store import Part, Store

# A compiler takes every core there is; what unpacks packages takes one.
_AT_ONCE = 2


def missing_parts(store: Store, wanted: Iterable[Part]) -> dict[Part, set[Part]]:
    """Return the parts to build, each with those that have to be built before it.

    What a part is made of is needed only where the part itself is not there.
    """
    missing: dict[Part, set[Part]] = {}
    rest = list(wanted)
    while rest:
        part = rest.pop()
        if part not in missing and not store.has(part):
            missing[part] = {needed for needed in part.needs if not store.has(needed)}
            rest.extend(missing[part])
    return missing


def build(store: Store, wanted: Iterable[Part]) -> None:
    """Build what is missing of ``wanted``, and say so on stderr.

    Raises:
        CannotRunError: a part cannot be built. What was built is kept, and what had begun is stopped: it
            would be done after minutes, and Go keeps what it has compiled.
    """
    missing = missing_parts(store, wanted)
    if not missing:
        return
    minutes = sum(part.minutes for part in missing)
    _say(f"supply: {len(missing)} to build into {store.directory}, about {minutes:.0f} min on two cores")
    stopping = threading.Event()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            for done, (part, seconds) in enumerate(_built(pool, store, missing, stopping), 1):
                _say(f"  [{done}/{len(missing)}] {part.title}: {seconds:.0f} s")
        except BaseException:
            stopping.set()
            pool.shutdown(cancel_futures=True)
            raise


def _built(
    pool: Executor, store: Store, missing: Mapping[Part, set[Part]], stopping: threading.Event
) -> Iterator[tuple[Part, float]]:
    """Yield each part as it is built, and the seconds that it took."""
    order = TopologicalSorter(missing)
    order.prepare()
    running: dict[Future[float], Part] = {}
    while order.is_active():
        # The longest first: it decides when all are done.
        for part in sorted(order.get_ready(), key=lambda part: -part.minutes):
            running[pool.submit(_keep, store, part, stopping)] = part
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            part = running.pop(future)
            yield part, future.result()
            order.done(part)


def _keep(store: Store, part: Part, stopping: threading.Event) -> float:
    _say(f"  {part.title} ...")
    start = time.monotonic()
    store.keep(part, stopping)
    return time.monotonic() - start


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
