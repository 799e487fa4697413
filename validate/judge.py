"""Judge: from an overlay, or from what several have in common, to outcomes and findings.

A rule yields breaches; what a finding carries besides is added here. Nothing that a rule does can
hide what another one finds: a mistake in a rule is an outcome too.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache, partial
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from validate.errors import CannotCheckError, SourceError
from validate.finding import Finding, Outcome, OverlayReport, Verdict, Waived, locate
from validate.rules.rule import NotApplicable, OverlayRule, RepositoryRule

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date

    from validate.overlay import Overlay, Repository
    from validate.place import Place, Spot
    from validate.rules.rule import Breach, Fact, Rule
    from validate.waivers import Waiver

T = TypeVar("T")
P = ParamSpec("P")

_UNRENDERABLE = "unrenderable-overlay"
_LOOKED = frozenset({Verdict.HOLDS, Verdict.BREACHED})


class Checked(Struct, frozen=True):
    """What one overlay gave: its report, what it tells repository rules, and the files that it reads.

    ``complete``: these files and its ``cluster.yaml`` decide all of it.
    """

    report: OverlayReport
    facts: Mapping[str, Fact] = field(default_factory=dict)
    unrenderable: SourceError | None = None
    reads: frozenset[str] = frozenset()
    complete: bool = False


def in_order(rules: Iterable[type[Rule]]) -> tuple[type[Rule], ...]:
    """Return ``rules`` with each after those that it requires; what is required and not given is left out."""
    known = {rule.id: rule for rule in rules}
    order = TopologicalSorter({rule.id: rule.requires for rule in known.values()}).static_order()
    return tuple(known[name] for name in order if name in known)


def judge_overlay(root: pathlib.Path, overlay: Overlay, rules: Iterable[type[Rule]]) -> Checked:
    """Judge one overlay by the overlay rules among ``rules``; observe it for the others."""
    docket = _Docket(overlay.name)
    findings: list[Finding] = []
    facts: dict[str, Fact] = {}
    notes: list[str] = []
    for rule in rules:
        if issubclass(rule, OverlayRule):
            breaches = docket.call(rule, rule().check, overlay)
            findings += [_finding(root, overlay.name, rule, breach) for breach in breaches]
            if docket.outcomes[rule.id].verdict in _LOOKED:
                notes += rule().notes(overlay)
        elif issubclass(rule, RepositoryRule) and not docket.blocker(rule):
            try:
                facts[rule.id] = rule().observe(overlay)
            except NotApplicable:
                continue
            except Exception as error:  # noqa: BLE001 - as a breach of the contract below
                docket.outcomes[rule.id] = _not_checked(rule, overlay.name, error)
    report = OverlayReport(
        overlay.name, len(overlay.objects), docket.outcomes, tuple(findings), notes=tuple(notes)
    )
    return Checked(report, facts, docket.unreadable, overlay.reads, overlay.complete)


def judge_repository(
    repository: Repository, facts: Mapping[str, Mapping[str, Fact]], rules: Iterable[type[Rule]]
) -> OverlayReport:
    """Judge what overlays have in common; ``facts`` maps overlays to rules to what was observed."""
    docket = _Docket("")
    findings: list[Finding] = []
    for rule in rules:
        if issubclass(rule, RepositoryRule):
            observed = {name: told[rule.id] for name, told in facts.items() if rule.id in told}
            breaches = docket.call(rule, rule().check, repository, observed)
            for name, breach in breaches:
                findings.append(_finding(repository.root, name, rule, breach))
    return OverlayReport("", None, docket.outcomes, tuple(findings))


def waive(
    part: OverlayReport, waivers: Iterable[Waiver], today: date
) -> tuple[OverlayReport, tuple[Waived, ...]]:
    """Return the report without what somebody answers for on that day, and what that is."""
    counting = [waiver for waiver in waivers if waiver.counts(today)]
    waived: list[Waived] = []
    left: list[Finding] = []
    for finding in part.findings:
        subject = (finding.rule, finding.overlay, finding.at.title, finding.image)
        covering = (one for one in counting if one.covers(*subject))
        waiver = next(covering, None)
        if waiver is None:
            left.append(finding)
        else:
            waived.append(Waived(finding, waiver))
    open_rules = {finding.rule for finding in left}
    settled = {one.finding.rule for one in waived} - open_rules
    outcomes = {
        rule: Outcome(Verdict.WAIVED) if rule in settled else outcome
        for rule, outcome in part.outcomes.items()
    }
    return replace(part, findings=tuple(left), outcomes=outcomes), tuple(waived)


class _Docket:
    """The rules that were called for one overlay (or for the repository), and what became of them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.outcomes: dict[str, Outcome] = {}
        self.unreadable: SourceError | None = None
        self.failing: set[str] = set()

    def blocker(self, rule: type[Rule]) -> str | None:
        """Return a rule that this one requires and that does not hold."""
        return next((name for name in rule.requires if name in self.failing), None)

    def call(
        self, rule: type[Rule], check: Callable[P, Iterable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> list[T]:
        """Return the breaches that ``check`` finds, and note the outcome."""
        breaches: list[T] = []
        blocker = self.blocker(rule)
        if blocker:
            outcome = Outcome(Verdict.NOT_APPLICABLE, f"waits for {blocker}")
        else:
            outcome, breaches = self._judged(rule, partial(check, *args, **kwargs))
        if blocker or breaches:
            self.failing.add(rule.id)
        self.outcomes[rule.id] = outcome
        return breaches

    def _judged(self, rule: type[Rule], check: Callable[[], Iterable[T]]) -> tuple[Outcome, list[T]]:
        try:
            breaches = list(check())
        except NotApplicable as reason:
            return Outcome(Verdict.NOT_APPLICABLE, str(reason)), []
        except SourceError as error:
            self.unreadable = error
            return Outcome(Verdict.NOT_APPLICABLE, f"waits for {_UNRENDERABLE}"), []
        except Exception as error:  # noqa: BLE001 - a mistake in one rule does not hide what others find
            return _not_checked(rule, self.name, error), []
        return Outcome(Verdict.BREACHED if breaches else Verdict.HOLDS), breaches


def _not_checked(rule: type[Rule], name: str, error: Exception) -> Outcome:
    return Outcome(Verdict.NOT_CHECKED, obstacle(rule.id, name, error))


def obstacle(what: str, name: str, error: Exception) -> str:
    """Return the sentence about something that could not be done, for standard error."""
    where = name or "the repository"
    if isinstance(error, CannotCheckError):
        return f"{what}, {where}: {error}"
    if os.environ.get("VALIDATE_DEBUG"):
        sys.excepthook(type(error), error, error.__traceback__)
    problem = f"{what} failed on {where} ({type(error).__name__}: {error})"
    return f"{problem}; this is a mistake in validate, and VALIDATE_DEBUG=1 shows where"


def _finding(root: pathlib.Path, overlay: str, rule: type[Rule], breach: Breach) -> Finding:
    return Finding(
        overlay=overlay,
        rule=rule.id,
        severity=rule.severity,
        at=locate(breach.at, _source_line(root, breach.at)),
        problem=breach.problem,
        fix=breach.fix,
        evidence=breach.evidence,
        related=tuple(locate(place, _source_line(root, place)) for place in breach.related),
        edits=breach.edits,
        image=breach.image,
    )


def _source_line(root: pathlib.Path, at: Place | Spot) -> str:
    lines = _lines(root / at.origin.file)
    return lines[at.origin.line - 1] if 0 < at.origin.line <= len(lines) else ""


@lru_cache(maxsize=4)
def _lines(file: pathlib.Path) -> tuple[str, ...]:
    """Return the lines of a file, as well as they can be read: it may be the very thing that is wrong."""
    try:
        return tuple(file.read_bytes().decode("utf-8", "replace").splitlines())
    except OSError:
        return ()
