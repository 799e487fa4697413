"""Where a value stands, and which line of which file put it there.

Everything a rule looks at is a :class:`Document` (a rendered object, the effective BinderHub
configuration, ``cluster.yaml``, a kustomization), and everything it says, it says of a
:class:`Place` in one: a value together with the path to it and the lines that wrote it.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

Scalar: TypeAlias = bool | int | float | str | None
Json: TypeAlias = "Scalar | list[Json] | dict[str, Json]"
Key: TypeAlias = str | int
Path: TypeAlias = tuple[Key, ...]

# What Kustomize appends to the name of a generated object (api/hasher: ten of these letters).
_HASH = re.compile(r"-[bcdfghkmt2456789]{10}$")


class Writer(StrEnum):
    """What kind of source wrote a value, in the words of Kustomize."""

    RESOURCE = "resource"
    STRATEGIC_MERGE = "strategic-merge patch"
    JSON_PATCH = "JSON 6902 patch"
    GENERATOR = "generator"
    NAMESPACE = "namespace"
    NAME_PREFIX = "namePrefix"
    NAME_SUFFIX = "nameSuffix"
    LABELS = "labels"
    ANNOTATIONS = "commonAnnotations"
    IMAGES = "images"
    REPLICAS = "replicas"
    REPLACEMENT = "replacement"
    FRAGMENT = "config fragment"
    FACTS = "cluster facts"
    SOURCE = "source file"
    DEFAULT = "default"


class Origin(NamedTuple):
    """The place in the repository that wrote a value.

    ``file`` is a posix path relative to the repository, ``line`` and ``column`` are 1-based.
    ``text_line`` is where the text of a string begins: the line after ``line`` for a block scalar,
    so that line n of a file inside a ConfigMap stands at ``text_line + n - 1``.
    """

    file: str
    line: int
    column: int
    writer: Writer
    text_line: int = 0

    def __str__(self) -> str:
        """Return ``file:line``, which terminals and editors open."""
        return f"{self.file}:{self.line}"


class Document(Protocol):
    """A JSON-like value with a title, of which each part knows the lines that wrote it."""

    @property
    def title(self) -> str:
        """How a report names it, such as ``DaemonSet binder/docker-api``."""

    @property
    def value(self) -> Json:
        """The whole value."""

    def writers(self, path: Path) -> tuple[Origin, ...]:
        """Return who wrote the value at ``path``, the last writer first, never empty.

        Where nothing stands at ``path``, the writers of its nearest existing ancestor: that is
        where somebody would add it.
        """


class _Missing:
    """The value of a place where nothing stands."""


_MISSING = _Missing()


class Place(Struct, frozen=True, eq=False):
    """A value in a document; navigate with ``place / "spec" / "replicas"``.

    A path to nothing is a place too (``exists`` is false, ``value`` is None): a rule can say of
    it that something is missing there, and the report shows where to add it.
    """

    document: Document
    path: Path
    _value: Json | _Missing

    @classmethod
    def root(cls, document: Document) -> Place:
        """Return the place of the whole document."""
        return cls(document, (), document.value)

    @property
    def exists(self) -> bool:
        """Whether something (null included) stands here."""
        return not isinstance(self._value, _Missing)

    @property
    def value(self) -> Json:
        """The value, None where nothing stands."""
        return None if isinstance(self._value, _Missing) else self._value

    def __truediv__(self, key: Key) -> Place:
        """Return the place below, existing or not."""
        return Place(self.document, (*self.path, key), _below(self._value, key))

    def at(self, *keys: Key) -> Place:
        """Return the place at ``keys`` below this one."""
        value = self._value
        for key in keys:
            value = _below(value, key)
        return Place(self.document, (*self.path, *keys), value)

    def each(self) -> Iterator[Place]:
        """Yield the elements of a list, nothing for anything else."""
        if isinstance(self._value, list):
            for index, element in enumerate(self._value):
                yield Place(self.document, (*self.path, index), element)

    def entries(self) -> Iterator[tuple[str, Place]]:
        """Yield the keys and places of a mapping, nothing for anything else."""
        if isinstance(self._value, dict):
            for key, value in self._value.items():
                yield key, Place(self.document, (*self.path, key), value)

    @property
    def text(self) -> str:
        """The value where it is a string, else the empty string."""
        return self._value if isinstance(self._value, str) else ""

    @property
    def mapping(self) -> dict[str, Json]:
        """The value where it is a mapping, else an empty one."""
        return self._value if isinstance(self._value, dict) else {}

    @property
    def items(self) -> list[Json]:
        """The value where it is a list, else an empty one."""
        return self._value if isinstance(self._value, list) else []

    @property
    def writers(self) -> tuple[Origin, ...]:
        """Who wrote it (or, where nothing stands, the nearest ancestor), the last writer first."""
        return self.document.writers(self.path)

    @property
    def origin(self) -> Origin:
        """The line that last wrote it."""
        return self.writers[0]

    def pin(self) -> Spot:
        """Return what a report needs of this place, without the document."""
        return Spot(self.document.title, self.path, self.value, self.exists, self.writers)

    def __str__(self) -> str:
        """Return the path as people write it: ``spec.template.spec.containers[0].image``."""
        return dotted(self.path)


class Spot(NamedTuple):
    """A place without its document: small, and fit to cross a process boundary."""

    title: str
    path: Path
    value: Json
    exists: bool
    writers: tuple[Origin, ...]

    @property
    def origin(self) -> Origin:
        """The line that last wrote it."""
        return self.writers[0]


def _below(value: Json | _Missing, key: Key) -> Json | _Missing:
    if isinstance(value, dict) and isinstance(key, str):
        return value.get(key, _MISSING)
    if isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value):
        return value[key]
    return _MISSING


def dotted(path: Path) -> str:
    """Return ``spec.containers[0].image`` for a path; a key with odd characters is quoted."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif key.replace("_", "").replace("-", "").isalnum():
            text += f".{key}" if text else key
        else:
            text += f'["{key}"]'
    return text


def unhashed(name: str) -> str:
    """Return a name, or a title that ends in one, without the hash that changes with the content."""
    return _HASH.sub("", name)


def lookup(value: Json, path: Path) -> Json:
    """Return what stands at ``path`` in ``value``, None where nothing does."""
    for key in path:
        if isinstance(value, dict) and isinstance(key, str):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int):
            value = value[key] if 0 <= key < len(value) else None
        else:
            return None
    return value
