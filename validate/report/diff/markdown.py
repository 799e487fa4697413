"""What a change does, as a comment on a pull request: who is affected in sight, the rest folded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.diff.changes import How
from validate.report.comment import LONGEST, escaped, fenced, fitting, fold, plain
from validate.report.diff.grouping import heading, rows, scope, sections, summary, waived
from validate.report.diff.text import effect_lines, section_lines
from validate.report.grouping import merged
from validate.report.lines import printable
from validate.report.summary import count
from validate.report.text import show
from validate.report.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from validate.diff.changes import Comparison, Effect, OverlayChange
    from validate.finding import Finding
    from validate.report.diff.grouping import Section

# By this a workflow finds the comment that it wrote before, and replaces it.
MARK = "<!-- validate diff -->"
# What the sentence about what was cut takes, at most.
_LONGEST_CUT = 400
_MOST_FILES = 50
_MOST_ROWS = 50
_MOST_LINES = 400
_MOST_VALUE_LINES = 40


def render(comparison: Comparison, _view: View | None = None) -> str:
    """Return at most 65,536 characters, the most that a comment holds; a sentence says what was cut."""
    effects = [effect for section in sections(comparison) for effect in section.effects if effect.grave]
    head = f"{MARK}\n### validate diff\n\n{plain(scope(comparison))}.\n\n{_bold(summary(comparison))}\n\n"
    blocks = {
        "obstacle": [f"- {plain(one)}\n" for one in (*comparison.all_obstacles, *comparison.notes)],
        "row": _table(rows(comparison)),
        "grave effect": [_effect(effect) for effect in dict.fromkeys(effects)],
        "new finding": [_finding(*entry, comparison) for entry in merged(comparison.new)],
        "waiver": [f"- waived now: {plain(sentence)}\n" for sentence in waived(comparison)],
        "fixed finding": [_fixed(comparison.fixed)] if comparison.fixed else [],
        "part of the difference": [
            *(_section(one, comparison) for one in sections(comparison)),
            *(_whole(one) for one in comparison.overlays if one.how is not How.CHANGED),
        ],
        "list of files": [_files(comparison)] if comparison.files else [],
    }
    room = LONGEST - len(head) - _LONGEST_CUT
    shown, left_out = [], []
    for kind, texts in blocks.items():
        number = fitting(texts, room)
        block = "".join(texts[:number])
        shown.append(f"{block.rstrip()}\n\n" if block else "")
        room -= len(shown[-1])
        if number < len(texts):
            left_out.append(_left_out(len(texts) - number, kind))
    cut = f"Cut, since a comment holds {LONGEST:,} characters: {', '.join(left_out)}. The log has them.\n\n"
    return (head + (cut if left_out else "") + "".join(shown)).rstrip() + "\n"


def _left_out(number: int, kind: str) -> str:
    first, of, rest = kind.partition(" of ")
    return f"{count(number, first)}{of}{rest}"


def _bold(text: str) -> str:
    return f"**{plain(text)}**"


def _table(table: Sequence[Sequence[str]]) -> list[str]:
    """Return the table row by row; of very many, the room is for what differs."""
    if not table:
        return []
    heads, *others = ([plain(cell) for cell in row] for row in table)
    rest = len(others) - _MOST_ROWS
    if rest > 0:
        others = [*others[:_MOST_ROWS], [f"and {rest} more", *("" for _ in heads[1:])]]
    return [
        f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}\n",
        *(f"| {' | '.join(row)} |\n" for row in others),
    ]


def _effect(effect: Effect) -> str:
    sentence, causes = effect_lines(effect)
    return f"- **{plain(effect.kind)}**: {plain(sentence)}{_causes(causes)}\n"


def _causes(causes: Sequence[str]) -> str:
    return f" ({', '.join(map(plain, causes))})" if causes else ""


def _finding(overlays: tuple[str, ...], finding: Finding, comparison: Comparison) -> str:
    where = heading(overlays, comparison)
    summary = (
        f"<b>new {finding.severity}</b> <code>{finding.rule}</code> in {escaped(where)}: "
        f"{escaped(finding.problem)}"
    )
    return fold(summary, fenced(show(finding, View())))


def _fixed(findings: Sequence[Finding]) -> str:
    entries = merged(findings)
    lines = (
        f"- `{finding.rule}` in {plain(', '.join(overlays)) or 'the repository'}: {plain(finding.problem)}\n"
        for overlays, finding in entries
    )
    return fold(f"<b>{count(len(entries), 'finding')} fixed</b>", "".join(lines))


def _section(section: Section, comparison: Comparison) -> str:
    """Return what changes in some overlays: a difference that GitHub colours, then what happens."""
    objects = sum(len(one.titles) for one in section.objects)
    what = f"{count(objects, 'object')}, {count(len(section.effects), 'effect')}"
    lines = [_coloured(*told) for told in section_lines(section, _MOST_VALUE_LINES)]
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"  and {len(lines) - _MOST_LINES} more lines; the log has them"]
    difference = fenced("\n".join(lines), "diff") if lines else ""
    happens = "".join(_effect(effect) for effect in section.effects)
    return fold(
        f"<b>{escaped(heading(section.overlays, comparison))}</b>: {what}", f"{difference}\n{happens}"
    )


def _coloured(sign: str, depth: int, text: str) -> str:
    # GitHub colours by the first character: an object that changes is marked as neither good nor bad.
    first = {"~": "!", "@": " "}.get(sign, sign)
    return f"{first} {'  ' * depth}{printable(text)}".rstrip()


def _whole(overlay: OverlayChange) -> str:
    titles = "".join(f"- {plain(one.title)}\n" for one in overlay.objects)
    return fold(
        f"<b>{escaped(overlay.name)}</b> is {overlay.how}: {count(len(overlay.objects), 'object')}", titles
    )


def _files(comparison: Comparison) -> str:
    ordered = sorted(comparison.files, key=lambda one: not one.reaches)
    rest = len(ordered) - _MOST_FILES
    return fold(
        "what each file reaches",
        "".join(_reached(ordered[:_MOST_FILES])) + (f"- and {rest} more\n" if rest > 0 else ""),
    )


def _reached(files: Sequence[tuple[str, tuple[str, ...]]]) -> Iterator[str]:
    for file, reaches in files:
        yield f"- {plain(file)}: {plain(', '.join(reaches)) or 'nothing'}\n"
