"""Rewrite: a text of YAML with one edit made in it, and every other character as it was.

The text is composed only to find where things begin and end; the edit is spliced into it. So
comments, quotes, order and line ends stay. What cannot be found exactly is not edited.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import yaml
from msgspec import Struct
from msgspec.structs import replace

from validate.edits import Add, Put, Remove, Rename, Replace
from validate.source import load_rendered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from validate.edits import Edit
    from validate.place import Json, Scalar

_STEP = 2
_BYTE_ORDER_MARK = "\ufeff"


class EditError(Exception):
    """The edit cannot be made: a clause that says why, of the place where it should have been."""


def rewrite(text: str, edit: Edit) -> str | None:
    """Return ``text`` with ``edit`` made in it, None where it leaves nothing but comments.

    A place inside a literal block (an inline patch, a fragment inside a ConfigMap) is one of the YAML
    in the block, as it is for :func:`validate.source.compose`.

    Raises:
        EditError: what the edit expects does not stand there, or stands there in a form that cannot be
            edited without changing something else as well.
    """
    if text.startswith(_BYTE_ORDER_MARK):
        inner = rewrite(text[1:], edit)
        return None if inner is None else _BYTE_ORDER_MARK + inner
    source = _Source(text)
    block = source.block_around(edit.at.line)
    edited = block.rewrite(edit) if block else _EDITORS[type(edit)](source, edit)
    if edited is not None:
        _Source(edited)
    return edited


class _Spot(NamedTuple):
    """A node, and where it stands: under a key of a mapping, in a list, or as a document."""

    node: yaml.Node
    key: yaml.ScalarNode | None
    parent: _Spot | None

    @property
    def position(self) -> tuple[int, int]:
        """Line and column, 1-based, as an origin has them."""
        inside = self.key is not None and _is_block(self.node)
        mark = self.key.start_mark if inside and self.key is not None else self.node.start_mark
        return mark.line + 1, mark.column + 1

    @property
    def start(self) -> int:
        """Where it begins in the text, with its key."""
        return int((self.key or self.node).start_mark.index)

    @property
    def name(self) -> str | None:
        """Its key."""
        return str(self.key.value) if self.key is not None else None


class _Source:
    """A text and the nodes in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.newline = "\r\n" if "\r\n" in text else "\n"
        try:
            documents = [node for node in yaml.compose_all(text, Loader=yaml.CSafeLoader) if node is not None]
        except (yaml.YAMLError, RecursionError):
            raise EditError("the file would not be YAML any more") from None
        self.documents = len(documents)
        self.spots = [spot for node in documents for spot in _walk(_Spot(node, None, None))]
        self.uses = Counter(id(spot.node) for spot in self.spots)

    def find(self, edit: Edit, what: str, accepts: Callable[[_Spot], bool]) -> _Spot:
        """Return the one spot at the edit's place that it accepts."""
        position = (edit.at.line, edit.at.column)
        found = [spot for spot in self.spots if spot.position == position and accepts(spot)]
        if not found:
            raise EditError(f"{what} does not stand there")
        spot = found[0]
        if len(found) > 1 or any(self.uses[id(above.node)] > 1 for above in _upwards(spot)):
            raise EditError("an anchor makes it stand in several places")
        return spot

    def splice(self, start: int, end: int, new: str) -> str:
        """Return the text with what is between two indices replaced."""
        return self.text[:start] + new + self.text[end:]

    def end(self, node: yaml.Node) -> int:
        """Return where a node ends, without the comments and blank lines after it."""
        if isinstance(node, yaml.ScalarNode):
            end = int(node.end_mark.index)
            return len(self.text[:end].rstrip()) if node.style in ("|", ">") else end
        if not _is_block(node):
            return int(node.end_mark.index)
        last = node.value[-1]
        key, value = last if isinstance(last, tuple) else (node, last)
        if self.uses[id(value)] > 1 and value.start_mark.index < key.end_mark.index:
            raise EditError("an anchor stands at its end")
        return self.end(value)

    def line_end(self, index: int) -> int:
        """Return the end of the line that ``index`` is in, without its line break."""
        end = self.text.find("\n", index)
        end = len(self.text) if end < 0 else end
        return end - 1 if self.text[:end].endswith("\r") else end

    def line_start(self, index: int) -> int:
        """Return the beginning of the line that ``index`` is in."""
        return self.text.rfind("\n", 0, index) + 1

    def after(self, index: int, lines: list[str]) -> str:
        """Return the text with lines added after the one that ``index`` is in."""
        end = self.line_end(index)
        return self.splice(end, end, "".join(self.newline + line for line in lines))

    def value(self, node: yaml.Node) -> Json:
        """Return the value of a node as Kubernetes reads it."""
        try:
            return next(load_rendered(self.text[node.start_mark.index : self.end(node)]), None)
        except yaml.YAMLError:
            raise EditError("it is not written in one piece") from None

    def block_around(self, line: int) -> _Block | None:
        """Return the literal block with that line in it, None where there is none."""
        for spot in self.spots:
            node = spot.node
            if isinstance(node, yaml.ScalarNode) and node.style == "|":
                first = node.start_mark.line + 1
                last = self.text.count("\n", 0, self.end(node))
                if first <= line - 1 <= last:
                    return _Block(self, first, last)
        return None


