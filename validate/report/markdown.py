"""The report for a pull request: a comment in GitHub's Markdown, with the findings folded."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from validate.report.grouping import answers, heading, merged
from validate.report.lines import printable
from validate.report.summary import count, sentence, table
from validate.report.text import show
from validate.report.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validate.finding import Finding, Report
    from validate.report.grouping import Answer

LONGEST = 65_536
# What the sentence about what was cut takes, at most.
_LONGEST_CUT = 300
# What is markup in a paragraph of GitHub's Markdown, as references to characters, which are not.
_MARKUP = {ord(character): f"&#{ord(character)};" for character in "\\`*_[]<>|~&$#"}
# A mention would send mail to somebody; with a space of no width after the @, it is none.
_MENTION = {ord("@"): "@&#8203;"}


def render(report: Report, _view: View | None = None) -> str:
    """Return at most 65,536 characters, the most that a comment holds; a sentence says what was cut."""
    blocks = {
        "table": [_fold("what was checked", _table(report))],
        "obstacle": [f"- {_plain(each)}\n\n" for each in (*report.all_obstacles, *report.notes)],
        "finding": [_finding(overlays, finding, report) for overlays, finding in merged(report.findings)],
        "waiver": [_answer(answer) for answer in answers(report)],
    }
    head = f"### validate\n\n{_plain(sentence(report))}\n\n"
    room = LONGEST - len(head) - _LONGEST_CUT
    shown: dict[str, str] = {}
    left_out = []
    for kind, texts in blocks.items():
        fitting = _fitting(texts, room)
        shown[kind] = "".join(texts[:fitting])
        room -= len(shown[kind])
        if fitting < len(texts):
            left_out.append(count(len(texts) - fitting, kind))
    cut = f"Cut, since a comment holds {LONGEST:,} characters: {', '.join(left_out)}. The log has them.\n\n"
    body = shown["obstacle"] + shown["finding"] + (cut if left_out else "") + shown["waiver"]
    return (head + body + shown["table"]).rstrip() + "\n"


def _fitting(texts: Sequence[str], room: int) -> int:
    """Return how many of the texts fit, one after the other."""
    for number, text in enumerate(texts):
        room -= len(text)
        if room < 0:
            return number
    return len(texts)


def _finding(overlays: tuple[str, ...], finding: Finding, report: Report) -> str:
    where = heading(overlays, report)
    summary = (
        f"<b>{finding.severity}</b> <code>{finding.rule}</code> in {_escaped(where)}: "
        f"{_escaped(finding.problem)}"
    )
    return _fold(summary, _fenced(show(finding, View())))


def _answer(answer: Answer) -> str:
    summary = (
        f"<b>waived</b> <code>{_escaped(answer.rule)}</code> until {_escaped(answer.expires)} "
        f"by {_escaped(answer.owner)}: {_escaped(answer.reason)}"
    )
    objects = (f"- {_plain(name)} in {_plain(', '.join(found))}\n" for name, found in answer.objects.items())
    return _fold(summary, "".join(objects))


def _table(report: Report) -> str:
    heads, *rows = [[_plain(cell) for cell in row] for row in table(report)]
    rule = ["---", *("---:" for _ in heads[1:])]
    return "".join(f"| {' | '.join(row)} |\n" for row in (heads, rule, *rows))


def _fold(summary: str, content: str) -> str:
    # Without the empty line, GitHub reads the content as HTML.
    return f"<details><summary>{summary}</summary>\n\n{content}\n</details>\n\n"


def _fenced(text: str) -> str:
    """Return a code block, with a fence longer than any in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}\n"


def _plain(text: str) -> str:
    """Return ``text`` for a paragraph of Markdown, one line of it, where nothing in it is markup."""
    return _line(text).translate(_MARKUP).translate(_MENTION)


def _escaped(text: str) -> str:
    """Return ``text`` for HTML, one line of it: a blank line would end the block."""
    return html.escape(_line(text), quote=False).translate(_MENTION)


def _line(text: str) -> str:
    return printable(" ".join(text.split()))
