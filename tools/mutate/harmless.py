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
from validate.edits import Add, Remove
from validate.rewrite import EditError, rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tools.mutate.sources import Setting
    from validate.edits import Edit

# Lists of which the order means nothing. Of tolerations, peers, ports and the like one does for all.
_UNORDERED = re.compile(
    r"(\.(verbs|env|tolerations|volumes|volumeMounts|ports|to|from|except|policyTypes|subjects|syncOptions"
    r"|containers|rules|taints|operations|generatePaths|namespaces|nodePools|provides|keys|validationActions"
    r"|clusterResourceWhitelist|drop|values)|:(resources|components|patches|configMapGenerator|secretGenerator"
    r"|nodePools|namespaces|provides|generatePaths|kubernetes))$"
)
# Order decides where one entry uses what another one makes.
_ORDERED_ALL_THE_SAME = re.compile(
    r"(initContainers|components/.*kustomization\.yaml:|pathType|admission.*variables)"
)
_LABELLED = re.compile(r":(\d+/)?metadata$")
_REFERENCES = ("resources", "patches", "components")


def harmless(sources: Mapping[str, str]) -> list[Mutant]:
    """Return every harmless mutant once, in the order of files."""
    made: dict[tuple[tuple[str, str | None], ...], Mutant] = {}
    for file, text in sources.items():
        if not file.endswith(".yaml"):
            continue
        for new in (
            *_layout(file, text),
            *_meaning(file, text),
            *_renamed(file, sources),
            *_split(file, sources),
        ):
            if new.changes.get(file) != text:
                made.setdefault(tuple(sorted(new.changes.items(), key=str)), new)
    return list(made.values())


def _mutant(file: str, path: str, line: int, change: str, text: str) -> Mutant:
    return Mutant(Kind.HARMLESS, file, path, line, change, {file: text})


