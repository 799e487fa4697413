"""The picture as SVG: one file that needs nothing else, for light and dark pages."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from validate.graph.picture import Part, in_one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from validate.graph.picture import Arrow, Box, Legend, Mark, Picture

WIDTH = 1200
_MARGIN, _GAP = 20, 14
_CLIENT_X, _CLIENT_WIDTH = 20, 210
_AREA_X, _AREA_END = 270, 730
_SECRET_X, _SECRET_WIDTH = 288, 144
_CORE_X, _CORE_WIDTH = 462, 238
_OUTSIDE_X, _OUTSIDE_WIDTH = 838, 342
_TITLE, _LINE, _ROW, _PADDING = 20, 16, 17, 10
_SOCKET_HEIGHT = 46
# How many characters fit: of 13 px bold and of 11.5 px, with room for fonts that are wider than this one.
_CHARACTER, _BOLD = 6.5, 8.0
_MOST_LEGEND = 12

STYLE = """\
    .graph {
      --paper: #ffffff; --ink: #1b2530; --faint: #5d6b79; --area: #eef2f6; --node: #dfe7ee;
      --box: #ffffff; --edge: #8a97a5; --binder: #2468b4; --build: #a0620c; --daemon: #1f7a5c;
      --bad: #c0352b; --warn: #a86a00;
    }
    @media (prefers-color-scheme: dark) {
      .graph {
        --paper: #14191f; --ink: #e3e9ef; --faint: #9aa7b4; --area: #1c232b; --node: #262f39;
        --box: #11161b; --edge: #6b7885; --binder: #6fb0f2; --build: #e8a84c; --daemon: #5cc79f;
        --bad: #ff7b6f; --warn: #f0b454;
      }
    }
    .graph text { font: 11.5px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink); }
    .graph .name { font-size: 13px; font-weight: 600; }
    .graph .faint { fill: var(--faint); }
    .graph .middle { text-anchor: middle; }
    .graph .end { text-anchor: end; }
    .graph .paper { fill: var(--paper); }
    .graph .area { fill: var(--area); stroke: var(--edge); }
    .graph .node { fill: var(--node); stroke: var(--edge); stroke-dasharray: 5 4; }
    .graph .box { fill: var(--box); stroke: var(--edge); stroke-width: 1.4; }
    .graph .line { fill: none; stroke: var(--edge); stroke-width: 1.6; }
    .graph .box.binder, .graph .line.binder { stroke: var(--binder); }
    .graph .box.build, .graph .line.build { stroke: var(--build); }
    .graph .box.daemon, .graph .line.daemon { stroke: var(--daemon); }
    .graph .line.mount { stroke-dasharray: 2 4; }
    .graph .line.denied { stroke-dasharray: 5 5; }
    .graph .line.wrong { stroke: var(--bad); stroke-width: 2.4; }
    .graph .cross { fill: none; stroke: var(--edge); stroke-width: 2; }
    .graph .cross.wrong { stroke: var(--bad); stroke-width: 2.6; }
    .graph .head { fill: var(--edge); }
    .graph .head.binder, .graph text.binder { fill: var(--binder); }
    .graph .head.build, .graph text.build { fill: var(--build); }
    .graph .head.daemon, .graph text.daemon { fill: var(--daemon); }
    .graph .head.wrong, .graph text.wrong { fill: var(--bad); }
    .graph text.wrong { font-weight: 600; }
    .graph .mark { fill: var(--bad); }
    .graph .mark.warning { fill: var(--warn); }
    .graph .ring { fill: none; stroke: var(--bad); stroke-width: 1.5; }
    .graph text.number { fill: var(--paper); font-weight: 700; text-anchor: middle; }
"""


class _Frame(NamedTuple):
    """Where a box is drawn."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height


def render(picture: Picture) -> str:
    """Return the picture as an SVG file."""
    return _svg(picture, 'xmlns="http://www.w3.org/2000/svg" ', f"  <style>\n{STYLE}  </style>\n", paper=True)


def inline(picture: Picture) -> str:
    """Return the picture for a page that has :data:`STYLE` itself."""
    return _svg(picture)


def _svg(picture: Picture, namespace: str = "", style: str = "", *, paper: bool = False) -> str:
    body, height = _Drawing(picture).drawn()
    title = _escaped(f"{picture.overlay}: who takes part, and who may send to whom")
    ground = f'  <rect class="paper" width="{WIDTH}" height="{height:.0f}"/>\n' if paper else ""
    return (
        f'<svg {namespace}viewBox="0 0 {WIDTH} {height:.0f}" class="graph" role="img" aria-label="{title}">\n'
        f"  <title>{title}</title>\n{style}{ground}{body}</svg>\n"
    )


