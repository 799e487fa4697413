"""What a run comes to: the table of what was checked, and the sentence with the exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.finding import CLEAN, NOT_CHECKED, Verdict
from validate.report.grouping import merged
from validate.rules.rule import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validate.finding import OverlayReport, Report

_RARE = (Verdict.WAIVED, Verdict.NOT_CHECKED)


def sentence(report: Report) -> str:
    """Return the one sentence that says what the exit status means."""
    errors, warnings = tally(report)
    counts = [count(number, noun) for number, noun in ((errors, "error"), (warnings, "warning")) if number]
    what = " and ".join(counts) or "no finding"
    rules = {rule for part in report.parts for rule in part.outcomes}
    scope = f"{what} in {count(len(report.overlays), 'overlay')}, judged by {count(len(rules), 'rule')}"
    return f"{scope}: {_meaning(report, errors, warnings)} (exit status {report.exit_status})"


def tally(report: Report) -> tuple[int, int]:
    """Return how many errors there are and how many warnings; one that overlays share is one."""
    found = [finding for _, finding in merged(report.findings)]
    errors = sum(finding.severity is Severity.ERROR for finding in found)
    return errors, len(found) - errors


def table(report: Report) -> list[list[str]]:
    """Return what was checked, as rows of cells: a heading, each overlay, and the repository."""
    verdicts = [one for one in Verdict if one not in _RARE or any(part.rules(one) for part in report.parts)]
    return [["checked", "objects", *verdicts], *(_row(part, verdicts) for part in report.parts)]


def count(number: int, noun: str) -> str:
    """Return ``1 rule`` or ``2 rules``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _meaning(report: Report, errors: int, warnings: int) -> str:
    if report.exit_status == NOT_CHECKED:
        return "not everything could be checked, for the reasons on standard error"
    if report.exit_status == CLEAN:
        return "warnings alone do not fail" if warnings else "all that apply hold"
    return "errors fail" if errors else "warnings fail, as --fail-on asks"


def _row(part: OverlayReport, verdicts: Sequence[Verdict]) -> list[str]:
    counts = [str(len(part.rules(verdict))) for verdict in verdicts]
    if not part.name:
        return ["the repository", "", *counts]
    if part.objects is None:
        return [part.name, "-", *("-" for _ in verdicts)]
    return [part.name, str(part.objects), *counts]
