"""Harmless: edits that change nothing that matters, after which validate may find nothing.

They are what people do in passing: comments, quotes, order, another name for a file, a patch in two.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

import yaml

from tools.mutate.mutant import Kind, Mutant
from tools.mutate.sources import settings
from validate.edits import Add, Remove, Replace
from validate.rewrite import EditError, rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tools.mutate.sources import Setting
    from validate.edits import Edit
    from validate.place import Json

# Lists of which the order means nothing.
_UNORDERED = re.compile(
    r"(\.(verbs|env|tolerations|volumes|volumeMounts|ports|to|from|except|policyTypes|subjects|syncOptions"
    r"|containers|rules|taints|operations|keys|validationActions|validations|clusterResourceWhitelist|drop"
    r"|values)|:(resources|components|patches|configMapGenerator|secretGenerator|nodePools|namespaces"
    r"|provides|generatePaths|kubernetes))$"
)
# And where it decides all the same: one uses what another one makes.
_ORDERED = re.compile(r"components/.*kustomization\.yaml:|initContainers")
_TOP_KEY = re.compile(r"[a-z]\w*:")
_COMMENT = re.compile(r"\s*#")
_BLOCK_TEXT = re.compile(r":\s*[|>]")
_SELECTOR = re.compile(r"(podSelector|namespaceSelector)$")
_METADATA = re.compile(r":(\d+/)?metadata$")
_PLAIN = re.compile(r"[A-Za-z][\w./-]*")
_SPLIT = re.compile(r"(annotations|env|resources|template|spec)$")
_UNITS = (
    (re.compile(r"(\d+)Gi"), 1024, "Mi"),
    (re.compile(r"(\d+)Mi"), 1024, "Ki"),
    (re.compile(r"(\d+)"), 1000, "m"),
)
_QUANTITY = re.compile(r"resources\.(requests|limits)\.(cpu|memory)$|sizeLimit$")


def harmless(sources: Mapping[str, str]) -> list[Mutant]:
    """Return every harmless mutant once, in the order of files; ``change`` says what sort of edit it is."""
    made: dict[tuple[tuple[str, str | None], ...], Mutant] = {}
    for file, text in sources.items():
        if not file.endswith(".yaml"):
            continue
        for new in (
            *_layout(file, text),
            *_meaning(file, text),
            *_renamed(file, sources),
            *_joined(file, sources),
            *_split(file, sources),
            *_inlined(file, sources),
        ):
            if new.changes.get(file) != text:
                made.setdefault(tuple(sorted(new.changes.items(), key=str)), new)
    return list(made.values())


def _mutant(file: str, change: str, text: str, setting: Setting | None = None) -> Mutant:
    path, line = (setting.path, setting.at.line) if setting else ("", 1)
    return Mutant(Kind.HARMLESS, file, path, line, change, {file: text})


def _layout(file: str, text: str) -> Iterator[Mutant]:
    """Yield the same documents, written differently."""
    lines = text.splitlines(keepends=True)
    middle = next((n for n in range(len(lines) // 2, len(lines)) if _TOP_KEY.match(lines[n])), 0)
    commented = "".join([*lines[:middle], "# Somebody's remark.\n", *lines[middle:]])
    yield _mutant(file, "comment added", commented)
    if not _BLOCK_TEXT.search(text):
        bare = "".join(line for line in lines if not _COMMENT.match(line))
        yield _mutant(file, "comments removed", bare)
        spaced = "".join(f"{line}\n" if _TOP_KEY.match(line) else line for line in lines)
        yield _mutant(file, "blank lines added", spaced)
        yield _mutant(file, "line ends of Windows", text.replace("\n", "\r\n"))
    yield _mutant(file, "document separator added", f"---\n{text}")
    yield _mutant(file, "document end added", f"{text}...\n")
    documents = list(yaml.safe_load_all(text))
    if any(map(_has_date, documents)):
        return
    # Kustomize takes a JSON patch that begins with a bracket for JSON.
    is_patch = any(isinstance(document, list) for document in documents)
    for style, flow in (("block", False),) if is_patch else (("flow", True), ("block", False)):
        # As a formatter writes it: without comments, keys in the order of their names.
        # Kustomize takes nothing behind a separator.
        again = "---\n".join(
            yaml.safe_dump(document, default_flow_style=flow, width=100_000) for document in documents
        )
        yield _mutant(file, f"written anew in {style} style, keys sorted", again)


def _has_date(value: object) -> bool:
    if isinstance(value, dict):
        return any(_has_date(one) for one in (*value.keys(), *value.values()))
    if isinstance(value, list):
        return any(map(_has_date, value))
    return not isinstance(value, str | int | float | bool | None)


def _meaning(file: str, text: str) -> Iterator[Mutant]:
    """Yield edits of single values that mean the same."""
    quoted = False
    for setting in settings(file, text):
        where = f"{file}:{setting.path}"
        if _UNORDERED.search(where) and not _ORDERED.search(where):
            yield from _reordered(setting, text)
        if not quoted and (span := _plain_at(setting, text)):
            quoted = True
            new = f'{text[: span[0]]}"{setting.value}"{text[span[1] :]}'
            yield _mutant(file, "value quoted", new, setting)
        if _QUANTITY.search(where):
            yield from _in_another_unit(setting, text)
        if _METADATA.search(where) and "kustomization" not in file:
            added = Add(setting.at, setting.key, "labels", {"example.org/team": "platform"})
            yield from _edited(setting, text, "label that nobody selects added", added)
        if _SELECTOR.search(where) and isinstance(setting.value, dict):
            yield from _as_expressions(setting, setting.value, text)


def _as_expressions(setting: Setting, selector: dict[str, Json], text: str) -> Iterator[Mutant]:
    """Yield the selector with ``In`` instead of labels, which means the same."""
    labels = selector.get("matchLabels")
    if not isinstance(labels, dict) or "matchExpressions" in selector:
        return
    expressions: list[Json] = [{"key": key, "operator": "In", "values": [one]} for key, one in labels.items()]
    for added in _edited(
        setting,
        text,
        "selector as matchExpressions",
        Add(setting.at, setting.key, "matchExpressions", expressions),
    ):
        with_both = added.changes[setting.file] or ""
        at = next(
            one for one in settings(setting.file, with_both) if one.path == f"{setting.path}.matchLabels"
        ).at
        yield from _edited(setting, with_both, added.change, Remove(at, "matchLabels"))


def _in_another_unit(setting: Setting, text: str) -> Iterator[Mutant]:
    if not isinstance(setting.value, str):
        return
    for pattern, factor, unit in _UNITS:
        if found := pattern.fullmatch(setting.value):
            edit = Replace(setting.at, setting.value, f"{int(found[1]) * factor}{unit}")
            yield from _edited(setting, text, "quantity in another unit", edit)


def _edited(setting: Setting, text: str, change: str, edit: Edit) -> Iterator[Mutant]:
    try:
        new = rewrite(text, edit)
    except EditError:
        return
    if new is not None:
        yield _mutant(setting.file, change, new, setting)


def _plain_at(setting: Setting, text: str) -> tuple[int, int] | None:
    """Return where a text without quotes stands that quotes do not change."""
    value = setting.value
    if not isinstance(value, str) or not _PLAIN.fullmatch(value):
        return None
    lines = text.splitlines(keepends=True)
    start = sum(map(len, lines[: setting.at.line - 1])) + setting.at.column - 1
    return (start, start + len(value)) if text.startswith(value, start) else None


def _reordered(setting: Setting, text: str) -> Iterator[Mutant]:
    """Yield the list with its first element last."""
    lines = text.splitlines(keepends=True)
    nodes = [node for document in yaml.compose_all(text, Loader=yaml.SafeLoader) for node in _nodes(document)]
    position = (setting.at.line - 1, setting.at.column - 1)
    found = next((node for key, node in nodes if _at(key, node) == position), None)
    if not isinstance(found, yaml.SequenceNode) or len(found.value) < 2:  # noqa: PLR2004
        return
    if found.flow_style:
        parts = [text[item.start_mark.index : item.end_mark.index] for item in found.value]
        new = text[: found.value[0].start_mark.index] + ", ".join([*parts[1:], parts[0]])
        new += text[found.value[-1].end_mark.index :]
    else:
        # Each element from its dash (and the comments above it) to the next one.
        starts = [_with_comments(lines, item.start_mark.line) for item in found.value]
        last = _last_line(lines, text.count("\n", 0, found.value[-1].end_mark.index))
        if not lines[last - 1].endswith("\n"):
            return
        blocks = [lines[a:b] for a, b in zip(starts, [*starts[1:], last], strict=True)]
        again = [line for block in (*blocks[1:], blocks[0]) for line in block]
        new = "".join([*lines[: starts[0]], *again, *lines[last:]])
    yield _mutant(setting.file, "list in another order", new, setting)


def _nodes(node: yaml.Node, key: yaml.Node | None = None) -> Iterator[tuple[yaml.Node | None, yaml.Node]]:
    yield key, node
    if isinstance(node, yaml.MappingNode):
        for name, below in node.value:
            yield from _nodes(below, name)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _nodes(item)


def _at(key: yaml.Node | None, node: yaml.Node) -> tuple[int, int]:
    """Return where a node begins as origins have it: a block collection with its key."""
    inside = key is not None and isinstance(node, yaml.CollectionNode) and not node.flow_style
    mark = key.start_mark if inside and key is not None else node.start_mark
    return mark.line, mark.column


def _with_comments(lines: list[str], line: int) -> int:
    while line and re.match(r"\s+#", lines[line - 1]):
        line -= 1
    return line


def _last_line(lines: list[str], end: int) -> int:
    """Return the end of a block without the comments before the next token, which belong to that one."""
    end = min(end, len(lines))
    while re.match(r"\s*#|\s*$|---", lines[end - 1]):
        end -= 1
    return end


def _owner(file: str) -> str:
    return posixpath.join(posixpath.dirname(file), "kustomization.yaml")


def _beside(file: str, name: str) -> str:
    return posixpath.join(posixpath.dirname(file), name)


def _renamed(file: str, sources: Mapping[str, str]) -> Iterator[Mutant]:
    """Yield the file under another name, with the kustomization that reads it."""
    name, owner = posixpath.basename(file), _owner(file)
    change = "file renamed"
    if name == "kustomization.yaml":
        moved = {file: None, _beside(file, "kustomization.yml"): sources[file]}
        yield Mutant(Kind.HARMLESS, file, "", 1, change, moved)
    elif sources.get(owner, "").count(f" {name}\n") == 1:
        listed = sources[owner].replace(f" {name}\n", f" other-{name}\n")
        moved = {file: None, _beside(file, f"other-{name}"): sources[file], owner: listed}
        yield Mutant(Kind.HARMLESS, file, "", 1, change, moved)


def _joined(file: str, sources: Mapping[str, str]) -> Iterator[Mutant]:
    """Yield each two manifests that a kustomization lists one after the other, in one file."""
    if posixpath.basename(file) != "kustomization.yaml":
        return
    for first, second in re.findall(
        r"^  - ([\w.-]+\.yaml)\n(?=  - ([\w.-]+\.yaml)\n)", sources[file], re.MULTILINE
    ):
        into, gone = _beside(file, first), _beside(file, second)
        both = f"{sources[into]}---\n{sources[gone]}"
        listed = sources[file].replace(f"  - {second}\n", "")
        yield Mutant(
            Kind.HARMLESS, into, "", 1, "two manifests in one file", {into: both, gone: None, file: listed}
        )


def _listed_patch(file: str, sources: Mapping[str, str]) -> str | None:
    """Return the line of its kustomization that lists a file as a patch, None where none does."""
    line = f"  - path: {posixpath.basename(file)}\n"
    return line if line in sources.get(_owner(file), "") else None


def _split(file: str, sources: Mapping[str, str]) -> Iterator[Mutant]:
    """Yield a strategic-merge patch in two, where it writes several entries of one mapping."""
    line, text = _listed_patch(file, sources), sources[file]
    if line is None or text.lstrip("#").startswith("- op:"):
        return
    known = {one.path: one for one in settings(file, text)}
    for path, one in known.items():
        if not isinstance(one.value, dict) or len(one.value) == 1 or not _SPLIT.search(path):
            continue
        first, *others = (known[f"{path}.{key}"] for key in one.value)
        try:
            whole = text
            for other in reversed(others):
                whole = rewrite(whole, Remove(other.at, other.key)) or ""
            rest = rewrite(text, Remove(first.at, first.key))
        except EditError:
            continue
        new = posixpath.basename(file).replace(".yaml", "-2.yaml")
        listed = sources[_owner(file)].replace(line, f"{line}  - path: {new}\n")
        changes = {file: whole, _beside(file, new): rest, _owner(file): listed}
        yield Mutant(Kind.HARMLESS, file, path, one.at.line, "patch in two", changes)
        return


def _inlined(file: str, sources: Mapping[str, str]) -> Iterator[Mutant]:
    """Yield a patch written into its kustomization instead of a file."""
    line, text = _listed_patch(file, sources), sources[file]
    if line is None:
        return
    block = "".join(f"      {one}" if one.strip() else one for one in text.splitlines(keepends=True))
    listed = sources[_owner(file)].replace(line, f"  - patch: |-\n{block}")
    yield Mutant(Kind.HARMLESS, file, "", 1, "patch in its kustomization", {file: None, _owner(file): listed})
