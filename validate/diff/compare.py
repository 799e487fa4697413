"""From two revisions to what the change between them does.

Only what a changed file reaches is rendered. Rules that compare overlays need the others as well, where
a reached overlay tells them something else than before: then, and only then, the others are checked too.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from validate.diff.causes import Causes, Side
from validate.diff.changes import ChangedFile, Comparison, How, OverlayChange
from validate.diff.checkouts import both_sides
from validate.diff.findings import match
from validate.diff.overlays import applications, argocd_effects, overlay_change
from validate.engine import Gathered, conclude, examine, gather, read_synced
from validate.finding import OverlayReport
from validate.git import Git
from validate.graph.picture import draw, settled
from validate.judge import Checked, in_order
from validate.kustomize.files import find_kustomization
from validate.kustomize.render import find_kustomize
from validate.rules import RULES
from validate.rules.rule import RepositoryRule, Severity
from validate.waivers import FILE as WAIVERS
from validate.waivers import read_waivers
from validate.workers import Workers, cores

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence

    from validate.argocd.applications import SyncedPath
    from validate.cache import Cache
    from validate.diff.checkouts import Tree
    from validate.finding import Finding, Report
    from validate.git import Revision
    from validate.kustomize.render import Build, Kustomize
    from validate.overlay import Overlay
    from validate.place import Json
    from validate.rules.rule import Rule

_ARGOCD = "argocd"
_FEWEST_EACH = 2
# Of two overlays, one of which went and one of which came, that are one that was renamed.
_ALIKE = 0.5


class Request(Struct, frozen=True):
    """What to compare, and how.

    Attributes:
        root: the repository.
        base: a revision; None for where the head left ``main``.
        head: a revision; None for what is checked out.
        processes: at most that many; None for one for each core.
        open_cache: opens the cache of a checkout, where there shall be one.
        fail_on: the least severity of a new finding that makes the run fail.
        pictures: whether to draw the overlays that differ.
    """

    root: pathlib.Path
    base: str | None = None
    head: str | None = None
    processes: int | None = None
    open_cache: Callable[[], Cache | None] = lambda: None
    fail_on: Severity = Severity.ERROR
    pictures: bool = False


class _Subject(NamedTuple):
    """An overlay to compare: what it is called on each side, empty where it is not there."""

    before: str
    after: str

    @property
    def name(self) -> str:
        return self.after or self.before


class _Compared(NamedTuple):
    """What becomes of an overlay, and what it gives on each side; None where it is not there."""

    change: OverlayChange
    before: Checked | None
    after: Checked | None


def compare(request: Request) -> Comparison:
    """Return what the change does.

    Raises:
        CannotCheckError: a revision does not exist, git cannot be read, or the head has no overlay.
    """
    git = Git.open(request.root)
    head = git.resolve(request.head) if request.head else None
    base = git.resolve(request.base) if request.base else git.merge_base(head)
    changed = git.changed(base, head)
    with both_sides(git, base, head) as (before, after):
        return _Comparing(before, after, changed, request).result(base, head)


class _Comparing:
    """Two sides, and the files that differ."""

    def __init__(self, before: Tree, after: Tree, changed: frozenset[str], request: Request) -> None:
        self.before = before
        self.after = after
        self.changed = changed
        self.request = request
        self.renames = renames(before, after)
        self.synced = (read_synced(before.root)[0] or (), read_synced(after.root)[0] or ())

    def result(self, base: Revision, head: Revision | None) -> Comparison:
        subjects = [*self.subjects()]
        compared = self.compared(subjects)
        reports = self.reports(compared)
        touched = {name for subject in subjects for name in subject}
        lost = {one.after.report.name for one in compared if one.after and one.after.unrenderable}
        found = match(reports[0].findings, reports[1].findings, self.renames)
        waived_before, waived = ([one.finding for one in report.waived] for report in reports)
        answered = match(waived_before, waived, self.renames)
        gone = match(found.fixed, waived, self.renames)
        shown = (*found.new, *found.unchanged)
        changes = [_with_marks(one, shown, found.new) for one in compared]
        changes += self.only_synced_otherwise({change.name for change in changes})
        return Comparison(
            base,
            head,
            files=tuple(self.files(subjects)),
            overlays=tuple(sorted(changes, key=lambda change: change.name)),
            untouched=len(set(self.after.overlays) - {change.name for change in changes}),
            new=found.new,
            # Of what does not render any more, nothing is known.
            fixed=tuple(one for one in gone.fixed if one.overlay not in lost),
            unchanged=tuple(one for one in found.unchanged if one.overlay in touched or not one.overlay),
            waived=tuple(one for one in reports[1].waived if one.finding in answered.new),
            obstacles=tuple(dict.fromkeys(each for report in reports for each in report.all_obstacles)),
            notes=tuple(
                f"{name} cannot be rendered now, so nothing of it is compared" for name in sorted(lost)
            ),
            fail_on=self.request.fail_on,
        )

    def subjects(self) -> Iterator[_Subject]:
        """Yield the overlays that a changed file reaches, those that come, and those that go."""
        former = {new: old for old, new in self.renames.items()}
        answered = self.answered_otherwise()
        for name in self.after.overlays:
            was = former.get(name, name if name in self.before.overlays else "")
            if was != name or name in answered or self.after.reach(name).meets(self.changed):
                yield _Subject(was, name)
        for name in self.before.overlays:
            if name not in self.after.overlays and name not in self.renames:
                yield _Subject(name, "")
        sides = [
            _ARGOCD if find_kustomization(one.root, _ARGOCD) else "" for one in (self.before, self.after)
        ]
        if any(sides) and any(file.startswith(f"{_ARGOCD}/") for file in self.changed):
            yield _Subject(*sides)

    def answered_otherwise(self) -> set[str]:
        """Return the overlays of waivers that come, go or change."""
        if WAIVERS not in self.changed:
            return set()
        old, new = (
            {
                (one.overlay, one.rule, one.object, one.reason, one.owner, one.expires)
                for one in read_waivers(side.root)
            }
            for side in (self.before, self.after)
        )
        return {overlay for overlay, *_ in old ^ new}

    def compared(self, subjects: Sequence[_Subject]) -> list[_Compared]:
        """Render both sides of each and compare them, in as many processes as that is worth."""
        if not subjects:
            return []
        kustomize = find_kustomize(self.request.root)
        processes = min(self.request.processes or cores(), len(subjects) // _FEWEST_EACH)
        with TemporaryDirectory(prefix="validate-") as scratch:
            work = partial(self.work, kustomize._replace(scratch=scratch))
            with Workers(work, subjects, processes if processes > 1 else 0) as workers:
                return sorted(workers, key=lambda one: one.change.name)

    def work(self, kustomize: Kustomize, subjects: Sequence[_Subject]) -> Generator[_Compared, None, None]:
        """Compare each; Kustomize renders the next while one is compared."""
        under_way: deque[tuple[_Subject, Build | None, Build | None]] = deque()

        def start(side: Tree, name: str) -> Build | None:
            return kustomize.start(side.root, name) if name and not side.lacking(name) else None

        try:
            for subject in subjects:
                under_way.append(
                    (subject, start(self.before, subject.before), start(self.after, subject.after))
                )
                if len(under_way) > 1:
                    yield self.one(*under_way.popleft())
            while under_way:
                yield self.one(*under_way.popleft())
        finally:
            for _, *builds in under_way:
                for build in builds:
                    if build is not None:
                        build.cancel()

    def one(self, subject: _Subject, old_build: Build | None, new_build: Build | None) -> _Compared:
        """Compare one overlay."""
        try:
            old, was = self.examined(self.before, subject.before, old_build)
        except BaseException:
            if new_build is not None:
                new_build.cancel()
            raise
        new, now = self.examined(self.after, subject.after, new_build)
        synced = [one for one in self.synced[1] if one.path == subject.after]
        before = [one for one in self.synced[0] if one.path == subject.before]
        causes = Causes(self.side(self.before, subject.before), self.side(self.after, subject.after))
        obstacles = tuple(self.obstacles(subject, was))
        if obstacles or (subject.before and old is None) or (subject.after and new is None):
            change = OverlayChange(subject.name, How.CHANGED, obstacles=obstacles)
        else:
            change = overlay_change(old, new, causes, synced)
        happens = change.effects
        if subject.name != _ARGOCD:
            happens += argocd_effects(before, synced, causes)
        apps = applications(synced or before)
        picture = draw(new, now.report.findings) if self.request.pictures and new and now else None
        return _Compared(replace(change, effects=happens, applications=apps, picture=picture), was, now)

    def examined(self, side: Tree, name: str, build: Build | None) -> tuple[Overlay | None, Checked | None]:
        """Return an overlay and what it gives; neither where it is not there, or git lacks a part of it."""
        if build is None:
            return None, None
        rules: Sequence[type[Rule]] = () if name == _ARGOCD else in_order(RULES)
        return examine(side.root, build, rules)

    def side(self, tree: Tree, name: str) -> Side:
        return Side(tree.root, name, tree.reach(name) if name else None)

    def obstacles(self, subject: _Subject, was: Checked | None) -> Iterator[str]:
        """Yield why a side is not known: the base, whatever the reason; the head, where git lacks a part."""
        for side, name in ((self.before, subject.before), (self.after, subject.after)):
            submodule = side.lacking(name) if name else None
            if submodule:
                yield (
                    f"{name} reads {submodule}, a submodule, of which this repository keeps nothing "
                    f"at {side.name}, so it is not compared; compare in a repository that has the files"
                )
        if was is not None and was.unrenderable is not None:
            yield (
                f"{subject.before} cannot be rendered at {self.before.name} ({was.unrenderable}), so every "
                "finding of the head counts as new, and no field is compared; name a revision where it can be"
            )

    def reports(self, compared: Sequence[_Compared]) -> tuple[Report, Report]:
        """Return what is found on each side; of the others, as far as it takes part."""
        own = [one for one in compared if one.change.name != _ARGOCD]
        others = [name for name in self.after.overlays if name not in {one.change.name for one in own}]
        told = self.told_by(others, own)
        sides = (
            (self.before, [one.before for one in own if one.before], self.synced[0]),
            (self.after, [one.after for one in own if one.after], self.synced[1]),
        )
        old, new = (
            conclude(side.checkout, self.gathered(side, [*checked, *told], synced))
            for side, checked, synced in sides
        )
        return old, new

    def gathered(self, side: Tree, checked: Sequence[Checked], synced: Sequence[SyncedPath]) -> Gathered:
        known = tuple(synced) if (side.root / _ARGOCD).is_dir() else None
        return Gathered(sorted(checked, key=lambda one: one.report.name), known, read_synced(side.root)[1])

    def told_by(self, others: Sequence[str], compared: Sequence[_Compared]) -> list[Checked]:
        """Return what the other overlays tell rules that compare, where one of ``compared`` tells otherwise.

        Where none does, a rule finds the same on both sides, and it is enough to know what they read.
        """
        rules = self.telling_otherwise(compared)
        if not rules or not others:
            return [Checked(OverlayReport(name), reads=self.after.reach(name).paths) for name in others]
        cache = self.request.open_cache() if self.request.head is None else None
        if cache is not None:
            return list(
                gather(self.after.checkout, others, cache=cache, processes=self.request.processes).checked
            )
        gathered = gather(
            self.after.checkout,
            others,
            rules=in_order(_with_required(rules)),
            processes=self.request.processes,
        )
        return list(gathered.checked)

    def telling_otherwise(self, compared: Sequence[_Compared]) -> list[type[Rule]]:
        """Return the rules about several overlays to which an overlay tells something else than before."""
        together = [rule for rule in RULES if issubclass(rule, RepositoryRule)]
        if any(file.startswith(f"{_ARGOCD}/") for file in self.changed):
            return list(together)
        return [
            rule
            for rule in together
            if any(_fact(one.before, rule) != _fact(one.after, rule) for one in compared)
        ]

    def only_synced_otherwise(self, known: Collection[str]) -> Iterator[OverlayChange]:
        """Yield the overlays that no changed file reaches and that Argo CD syncs in another way."""
        for name in self.after.overlays:
            old, new = ([one for one in side if one.path == name] for side in self.synced)
            if name in known or _as_synced(old) == _as_synced(new):
                continue
            causes = Causes(self.side(self.before, name), self.side(self.after, name))
            happens = argocd_effects(old, new, causes)
            if happens:
                yield OverlayChange(name, How.CHANGED, effects=happens, applications=applications(new))

    def files(self, subjects: Sequence[_Subject]) -> Iterator[ChangedFile]:
        """Yield what differs, each with what it reaches: overlays, or the Applications that it makes."""
        waived = self.answered_otherwise()
        for file in sorted(self.changed):
            reached = {
                subject.name
                for subject in subjects
                if (subject.after and self.after.reach(subject.after).meets([file]))
                or (subject.before and self.before.reach(subject.before).meets([file]))
                or (file == WAIVERS and subject.name in waived)
            }
            made = {
                f"Application {one.application}"
                for side in self.synced
                for one in side
                if one.place.origin.file == file
            }
            yield ChangedFile(file, (*sorted(reached - {_ARGOCD}), *sorted(made)))


def renames(before: Tree, after: Tree) -> dict[str, str]:
    """Return the overlays that were renamed, by their former names: most of their files are the same."""
    gone = [name for name in before.overlays if name not in after.overlays]
    come = [name for name in after.overlays if name not in before.overlays]
    if not (gone and come):
        return {}
    files = {
        name: _files(side.root / name) for side, those in ((before, gone), (after, come)) for name in those
    }
    scores = sorted(
        ((_alike(files[old], files[new]), old, new) for old in gone for new in come), reverse=True
    )
    found: dict[str, str] = {}
    for score, old, new in scores:
        if score >= _ALIKE and old not in found and new not in found.values():
            found[old] = new
    return found


def _files(directory: pathlib.Path) -> dict[str, bytes]:
    return {
        file.relative_to(directory).as_posix(): file.read_bytes()
        for file in directory.rglob("*")
        if file.is_file() and not file.is_symlink()
    }


def _alike(these: Mapping[str, bytes], those: Mapping[str, bytes]) -> float:
    same = sum(those.get(name) == content for name, content in these.items())
    return same / max(len(these), len(those), 1)


def _with_marks(one: _Compared, shown: Sequence[Finding], new: Sequence[Finding]) -> OverlayChange:
    """Return what becomes of an overlay, its picture marked with what is found and not waived."""
    picture = one.change.picture
    if picture is None or one.after is None:
        return one.change
    return replace(one.change, picture=settled(picture, one.after.report.findings, shown, new))


def _as_synced(synced: Sequence[SyncedPath]) -> list[tuple[str, Json]]:
    return [(one.application, one.spec) for one in synced]


def _fact(checked: Checked | None, rule: type[Rule]) -> object:
    return checked.facts.get(rule.id) if checked else None


def _with_required(rules: Sequence[type[Rule]]) -> list[type[Rule]]:
    """Return the rules and all that they wait for."""
    known = {rule.id: rule for rule in RULES}
    wanted = {rule.id for rule in rules}
    following = list(wanted)
    while following:
        new = set(known[following.pop()].requires) - wanted
        wanted |= new
        following += new
    return [rule for rule in RULES if rule.id in wanted]
