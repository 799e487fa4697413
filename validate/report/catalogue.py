"""What a report says of the rules themselves."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from validate.rules import RULES
from validate.rules.rule import OverlayRule

if TYPE_CHECKING:
    from validate.finding import Report
    from validate.rules.rule import Rule


def judged(report: Report) -> tuple[type[Rule], ...]:
    """Return the rules that the run judged by, or has findings of, in the order of the catalogue."""
    names = {rule for part in report.parts for rule in part.outcomes}
    names |= {finding.rule for finding in report.findings}
    names |= {finding.rule for finding, _ in report.waived}
    return tuple(rule for rule in RULES if rule.id in names)


def scope(rule: type[Rule]) -> str:
    """Return ``overlay`` or ``repository``: what the rule looks at."""
    return "overlay" if issubclass(rule, OverlayRule) else "repository"


def page(rule: str) -> str:
    """Return the page of the rule of that id, relative to the repository."""
    return f"docs/reference/rules/{rule}.md"


def explanation(rule: type[Rule]) -> str:
    """Return what happens to people when it is breached, and how to mend it: Markdown."""
    return (inspect.getdoc(rule) or "").partition("\n")[2].strip()
