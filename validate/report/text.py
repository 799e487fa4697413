"""The report that people read, in a terminal and in the log of a pipeline."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from validate.finding import CLEAN, Verdict
from validate.place import Writer
from validate.report.grouping import answers, heading, merged
from validate.report.lines import printable, value_end
from validate.report.summary import sentence, table
from validate.report.view import Style, View
from validate.rules.rule import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from validate.finding import Finding, Location, Report
    from validate.place import Origin

_WIDTH = 100
_CONTEXT = 20
_MOST_WRITERS = 4
_BY_ITSELF = " (validate fix applies it)"
# Writers that the file itself gives away.
_PLAIN = {Writer.SOURCE, Writer.FACTS, Writer.RESOURCE}
_SEVERITIES = {Severity.ERROR: Style.ERROR, Severity.WARNING: Style.WARNING}


def render(report: Report, view: View | None = None) -> str:
    """Return the findings by overlay, then what was checked, then what it comes to."""
    view = view or View()
    blocks = [*findings(report, view), *_waived(report, view), _table(report, view)]
    if view.verbose:
        blocks += _reasons(report, view)
    blocks += [paragraph(f"note: {note}") for note in report.notes]
    style = Style.GOOD if report.exit_status == CLEAN else Style.ERROR
    blocks.append(view.paint(sentence(report), style))
    return "\n\n".join(blocks) + "\n"


def findings(report: Report, view: View) -> Iterator[str]:
    """Yield the findings as blocks of text, those of an overlay (or of several) after a heading."""
    for overlays, group in groupby(merged(report.findings), key=lambda entry: entry[0]):
        yield view.paint(paragraph(heading(overlays, report)), Style.STRONG)
        for _, finding in group:
            yield show(finding, view)


def show(finding: Finding, view: View) -> str:
    """Return a finding as text, without the overlays that it was found in."""
    return "\n".join(_finding(finding, view))


def _finding(finding: Finding, view: View) -> Iterator[str]:
    severity = view.paint(f"{finding.severity}[{finding.rule}]", _SEVERITIES[finding.severity])
    yield f"{severity} {view.paint(_spot(finding.at.origin), Style.PLACE)}"
    yield paragraph(finding.problem, 2)
    yield ""
    yield from _location(finding.at, view)
    for other in finding.related:
        yield ""
        yield f"  see also {view.paint(_spot(other.origin), Style.PLACE)}"
        yield from _location(other, view)
    if finding.evidence:
        yield ""
        yield from (
            f"  {view.paint('|', Style.FAINT)} {printable(line)}".rstrip()
            for line in finding.evidence.splitlines()
        )
    yield ""
    yield _labelled("fix:", finding.fix + _BY_ITSELF * bool(finding.edits), view)
    yield _labelled("see:", finding.page, view)


def _spot(origin: Origin) -> str:
    return f"{printable(origin.file)}:{origin.line}:{origin.column}"


def _location(at: Location, view: View) -> Iterator[str]:
    """Yield the line in its file with a caret under the value, and what it is a part of."""
    number = str(at.origin.line)
    margin = " " * len(number)
    bar = view.paint("|", Style.FAINT)
    if at.source:
        excerpt, start, length = _excerpt(at.source, at.origin.column)
        yield f"  {view.paint(number, Style.FAINT)} {bar} {excerpt}".rstrip()
        yield f"  {margin} {bar} {' ' * start}{view.paint('^' * length, Style.ERROR)}"
    if at.hidden:
        yield f"  {margin} {bar} {view.paint('not shown: it may hold a credential', Style.FAINT)}"
    equals = view.paint("=", Style.FAINT)
    where = f"{at.title}, {at.path}" if at.path else at.title
    if where != at.origin.file:
        yield f"  {margin} {equals} {printable(where)}{'' if at.exists else ' (not set)'}"
    if len(at.writers) > 1 or at.origin.writer not in _PLAIN:
        yield f"  {margin} {equals} {view.paint(_chain(at.writers), Style.FAINT)}"


def _chain(writers: Sequence[Origin]) -> str:
    last, *earlier = writers
    told = [f"{printable(origin.file)}:{origin.line} ({origin.writer})" for origin in earlier[:_MOST_WRITERS]]
    rest = len(earlier) - _MOST_WRITERS
    if rest > 0:
        told.append(f"{rest} more")
    return f"written by {last.writer}" + (f", after {', '.join(told)}" if told else "")


def _excerpt(source: str, column: int) -> tuple[str, int, int]:
    """Return a line (of a long one, the part around ``column``), and where in it the value stands."""
    line = printable(source.replace("\t", " ").rstrip())
    start = min(column - 1, len(line))
    end = value_end(line, start)
    first = len(line) - len(line.lstrip())
    if len(line) - first > _WIDTH:
        first = max(first, min(start - _CONTEXT, len(line) - _WIDTH))
    last = first + _WIDTH
    head, tail = ("..." if line[:first].strip() else ""), ("..." if line[last:] else "")
    return head + line[first:last] + tail, len(head) + start - first, max(1, min(end, last) - start)


def _labelled(label: str, text: str, view: View) -> str:
    indented = paragraph(text, 2 + len(label) + 1).lstrip()
    return f"  {view.paint(label, Style.STRONG)} {indented}"


def paragraph(text: str, indent: int = 0) -> str:
    """Return ``text`` in lines of at most 100 columns, each indented by that much."""
    return "\n".join(" " * indent + line for line in _wrapped(text, _WIDTH - indent))


def _wrapped(text: str, width: int) -> list[str]:
    """Break at spaces only: a path or a name stays whole, however long it is."""
    lines: list[str] = []
    for word in map(printable, text.split()):
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _waived(report: Report, view: View) -> Iterator[str]:
    """Yield what somebody answers for: who, why and until when."""
    for answer in answers(report):
        yield "\n".join(
            [
                view.paint(f"waived[{answer.rule}] until {answer.expires} by {answer.owner}", Style.FAINT),
                paragraph(answer.reason, 2),
                *(
                    paragraph(f"- {name} in {', '.join(overlays)}", 2)
                    for name, overlays in answer.objects.items()
                ),
            ]
        )


def _table(report: Report, view: View) -> str:
    """Return what was checked: a row for each overlay, and one for the repository."""
    rows = table(report)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    return "\n".join([view.paint(lines[0], Style.STRONG), *lines[1:]])


def _aligned(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    name, *figures = zip(row, widths, strict=True)
    yield name[0].ljust(name[1])
    yield from (text.rjust(width) for text, width in figures)


def _reasons(report: Report, view: View) -> Iterator[str]:
    """Yield why rules had nothing to judge, each reason once."""
    parts: dict[tuple[str, str], list[str]] = {}
    for part in report.parts:
        for rule in part.rules(Verdict.NOT_APPLICABLE):
            parts.setdefault((rule, part.outcomes[rule].reason), []).append(part.name)
    if parts:
        yield view.paint("not applicable", Style.STRONG) + "".join(
            f"\n  {rule} ({heading(tuple(names), report)})\n{paragraph(reason, 4)}"
            for (rule, reason), names in sorted(parts.items())
        )
