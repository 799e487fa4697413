"""Breaks the real overlays in every way that the operators know, and asks validate: ``make mutate``."""

from __future__ import annotations

import argparse
import os
import re
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tools.mutate import report
from tools.mutate.breaking import breaking
from tools.mutate.harmless import harmless
from tools.mutate.score import Score
from tools.mutate.sources import read_sources
from tools.mutate.survivors import read_reasons
from tools.mutate.trial import Bench
from validate.errors import CannotCheckError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.mutate.mutant import Mutant
    from tools.mutate.trial import Trial

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "detection.md"
_GOOD, _BAD, _IMPOSSIBLE = 0, 1, 2
_PROGRESS_EACH = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return 0 where enough is caught and nothing is noise, 1 where not, 2 where it cannot run."""
    parser = argparse.ArgumentParser(prog="tools.mutate", description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (%(default)s)")
    parser.add_argument(
        "--only",
        type=_pattern,
        default=re.compile(""),
        metavar="REGEX",
        help="only the edits in whose line of the report this is found; the page is not written then",
    )
    options = parser.parse_args(arguments)
    try:
        score = _run(options.jobs, options.only)
    except CannotCheckError as error:
        print(f"error: {error}", file=sys.stderr)
        return _IMPOSSIBLE
    print(report.text(score))
    complaints = list(score.complaints())
    for complaint in complaints:
        print(f"error: {complaint}", file=sys.stderr)
    if score.whole:
        PAGE.write_text(report.page(score), encoding="utf-8")
        print(f"written: {PAGE.relative_to(ROOT)}")
    return _BAD if complaints else _GOOD


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"no regular expression: {error}") from None


def _run(jobs: int, only: re.Pattern[str]) -> Score:
    reasons = read_reasons()
    bench = Bench(ROOT)
    sources = {file: text for file, text in read_sources(ROOT).items() if bench.knows(file)}
    chosen = [
        [one for one in made if only.search(str(one))] for made in (breaking(sources), harmless(sources))
    ]
    if not any(chosen):
        raise CannotCheckError(f"no edit has {only.pattern!r} in its line")
    broken, kept = (_tried(bench, mutants, jobs) for mutants in chosen)
    return Score(broken, kept, reasons, whole=not only.pattern, cpu_seconds=_cpu_seconds())


def _cpu_seconds() -> float:
    """Return what this process and the ones that it has waited for took of the processors."""
    spent = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def _tried(bench: Bench, mutants: Sequence[Mutant], jobs: int) -> list[Trial]:
    """Return the trials in the order of the mutants; say on stderr how far they are."""
    trials = []
    for trial in bench.try_all(mutants, jobs):
        trials.append(trial)
        if len(trials) % _PROGRESS_EACH == 0 or len(trials) == len(mutants):
            print(f"{len(trials)} of {len(mutants)} edits tried", file=sys.stderr)
    order = {str(mutant): number for number, mutant in enumerate(mutants)}
    return sorted(trials, key=lambda trial: order[str(trial.mutant)])


if __name__ == "__main__":
    sys.exit(main())
