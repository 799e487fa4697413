"""The report for the test tab of a pipeline: JUnit XML, a test case for each overlay and rule.

There is no standard; these are the elements that GitLab, Jenkins and GitHub's reporters read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from validate.finding import Verdict
from validate.report.lines import printable
from validate.report.text import show
from validate.report.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validate.finding import Finding, OverlayReport, Report

_REPOSITORY = "the repository"
_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def render(report: Report, _view: View | None = None) -> str:
    """Return the report as an XML document, in ASCII: a stream may have any encoding.

    A rule with findings that do not make the run fail is a passed test that shows them.
    """
    suites = [_suite(part, report) for part in report.parts]
    root = ET.Element("testsuites", {"name": "validate", **_counts(suites)})
    root.extend(suites)
    told = [*(f"error: {each}" for each in report.obstacles), *(f"note: {each}" for each in report.notes)]
    _say(suites[-1], told)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="us-ascii", xml_declaration=True)).decode("ascii") + "\n"


def _suite(part: OverlayReport, report: Report) -> ET.Element:
    name = part.name or _REPOSITORY
    suite = ET.Element("testsuite", name=name)
    suite.extend(_case(name, rule, part, report) for rule in part.outcomes)
    if part.obstacle:
        case = ET.SubElement(suite, "testcase", classname=name, name="can be read")
        ET.SubElement(case, "error", message=_text(part.obstacle))
    for attribute, count in _counts([suite]).items():
        suite.set(attribute, count)
    return suite


def _case(suite: str, rule: str, part: OverlayReport, report: Report) -> ET.Element:
    case = ET.Element("testcase", classname=suite, name=rule)
    outcome = part.outcomes[rule]
    findings = sorted((one for one in part.findings if one.rule == rule), key=lambda one: one.order)
    failing = [finding for finding in findings if report.fails(finding)]
    waived = [
        one for one in report.waived if one.finding.rule == rule and part.name in ("", one.finding.overlay)
    ]
    answers = [f"waived until {waiver.expires} by {waiver.owner}: {waiver.reason}" for _, waiver in waived]
    if outcome.verdict is Verdict.NOT_CHECKED:
        ET.SubElement(case, "error", message=_text(outcome.reason))
    elif outcome.verdict is Verdict.NOT_APPLICABLE:
        ET.SubElement(case, "skipped", message=_text(f"not applicable: {outcome.reason}"))
    elif failing:
        first = failing[0]
        failure = ET.SubElement(case, "failure", type=first.severity.value, message=_text(first.problem))
        failure.text = _text("\n\n".join(_shown(finding, suite) for finding in failing))
    elif answers and not findings:
        ET.SubElement(case, "skipped", message=_text(answers[0]))
    told = [_shown(finding, suite) for finding in findings if finding not in failing]
    told += [f"{answer}\n{_shown(one.finding, suite)}" for answer, one in zip(answers, waived, strict=True)]
    _say(case, told)
    return case


def _shown(finding: Finding, suite: str) -> str:
    """Return a finding as text, with its overlay where that is not the suite."""
    heading = f"{finding.overlay}\n" if suite == _REPOSITORY and finding.overlay else ""
    return heading + show(finding, View())


def _say(element: ET.Element, texts: Sequence[str]) -> None:
    if texts:
        ET.SubElement(element, "system-out").text = _text("\n\n".join(texts))


def _counts(elements: Sequence[ET.Element]) -> dict[str, str]:
    cases = [case for element in elements for case in element.iter("testcase")]
    counts = {
        attribute: str(sum(case.find(tag) is not None for case in cases))
        for attribute, tag in _COUNTED.items()
    }
    return {"tests": str(len(cases)), **counts}


def _text(text: str) -> str:
    """Return ``text`` without what XML 1.0 cannot hold: control characters are spelt out."""
    return "\n".join(printable(line) for line in text.split("\n"))