class _Drawing:
    """One picture: places first, then lines, then boxes over their ends."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.boxes = {box.id: box for box in picture.boxes}
        self.into: dict[str, list[Arrow]] = {box.id: [] for box in picture.boxes}
        for arrow in picture.arrows:
            self.into[arrow.target].append(arrow)
        self.frames: dict[str, _Frame] = {}
        self.bottom = 0.0
        self.place()

    def of(self, *parts: Part) -> list[Box]:
        return [box for box in self.picture.boxes if box.part in parts]

    def place(self) -> None:
        """Give each box its frame: what is sent to in a column, the core beside it as tall as that."""
        top = _MARGIN + 44.0
        y = top
        for box in self.of(Part.OUTSIDE):
            height = _height(box, _OUTSIDE_WIDTH) + sum(_row_height(arrow) for arrow in self.into[box.id]) + 2
            self.frames[box.id] = _Frame(_OUTSIDE_X, y, _OUTSIDE_WIDTH, height)
            y += height + _GAP
        column_end = y - _GAP
        core = [box for box in (self.boxes.get(key) for key in ("build", "socket", "daemon")) if box]
        heights = [_SOCKET_HEIGHT if box.part is Part.SOCKET else _height(box, _CORE_WIDTH) for box in core]
        binder = self.boxes["binder"]
        first = _Frame(_CORE_X, top + 6, _CORE_WIDTH, _height(binder, _CORE_WIDTH))
        self.frames["binder"] = first
        start = first.bottom + 96
        space = max(26.0, (column_end - start - sum(heights) - 60) / max(1, len(core) - 1)) if core else 0.0
        space = min(space, 74.0)
        for box, height in zip(core, heights, strict=True):
            self.frames[box.id] = _Frame(_CORE_X, start, _CORE_WIDTH, height)
            start += height + space
        core_end = start - space if core else first.bottom
        secret = self.boxes.get("secret")
        if secret:
            near = self.frames.get("build", first)
            height = _height(secret, _SECRET_WIDTH)
            self.frames["secret"] = _Frame(_SECRET_X, near.middle - height / 2, _SECRET_WIDTH, height)
        y = first.y
        for box in self.of(Part.CLIENT):
            height = _height(box, _CLIENT_WIDTH)
            self.frames[box.id] = _Frame(_CLIENT_X, y, _CLIENT_WIDTH, height)
            y += height + _GAP
        notes = len(self.picture.notes) * _LINE + 16
        self.core_end = core_end + 34
        self.area_end = max(self.core_end + notes, column_end)
        self.bottom = max(self.area_end, y) + _MARGIN

    def drawn(self) -> tuple[str, float]:
        """Return the elements, and how tall the picture is."""
        lines = [*self.areas(), *self.relations(), *self.flows()]
        for box in self.picture.boxes:
            lines += self.box(box)
        y = self.bottom
        for text in self.legend():
            y += 20
            lines.append(text.format(y=f"{y:.0f}"))
        return "".join(f"  {line}\n" for line in lines), y + (_MARGIN if self.picture.legend else 0)

    def areas(self) -> Iterator[str]:
        yield _text(_MARGIN, 28, self.picture.overlay, "name")
        height = self.area_end - (_MARGIN + 16)
        yield _rect("area", _Frame(_AREA_X, _MARGIN + 16, _AREA_END - _AREA_X, height), 10)
        yield _text(_AREA_X + 16, _MARGIN + 38, f"namespace {self.picture.namespace}", "name")
        inside = [self.frames[key] for key in ("build", "daemon") if key in self.frames]
        if inside:
            y = inside[0].y - 34
            yield _rect("node", _Frame(_CORE_X - 16, y, _CORE_WIDTH + 32, self.core_end - 18 - y), 8)
            yield _text(_CORE_X - 4, y + 20, _fitted(self.picture.node, _CORE_WIDTH, _CHARACTER), "faint")
        for number, note in enumerate(reversed(self.picture.notes)):
            y = self.area_end - 12 - number * _LINE
            yield _text(_AREA_X + 16, y, _fitted(note, _AREA_END - _AREA_X - 30, _CHARACTER), "faint")

    def relations(self) -> Iterator[str]:
        """Yield who makes, mounts and uses what, which no policy is asked about."""
        binder, build = self.frames["binder"], self.frames.get("build")
        if build:
            x = _CORE_X + 40.0
            yield _line("line", f"M{x} {binder.bottom:.0f}V{build.y - 2:.0f}")
            yield _head("head", x, build.y, "down")
            yield _text(x + 8, binder.bottom + 26, "creates, by the API server", "faint")
        chain = [self.frames[key] for key in ("build", "socket", "daemon") if key in self.frames]
        for upper, lower in pairwise(chain):
            x = _CORE_X + _CORE_WIDTH / 2
            yield _line("line", f"M{x:.0f} {upper.bottom:.0f}V{lower.y:.0f}")
        if "socket" in self.frames and len(chain) > 1:
            yield _text(_CORE_X + _CORE_WIDTH / 2 + 8, chain[0].bottom + 20, "mounts", "faint")
        secret = self.frames.get("secret")
        if secret:
            x = secret.x + secret.width / 2
            yield _line("line mount", f"M{x:.0f} {secret.y:.0f}V{binder.middle + 14:.0f}H{binder.x:.0f}")
            if build:
                yield _line("line mount", f"M{secret.right:.0f} {build.middle:.0f}H{build.x:.0f}")

    def flows(self) -> Iterator[str]:
        """Yield the lines of what is sent: each from its place at its source to its row at its target."""
        leaving: dict[str, list[Arrow]] = {}
        for arrow in self.picture.arrows:
            leaving.setdefault(arrow.source, []).append(arrow)
        for source, arrows in leaving.items():
            frame = self.frames[source]
            ordered = sorted(arrows, key=self.row_y)
            for number, arrow in enumerate(ordered, start=1):
                y = frame.y + frame.height * number / (len(ordered) + 1)
                yield from self.flow(arrow, frame, y)

    def row_y(self, arrow: Arrow) -> float:
        """Return where an arrow ends: at its row in the box of its target."""
        frame, box = self.frames[arrow.target], self.boxes[arrow.target]
        if box.part is not Part.OUTSIDE:
            into = [one for one in self.into[arrow.target] if self.boxes[one.source].part is Part.CLIENT]
            return frame.y + frame.height * (into.index(arrow) + 1) / (len(into) + 2)
        y = frame.y + _height(box, _OUTSIDE_WIDTH) - 4
        for other in self.into[arrow.target]:
            if other == arrow:
                return y + _ROW / 2
            y += _row_height(other)
        return y

    def flow(self, arrow: Arrow, frame: _Frame, start: float) -> Iterator[str]:
        end, x, target = self.row_y(arrow), frame.right, self.frames[arrow.target].x
        kind = "wrong" if not arrow.is_fine else arrow.source if arrow.allowed else "denied"
        bend = (x + target) / 2 + 20
        curve, straight = f"{bend - 40:.0f} {end:.1f} {target - 8:.0f} {end:.1f}", ""
        if self.boxes[arrow.source].part is Part.CLIENT:
            # All the way to the area's edge in a curve, then straight on to BinderHub.
            start, bend = frame.middle, (_AREA_X + x) / 2
            curve, straight = f"{bend:.0f} {end:.1f} {bend + 30:.0f} {end:.1f}", f"H{target - 8:.0f}"
        path = f"M{x:.0f} {start:.1f}C{bend:.0f} {start:.1f} {curve}{straight}"
        yield _line(f"line {kind}" if arrow.allowed else f"line denied {kind}", path)
        if arrow.allowed:
            yield _head(f"head {kind}", target, end, "right")
        else:
            yield (f'<path class="cross {kind}" d="M{target - 13:.0f} {end - 5:.1f}l9 10m0 -10l-9 10"/>')

    def box(self, box: Box) -> Iterator[str]:
        frame = self.frames[box.id]
        if box.part is Part.SOCKET:
            yield _rect("box", frame, frame.height / 2)
        else:
            yield _rect(f"box {box.id}", frame, 6)
        y = frame.y + _TITLE
        if box.part is Part.SOCKET:
            yield _text(frame.x + frame.width / 2, y, box.title, "name middle")
            shown = _shortened(box.lines[0], frame.width - 24, _CHARACTER)
            yield _text(frame.x + frame.width / 2, y + _LINE, shown, "middle faint")
        else:
            for line in _wrapped(box.title, frame.width - 24, _BOLD):
                yield _text(
                    frame.x + 12, y, line, f"name {box.id if box.part is not Part.OUTSIDE else ''}".strip()
                )
                y += _LINE
            for line in box.lines:
                yield _text(frame.x + 12, y, _shortened(line, frame.width - 18, _CHARACTER), "faint")
                y += _LINE
            if box.part is Part.OUTSIDE:
                yield from self.rows(box, frame)
        yield from _marks(box.marks, frame)

    def rows(self, box: Box, frame: _Frame) -> Iterator[str]:
        """Yield what reaches a box: from whom, at which port, and by which policy."""
        names = {"binder": "BinderHub", "build": "build pod", "daemon": "docker-api"}
        for arrow in self.into[box.id]:
            y = self.row_y(arrow) + 4
            kind = "wrong" if not arrow.is_fine else arrow.source if arrow.allowed else "faint"
            who, ports, by = names.get(arrow.source, arrow.source), arrow.ports, arrow.by
            if not arrow.allowed:
                told = f"{who} is denied" if not arrow.wanted else f"{who} is BLOCKED at {ports}"
            else:
                told = f"{who} at {ports}" if arrow.wanted else f"{who} CAN reach it at {ports}"
            yield _text(frame.x + 12, y, _fitted(told, frame.width - 20, _CHARACTER), kind)
            if by and _row_height(arrow) == _ROW:
                yield _text(frame.right - 10, y, by, "end faint")
            elif by:
                yield _text(frame.x + 24, y + _ROW - 2, f"by {by}", "faint")

    def legend(self) -> Iterator[str]:
        shown = self.picture.legend[:_MOST_LEGEND]
        for one in shown:
            yield _legend(one)
        rest = len(self.picture.legend) - len(shown)
        if rest:
            yield f'<text class="faint" x="{_MARGIN}" y="{{y}}">and {rest} more</text>'


def _told_length(arrow: Arrow) -> int:
    return len(arrow.ports) + len(arrow.by) + (26 if arrow.is_fine else 36)


def _row_height(arrow: Arrow) -> float:
    """Return the height of a row: the policy stands below what does not leave room for it."""
    fits = _told_length(arrow) * _CHARACTER < _OUTSIDE_WIDTH + 40
    return _ROW if fits or not arrow.by else 2 * _ROW


def _height(box: Box, width: float) -> float:
    titles = len(_wrapped(box.title, width - 24, _BOLD))
    return _PADDING + titles * _LINE + len(box.lines) * _LINE + _PADDING


def _legend(one: Legend) -> str:
    kind = "mark" if one.severity == "error" else "mark warning"
    new = "new " if one.is_new else ""
    text = _fitted(f"{new}{one.severity} {one.rule}, {one.at}: {one.problem}", WIDTH - 90, _CHARACTER)
    shown = _escaped(text).replace("{", "{{").replace("}", "}}")
    return (
        f'<g transform="translate(0 {{y}})"><circle class="{kind}" cx="{_MARGIN + 9}" cy="-4" r="9"/>'
        f'<text class="number" x="{_MARGIN + 9}" y="0">{one.number}</text>'
        f'<text x="{_MARGIN + 26}" y="0">{shown}</text></g>'
    )


def _marks(marks: Sequence[Mark], frame: _Frame) -> Iterator[str]:
    for index, mark in enumerate(marks):
        x, y = frame.right - 8 - index * 22, frame.y
        kind = "mark" if mark.severity == "error" else "mark warning"
        yield f'<circle class="{kind}" cx="{x:.0f}" cy="{y:.0f}" r="9"/>'
        if mark.is_new:
            yield f'<circle class="ring" cx="{x:.0f}" cy="{y:.0f}" r="12"/>'
        yield _text(x, y + 4, str(mark.number), "number")


def _rect(kind: str, frame: _Frame, radius: float) -> str:
    return (
        f'<rect class="{kind}" x="{frame.x:.0f}" y="{frame.y:.1f}" width="{frame.width:.0f}" '
        f'height="{frame.height:.1f}" rx="{radius:.0f}"/>'
    )


def _line(kind: str, path: str) -> str:
    return f'<path class="{kind}" d="{path}"/>'


def _head(kind: str, x: float, y: float, towards: str) -> str:
    if towards == "down":
        return f'<path class="{kind}" d="M{x - 5:.0f} {y - 9:.1f}h10l-5 9z"/>'
    return f'<path class="{kind}" d="M{x - 9:.0f} {y - 5:.1f}v10l9 -5z"/>'


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.0f}" y="{y:.0f}">{_escaped(text)}</text>'


def _escaped(text: str) -> str:
    return escape(in_one_line(text))


def _fitted(text: str, width: float, character: float) -> str:
    """Return the beginning of a text that fits."""
    most = int(width / character)
    return text if len(text) <= most else f"{text[: most - 1]}\u2026"


def _shortened(text: str, width: float, character: float) -> str:
    """Return a path or a name that fits, without its middle where need be."""
    most = int(width / character)
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[:half]}\u2026{text[-(most - 1 - half) :]}"


def _wrapped(text: str, width: float, character: float) -> list[str]:
    """Return a text in lines that fit; a word that is too long breaks after a slash or an equals sign."""
    most = int(width / character)
    lines = [""]
    for piece in _pieces(text, most):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > most:
            lines.append("")
        lines[-1] += piece
    return [line.strip() for line in lines]


def _pieces(text: str, most: int) -> Iterable[str]:
    for word in text.split():
        rest = f"{word} "
        while len(rest.rstrip()) > most:
            cut = max(rest.rfind(letter, 0, most) for letter in "/=-.") + 1 or most
            yield rest[:cut]
            rest = rest[cut:]
        yield rest
