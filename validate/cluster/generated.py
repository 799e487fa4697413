"""Objects that Kustomize generates with a hash in the name, and text that names them without it."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from validate.place import Spot, Writer, unhashed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validate.cluster.objects import KubeObject
    from validate.place import Place

# In YAML, shell, Python and properties alike.
_COMMENT = re.compile(r"(^|\s)#.*")
_KINDS = {"ConfigMap": "configmaps?|cm", "Secret": "secrets?"}


class Generated(NamedTuple):
    """A ConfigMap or Secret with a hash in its name; ``stem`` is the name without it."""

    item: KubeObject
    stem: str


class Mention(NamedTuple):
    """Text that seems to name a generated object; ``text`` is the line that it stands on."""

    at: Spot
    text: str
    generated: Generated


def stem(item: KubeObject) -> str:
    """Return the name of an object without the hash that Kustomize appended."""
    writers = item.writers(("metadata", "name"))
    return unhashed(item.name) if any(one.writer is Writer.GENERATOR for one in writers) else item.name


def generated(objects: Iterable[KubeObject]) -> Iterator[Generated]:
    """Yield the objects whose name ends in a hash of their content."""
    for item in objects:
        if item.kind in _KINDS and stem(item) != item.name:
            yield Generated(item, stem(item))


def mentions(objects: Iterable[KubeObject], elsewhere: Iterable[str] = ()) -> Iterator[Mention]:
    """Yield where arguments, variables and ConfigMaps name a generated object without its hash.

    Kustomize rewrites names in fields that it knows for references, never in text. A name that
    something else has too (another object, a label, what exists ``elsewhere``) means that more likely.
    """
    together = tuple(objects)
    others = {name for item in together for name in (item.name, item.namespace, *item.labels.values())}
    others.update(elsewhere)
    sought = [one for one in generated(together) if one.stem not in others]
    for place in _texts(together) if sought else ():
        # Most texts hold none of the names, and plain search is ten times as fast as the pattern.
        here = [one for one in sought if one.stem in place.text]
        for number, line in enumerate(place.text.splitlines() if here else ()):
            for one in here:
                pattern = _pattern(one.item.kind, one.stem, one.item.namespace)
                found = pattern.search(_COMMENT.sub("", line))
                if found:
                    yield Mention(line_in(place, number, found.start("name")), line.strip(), one)


def _texts(objects: Iterable[KubeObject]) -> Iterator[Place]:
    for item in objects:
        if item.kind == "ConfigMap":
            yield from (place for _, place in (item.place / "data").entries())
        for container in item.pod.all_containers if item.pod else ():
            for words in ("command", "args"):
                yield from (container.place / words).each()
            yield from (entry / "value" for entry in (container.place / "env").each())


@cache
def _pattern(kind: str, stem: str, namespace: str) -> re.Pattern[str]:
    """Return a pattern for a name that stands for an object, not in a path, a host or a longer name.

    It is a value, or follows the kind or the namespace. Only a name of several words is so even
    between words: `settings` alone is a word of any language.
    """
    owners = "|".join(filter(None, (_KINDS[kind], re.escape(namespace))))
    before = [r"^", r"[=:,\[({\"']\s*", rf"\b(?:{owners})[/ ]", r"^\s*-\s+"]
    if "-" in stem:
        before.append(r"\s")
    return re.compile(
        rf"(?:{'|'.join(before)})(?P<name>{re.escape(stem)})(?![\w/-]|\.\w|\s*:\s)", re.IGNORECASE
    )


def line_in(place: Place, number: int, column: int) -> Spot:
    """Return line ``number`` (from 0) of the text at ``place``, where it is a line of a file too."""
    first, *others = place.writers
    block = first.text_line > first.line
    whole_file = first.writer is Writer.GENERATOR and first.column == 1
    if "\n" not in place.text or not (block or whole_file):
        return place.pin()
    line = (first.text_line or first.line) + number
    here = first._replace(line=line, column=column + 1 if whole_file else 1, text_line=line)
    text = place.text.splitlines()[number]
    return Spot(place.document.title, place.path, text, True, (here, *others))  # noqa: FBT003 - Spot.exists
