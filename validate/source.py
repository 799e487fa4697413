"""Source files: YAML in which every value knows the line that it stands on.

Files are read once per process and shared by all overlays that use them, so a :class:`Field` is
immutable: whoever changes a value makes a new field and keeps the parts that stay.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, TypeAlias

import yaml

from validate.errors import SourceError
from validate.place import Json, Key, Origin, Path, Place, Scalar, Writer

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator, Mapping, Sequence

# Far above any manifest, far below what exhausts a machine: an "alias bomb" of nine lines expands
# to a thousand million values.
_MOST_VALUES = 2_000_000
_DEEPEST = 200
# An object in etcd has at most 1.5 MB; the largest manifests that people sync are bundles of CRDs.
_LARGEST_MEGABYTES = 8
# What libyaml composes by recursion: at some 20,000 levels the process dies without a word.
_MAY_BE_DEEP = 1000

Content: TypeAlias = "Scalar | dict[str, Field] | list[Field]"


class Field:
    """A value with the lines that wrote it, the last writer first."""

    __slots__ = ("_plain", "value", "writers")

    def __init__(self, value: Content, writers: tuple[Origin, ...]) -> None:
        self.value = value
        self.writers = writers
        self._plain: Json = None

    @property
    def origin(self) -> Origin:
        """The line that last wrote it."""
        return self.writers[0]

    def plain(self) -> Json:
        """Return the value without its writers, to be read and never changed."""
        if isinstance(self.value, dict):
            if self._plain is None:
                self._plain = {key: field.plain() for key, field in self.value.items()}
            return self._plain
        if isinstance(self.value, list):
            if self._plain is None:
                self._plain = [field.plain() for field in self.value]
            return self._plain
        return self.value

    def get(self, *path: Key) -> Field | None:
        """Return the field at ``path`` below this one, None where nothing stands."""
        field: Field | None = self
        for key in path:
            if field is None:
                return None
            field = field.below(key)
        return field

    def below(self, key: Key) -> Field | None:
        """Return the field under one key or index."""
        if isinstance(self.value, dict) and isinstance(key, str):
            return self.value.get(key)
        if isinstance(self.value, list) and isinstance(key, int) and 0 <= key < len(self.value):
            return self.value[key]
        return None

    def text(self, *path: Key) -> str:
        """Return the string at ``path``, the empty string for anything else."""
        field = self.get(*path)
        return field.value if field is not None and isinstance(field.value, str) else ""

    def mapping(self, *path: Key) -> Mapping[str, Field]:
        """Return the mapping at ``path``, an empty one for anything else."""
        field = self.get(*path)
        return field.value if field is not None and isinstance(field.value, dict) else {}

    def sequence(self, *path: Key) -> Sequence[Field]:
        """Return the list at ``path``, an empty one for anything else."""
        field = self.get(*path)
        return field.value if field is not None and isinstance(field.value, list) else []

    def writers_at(self, path: Path) -> tuple[Origin, ...]:
        """Return who wrote the value at ``path`` or, where nothing stands, its nearest ancestor."""
        field = self
        for key in path:
            below = field.below(key)
            if below is None:
                break
            field = below
        return field.writers


class SourceDocument:
    """A YAML document of the repository as a :class:`validate.place.Document`."""

    def __init__(self, title: str, field: Field) -> None:
        self.title = title
        self.field = field

    @property
    def value(self) -> Json:
        """The whole value."""
        return self.field.plain()

    @property
    def place(self) -> Place:
        """The place of the whole document."""
        return Place.root(self)

    def writers(self, path: Path) -> tuple[Origin, ...]:
        """Return who wrote the value at ``path``, the last writer first."""
        return self.field.writers_at(path)


def _resolver(resolvers: Mapping[str, list[tuple[str, re.Pattern[str]]]]) -> Callable[[str], str]:
    """Return a function from a plain scalar to its tag; the same few texts come again and again."""

    @lru_cache(maxsize=8192)
    def tag(text: str) -> str:
        candidates = resolvers.get(text[:1], ())
        return next((name for name, pattern in candidates if pattern.match(text)), _STRING)

    return tag


_STRING = "tag:yaml.org,2002:str"
_YAML_11 = yaml.CSafeLoader.yaml_implicit_resolvers


class _BinderHubLoader(yaml.CSafeLoader):
    """Reads scalars as PyYAML does in BinderHub's own process."""

    tag_of = staticmethod(_resolver(_YAML_11))

    def resolve(self, kind: type[yaml.Node], value: str, implicit: tuple[bool, bool]) -> str:
        """Return the tag of a node without one."""
        if kind is yaml.ScalarNode:
            return self.tag_of(value) if implicit[0] else _STRING
        return "tag:yaml.org,2002:seq" if kind is yaml.SequenceNode else "tag:yaml.org,2002:map"


