"""What a change does, as one page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

import validate
from validate.diff.changes import How
from validate.graph import svg
from validate.report.diff.grouping import heading, rows, scope, sections, summary, waived
from validate.report.diff.text import effect_lines, section_lines
from validate.report.grouping import merged
from validate.report.lines import printable
from validate.report.summary import count
from validate.report.text import show
from validate.report.view import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from validate.diff.changes import Comparison, Effect, OverlayChange
    from validate.finding import Finding
    from validate.report.diff.grouping import Section

_STATUS = ("fine", "bad", "unknown")
_KINDS = {"+": "come", "-": "go", "~": "change", "@": "left", " ": "same"}
_MOST_VALUE_LINES = 200
# More pictures than that are no help, and each is 20 KB.
_MOST_PICTURES = 12

_CSS = """\
:root {
  color-scheme: light dark;
  --page: #f6f8fa; --card: #ffffff; --ink: #1b2530; --faint: #5d6b79; --rule: #d5dce3; --link: #2468b4;
  --fine: #1f7a4a; --bad: #c0352b; --warn: #8f5a00; --come: #e3f4e8; --go: #fbe7e5; --code: #f1f4f7;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f1317; --card: #171d23; --ink: #e3e9ef; --faint: #9aa7b4; --rule: #2d3741; --link: #6fb0f2;
    --fine: #5cc98d; --bad: #ff7b6f; --warn: #f0b454; --come: #12301f; --go: #3a1a18; --code: #11161b;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, "Segoe UI", "DejaVu Sans", sans-serif;
}
main { max-width: 76rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .7rem; }
p { margin: .4rem 0; }
code, pre { font: 13px/1.5 ui-monospace, "SF Mono", "DejaVu Sans Mono", monospace; }
.scope { color: var(--faint); overflow-wrap: anywhere; }
.status { display: inline-block; margin: .8rem 0 0; padding: .35rem .8rem; border-radius: 2rem;
  border: 1.5px solid currentColor; font-weight: 600; }
.fine { color: var(--fine); } .bad { color: var(--bad); } .unknown { color: var(--warn); }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: .6rem; margin: .7rem 0;
  overflow: hidden; }
