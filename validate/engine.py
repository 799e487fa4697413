"""The engine: every overlay in turn from its files to its report, then what they have in common.

Workers take whole overlays and hand back plain data; the parent keeps a report of each overlay and
the facts that repository rules asked for, never an overlay.
"""

from __future__ import annotations

import os
from collections import deque
from datetime import date
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from validate.argocd.applications import barren_generators, read_applications
from validate.cluster.facts import no_facts, read_facts
from validate.errors import CannotCheckError, SourceError
from validate.finding import OverlayReport, Report, Waived
from validate.judge import Checked, in_order, judge_overlay, judge_repository, obstacle, waive
from validate.kustomize.render import find_kustomize
from validate.kustomize.unread import unread_files
from validate.overlay import Overlay, Repository
from validate.rules import RULES
from validate.rules.invalid_waiver import InvalidWaiver
from validate.rules.rule import Severity
from validate.trace import trace_build
from validate.waivers import read_waivers
from validate.workers import Workers, cores

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from validate.argocd.applications import SyncedPath
    from validate.cache import Cache
    from validate.cluster.facts import ClusterFacts
    from validate.discover import Checkout
    from validate.finding import Finding
    from validate.kustomize.render import Build
    from validate.rules.rule import Rule

_FACTS = "cluster.yaml"
_ARGOCD = "argocd"
# A further process costs a fork and all that it has to load for itself: about one overlay.
_FEWEST_EACH = 2
# How many overlays Kustomize renders while another one is judged.
_AHEAD = 1


def check(  # noqa: PLR0913 - all but two are named, and have defaults
    checkout: Checkout,
    overlays: Sequence[str],
    *,
    rules: Sequence[type[Rule]] = RULES,
    fail_on: Severity = Severity.ERROR,
    processes: int | None = None,
    started: Sequence[Build] = (),
    cache: Cache | None = None,
) -> Report:
    """Judge ``overlays`` by ``rules``, in at most that many processes (None: one for each core).

    ``fail_on`` is the least severity of a finding that makes the run fail.
    ``started`` are renderings of some of them, begun before all this was imported; they are judged in
    this process, the others in workers. With a ``cache``, made for the same rules, what has not changed
    since it was last judged is not judged again.

    Raises:
        CannotCheckError: nothing at all can be checked, as without Kustomize.
    """
    rules = in_order(rules)
    gathered = gather(checkout, overlays, rules=rules, processes=processes, started=started, cache=cache)
    return replace(conclude(checkout, gathered, rules=rules), fail_on=fail_on)


class Gathered(NamedTuple):
    """What there is to be judged together.

    Attributes:
        checked: what each overlay gives by itself, by name.
        synced: what Argo CD syncs; None without ``argocd/``, or where it cannot be read.
        unreadable: why it cannot be read.
    """

    checked: Sequence[Checked]
    synced: tuple[SyncedPath, ...] | None = None
    unreadable: SourceError | None = None


def gather(  # noqa: PLR0913 - as check
    checkout: Checkout,
    overlays: Sequence[str],
    *,
    rules: Sequence[type[Rule]] = RULES,
    processes: int | None = None,
    started: Sequence[Build] = (),
    cache: Cache | None = None,
) -> Gathered:
    """Judge each of ``overlays`` by itself; the arguments are those of :func:`check`."""
    known = cache.restore(overlays) if cache else {}
    begun = {build.overlay for build in started}
    rest = [name for name in overlays if name not in known and name not in begun]
    number = _workers(processes or cores(), len(rest), busy=bool(started))
    with TemporaryDirectory(prefix="validate-") as scratch:
        start = _start(checkout.root, scratch, [*begun, *rest])
        judge = partial(_keep_checked, checkout.root, rules, cache)
        with Workers(partial(check_overlays, start, judge), rest, number) as workers:
            synced, unreadable = read_synced(checkout.root)
            own = [judge(build) for build in started]
            checked = sorted([*known.values(), *own, *workers], key=lambda one: one.report.name)
    if cache and (begun or rest):
        cache.prune()
    return Gathered(checked, synced, unreadable)


def conclude(checkout: Checkout, gathered: Gathered, *, rules: Sequence[type[Rule]] = RULES) -> Report:
    """Judge what overlays have in common, and what is waived; return all that was found.

    Raises:
        SourceError: the waivers cannot be read.
    """
    checked, synced, unreadable = gathered
    unrenderable = {one.report.name: one.unrenderable for one in checked if one.unrenderable}
    reads = {one.report.name: one.reads for one in checked if one.reads}
    repository = Repository(
        checkout.root,
        checkout.overlays,
        unrenderable,
        synced,
        barren=barren_generators(checkout.root, _ARGOCD) if synced is not None else (),
        reads=reads,
        unread=_unread(checkout, reads),
        waivers=read_waivers(checkout.root),
        rules={rule.id: rule.waived_with for rule in RULES},
    )
    facts = {one.report.name: one.facts for one in checked}
    common = judge_repository(repository, facts, [rule for rule in rules if rule is not InvalidWaiver])
    (*reports, common), waived = _settle([*(one.report for one in checked), common], repository, rules)
    # An ApplicationSet reads files of overlays: what is wrong with those is a finding already.
    new = unreadable and unreadable.file not in {error.file for error in unrenderable.values()}
    return Report(
        overlays=tuple(reports),
        repository=common,
        waived=waived,
        obstacles=(str(unreadable),) if new else (),
        notes=tuple(_notes(checkout, reports)),
    )


