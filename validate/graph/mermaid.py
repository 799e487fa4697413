"""The picture as Mermaid, which GitHub, GitLab and editors draw themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.graph.picture import Part, in_one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.graph.picture import Arrow, Box, Picture

_SHAPES = {
    Part.CLIENT: ("([", "])"),
    Part.SOCKET: ("{{", "}}"),
    Part.CREDENTIALS: ("[(", ")]"),
    Part.OUTSIDE: ("(", ")"),
}
_INSIDE = (Part.BINDER, Part.CREDENTIALS)
_ON_THE_NODE = (Part.BUILD, Part.SOCKET, Part.DAEMON)
# What Mermaid reads as its own in a quoted text, as references to characters.
_ESCAPES = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;", "{": "#123;", "}": "#125;"}


def render(picture: Picture) -> str:
    """Return the picture as a Mermaid flowchart."""
    return "".join(f"{line}\n" for line in _lines(picture))


def _lines(picture: Picture) -> Iterator[str]:
    yield f"%% {_text(picture.overlay)}: who takes part, and who may send to whom"
    yield "flowchart LR"
    yield from _boxes(picture, "  ", Part.CLIENT)
    yield f'  subgraph namespace["namespace {_text(picture.namespace)}"]'
    yield from _boxes(picture, "    ", *_INSIDE)
    yield f'    subgraph node["{_text(picture.node)}"]'
    yield from _boxes(picture, "      ", *_ON_THE_NODE)
    yield "    end"
    yield "  end"
    yield from _boxes(picture, "  ", Part.OUTSIDE)
    yield from (f"  {line}" for line in _relations(picture))
    wrong = []
    first = sum(1 for _ in _relations(picture))
    for number, arrow in enumerate(picture.arrows, start=first):
        yield f"  {_arrow(arrow)}"
        if not arrow.is_fine:
            wrong.append(str(number))
    yield "  classDef found stroke:#c0352b,stroke-width:3px"
    marked = [box.id for box in picture.boxes if box.marks]
    if marked:
        yield f"  class {','.join(marked)} found"
    if wrong:
        yield f"  linkStyle {','.join(wrong)} stroke:#c0352b,stroke-width:3px"
    for one in picture.legend:
        yield f"  %% {one.number}: {one.severity} {one.rule}, {one.at}"


def _boxes(picture: Picture, indent: str, *parts: Part) -> Iterator[str]:
    return (f"{indent}{_box(box)}" for box in picture.boxes if box.part in parts)


def _box(box: Box) -> str:
    opening, closing = _SHAPES.get(box.part, ("[", "]"))
    marks = f"{' '.join(f'({mark.number})' for mark in box.marks)} " if box.marks else ""
    lines = "".join(f"<br/>{_text(line)}" for line in box.lines)
    return f'{box.id}{opening}"{marks}<b>{_text(box.title)}</b>{lines}"{closing}'


def _relations(picture: Picture) -> Iterator[str]:
    known = {box.id for box in picture.boxes}
    for source, line, target in (
        ("binder", '-- "creates" -->', "build"),
        ("build", '-- "mounts" ---', "socket"),
        ("socket", "---", "daemon"),
        ("secret", "-.-", "binder"),
        ("secret", "-.-", "build"),
    ):
        if {source, target} <= known:
            yield f"{source} {line} {target}"


def _arrow(arrow: Arrow) -> str:
    by = f"<br/>by {_text(arrow.by)}" if arrow.by else ""
    if arrow.allowed:
        return f'{arrow.source} -- "{_text(arrow.ports)}{by}" --> {arrow.target}'
    word = "BLOCKED" if arrow.wanted else "denied"
    return f'{arrow.source} -. "{word}{by}" .-x {arrow.target}'


def _text(text: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in in_one_line(text))
