"""Trial: a mutant made in a scratch copy of the sources, and what validate says of it.

Validate reads a file once per process. So each mutant is judged in a process of its own, forked from
one that has loaded everything but the copy.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from tools.mutate.sources import DIRECTORIES
from validate import engine
from validate.discover import open_checkout
from validate.errors import CannotCheckError, SourceError
from validate.finding import NOT_CHECKED
from validate.kustomize.render import find_kustomize
from validate.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from tools.mutate.mutant import Mutant

_OURS = "this is a mistake in validate"
# These count for what they say, and not for what Kustomize makes of them.
_READ_AS_IT_IS = ("/cluster.yaml", "/waivers.yaml")
_DECIDES_WHAT_IS_READ = ("kustomization.yaml", *_READ_AS_IT_IS)


class Fate(StrEnum):
    """What became of a mutant."""

    CAUGHT = "caught"
    # It renders what the original renders: nothing is broken.
    EQUIVALENT = "equivalent"
    SURVIVED = "survived"
    # Validate itself broke.
    FAILED = "failed"


class Verdict(NamedTuple):
    """What validate says of some overlays.

    Attributes:
        rules: the rules with findings, and ``exit 2`` where something could not be checked.
        files: those that the findings name.
        words: the first finding, or the first thing that could not be checked.
    """

    rules: tuple[str, ...] = ()
    files: frozenset[str] = frozenset()
    words: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """A mutant and what became of it."""

    mutant: Mutant
    fate: Fate
    verdict: Verdict = Verdict()

    @property
    def located(self) -> bool:
        """Whether a finding names a file that the mutant changed."""
        return not self.verdict.files.isdisjoint(self.mutant.changes)


class Bench:
    """What all trials of a repository share: what each overlay reads and renders as it is.

    Raises:
        CannotCheckError: Kustomize is missing, or the repository is not clean to begin with.
    """

    def __init__(self, root: Path) -> None:
        self.overlays = open_checkout(root).overlays
        self.kustomize = find_kustomize(root)
        self.root = root
        self.reads: dict[str, frozenset[str]] = {}
        # This also loads what every trial needs.
        for name in self.overlays:
            verdict = judge(root, [name])
            if verdict.rules:
                raise CannotCheckError(f"{name} is not clean before any edit: {verdict.words}")
            self.reads[name] = engine.read_overlay(root, self.kustomize.start(root, name)).reads
        verdict = judge(root, self.overlays)
        if verdict.rules:
            raise CannotCheckError(f"the overlays are not clean before any edit: {verdict.words}")
        self.rendered = render(self, root, self.overlays)

    def readers(self, mutant: Mutant) -> list[str]:
        """Return the overlays that read a file of the mutant, all of them where none does."""
        readers = [
            name
            for name in self.overlays
            if any(file in self.reads[name] or file.startswith(f"{name}/") for file in mutant.changes)
        ]
        return readers or list(self.overlays)

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
    # Asked for once: each trial would ask it for its version again.
    os.environ["KUSTOMIZE"] = bench.kustomize.path
    find_kustomize(root)
    for mutant in mutants:
        with Workers(partial(_try, bench, root), [mutant], 1) as one:
            yield from one


def _try(bench: Bench, root: Path, mutants: Sequence[Mutant]) -> Generator[Trial, None, None]:
    for mutant in mutants:
        before = {file: _text(root / file) for file in mutant.changes}
        _write(root, mutant.changes)
        try:
            yield Trial(mutant, *_fate(bench, root, mutant))
        finally:
            _write(root, before)


def _fate(bench: Bench, root: Path, mutant: Mutant) -> tuple[Fate, Verdict]:
    """Judge one overlay, and the others only where nothing is found in it."""
    readers = bench.readers(mutant)
    chosen = readers[crc32(str(mutant).encode()) % len(readers)]
    verdict = judge(root, [chosen])
    if not verdict.rules:
        if not any(file.endswith(_READ_AS_IT_IS) or file.startswith("argocd/") for file in mutant.changes):
            rendered = render(bench, root, readers)
            if all(rendered[name] == bench.rendered[name] for name in readers):
                return Fate.EQUIVALENT, verdict
        # What no overlay reads, and who owns what, is only known where all of them are judged.
        everywhere = any(file.endswith(_DECIDES_WHAT_IS_READ) for file in mutant.changes)
        others = list(bench.overlays) if everywhere else readers
        verdict = judge(root, others) if others != [chosen] else verdict
    if _OURS in verdict.words:
        return Fate.FAILED, verdict
    return Fate.CAUGHT if verdict.rules else Fate.SURVIVED, verdict


def judge(root: Path, overlays: Sequence[str]) -> Verdict:
    """Return what validate says of ``overlays`` in the repository at ``root``."""
    try:
        report = engine.check(open_checkout(root), overlays, processes=1)
    except CannotCheckError as error:
        return Verdict(("exit 2",), words=str(error))
    obstacles = list(report.all_obstacles)
    findings = report.findings
    rules = sorted({finding.rule for finding in findings})
    if report.exit_status == NOT_CHECKED:
        rules.append("exit 2")
    files = {
        origin.file
        for finding in findings
        for place in (finding.at, *finding.related)
        for origin in place.writers
    }
    words = [*obstacles, *(f"{one.rule}: {one.at.origin}: {one.problem}" for one in findings)]
    return Verdict(tuple(rules), frozenset(files), words[0] if words else "")


def render(bench: Bench, root: Path, overlays: Sequence[str]) -> Mapping[str, str]:
    """Return what each of the overlays renders, or why it does not."""
    builds = {name: bench.kustomize.start(root, name) for name in overlays}
    rendered: dict[str, str] = {}
    for name, build in builds.items():
        try:
            rendered[name] = build.result()
        except SourceError as error:
            rendered[name] = str(error)
    return rendered


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
