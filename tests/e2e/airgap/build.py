"""Builds the parts that are not in the cache: what is needed first, two at a time, and says how far it is."""

from __future__ import annotations

import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

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
        CannotRunError: a part cannot be built; what was built is kept, and what had begun is finished.
    """
    missing = missing_parts(store, wanted)
    if not missing:
        return
    minutes = sum(part.minutes for part in missing)
    _say(f"supply: {len(missing)} to build into {store.directory}, about {minutes:.0f} min on two cores")
    order = TopologicalSorter(missing)
    order.prepare()
    done = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        running: dict[Future[float], Part] = {}
        while order.is_active():
            # The longest first: it decides when all are done.
            for part in sorted(order.get_ready(), key=lambda part: -part.minutes):
                running[pool.submit(_keep, store, part)] = part
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                part = running.pop(future)
                try:
                    seconds = future.result()
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
                done += 1
                _say(f"  [{done}/{len(missing)}] {part.title}: {seconds:.0f} s")
                order.done(part)


def _keep(store: Store, part: Part) -> float:
    _say(f"  {part.title} ...")
    start = time.monotonic()
    store.keep(part)
    return time.monotonic() - start


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