def _layout(file: str, text: str) -> Iterator[Mutant]:
    """Yield the same documents, written differently."""
    lines = text.splitlines(keepends=True)
    middle = next((n for n in range(len(lines) // 2, len(lines)) if re.match(r"[a-z]\w*:", lines[n])), 0)
    commented = [*lines[:middle], "# Somebody's remark.\n", *lines[middle:]]
    yield _mutant(file, "", middle + 1, "comment added", "".join(commented))
    bare = [line for line in lines if not re.match(r"\s*#", line)]
    if not re.search(r":\s*[|>]", text):
        yield _mutant(file, "", 1, "comments removed", "".join(bare))
        spaced = "".join(f"{line}\n" if re.match(r"[a-z]\w*:", line) else line for line in lines)
        yield _mutant(file, "", 1, "blank lines added", spaced)
        yield _mutant(file, "", 1, "line ends of Windows", text.replace("\n", "\r\n"))
    yield _mutant(file, "", 1, "document separator added", f"---\n{text}")
    yield _mutant(file, "", len(lines), "document end added", f"{text}...\n")
    for style, flow in (("flow", True), ("block", False)):
        # As a formatter writes it: without comments, keys in the order of their names.
        documents = list(yaml.safe_load_all(text))
        if any(_has_date(document) for document in documents):
            continue
        again = yaml.safe_dump_all(documents, default_flow_style=flow, width=100_000, explicit_start=True)
        yield _mutant(file, "", 1, f"written anew in {style} style, keys sorted", again)


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
        if isinstance(setting.value, list) and len(setting.value) > 1 and _UNORDERED.search(where):
            if not _ORDERED_ALL_THE_SAME.search(where):
                yield from _reordered(setting, text)
        if isinstance(setting.value, str) and not quoted and (plain := _plain_at(setting, text)):
            quoted = True
            start, end = plain
            new = f'{text[:start]}"{setting.value}"{text[end:]}'
            yield _mutant(file, setting.path, setting.at.line, "quoted", new)
        if _LABELLED.search(where) and "kustomization" not in file:
            yield from _edited(setting, text, "label that nobody selects added", _labelled(setting))
        if _is_selector(where) and isinstance(setting.value, dict):
            yield from _as_expressions(setting, text)


def _labelled(setting: Setting) -> Edit:
    return Add(setting.at, setting.key, "labels", {"example.org/team": "platform"})


def _is_selector(where: str) -> bool:
    return bool(re.search(r"(podSelector|namespaceSelector)$", where)) and ":spec.selector" not in where


def _as_expressions(setting: Setting, text: str) -> Iterator[Mutant]:
    """Yield the selector with ``In`` instead of labels, which means the same."""
    value = setting.value
    assert isinstance(value, dict)  # noqa: S101 - the caller asked
    labels = value.get("matchLabels")
    if not isinstance(labels, dict) or "matchExpressions" in value:
        return
    expressions = [{"key": key, "operator": "In", "values": [one]} for key, one in labels.items()]
    try:
        added = rewrite(text, Add(setting.at, setting.key, "matchExpressions", expressions))
        assert added is not None  # noqa: S101 - something was added
        labels_at = next(
            one for one in settings(setting.file, text) if one.path == f"{setting.path}.matchLabels"
        ).at
        new = rewrite(added, Remove(labels_at, "matchLabels"))
    except EditError:
        return
    if new is not None:
        yield _mutant(setting.file, setting.path, setting.at.line, "matchLabels as matchExpressions", new)


def _edited(setting: Setting, text: str, change: str, edit: Edit) -> Iterator[Mutant]:
    try:
        new = rewrite(text, edit)
    except EditError:
        return
    if new is not None:
        yield _mutant(setting.file, setting.path, setting.at.line, change, new)


def _plain_at(setting: Setting, text: str) -> tuple[int, int] | None:
    """Return where a text without quotes stands that quotes do not change."""
    value = setting.value
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z][\w./-]*", value):
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
    if not isinstance(found, yaml.SequenceNode):
        return
    if found.flow_style:
        parts = [text[item.start_mark.index : item.end_mark.index] for item in found.value]
        new = text[: found.value[0].start_mark.index] + ", ".join([*parts[1:], parts[0]])
        new += text[found.value[-1].end_mark.index :]
    else:
        # Each element from its dash (and the comments above it) to the next one.
        starts = [_with_comments(lines, item.start_mark.line) for item in found.value]
        # A block ends where the next token begins: comments in between belong to that one.
        last = text.count("\n", 0, found.value[-1].end_mark.index)
        last += found.value[-1].end_mark.index == len(text) and not text.endswith("\n")
        while re.match(r"\s*#|\s*$|---", lines[last - 1]):
            last -= 1
        if not lines[last - 1].endswith("\n"):
            return
        blocks = [lines[a:b] for a, b in zip(starts, [*starts[1:], last], strict=True)]
        again = [line for block in (*blocks[1:], blocks[0]) for line in block]
        new = "".join([*lines[: starts[0]], *again, *lines[last:]])
    yield _mutant(setting.file, setting.path, setting.at.line, "first element last", new)


def _nodes(node: yaml.Node, key: yaml.Node | None = None) -> Iterator[tuple[yaml.Node | None, yaml.Node]]:
    yield key, node
    if isinstance(node, yaml.MappingNode):
        for name, below in node.value:
            yield from _nodes(below, name)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _nodes(item)


def _at(key: yaml.Node | None, node: yaml.Node) -> tuple[int, int]:
    inside = key is not None and isinstance(node, yaml.CollectionNode) and not node.flow_style
    mark = key.start_mark if inside and key is not None else node.start_mark
    return mark.line, mark.column


def _with_comments(lines: list[str], line: int) -> int:
    while line and re.match(r"\s+#", lines[line - 1]):
        line -= 1
    return line


def _renamed(file: str, sources: Mapping[str, str]) -> Iterator[Mutant]:
    """Yield the file under another name, with the kustomization that reads it."""
    directory, name = posixpath.split(file)
    owner = f"{directory}/kustomization.yaml"
    if name == "kustomization.yaml":
        yield Mutant(
            Kind.HARMLESS,
            file,
            "",
            1,
            "named kustomization.yml",
            {file: None, f"{directory}/kustomization.yml": sources[file]},
        )
        return
    if sources.get(owner, "").count(name) != 1:
        return
    new = f"other-{name}"
    changes = {file: None, f"{directory}/{new}": sources[file], owner: sources[owner].replace(name, new)}
    yield Mutant(Kind.HARMLESS, file, "", 1, f"named {new}", changes)


def _split(file: str, sources: Mapping[str, str]) -> Iterator[Mutant]:
    """Yield a patch in two: one for each of the containers, volumes or entries that it has."""
    directory, name = posixpath.split(file)
    owner = f"{directory}/kustomization.yaml"
    if f"- path: {name}\n" not in sources.get(owner, ""):
        return
    text = sources[file]
    parts = [one for one in settings(file, text) if isinstance(one.value, dict | list) and len(one.value) > 1]
    for one in parts:
        if re.search(r"(annotations|env|resources)$|^spec\.template$|\.spec$", one.path) and isinstance(
            one.value, dict
        ):
            first, *others = one.value
            below = {
                s.key: s for s in settings(file, text) if s.path in {f"{one.path}.{key}" for key in one.value}
            }
            try:
                whole = text
                for key in reversed(others):
                    whole = rewrite(whole, Remove(below[key].at, key)) or ""
                rest = rewrite(text, Remove(below[first].at, first))
            except EditError:
                continue
            if not whole or rest is None:
                continue
            new = name.replace(".yaml", "-2.yaml")
            listed = sources[owner].replace(f"- path: {name}\n", f"- path: {name}\n  - path: {new}\n")
            changes = {file: whole, f"{directory}/{new}": rest, owner: listed}
            yield Mutant(Kind.HARMLESS, file, one.path, one.at.line, "patch in two", changes)
            return
