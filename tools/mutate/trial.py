"""Trial: a mutant made in a scratch copy of the sources, and what validate says of it.

Validate reads a file once per process. So each mutant is judged in a process of its own, forked from
one that has loaded everything but the copy.
"""

from __future__ import annotations

import os
import posixpath
import shutil
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from zlib import crc32

from tools.compare import edited_lines
from tools.mutate.mutant import Kind
from tools.mutate.sources import DIRECTORIES, FILES
from validate import engine
from validate.discover import open_checkout
from validate.errors import CannotCheckError, SourceError
from validate.finding import Verdict
from validate.judge import in_order
from validate.kustomize.render import find_kustomize
from validate.rules import RULES
from validate.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from tools.mutate.mutant import Mutant
    from validate.engine import Gathered
    from validate.finding import Report
    from validate.judge import Checked
    from validate.kustomize.render import Build
    from validate.rules.rule import Rule

NEUTRAL = "."
_OURS = "this is a mistake in validate"
_ARGOCD = "argocd/"
# They count for what they say, and not for what Kustomize makes of them.
_NOT_RENDERED = ("cluster.yaml", "waivers.yaml")
_DECIDE_WHAT_IS_READ = ("kustomization.yaml", "kustomization.yml", *_NOT_RENDERED)


class Fate(StrEnum):
    """What became of a mutant."""

    # A rule has a finding.
    CAUGHT = "caught"
    # Validate says that it cannot check this: exit status 2.
    REFUSED = "refused"
    # It renders what the original renders, in every overlay: nothing is broken.
    UNCHANGED = "unchanged"
    SURVIVED = "survived"
    # Validate itself broke.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Trial:
    """A mutant and what became of it.

    Attributes:
        rules: those with a finding.
        in_file: a finding names a file that the mutant changed.
        at_line: a finding is at a line that the mutant changed.
        words: the first finding, or the first thing that could not be checked.
        silenced: rules that held before and have nothing to judge now.
    """

    mutant: Mutant
    fate: Fate
    rules: tuple[str, ...] = ()
    in_file: bool = False
    at_line: bool = False
    words: str = ""
    silenced: tuple[str, ...] = ()


class Bench:
    """What all trials of a repository share: what each overlay reads, renders and is found to be.

    ``rules`` are those that judge; to leave one out shows what only that one catches.

    Raises:
        CannotCheckError: Kustomize is missing, or the repository is not clean to begin with.
    """

    def __init__(self, root: Path, rules: Sequence[type[Rule]] = RULES) -> None:
        self.root = root
        self.rules = in_order(rules)
        self.kustomize = find_kustomize(root)
        self.overlays = (*open_checkout(root).overlays, NEUTRAL)
        # This also loads what every trial needs.
        gathered = self.gather(root, self.overlays)
        self.checked = _by_name(gathered)
        report = self.conclude(root, gathered)
        for words in _words(report):
            raise CannotCheckError(f"the overlays are not clean before any edit: {words}")
        self.holding = _holding(report)
        self.rendered = self.render(root, self.overlays)
        self.reads = {
            name: engine.read_overlay(root, self.kustomize.start(root, name)).reads for name in self.overlays
        }

    def gather(self, root: Path, overlays: Sequence[str]) -> Gathered:
        """Return what there is to be said of each of ``overlays`` in the copy at ``root``.

        Raises:
            CannotCheckError: nothing can be checked.
        """
        return engine.gather(open_checkout(root), overlays, rules=self.rules, processes=1)

    def conclude(self, root: Path, gathered: Gathered) -> Report:
        """Return what validate says of them, and of what they have in common.

        Raises:
            CannotCheckError: nothing can be checked.
        """
        return engine.conclude(open_checkout(root), gathered, rules=self.rules)

    def render(self, root: Path, overlays: Sequence[str]) -> Mapping[str, str]:
        """Return what each of the overlays renders, or why it does not."""
        builds = [self.kustomize.start(root, name) for name in overlays]
        return {build.overlay: _result(build) for build in builds}

    def knows(self, file: str) -> bool:
        """Whether an edit of a file can be judged: an overlay reads it, or validate does by itself."""
        by_itself = file.startswith(_ARGOCD) or file.endswith(_NOT_RENDERED)
        return by_itself or any(file in reads for reads in self.reads.values())

    def readers(self, mutant: Mutant) -> tuple[str, ...]:
        """Return the overlays that a file of the mutant is part of: the others are as they were."""
        return tuple(
            name
            for name in self.overlays
            if any(file in self.reads[name] or _is_beside(file, name) for file in mutant.changes)
        )

    def try_all(self, mutants: Sequence[Mutant], processes: int) -> Generator[Trial, None, None]:
        """Yield the trial of each mutant, in the order in which they are done."""
        with (
            TemporaryDirectory(prefix="mutate-") as scratch,
            Workers(partial(_share, self, Path(scratch)), mutants, processes) as workers,
        ):
            yield from workers


