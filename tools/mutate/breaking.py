"""Breaking: edits that take something away, or point it elsewhere, made of every value that they fit.

Nothing is drawn at random: the same sources give the same mutants.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from tools.mutate.mutant import Kind, Mutant
from tools.mutate.operators import (
    EXCEPTED,
    GIVEN,
    KEYS,
    NAMES,
    OPERATORS,
    SORTS,
    TRAITS,
    Append,
    Give,
    Rewrite,
    Write,
)
from tools.mutate.sources import Setting, settings
from validate.edits import Add, Edit, Put, Remove, Rename, Replace
from validate.rewrite import EditError, rewrite

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from validate.place import Json, Scalar

_WAIVERS = "policies/waivers.yaml"
_LONGEST = 60
_DOCUMENT = re.compile(r"^---\n", re.MULTILINE)


class _Break(NamedTuple):
    """An edit that is to be made of a value."""

    kind: Kind
    setting: Setting
    change: str
    edit: Edit


def breaking(sources: Mapping[str, str]) -> list[Mutant]:
    """Return every mutant of the sources once, in the order of files and lines.

    Of two edits that write the same the first counts, so the more telling ones are made first.
    """
    everything = [one for file, text in sources.items() for one in settings(file, text) if _is_judged(one)]
    made: dict[tuple[str, str | None], Mutant] = {}
    for kind, setting, change, edit in _breaks(everything):
        try:
            text = rewrite(sources[setting.file], edit)
        except EditError:
            continue
        if text != sources[setting.file]:
            new = Mutant(kind, setting.file, setting.path, setting.at.line, change, {setting.file: text})
            made.setdefault((setting.file, text), new)
    for file, text in sources.items():
        for new in _without_document(file, text):
            made.setdefault((file, new.changes[file]), new)
    order = {file: number for number, file in enumerate(sources)}
    return sorted(made.values(), key=lambda one: (order[one.file], one.line))


def _is_judged(setting: Setting) -> bool:
    """Whether a value is broken: of waivers, which are all alike, one stands for all."""
    return setting.file != _WAIVERS or setting.path.startswith("[0]")


def _breaks(everything: list[Setting]) -> Iterator[_Break]:
    yield from _swaps(everything)
    for setting in everything:
        where = f"{setting.file}:{setting.path}"
        yield from _operated(setting, where)
        yield from _renames(setting, where)
    for setting in everything:
        # Without them it is no object, which is a way to drop the whole.
        if setting.key not in {"apiVersion", "kind"} or "Ref" in setting.path:
            yield _Break(_kind_of_drop(setting.path), setting, "removed", Remove(setting.at, setting.key))


def _swaps(everything: Iterable[Setting]) -> Iterator[_Break]:
    """Yield each value of a sort replaced by the next one of that sort, as people mix them up."""
    for sort in SORTS:
        found = [one for one in everything if re.search(sort.paths, f"{one.file}:{one.path}")]
        known: dict[type, list[Scalar]] = defaultdict(list)
        for one in found:
            if not isinstance(one.value, dict | list) and one.value not in known[type(one.value)]:
                known[type(one.value)].append(one.value)
        for one in found:
            if not isinstance(one.value, dict | list):
                others = known[type(one.value)]
                new = others[(others.index(one.value) + 1) % len(others)]
                yield _Break(Kind.SWAP, one, _change(one.value, new), Replace(one.at, one.value, new))


def _operated(setting: Setting, where: str) -> Iterator[_Break]:
    old = setting.value
    for operator in OPERATORS:
        if not re.search(operator.paths, where):
            continue
        match operator:
            case Give(kind, _, name, value) if isinstance(old, dict) and not old.get(name):
                change = f"{name}: {_shown(value)} added"
                yield _Break(kind, setting, change, Add(setting.at, setting.key, name, value))
            case Rewrite(kind, _, pattern, new) if isinstance(old, str) and re.search(pattern, old):
                text = re.sub(pattern, new, old, count=1)
                yield _Break(kind, setting, _change(old, text), Replace(setting.at, old, text))
            case Write(kind, _, value) if not isinstance(old, dict | list):
                yield _Break(kind, setting, _change(old, value), Replace(setting.at, old, value))
            case Append(kind, _, item) if isinstance(old, list):
                yield _Break(kind, setting, f"{_shown(item)} added", Put(setting.at, setting.key, item))


def _renames(setting: Setting, where: str) -> Iterator[_Break]:
    old = setting.value
    if NAMES.search(where) and isinstance(old, str) and old:
        new = _misspelt(old)
        yield _Break(Kind.RENAME, setting, _change(old, new), Replace(setting.at, old, new))
    if setting.key is None:
        return
    wrong: tuple[str, ...] = ()
    if TRAITS.search(where):
        wrong = (_camel(setting.key), setting.key[:-1], f"{setting.key}s")
    elif KEYS.search(where) and isinstance(old, str):
        wrong = (_misspelt(setting.key),)
    for new in wrong:
        change = f"key {_change(setting.key, new)}"
        yield _Break(Kind.RENAME, setting, change, Rename(setting.at, setting.key, new))


def _without_document(file: str, text: str) -> Iterator[Mutant]:
    """Yield the file without each of its documents, where it has several."""
    starts = [0, *(found.end() for found in _DOCUMENT.finditer(text))]
    if len(starts) == 1 or not file.endswith(".yaml"):
        return
    documents = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    for number, document in enumerate(documents):
        others = "".join(documents[:number] + documents[number + 1 :]).removesuffix("---\n")
        line = text[: starts[number]].count("\n") + 1
        kind = next((line for line in document.splitlines() if line.startswith("kind:")), "document")
        path = f"{number + 1}/" if number else ""
        yield Mutant(Kind.DROP, file, path, line, f"{kind} removed", {file: others})


def _misspelt(name: str) -> str:
    return f"{name}_2" if name.isupper() else f"{name}2"


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def _kind_of_drop(path: str) -> Kind:
    if EXCEPTED.search(path):
        return Kind.LOOSEN
    return Kind.TIGHTEN if GIVEN.search(path) else Kind.DROP


def _change(old: Json, new: Json) -> str:
    return f"{_shown(old)} -> {_shown(new)}"


def _shown(value: Json) -> str:
    text = " ".join((value if isinstance(value, str) else json.dumps(value)).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
