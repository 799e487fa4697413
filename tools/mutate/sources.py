"""Sources: every value that the overlays are made of, with the place where it can be edited."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from validate.source import compose

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from validate.place import Json, Origin
    from validate.source import Field

DIRECTORIES = ("argocd", "base", "components", "config", "overlays", "policies")
# The neutral install is the root of the repository.
FILES = ("cluster.yaml", "kustomization.yaml")
_STRUCTURED = (".yaml", ".json")
# What an element of a list is called after: the first of these that it has.
_NAMES = ("name", "path", "secretKey", "key", "message", "op", "cidr", "port")
_LONGEST_NAME = 60


class Setting(NamedTuple):
    """A value in a source file.

    Attributes:
        file: relative to the repository.
        path: ``spec.template.spec.containers[docker-api].image``; ``2/spec`` in a second document.
        at: where an edit of it is made.
        key: its key, None for an element of a list.
        value: without marks.
    """

    file: str
    path: str
    at: Origin
    key: str | None
    value: Json


def read_sources(root: Path) -> dict[str, str]:
    """Return the text of each file that an overlay or Argo CD may read, by its path."""
    files = [root / name for name in FILES]
    for name in DIRECTORIES:
        files += sorted(file for file in (root / name).rglob("*") if file.is_file())
    return {file.relative_to(root).as_posix(): file.read_text(encoding="utf-8") for file in files}


def settings(file: str, text: str) -> Iterator[Setting]:
    """Yield every value below the documents of a YAML or JSON file, a container before what is in it."""
    if not file.endswith(_STRUCTURED):
        return
    for number, document in enumerate(compose(text, file), 1):
        yield from _below(file, f"{number}/" if number > 1 else "", document)


def _below(file: str, path: str, field: Field) -> Iterator[Setting]:
    stem = path if not path or path.endswith("/") else f"{path}."
    if isinstance(field.value, dict):
        for key, below in field.value.items():
            yield Setting(file, f"{stem}{key}", below.origin, key, below.plain())
            yield from _below(file, f"{stem}{key}", below)
    elif isinstance(field.value, list):
        seen: Counter[str] = Counter()
        for index, below in enumerate(field.value):
            called = _name(below.plain(), index)
            seen[called] += 1
            again = f" #{seen[called]}" if seen[called] > 1 else ""
            name = f"{path}[{called}{again}]"
            yield Setting(file, name, below.origin, None, below.plain())
            yield from _below(file, name, below)


def _name(value: Json, index: int) -> str:
    """Return what an element is called: its place in the list says least."""
    if isinstance(value, dict):
        value = next((value[key] for key in _NAMES if key in value), None)
    if value is None or isinstance(value, dict | list):
        return str(index)
    text = value if isinstance(value, str) else json.dumps(value)
    return " ".join(text.split())[:_LONGEST_NAME]