class _Block(Struct, frozen=True):
    """The YAML in a literal block: the lines from ``first`` to ``last``, both 0-based."""

    source: _Source
    first: int
    last: int

    def rewrite(self, edit: Edit) -> str:
        """Return the whole text with ``edit`` made in the block."""
        lines = self.source.text.split("\n")
        inside = lines[self.first : self.last + 1]
        margin = len(inside[0]) - len(inside[0].lstrip(" "))
        at = edit.at._replace(line=edit.at.line - self.first)
        edited = rewrite("\n".join(line[margin:] for line in inside), replace(edit, at=at))
        if edited is None:
            raise EditError("nothing would be left of the block that it stands in")
        again = [" " * margin + line if line.strip() else line for line in edited.split("\n")]
        return "\n".join([*lines[: self.first], *again, *lines[self.last + 1 :]])


def _replace(source: _Source, edit: Replace) -> str:
    spot = source.find(edit, _shown(edit.old), lambda spot: isinstance(spot.node, yaml.ScalarNode))
    assert isinstance(spot.node, yaml.ScalarNode)  # noqa: S101 - for the type checker: only such a spot is found
    start, end = spot.node.start_mark.index, source.end(spot.node)
    if not source.text[start:end] or source.text[start] in "&!|>":
        raise EditError("it is written with a tag, an anchor or as a block")
    found = source.value(spot.node)
    if found != edit.old or isinstance(found, bool) != isinstance(edit.old, bool):
        raise EditError(f"{_shown(edit.old)} does not stand there")
    return source.splice(start, end, _scalar(edit.new, spot.node.style))


def _rename(source: _Source, edit: Rename) -> str:
    spot = source.find(edit, f"the key {edit.old}", lambda spot: spot.name == edit.old)
    assert spot.key is not None  # noqa: S101 - for the type checker: it has that name
    assert spot.parent is not None  # noqa: S101 - likewise
    if any(key.value == edit.new for key, _ in spot.parent.node.value):
        raise EditError(f"{edit.new} stands beside it")
    start, end = spot.key.start_mark.index, spot.key.end_mark.index
    return source.splice(start, end, _scalar(edit.new, spot.key.style))


def _add(source: _Source, edit: Add) -> str:
    def accepts(spot: _Spot) -> bool:
        return isinstance(spot.node, yaml.MappingNode) and spot.name == edit.key

    spot = source.find(edit, f"the mapping {edit.key}" if edit.key else "a mapping", accepts)
    below = next((one for one in _children(spot) if one.name == edit.name), None)
    if below is None:
        return _added(source, spot.node, edit.name, edit.value)
    if isinstance(below.node, yaml.MappingNode) and isinstance(edit.value, dict):
        line, column = below.position
        at, text = edit.at._replace(line=line, column=column), source.text
        for name, value in edit.value.items():
            text = _add(_Source(text), Add(at, edit.name, name, value))
        return text
    start, end = below.node.start_mark.index, source.end(below.node)
    if source.text[start:end] in {"", "null", "~"}:
        space = "" if start < end else " "
        return source.splice(start, end, space + _flow(edit.value, as_json=False))
    if source.value(below.node) == edit.value:
        return source.text
    raise EditError(f"{edit.name} stands there with another value")


def _added(source: _Source, node: yaml.Node, name: str, value: Json) -> str:
    if _is_block(node):
        column = node.value[0][0].start_mark.column
        return source.after(source.end(node), list(_entry_lines(name, value, column)))
    as_json = bool(node.value) and node.value[0][0].style == '"'
    entry = f"{_flow(name, as_json=as_json)}: {_flow(value, as_json=as_json)}"
    pairs = [(key.start_mark, below) for key, below in node.value]
    return _appended(source, node, pairs, entry)


def _put(source: _Source, edit: Put) -> str:
    def accepts(spot: _Spot) -> bool:
        return isinstance(spot.node, yaml.SequenceNode) and spot.name == edit.key

    spot = source.find(edit, f"the list {edit.key}" if edit.key else "a list", accepts)
    name = edit.item.get("name") if isinstance(edit.item, dict) else None
    for one in _children(spot):
        if (
            name is not None
            and isinstance(one.node, yaml.MappingNode)
            and name in (below.node.value for below in _children(one) if below.name == "name")
        ):
            start, column = one.node.start_mark.index, one.node.start_mark.column
            new = _flow(edit.item, as_json=False)
            if _is_block(one.node):
                new = source.newline.join(_lines(edit.item, column)).lstrip()
            return source.splice(start, source.end(one.node), new)
    if _is_block(spot.node):
        column = spot.node.start_mark.column
        return source.after(source.end(spot.node), list(_lines([edit.item], column)))
    items = [(item.start_mark, item) for item in spot.node.value]
    return _appended(source, spot.node, items, _flow(edit.item, as_json=False))


