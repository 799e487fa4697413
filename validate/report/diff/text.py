"""What a change does, as text for a terminal and for the log of a pipeline."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from validate.diff.changes import How
from validate.finding import CLEAN
from validate.report.diff.grouping import heading, listed, rows, scope, sections, summary, waived
from validate.report.grouping import merged
from validate.report.lines import printable
from validate.report.text import paragraph, show
from validate.report.view import Style, View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from validate.diff.changes import Cause, Comparison, Effect, FieldChange, OverlayChange
    from validate.finding import Finding
    from validate.report.diff.grouping import Section

_SIGNS = {How.ADDED: "+", How.REMOVED: "-", How.CHANGED: "~"}
_STYLES = {"+": Style.GOOD, "-": Style.ERROR, "@": Style.FAINT, " ": Style.PLAIN, "~": Style.WARNING}
_MOST_CAUSES = 4
_MOST_FILES = 20
_MOST_VALUE_LINES = 12


def render(comparison: Comparison, view: View | None = None) -> str:
    """Return who is affected, what changes and happens in each overlay, then the findings."""
    view = view or View()
    blocks = [
        view.paint(paragraph(scope(comparison)), Style.STRONG),
        *_table(comparison, view),
        *(_section(one, comparison, view) for one in sections(comparison)),
        *_whole(comparison.overlays, view),
        *_findings("new", comparison.new, comparison, view),
        *_fixed(comparison, view),
        *(paragraph(f"waived now: {sentence}") for sentence in waived(comparison)),
        *(paragraph(f"note: {note}") for note in comparison.notes),
    ]
    if view.verbose:
        blocks += [*_files(comparison, view), *_findings("as before", comparison.unchanged, comparison, view)]
    style = Style.GOOD if comparison.exit_status == CLEAN else Style.ERROR
    blocks.append(view.paint(paragraph(summary(comparison)), style))
    return "\n\n".join(blocks) + "\n"


class Told(NamedTuple):
    """A line about an object: its sign (``+``, ``-``, ``~``, ``@``, a space), its depth, and what it says."""

    sign: str
    depth: int
    text: str


def section_lines(section: Section, most: int | None = None) -> Iterator[Told]:
    """Yield what changes, object by object and field by field; of a long value, ``most`` lines."""
    for objects in section.objects:
        yield Told(_SIGNS[objects.change.how], 0, f"{listed(objects.titles)}{_at(objects.change.cause)}")
        if objects.change.was:
            yield Told(" ", 1, f"was {objects.change.was}")
        for field in objects.change.fields:
            yield Told(" ", 1, f"{field.path}{_at(field.cause)}")
            yield from (Told(sign, 2, text) for sign, text in _cut(list(_values(field)), most))


def effect_lines(effect: Effect) -> tuple[str, list[str]]:
    """Return what happens as a sentence, and the lines of files that make it happen."""
    causes = [str(cause) for cause in effect.causes[:_MOST_CAUSES]]
    rest = len(effect.causes) - _MOST_CAUSES
    if rest > 0:
        causes.append(f"and {rest} more")
    return f"{effect.subject} {effect.sentence}", causes


def _table(comparison: Comparison, view: View) -> Iterator[str]:
    table = rows(comparison)
    if table:
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
        yield "\n".join([view.paint(lines[0], Style.STRONG), *map(printable, lines[1:])])


def _section(section: Section, comparison: Comparison, view: View) -> str:
    lines = [view.paint(paragraph(heading(section.overlays, comparison)), Style.STRONG)]
    for sign, depth, text in section_lines(section, None if view.verbose else _MOST_VALUE_LINES):
        lines.append(view.paint(f"  {'  ' * depth}{sign} {printable(text)}".rstrip(), _STYLES[sign]))
    if section.effects:
        lines += ["", view.paint("  what happens", Style.STRONG)]
        lines += [line for effect in section.effects for line in _effect(effect, view)]
    return "\n".join(lines)


def _effect(effect: Effect, view: View) -> Iterator[str]:
    sentence, causes = effect_lines(effect)
    mark = "!" if effect.grave else "-"
    label = view.paint(f"{effect.kind}:", Style.ERROR if effect.grave else Style.PLACE)
    body = paragraph(sentence, 4).lstrip()
    yield f"  {view.paint(mark, Style.ERROR) if effect.grave else mark} {label} {body}"
    yield from (view.paint(f"    = {printable(cause)}", Style.FAINT) for cause in causes)


def _at(cause: Cause | None) -> str:
    return f"  = {cause}" if cause else ""


def _cut(lines: Sequence[tuple[str, str]], most: int | None) -> Iterator[tuple[str, str]]:
    if most is None or len(lines) <= most + 1:
        yield from lines
        return
    yield from lines[:most]
    yield lines[most - 1][0], f"... {len(lines) - most} more lines"


def _values(field: FieldChange) -> Iterator[tuple[str, str]]:
    if field.lines:
        yield from (("@", "...") if line.sign == "@" else (line.sign, line.text) for line in field.lines)
    elif field.hidden and not (field.before or field.after):
        yield "~", "changed; not shown, since it may hold a credential"
    else:
        yield from (("-", line) for line in field.before.splitlines())
        yield from (("+", line) for line in field.after.splitlines())


def _whole(overlays: Iterable[OverlayChange], view: View) -> Iterator[str]:
    """Yield a sentence for each overlay that comes or goes."""
    for one in overlays:
        if one.how is not How.CHANGED:
            mark = _SIGNS[one.how]
            sentence = f"{one.name} is {one.how}, with {len(one.objects)} objects"
            yield view.paint(paragraph(f"{mark} {sentence}"), _STYLES[mark])


def _findings(word: str, found: Sequence[Finding], comparison: Comparison, view: View) -> Iterator[str]:
    for overlays, group in groupby(merged(found), key=lambda entry: entry[0]):
        where = heading(overlays, comparison)
        yield view.paint(paragraph(f"{word} in {where}"), Style.STRONG)
        for _, finding in group:
            yield show(finding, view)


def _fixed(comparison: Comparison, view: View) -> Iterator[str]:
    """Yield what is mended, without what is said of it: it is no longer so."""
    for overlays, finding in merged(comparison.fixed):
        where = heading(overlays, comparison)
        head = view.paint(f"fixed[{finding.rule}]", Style.GOOD)
        yield f"{head} {printable(str(finding.at.origin))} (before), {where}\n{paragraph(finding.problem, 2)}"


def _files(comparison: Comparison, view: View) -> Iterator[str]:
    if comparison.files:
        shown = sorted(comparison.files, key=lambda one: not one.reaches)[:_MOST_FILES]
        lines = [
            paragraph(f"{printable(one.file)}: {', '.join(one.reaches) or 'nothing'}", 2) for one in shown
        ]
        rest = len(comparison.files) - len(shown)
        more = [f"  and {rest} more"] if rest else []
        yield "\n".join([view.paint("what each file reaches", Style.STRONG), *lines, *more])
