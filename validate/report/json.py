"""The report for programs: all that a run found, as ``report.schema.json`` describes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import validate
from validate.finding import Verdict
from validate.report.catalogue import judged, page, scope
from validate.report.fingerprint import fingerprints
from validate.report.lines import value_end

if TYPE_CHECKING:
    from collections.abc import Mapping

    from validate.finding import Finding, Location, OverlayReport, Report
    from validate.place import Origin
    from validate.report.view import View
    from validate.rules.rule import Rule
    from validate.waivers import Waiver

# Counts up when a key goes or means something else; a new key alone does not change it.
VERSION = 1


def render(report: Report, _view: View | None = None) -> str:
    """Return the report as one JSON object, in ASCII: a stream may have any encoding."""
    return json.dumps(document(report), indent=2) + "\n"


def document(report: Report) -> dict[str, Any]:
    """Return what :func:`render` writes."""
    known = fingerprints([*report.findings, *(finding for finding, _ in report.waived)])
    return {
        "version": VERSION,
        "tool": {"name": "validate", "version": validate.__version__},
        "exit_status": report.exit_status,
        "fail_on": report.fail_on.value,
        "rules": [rule_document(rule) for rule in judged(report)],
        "overlays": [{"name": part.name, **_part(part)} for part in report.overlays],
        "repository": _part(report.repository),
        "findings": [finding_document(finding, known) for finding in report.findings],
        "waived": [
            {**finding_document(finding, known), "waiver": waiver_document(waiver)}
            for finding, waiver in report.waived
        ],
        "obstacles": list(report.all_obstacles),
        "notes": list(report.notes),
    }


def rule_document(rule: type[Rule]) -> dict[str, Any]:
    """Return what a rule is."""
    return {
        "id": rule.id,
        "severity": rule.severity.value,
        "scope": scope(rule),
        "title": rule.title(),
        "page": page(rule.id),
    }


def _part(part: OverlayReport) -> dict[str, Any]:
    return {
        "objects": part.objects,
        "outcomes": {
            rule: {"verdict": outcome.verdict.value, "reason": outcome.reason}
            for rule, outcome in part.outcomes.items()
        },
        "counts": {verdict.value: len(part.rules(verdict)) for verdict in Verdict},
    }


def finding_document(finding: Finding, known: Mapping[Finding, str]) -> dict[str, Any]:
    """Return a finding, with its fingerprint of those that are known."""
    return {
        "fingerprint": known[finding],
        "rule": finding.rule,
        "severity": finding.severity.value,
        "overlay": finding.overlay,
        "problem": finding.problem,
        "fix": finding.fix,
        "evidence": finding.evidence,
        "page": finding.page,
        "at": _location(finding.at),
        "related": [_location(other) for other in finding.related],
    }


def _location(at: Location) -> dict[str, Any]:
    start = at.origin.column - 1
    return {
        **origin_document(at.origin),
        "end_column": value_end(at.source, start) + 1 if start < len(at.source) else None,
        "source": at.source,
        "hidden": at.hidden,
        "object": at.title,
        "path": at.path,
        "exists": at.exists,
        "value": at.value,
        "earlier_writers": [origin_document(origin) for origin in at.writers[1:]],
    }


def origin_document(origin: Origin) -> dict[str, Any]:
    """Return a place in a file, and what wrote there."""
    return {
        "file": origin.file,
        "line": origin.line,
        "column": origin.column,
        "writer": origin.writer.value,
    }


def waiver_document(waiver: Waiver) -> dict[str, Any]:
    """Return a waiver, with the line that it stands on."""
    return {
        "reason": waiver.reason,
        "owner": waiver.owner,
        "expires": waiver.expires,
        "image": waiver.image,
        **{key: value for key, value in origin_document(waiver.spot.origin).items() if key != "writer"},
    }