class _KubernetesLoader(_BinderHubLoader):
    """Reads scalars as Kubernetes does: no timestamps, no sexagesimal numbers."""

    tag_of = staticmethod(
        _resolver(
            {
                first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
                for first, resolvers in _YAML_11.items()
            }
        )
    )


_SEXAGESIMAL = ":"


def read_text(root: pathlib.Path, file: str) -> str:
    """Return the text of ``file`` (relative to ``root``).

    Raises:
        SourceError: it is not there, not readable, or not UTF-8 (with the line of the first bad byte).
    """
    try:
        data = (root / file).read_bytes()
    except IsADirectoryError:
        raise SourceError(file, 1, "is a directory where a file is expected; name a file in it") from None
    except FileNotFoundError:
        raise SourceError(file, 1, "does not exist; create it or remove the reference to it") from None
    except OSError as error:
        raise SourceError(file, 1, f"cannot be read ({error.strerror}); check its permissions") from None
    if len(data) > _LARGEST_MEGABYTES * 1_000_000:
        size = f"is {len(data) / 1_000_000:.1f} MB, and the most that is read is {_LARGEST_MEGABYTES} MB"
        raise SourceError(file, 1, f"{size}; split it, or keep out of it what is no manifest")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SourceError(file, line, "is not UTF-8; save the file in that encoding") from None


@cache
def read_documents(root: pathlib.Path, file: str, writer: Writer) -> tuple[Field, ...]:
    """Return the YAML documents of ``file``, empty ones left out; read once per process.

    Raises:
        SourceError: as :func:`read_text` and :func:`compose`.
    """
    return tuple(compose(read_text(root, file), file, writer=writer))


def compose(
    text: str,
    file: str,
    *,
    writer: Writer = Writer.SOURCE,
    first_line: int = 1,
    binderhub: bool = False,
) -> Iterator[Field]:
    """Yield the documents of ``text``; line 1 of it is line ``first_line`` of ``file``.

    ``binderhub`` reads scalars as BinderHub's loader does (YAML 1.1 in full) instead of as Kubernetes does.

    Raises:
        SourceError: not YAML, a key twice in one mapping, keys that are no strings where only
            strings can be meant, or aliases that expand beyond any sensible size.
    """
    loader = _BinderHubLoader if binderhub else _KubernetesLoader
    try:
        _check_depth(text, file, first_line)
        for node in yaml.compose_all(text, Loader=loader):
            reader = _Reader(file, writer, first_line, binderhub=binderhub)
            field = reader.read(node, node.start_mark, 0)
            if not (field.value is None and isinstance(node, yaml.ScalarNode)):
                yield field
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + first_line if mark else first_line
        raise SourceError(file, line, f"is not YAML ({error.problem or error.context})") from None
    except yaml.YAMLError as error:
        line = first_line + text[: getattr(error, "position", 0)].count("\n")
        raise SourceError(file, line, f"is not YAML ({getattr(error, 'reason', error)})") from None
    except RecursionError:
        raise SourceError(file, first_line, f"nests deeper than {_DEEPEST} levels; flatten it") from None


def _check_depth(text: str, file: str, first_line: int) -> None:
    """Refuse what is too deep to be composed; only a text that may be has to be gone through."""
    indented = re.search(r"[-?: ]{%d}" % _MAY_BE_DEEP, text)  # noqa: UP031 - braces are the pattern's
    if not indented and text.count("[") + text.count("{") < _MAY_BE_DEEP:
        return
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            line = (event.start_mark.line if event.start_mark else 0) + first_line
            raise SourceError(file, line, f"nests deeper than {_DEEPEST} levels; flatten it")


def load_rendered(text: str) -> Iterator[Json]:
    """Yield the documents that Kustomize printed, without marks."""
    reader = _Reader("", Writer.RESOURCE, 1, binderhub=False)
    for node in yaml.compose_all(text, Loader=_KubernetesLoader):
        yield reader.value(node)


