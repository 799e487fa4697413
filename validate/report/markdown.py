"""The report for a pull request: a comment in GitHub's Markdown, with the findings folded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.report.comment import LONGEST, escaped, fenced, fitting, fold, plain
from validate.report.grouping import answers, heading, merged
from validate.report.summary import count, sentence, table
from validate.report.text import show
from validate.report.view import View

if TYPE_CHECKING:
    from validate.finding import Finding, Report
    from validate.report.grouping import Answer

# What the sentence about what was cut takes, at most.
_LONGEST_CUT = 300


def render(report: Report, _view: View | None = None) -> str:
    """Return at most 65,536 characters, the most that a comment holds; a sentence says what was cut."""
    blocks = {
        "table": [fold("what was checked", _table(report))],
        "obstacle": [f"- {plain(each)}\n\n" for each in (*report.all_obstacles, *report.notes)],
        "finding": [_finding(overlays, finding, report) for overlays, finding in merged(report.findings)],
        "waiver": [_answer(answer) for answer in answers(report)],
    }
    head = f"### validate\n\n{plain(sentence(report))}\n\n"
    room = LONGEST - len(head) - _LONGEST_CUT
    shown: dict[str, str] = {}
    left_out = []
    for kind, texts in blocks.items():
        number = fitting(texts, room)
        shown[kind] = "".join(texts[:number])
        room -= len(shown[kind])
        if number < len(texts):
            left_out.append(count(len(texts) - number, kind))
    cut = f"Cut, since a comment holds {LONGEST:,} characters: {', '.join(left_out)}. The log has them.\n\n"
    body = shown["obstacle"] + shown["finding"] + (cut if left_out else "") + shown["waiver"]
    return (head + body + shown["table"]).rstrip() + "\n"


def _finding(overlays: tuple[str, ...], finding: Finding, report: Report) -> str:
    where = heading(overlays, report)
    summary = (
        f"<b>{finding.severity}</b> <code>{finding.rule}</code> in {escaped(where)}: "
        f"{escaped(finding.problem)}"
    )
    return fold(summary, fenced(show(finding, View())))


def _answer(answer: Answer) -> str:
    summary = (
        f"<b>waived</b> <code>{escaped(answer.rule)}</code> until {escaped(answer.expires)} "
        f"by {escaped(answer.owner)}: {escaped(answer.reason)}"
    )
    objects = (f"- {plain(name)} in {plain(', '.join(found))}\n" for name, found in answer.objects.items())
    return fold(summary, "".join(objects))


def _table(report: Report) -> str:
    heads, *rows = [[plain(cell) for cell in row] for row in table(report)]
    rule = ["---", *("---:" for _ in heads[1:])]
    return "".join(f"| {' | '.join(row)} |\n" for row in (heads, rule, *rows))
