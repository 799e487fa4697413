"""The report for code scanning: SARIF 2.1.0, as OASIS and GitHub describe it.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import validate
from validate.finding import NOT_CHECKED, Verdict
from validate.report.catalogue import explanation, judged, page
from validate.report.fingerprint import fingerprints
from validate.report.lines import value_end

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from validate.finding import Finding, Location, Report
    from validate.place import Origin
    from validate.report.view import View
    from validate.rules.rule import Rule
    from validate.waivers import Waiver

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"


def render(report: Report, _view: View | None = None) -> str:
    """Return the report as a SARIF log of one run, in ASCII: a stream may have any encoding."""
    return json.dumps(document(report), indent=2) + "\n"


def document(report: Report) -> dict[str, Any]:
    """Return what :func:`render` writes."""
    rules = judged(report)
    index = {rule.id: number for number, rule in enumerate(rules)}
    answered: list[tuple[Finding, Waiver | None]] = [(finding, None) for finding in report.findings]
    answered += report.waived
    known = fingerprints(finding for finding, _ in answered)
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "validate",
                        "semanticVersion": validate.__version__,
                        "rules": [_rule(rule) for rule in rules],
                    }
                },
                # PyYAML counts code points, and so does Python.
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {_ROOT: {"description": {"text": "The root of the repository."}}},
                "invocations": [_invocation(report)],
                "results": [_result(finding, waiver, index, known) for finding, waiver in answered],
                "properties": {"notApplicable": list(_not_applicable(report))},
            }
        ],
    }


def _rule(rule: type[Rule]) -> dict[str, Any]:
    see = f"See {page(rule.id)}."
    return {
        "id": rule.id,
        "name": rule.__name__,
        "shortDescription": {"text": f"{rule.title()}."},
        # GitHub takes 1024 characters; the help has no such limit.
        "fullDescription": {"text": explanation(rule).partition("\n\n")[0] or rule.title()},
        "help": {
            "text": f"{explanation(rule)}\n\n{see}".strip(),
            "markdown": f"**{rule.title()}.**\n\n{explanation(rule)}\n\n{see}",
        },
        "defaultConfiguration": {"level": rule.severity.value},
        "properties": {"page": page(rule.id)},
    }


def _invocation(report: Report) -> dict[str, Any]:
    told = [("error", sentence) for sentence in report.all_obstacles]
    told += [("note", note) for note in report.notes]
    return {
        "executionSuccessful": report.exit_status != NOT_CHECKED,
        "exitCode": report.exit_status,
        "toolExecutionNotifications": [
            {"level": level, "message": {"text": sentence}} for level, sentence in told
        ],
    }


def _not_applicable(report: Report) -> Iterator[dict[str, str]]:
    for part in report.parts:
        for rule in part.rules(Verdict.NOT_APPLICABLE):
            yield {"rule": rule, "overlay": part.name, "reason": part.outcomes[rule].reason}


def _result(
    finding: Finding, waiver: Waiver | None, index: Mapping[str, int], known: Mapping[Finding, str]
) -> dict[str, Any]:
    related = list(_related(finding))
    return {
        "ruleId": finding.rule,
        **({"ruleIndex": index[finding.rule]} if finding.rule in index else {}),
        "level": finding.severity.value,
        "message": {"text": _message(finding, related)},
        "locations": [_location(finding.at)],
        "relatedLocations": related,
        # The second name is the one that GitHub knows alerts again by; without it, it takes the line's text.
        "partialFingerprints": {
            "ruleOverlayObjectPath/v1": known[finding],
            "primaryLocationLineHash": known[finding],
        },
        # Empty says "not suppressed", missing would say "not known" (3.27.23).
        "suppressions": [_suppression(waiver)] if waiver else [],
        "properties": {
            "overlay": finding.overlay,
            "object": finding.at.title,
            "path": finding.at.path,
            "fix": finding.fix,
            "page": finding.page,
        },
    }


def _message(finding: Finding, related: Iterable[Mapping[str, Any]]) -> str:
    """Return the problem and the fix, with links to the related locations: GitHub shows no others."""
    where = f"{finding.overlay}: " if finding.overlay else ""
    links = "\n".join(
        f"See [{_in_link(location['message']['text'])}]({location['id']})." for location in related
    )
    parts = [f"{where}{finding.problem}", finding.evidence, f"Fix: {finding.fix}", links]
    return "\n\n".join(part for part in parts if part)


def _in_link(text: str) -> str:
    """Return ``text`` for the text of a link, where brackets end it (3.11.6)."""
    return text.replace("\\", r"\\").replace("[", r"\[").replace("]", r"\]")


def _related(finding: Finding) -> Iterator[dict[str, Any]]:
    """Yield the other side of what does not fit together, then whoever wrote the value before."""
    for identifier, other in enumerate(finding.related, start=1):
        yield {"id": identifier, **_location(other), "message": {"text": _name(other)}}
    for identifier, origin in enumerate(finding.at.writers[1:], start=len(finding.related) + 1):
        text = f"{origin}, where a {origin.writer} wrote it before"
        yield {"id": identifier, "physicalLocation": _physical(origin), "message": {"text": text}}


def _location(at: Location) -> dict[str, Any]:
    return {
        "physicalLocation": _physical(at.origin, at.source),
        "logicalLocations": [{"fullyQualifiedName": _name(at), "kind": "member" if at.path else "object"}],
    }


def _physical(origin: Origin, source: str = "") -> dict[str, Any]:
    region: dict[str, Any] = {"startLine": origin.line, "startColumn": origin.column}
    if origin.column <= len(source):
        region["endColumn"] = value_end(source, origin.column - 1) + 1
    if source:
        region["snippet"] = {"text": source}
    return {"artifactLocation": {"uri": quote(origin.file), "uriBaseId": _ROOT}, "region": region}


def _name(at: Location) -> str:
    return f"{at.title}, {at.path}" if at.path else at.title


def _suppression(waiver: Waiver) -> dict[str, Any]:
    return {
        "kind": "external",
        "status": "accepted",
        "justification": f"{waiver.reason} ({waiver.owner}, until {waiver.expires})",
        "location": {"physicalLocation": _physical(waiver.spot.origin)},
    }