def _appended(source: _Source, node: yaml.Node, parts: list[tuple[yaml.Mark, yaml.Node]], new: str) -> str:
    """Add to a flow collection: on a line of its own where the first part has one."""
    if not parts:
        start = node.start_mark.index + 1
        return source.splice(start, start, new)
    first, end = parts[0][0], source.end(parts[-1][1])
    own_line = first.line > node.start_mark.line
    between = f",{source.newline}{' ' * first.column}" if own_line else ", "
    return source.splice(end, end, between + new)


def _remove(source: _Source, edit: Remove) -> str | None:
    def accepts(spot: _Spot) -> bool:
        return spot.name == edit.key and spot.parent is not None

    spot = source.find(edit, f"the key {edit.key}" if edit.key else "an element", accepts)
    while spot.parent is not None and len(spot.parent.node.value) == 1:
        spot = spot.parent
    if spot.parent is None:
        if source.documents > 1:
            raise EditError("nothing would be left of the document that it stands in")
        return None
    around = list(_children(spot.parent))
    index = next(index for index, one in enumerate(around) if one.start == spot.start)
    following = around[index + 1] if index + 1 < len(around) else None
    start, end = spot.start, source.end(spot.node)
    if not _is_block(spot.parent.node):
        if following is not None:
            return source.splice(start, following.start, "")
        return source.splice(source.end(around[index - 1].node), end, "")
    first = source.line_start(start)
    before = source.text[first:start].strip()
    if before == ("" if spot.key is not None else "-"):
        return source.splice(first, min(source.line_end(end) + len(source.newline), len(source.text)), "")
    if spot.key is None or following is None:
        raise EditError("it shares its line with something else")
    # The first entry of a mapping in a list stands beside the dash.
    return source.splice(start, following.start, "")


_EDITORS: dict[type, Callable[..., str | None]] = {
    Replace: _replace,
    Rename: _rename,
    Add: _add,
    Put: _put,
    Remove: _remove,
}


def _walk(spot: _Spot) -> Iterator[_Spot]:
    yield spot
    for below in _children(spot):
        yield from _walk(below)


def _children(spot: _Spot) -> Iterator[_Spot]:
    if isinstance(spot.node, yaml.MappingNode):
        for key, value in spot.node.value:
            yield _Spot(value, key if isinstance(key, yaml.ScalarNode) else None, spot)
    elif isinstance(spot.node, yaml.SequenceNode):
        for item in spot.node.value:
            yield _Spot(item, None, spot)


def _upwards(spot: _Spot) -> Iterator[_Spot]:
    above: _Spot | None = spot
    while above is not None:
        yield above
        above = above.parent


def _is_block(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and not node.flow_style


def _shown(value: Scalar) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _scalar(value: Scalar, style: str | None = None) -> str:
    """Return a scalar as YAML, in quotes of that style where it can be and has to be."""
    if not isinstance(value, str):
        return json.dumps(value)
    if style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return value if not style and _is_plain(value) else json.dumps(value, ensure_ascii=False)


def _is_plain(value: str) -> bool:
    """Whether it reads as that string without quotes, in braces and out of them."""
    if not value or value != value.strip():
        return False
    try:
        return all(list(load_rendered(text % value)) == [{"k": value}] for text in ("{k: %s}", "k: %s"))
    except yaml.YAMLError:
        return False


def _flow(value: Json, *, as_json: bool) -> str:
    """Return a value in one line."""
    if as_json:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{_scalar(key)}: {_flow(item, as_json=False)}" for key, item in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item, as_json=False) for item in value) + "]"
    return _scalar(value)


def _lines(value: Json, column: int) -> Iterator[str]:
    """Yield the lines of a mapping or list that begins at a column."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield from _entry_lines(name, below, column)
    elif isinstance(value, list):
        for item in value:
            if not item or not isinstance(item, dict | list):
                yield f"{' ' * column}- {_flow(item, as_json=False)}"
                continue
            first, *others = _lines(item, column + _STEP)
            yield f"{' ' * column}- {first.lstrip()}"
            yield from others


def _entry_lines(name: str, value: Json, column: int) -> Iterator[str]:
    key = f"{' ' * column}{_scalar(name)}:"
    if value and isinstance(value, dict | list):
        yield key
        yield from _lines(value, column + _STEP)
    else:
        yield f"{key} {_flow(value, as_json=False)}"