def _share(bench: Bench, scratch: Path, mutants: Sequence[Mutant]) -> Generator[Trial, None, None]:
    """Yield the trials of one worker, in a copy of its own."""
    root = (scratch / str(os.getpid())).resolve()
    for name in DIRECTORIES:
        shutil.copytree(bench.root / name, root / name)
    for name in FILES:
        shutil.copy(bench.root / name, root / name)
    # Asked for once: each trial would ask it for its version again.
    os.environ["KUSTOMIZE"] = bench.kustomize.path
    find_kustomize(root)
    for mutant in mutants:
        with Workers(partial(_tried, bench, root), [mutant], 1) as one:
            yield from one


def _tried(bench: Bench, root: Path, mutants: Sequence[Mutant]) -> Generator[Trial, None, None]:
    for mutant in mutants:
        before = {file: _text(root / file) for file in mutant.changes}
        _write(root, mutant.changes)
        try:
            yield _trial(bench, root, mutant)
        finally:
            _write(root, before)


def _trial(bench: Bench, root: Path, mutant: Mutant) -> Trial:
    """Judge one overlay that reads the file, and then, where nothing is found in it, whatever else may."""
    readers = bench.readers(mutant)
    chosen = readers[crc32(str(mutant).encode()) % len(readers) :][:1] if readers else ()
    # Which files nobody reads, and what Argo CD syncs, is known only where all overlays are judged.
    everything = not readers or any(file.endswith(_DECIDE_WHAT_IS_READ) for file in mutant.changes)
    try:
        first = bench.gather(root, chosen)
        report = bench.conclude(root, first) if chosen else None
        if report is None or (not _words(report) and (everything or mutant.kind is not Kind.HARMLESS)):
            others = bench.gather(root, [name for name in readers if name not in chosen])
            known = bench.checked if everything else {}
            checked = {**known, **_by_name(first), **_by_name(others)}
            report = bench.conclude(root, others._replace(checked=[*checked.values()]))
    except CannotCheckError as error:
        return Trial(mutant, Fate.REFUSED, words=str(error))
    if mutant.kind is not Kind.HARMLESS and _changes_nothing(bench, root, mutant, (chosen, readers)):
        return Trial(mutant, Fate.UNCHANGED)
    return _told(bench, report, mutant)


def _changes_nothing(bench: Bench, root: Path, mutant: Mutant, overlays: Iterable[Sequence[str]]) -> bool:
    """Whether the overlays render what they did, as far as that is what the mutant is about."""
    if any(file.endswith(_NOT_RENDERED) or file.startswith(_ARGOCD) for file in mutant.changes):
        return False
    return all(
        text == bench.rendered[name] for names in overlays for name, text in bench.render(root, names).items()
    )


def _by_name(gathered: Gathered) -> dict[str, Checked]:
    return {one.report.name: one for one in gathered.checked}


def _told(bench: Bench, report: Report, mutant: Mutant) -> Trial:
    words = _words(report)
    lines = {
        (file, line)
        for file, text in mutant.changes.items()
        for line in edited_lines(_text(bench.root / file) or "", text or "")
    }
    places = [at.origin for one in report.findings for at in (one.at, *one.related)]
    fate = Fate.SURVIVED
    if words:
        fate = Fate.CAUGHT if report.findings else Fate.REFUSED
    if any(_OURS in sentence for sentence in report.all_obstacles):
        fate = Fate.FAILED
    return Trial(
        mutant,
        fate,
        rules=tuple(sorted({finding.rule for finding in report.findings})),
        in_file=any(origin.file in mutant.changes for origin in places),
        at_line=any((origin.file, origin.line) in lines for origin in places),
        words=words[0] if words else "",
        silenced=tuple(sorted({rule for _, rule in _judged_before(bench, report) - _holding(report)})),
    )


def _words(report: Report) -> list[str]:
    findings = (f"{one.rule}: {one.at.origin}: {one.problem}" for one in report.findings)
    return [*report.all_obstacles, *findings]


def _holding(report: Report) -> set[tuple[str, str]]:
    """Return the rules that hold, or are waived, in each overlay."""
    kept = (Verdict.HOLDS, Verdict.WAIVED, Verdict.BREACHED)
    return {(part.name, rule) for part in report.overlays for verdict in kept for rule in part.rules(verdict)}


def _judged_before(bench: Bench, report: Report) -> set[tuple[str, str]]:
    names = {part.name for part in report.overlays}
    return {(name, rule) for name, rule in bench.holding if name in names}


def _result(build: Build) -> str:
    try:
        return build.result()
    except SourceError as error:
        return str(error)


def _is_beside(file: str, overlay: str) -> bool:
    """Whether a file stands in the directory of an overlay: facts are read, and not by Kustomize."""
    return posixpath.normpath(posixpath.dirname(file) or NEUTRAL) == overlay


def _text(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _write(root: Path, texts: Mapping[str, str | None]) -> None:
    for name, text in texts.items():
        file = root / name
        if text is None:
            file.unlink(missing_ok=True)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="")