.card > summary, .card > .inner { padding: .7rem 1rem; }
.card > summary { cursor: pointer; overflow-wrap: anywhere; }
.card[open] > summary { border-bottom: 1px solid var(--rule); }
.card > .body { padding: .4rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .5rem 1rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
th { color: var(--faint); font-weight: 600; font-size: .85rem; }
td.number { text-align: right; } th.number { text-align: right; }
pre { margin: 0; padding: .7rem 1rem; overflow-x: auto; }
.lines { padding: .5rem 0; }
.lines span { display: block; padding: 0 1rem; white-space: pre; min-width: max-content; }
.lines .come { background: var(--come); } .lines .go { background: var(--go); }
.lines .change { font-weight: 700; padding-top: .5rem; }
.lines .left { color: var(--faint); }
.lines i { font-style: normal; color: var(--faint); }
ul.effects { list-style: none; margin: 0; padding: 0; }
ul.effects li { padding: .55rem 1rem; border-bottom: 1px solid var(--rule); overflow-wrap: anywhere; }
ul.effects li:last-child { border-bottom: 0; }
.kind { display: inline-block; min-width: 6.5rem; font-weight: 600; }
.grave .kind { color: var(--bad); }
.cause { display: block; color: var(--faint); font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace;
  overflow-wrap: anywhere; }
.tag { font-size: .8rem; font-weight: 700; text-transform: uppercase; letter-spacing: .03em; }
.tag.error { color: var(--bad); } .tag.warning { color: var(--warn); } .tag.fixed { color: var(--fine); }
figure { margin: 0; } figure svg { display: block; min-width: 900px; width: 100%; height: auto; }
footer { margin-top: 3rem; color: var(--faint); font-size: .85rem; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  main { padding: 1rem .6rem 3rem; }
  thead { display: none; }
  tr, td { display: block; } tr { border-bottom: 1px solid var(--rule); padding: .4rem 0; }
  tr:last-child { border-bottom: 0; }
  td, td.number { border: 0; padding: .12rem 1rem; text-align: left; }
  td::before { content: attr(data-label) " "; color: var(--faint); font-size: .85rem; }
  td:first-child { font-weight: 700; } td:first-child::before { content: ""; }
}
"""


def render(comparison: Comparison, _view: View | None = None) -> str:
    """Return the page."""
    title = f"validate diff: {comparison.base} to {comparison.head or 'the working tree'}"
    body = "".join(f"{part}\n" for part in _parts(comparison))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>\n{_CSS}{svg.STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )


def _parts(comparison: Comparison) -> Iterator[str]:
    yield "<h1>What this change does</h1>"
    yield f'<p class="scope">{_text(scope(comparison))}.</p>'
    yield f'<p class="status {_STATUS[comparison.exit_status]}">{_text(summary(comparison))}</p>'
    yield from (
        f'<p class="unknown">{_text(one)}</p>' for one in (*comparison.all_obstacles, *comparison.notes)
    )
    yield from _table(rows(comparison))
    grave = [effect for one in sections(comparison) for effect in one.effects if effect.grave]
    if grave:
        yield "<h2>Stop and think</h2>"
        yield f'<div class="card">{_effects(grave)}</div>'
    yield from _new(comparison)
    yield from _settled(comparison)
    yield from _differences(comparison)
    yield from _pictures(comparison)
    yield from _files(comparison)
    yield from _as_before(comparison)
    commits = f"base {comparison.base.commit}" + (
        f", head {comparison.head.commit}" if comparison.head else ", head: what is checked out"
    )
    yield f"<footer>validate {_text(validate.__version__)}; {_text(commits)}</footer>"


def _table(table: Sequence[Sequence[str]]) -> Iterator[str]:
    if not table:
        return
    heads, *others = table
    numbers = {"new", "fixed"}
    classes = [' class="number"' if head in numbers else "" for head in heads]
    top = "".join(f"<th{kind}>{_text(head)}</th>" for head, kind in zip(heads, classes, strict=True))
    yield "<h2>Who is affected</h2>"
    yield f'<div class="card scroll"><table><thead><tr>{top}</tr></thead><tbody>'
    for row in others:
        cells = (
            f'<td{kind} data-label="{_text(head)}">{_text(cell)}</td>'
            for head, kind, cell in zip(heads, classes, row, strict=True)
        )
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody></table></div>"


def _new(comparison: Comparison) -> Iterator[str]:
    if comparison.new:
        yield "<h2>New findings</h2>"
    for overlays, group in groupby(merged(comparison.new), key=lambda entry: entry[0]):
        for _, finding in group:
            yield _finding(finding, heading(overlays, comparison), is_open=True)


def _finding(finding: Finding, where: str, *, is_open: bool) -> str:
    opened = " open" if is_open else ""
    return (
        f'<details class="card"{opened}><summary>'
        f'<span class="tag {finding.severity}">{finding.severity}</span> '
        f"<code>{_text(finding.rule)}</code> in {_text(where)}: {_text(finding.problem)}</summary>"
        f"<pre>{escape(show(finding, View()))}</pre></details>"
    )


def _settled(comparison: Comparison) -> Iterator[str]:
    """Yield what the change mends, and what somebody answers for since."""
    entries = merged(comparison.fixed)
    sentences = list(waived(comparison))
    if not (entries or sentences):
        return
    yield "<h2>Fixed and waived</h2>"
    items = [
        f'<li><span class="tag fixed">fixed</span> <code>{_text(finding.rule)}</code> in '
        f"{_text(heading(overlays, comparison))}: {_text(finding.problem)}</li>"
        for overlays, finding in entries
    ]
    items += [f'<li><span class="tag warning">waived</span> {_text(sentence)}</li>' for sentence in sentences]
    yield f'<div class="card"><ul class="effects">{"".join(items)}</ul></div>'


def _differences(comparison: Comparison) -> Iterator[str]:
    told = sections(comparison)
    whole = [one for one in comparison.overlays if one.how is not How.CHANGED]
    if told or whole:
        yield "<h2>What differs, and what happens</h2>"
    for number, section in enumerate(told):
        yield _section(section, comparison, is_open=number == 0)
    yield from (_whole(one) for one in whole)


def _section(section: Section, comparison: Comparison, *, is_open: bool) -> str:
    objects = sum(len(one.titles) for one in section.objects)
    what = f"{count(objects, 'object')}, {count(len(section.effects), 'effect')}"
    lines = "".join(_line(*told) for told in section_lines(section, _MOST_VALUE_LINES))
    difference = f'<div class="scroll"><code><div class="lines">{lines}</div></code></div>' if lines else ""
    return (
        f'<details class="card"{" open" if is_open else ""}><summary><b>'
        f"{_text(heading(section.overlays, comparison))}</b>: {what}</summary>"
        f"{difference}{_effects(section.effects)}</details>"
    )


def _line(sign: str, depth: int, text: str) -> str:
    shown, equals, cause = printable(text).partition("  = ")
    told = f"{escape(shown)}<i>{escape(equals + cause)}</i>" if equals else escape(shown)
    mark = " " if sign in "~@" else sign
    return f'<span class="{_KINDS[sign]}">{"  " * depth}{mark} {told}</span>'


def _effects(effects: Iterable[Effect]) -> str:
    items = []
    for effect in effects:
        sentence, causes = effect_lines(effect)
        kind = ' class="grave"' if effect.grave else ""
        lines = "".join(f'<span class="cause">{_text(cause)}</span>' for cause in causes)
        items.append(
            f'<li{kind}><span class="kind">{_text(effect.kind)}</span> {_text(sentence)}{lines}</li>'
        )
    return f'<ul class="effects">{"".join(items)}</ul>' if items else ""


def _whole(overlay: OverlayChange) -> str:
    titles = "".join(f"<li>{_text(one.title)}</li>" for one in overlay.objects)
    return (
        f'<details class="card"><summary><b>{_text(overlay.name)}</b> is {overlay.how}: '
        f'{count(len(overlay.objects), "object")}</summary><ul class="effects">{titles}</ul></details>'
    )


def _pictures(comparison: Comparison) -> Iterator[str]:
    """Yield the systems as the change leaves them, those with something new first."""
    drawn = [one for one in comparison.differing if one.picture is not None]
    if not drawn:
        return
    new = {finding.overlay for finding in comparison.new}
    drawn.sort(key=lambda one: (one.name not in new, one.name))
    yield "<h2>The system afterwards</h2>"
    for number, one in enumerate(drawn[:_MOST_PICTURES]):
        if one.picture is not None:
            yield (
                f'<details class="card"{" open" if number == 0 else ""}><summary><b>{_text(one.name)}</b>: '
                f'who takes part, and who may send to whom</summary><figure class="scroll">'
                f"{svg.inline(one.picture)}</figure></details>"
            )
    rest = len(drawn) - _MOST_PICTURES
    if rest > 0:
        yield f"<p>{count(rest, 'more overlay')}: validate graph OVERLAY draws it.</p>"


def _files(comparison: Comparison) -> Iterator[str]:
    if comparison.files:
        ordered = sorted(comparison.files, key=lambda one: not one.reaches)
        items = "".join(
            f"<li><code>{_text(one.file)}</code>"
            f'<span class="cause">{_text(", ".join(one.reaches)) or "nothing"}</span></li>'
            for one in ordered
        )
        yield "<h2>What each file reaches</h2>"
        yield (
            f'<details class="card"><summary>{count(len(ordered), "file")}</summary>'
            f'<ul class="effects">{items}</ul></details>'
        )


def _as_before(comparison: Comparison) -> Iterator[str]:
    entries = merged(comparison.unchanged)
    if entries:
        yield "<h2>As before</h2>"
        yield from (
            _finding(finding, heading(overlays, comparison), is_open=False) for overlays, finding in entries
        )


def _text(text: str) -> str:
    return escape(printable(text))