def _notes(checkout: Checkout, reports: Iterable[OverlayReport]) -> Iterator[str]:
    """Yield what was not looked at; what is the same in several overlays once."""
    for name in checkout.unfinished:
        yield f"{name} has no kustomization.yaml and was not checked"
    overlays: dict[str, list[str]] = {}
    for report in reports:
        for note in report.notes:
            overlays.setdefault(note, []).append(report.name)
    for note, names in overlays.items():
        yield f"{', '.join(names)}: {note}"


def _unread(checkout: Checkout, reads: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """Return the manifests that are part of nothing, where what every overlay reads is known."""
    if not reads.keys() >= set(checkout.overlays):
        return ()
    return unread_files(checkout.root, checkout.overlays, frozenset().union(*reads.values()))


def _workers(jobs: int, overlays: int, *, busy: bool) -> int:
    """Return how many processes to fork, none where this one does as well (``busy``: it has its own work)."""
    number = min(jobs, overlays // _FEWEST_EACH)
    if busy and jobs > 1 and overlays:
        return max(1, number)
    return number if number > 1 else 0


def _settle(
    parts: Sequence[OverlayReport], repository: Repository, rules: Iterable[type[Rule]]
) -> tuple[list[OverlayReport], tuple[Waived, ...]]:
    """Return the parts without what is waived, and that; the waivers are judged last, by what they did.

    The report of the repository is the last of the parts.
    """
    settled = [waive(part, repository.waivers, repository.today) for part in parts]
    waived = tuple(one for _, found in settled for one in found)
    *reports, common = [part for part, _ in settled]
    if InvalidWaiver in rules:
        judged = {(part.name, rule) for part in parts for rule in part.outcomes}
        used = {one.waiver for one in waived}
        idle = (one for one in repository.waivers if (one.overlay, one.rule) in judged and one not in used)
        last = judge_repository(replace(repository, idle_waivers=frozenset(idle)), {}, [InvalidWaiver])
        findings = common.findings + last.findings
        common = replace(common, outcomes={**common.outcomes, **last.outcomes}, findings=findings)
    return [*reports, common], waived


def _start(root: pathlib.Path, scratch: str, overlays: Sequence[str]) -> Callable[[str], Build]:
    """Return what starts a rendering; where there are ``overlays``, Kustomize is of the right version."""
    if overlays:
        find_kustomize(root)
    return lambda name: find_kustomize(root)._replace(scratch=scratch).start(root, name)


def _keep_checked(
    root: pathlib.Path, rules: Iterable[type[Rule]], cache: Cache | None, build: Build
) -> Checked:
    checked = check_overlay(root, build, rules)
    if cache:
        cache.keep(checked)
    return checked


def check_overlays(
    start: Callable[[str], Build], judge: Callable[[Build], Checked], overlays: Sequence[str]
) -> Generator[Checked, None, None]:
    """Yield what each overlay gives; Kustomize renders the next while one is judged."""
    under_way: deque[Build] = deque()
    try:
        for name in overlays:
            under_way.append(start(name))
            if len(under_way) > _AHEAD:
                yield judge(under_way.popleft())
        while under_way:
            yield judge(under_way.popleft())
    finally:
        for build in under_way:
            build.cancel()


def check_overlay(root: pathlib.Path, build: Build, rules: Iterable[type[Rule]]) -> Checked:
    """Return what the overlay of ``build`` gives, whatever is wrong with it."""
    return examine(root, build, rules)[1]


def examine(root: pathlib.Path, build: Build, rules: Iterable[type[Rule]]) -> tuple[Overlay | None, Checked]:
    """Return the overlay of ``build``, None where it cannot be read, and what it gives."""
    try:
        overlay = read_overlay(root, build)
    except SourceError as error:
        return None, Checked(OverlayReport(build.overlay), unrenderable=error)
    except Exception as error:  # noqa: BLE001 - one overlay does not hide what is found in the others
        problem = obstacle("reading", build.overlay, error)
        return None, Checked(OverlayReport(build.overlay, obstacle=problem))
    return overlay, judge_overlay(root, overlay, rules)


def examine_with_waivers(root: pathlib.Path, name: str) -> tuple[Overlay, tuple[Finding, ...]]:
    """Return an overlay, and what is found in it by itself and not waived.

    Raises:
        CannotCheckError: it cannot be rendered or read, or there is no Kustomize.
    """
    overlay, checked = examine(root, find_kustomize(root).start(root, name), in_order(RULES))
    if checked.unrenderable:
        raise checked.unrenderable
    if overlay is None:
        raise CannotCheckError(checked.report.obstacle)
    return overlay, waive(checked.report, read_waivers(root), date.today())[0].findings  # noqa: DTZ011 - the user's day


def read_overlay(root: pathlib.Path, build: Build) -> Overlay:
    """Return the overlay of ``build`` as rules look at it.

    Raises:
        SourceError: it cannot be rendered or read.
    """
    traced = trace_build(root, build)
    facts = _read_facts(root, build.overlay)
    overlay = Overlay(
        build.overlay, traced.objects, facts, traced.entries, traced.reads, traced.undone, traced.complete
    )
    # A fragment that cannot be read is the overlay's fault, not that of the first rule to ask for it.
    _ = overlay.config
    return overlay


def _read_facts(root: pathlib.Path, overlay: str) -> ClusterFacts:
    file = os.path.normpath(f"{overlay}/{_FACTS}")
    # What is there and is no file is an error.
    return read_facts(root, file) if os.path.lexists(root / file) else no_facts()


def read_synced(root: pathlib.Path) -> tuple[tuple[SyncedPath, ...] | None, SourceError | None]:
    """Return what Argo CD syncs, or why that is not known; neither where there is no ``argocd/``."""
    if not (root / _ARGOCD).is_dir():
        return None, None
    try:
        return read_applications(root, _ARGOCD), None
    except SourceError as error:
        return None, error
