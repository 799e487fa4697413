"""The report for a GitHub workflow: a command for each finding, which becomes an annotation of its line.

https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.report.grouping import answers, heading, merged
from validate.report.lines import value_end
from validate.report.summary import sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.finding import Finding, Report
    from validate.place import Origin
    from validate.report.view import View

# What ends a message, and what ends a property (actions/toolkit, packages/core/src/command.ts).
_IN_MESSAGES = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTIES = {**_IN_MESSAGES, ":": "%3A", ",": "%2C"}


def render(report: Report, _view: View | None = None) -> str:
    """Return a line for each finding, for each waiver that counts, and for what could not be checked."""
    return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: Report) -> Iterator[str]:
    for overlays, finding in merged(report.findings):
        title = f"{finding.rule} in {heading(overlays, report)}"
        yield _command(finding.severity, _message(finding), title, finding.at.origin, _end(finding))
    for answer in answers(report):
        title = f"{answer.rule} waived until {answer.expires} by {answer.owner}"
        objects = (f"\n{name} in {', '.join(overlays)}" for name, overlays in answer.objects.items())
        yield _command("notice", answer.reason + "".join(objects), title, answer.at)
    for obstacle in report.all_obstacles:
        yield _command("error", obstacle, "not checked")
    for note in report.notes:
        yield _command("notice", note, "note")
    # Not a command: a line of the log, in which no text of a file can stand.
    yield sentence(report)


def _message(finding: Finding) -> str:
    evidence = f"\n{finding.evidence}" if finding.evidence else ""
    others = "".join(f"\nsee also {other.origin}" for other in finding.related)
    return f"{finding.problem}{evidence}{others}\nfix: {finding.fix}\nsee: {finding.page}"


def _command(kind: str, message: str, title: str, at: Origin | None = None, end: int | None = None) -> str:
    properties: dict[str, object] = {}
    if at:
        properties = {"file": at.file, "line": at.line, "col": at.column}
        if end:
            properties |= {"endLine": at.line, "endColumn": end}
    properties["title"] = title
    told = ",".join(f"{name}={_escaped(str(value), _IN_PROPERTIES)}" for name, value in properties.items())
    return f"::{kind} {told}::{_escaped(message, _IN_MESSAGES)}"


def _end(finding: Finding) -> int | None:
    """Return the column of the last character of the value, None where its line is not shown."""
    start = finding.at.origin.column - 1
    return value_end(finding.at.source, start) if start < len(finding.at.source) else None


def _escaped(text: str, escapes: dict[str, str]) -> str:
    return "".join(escapes.get(character, character) for character in text)