class _Reader:
    """Turns the nodes of one document into fields; an alias shares the field of its anchor."""

    def __init__(self, file: str, writer: Writer, first_line: int, *, binderhub: bool) -> None:
        self.file = file
        self.writer = writer
        self.first_line = first_line
        self.binderhub = binderhub
        self.constructor = yaml.constructor.SafeConstructor()
        self.seen: dict[int, tuple[Field, int]] = {}
        self.size = 0

    def origin(self, mark: yaml.Mark, *, block: bool = False) -> Origin:
        line = mark.line + self.first_line
        return Origin(self.file, line, mark.column + 1, self.writer, line + 1 if block else line)

    def read(self, node: yaml.Node, mark: yaml.Mark, depth: int) -> Field:
        known = self.seen.get(id(node))
        if known is not None:
            field, size = known
            self.grow(size, mark)
            return field
        if depth > _DEEPEST:
            raise SourceError(
                self.file, mark.line + self.first_line, f"nests deeper than {_DEEPEST} levels; flatten it"
            )
        before = self.size
        self.grow(1, mark)
        content: Content
        block = False
        if isinstance(node, yaml.MappingNode):
            content = self.mapping(node, depth)
        elif isinstance(node, yaml.SequenceNode):
            content = [self.read(item, item.start_mark, depth + 1) for item in node.value]
        elif isinstance(node, yaml.ScalarNode):
            content = self.scalar(node)
            block = node.style in ("|", ">")
        else:
            raise TypeError(node)
        field = Field(content, (self.origin(mark, block=block),))
        self.seen[id(node)] = (field, self.size - before)
        return field

    def value(self, node: yaml.Node) -> Json:
        """Return the value of a node alone; five times as fast as PyYAML's own constructor."""
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        if isinstance(node, yaml.MappingNode):
            return {key.value: self.value(below) for key, below in node.value}
        return [self.value(below) for below in node.value]

    def grow(self, values: int, mark: yaml.Mark) -> None:
        self.size += values
        if self.size > _MOST_VALUES:
            problem = f"aliases expand to more than {_MOST_VALUES:,} values; write the values out"
            raise SourceError(self.file, mark.line + self.first_line, problem)

    def mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Field]:
        own: dict[str, Field] = {}
        merged: dict[str, Field] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for source in sources:
                    field = self.read(source, source.start_mark, depth + 1)
                    if isinstance(field.value, dict):
                        merged = {**field.value, **merged}
                continue
            key = self.key(key_node)
            if key in own:
                line = key_node.start_mark.line + self.first_line
                raise SourceError(
                    self.file, line, f"has the key {key!r} twice in one mapping; keep one of them"
                )
            # The line of a mapping or list is that of its key: the first line of what is written.
            block = isinstance(value_node, yaml.CollectionNode) and not value_node.flow_style
            own[key] = self.read(value_node, (key_node if block else value_node).start_mark, depth + 1)
        return {**merged, **own}

    def key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            line = node.start_mark.line + self.first_line
            raise SourceError(self.file, line, "has a key that is a list or mapping; use a string")
        if self.binderhub and node.tag != "tag:yaml.org,2002:str":
            line = node.start_mark.line + self.first_line
            raise SourceError(
                self.file, line, f"has the key {node.value!r}, which YAML reads as no string; quote it"
            )
        return str(node.value)

    def scalar(self, node: yaml.ScalarNode) -> Scalar:
        text: str = node.value
        if node.tag == _STRING:
            return text
        tag = node.tag.removeprefix("tag:yaml.org,2002:")
        try:
            match tag:
                case "null":
                    return None
                case "bool":
                    return bool(self.constructor.construct_yaml_bool(node))
                case "int" if self.binderhub or _SEXAGESIMAL not in text:
                    return int(self.constructor.construct_yaml_int(node))
                case "float" if self.binderhub or _SEXAGESIMAL not in text:
                    return float(self.constructor.construct_yaml_float(node))
        except ValueError:
            line = node.start_mark.line + self.first_line
            raise SourceError(
                self.file, line, f"has {text!r} where its tag wants a number; correct it"
            ) from None
        if self.binderhub:
            line = node.start_mark.line + self.first_line
            raise SourceError(self.file, line, f"has {text!r}, which YAML reads as a {tag}; quote it")
        return text
