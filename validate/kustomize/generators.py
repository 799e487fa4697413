"""ConfigMaps and Secrets that Kustomize generates, with the line behind each key."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from validate.errors import SourceError
from validate.kustomize.transformers import by
from validate.place import Origin, Writer
from validate.source import Field, read_text

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

# Seen of Kustomize 5.8.1; a test compares.
_BASE64_LINE = 70


def generate(
    root: pathlib.Path, entry: Field, options: Field | None, resolve: Callable[[str], str], *, secret: bool
) -> tuple[Field, frozenset[str]]:
    """Return the object that a ``configMapGenerator`` or ``secretGenerator`` entry makes, and what it reads.

    ``options`` are the kustomization's ``generatorOptions``; ``resolve`` turns a path in the
    kustomization into one relative to ``root``.

    Raises:
        SourceError: a file that is not there.
    """
    made_by = by(entry, Writer.GENERATOR).writers
    data: dict[str, Field] = {}
    binary: dict[str, Field] = {}
    reads: set[str] = set()
    for key, file, line in _files(entry, resolve):
        reads.add(file)
        text, is_binary = _content(root, file, line.origin)
        writers = (Origin(file, 1, 1, Writer.GENERATOR, 1), *by(line, Writer.GENERATOR).writers)
        (binary if is_binary else data)[key] = Field(text, writers)
    data.update(_pairs(root, entry, resolve, reads))
    default = by(entry, Writer.DEFAULT).writers
    content = {
        "apiVersion": Field("v1", default),
        "kind": Field("Secret" if secret else "ConfigMap", default),
        "metadata": _metadata(entry, options),
    }
    if secret:
        data = {key: Field(_encode(field), field.writers) for key, field in data.items()} | binary
        kind = entry.get("type")
        content["type"] = by(kind, Writer.GENERATOR) if kind is not None else Field("Opaque", default)
    if data:
        content["data"] = Field(data, made_by)
    if binary and not secret:
        content["binaryData"] = Field(binary, made_by)
    immutable = entry.get("options", "immutable") or (options.get("immutable") if options else None)
    if immutable is not None and immutable.value:
        content["immutable"] = by(immutable, Writer.GENERATOR)
    return Field(content, made_by), frozenset(reads)


def _metadata(entry: Field, options: Field | None) -> Field:
    made_by = by(entry, Writer.GENERATOR).writers
    metadata: dict[str, Field] = {}
    for key in ("name", "namespace"):
        field = entry.get(key)
        if field is not None:
            metadata[key] = by(field, Writer.GENERATOR)
    for key in ("labels", "annotations"):
        pairs = {
            pair: by(field, Writer.GENERATOR)
            for source in (options, entry.get("options"))
            if source is not None
            for pair, field in source.mapping(key).items()
        }
        if pairs:
            metadata[key] = Field(pairs, made_by)
    return Field(metadata, made_by)


def merge_generated(old: Field, new: Field) -> Field:
    """Return a generated object merged into an older one: ``behavior: merge``.

    Keys of the new one win; name and namespace stay the old one's.
    """
    content = dict(old.mapping())
    for key in ("data", "binaryData"):
        if key in new.mapping():
            content[key] = _over(old.get(key), new.get(key))
    metadata = dict(old.mapping("metadata"))
    for key in ("labels", "annotations"):
        if new.get("metadata", key) is not None:
            metadata[key] = _over(old.get("metadata", key), new.get("metadata", key))
    content["metadata"] = Field(metadata, (old.get("metadata") or old).writers)
    for key in ("type", "immutable"):
        if key in new.mapping():
            content[key] = new.mapping()[key]
    return Field(content, new.writers + old.writers)


def _over(old: Field | None, new: Field | None) -> Field:
    assert new is not None  # noqa: S101 - for the type checker: callers ask for what is there
    if old is None:
        return new
    content = dict(old.mapping())
    for key, field in new.mapping().items():
        before = content.get(key)
        content[key] = Field(field.value, field.writers + before.writers) if before else field
    return Field(content, new.writers + old.writers)


def _files(entry: Field, resolve: Callable[[str], str]) -> Iterator[tuple[str, str, Field]]:
    for line in entry.sequence("files"):
        key, separator, path = str(line.value).partition("=")
        if not separator:
            key, path = key.rpartition("/")[2], key
        yield key, resolve(path), line


def _pairs(
    root: pathlib.Path, entry: Field, resolve: Callable[[str], str], reads: set[str]
) -> Iterator[tuple[str, Field]]:
    for line in entry.sequence("literals"):
        key, _, value = str(line.value).partition("=")
        yield key, Field(_unquoted(value), by(line, Writer.GENERATOR).writers)
    for line in (*entry.sequence("envs"), *([entry.mapping()["env"]] if "env" in entry.mapping() else [])):
        file = resolve(str(line.value))
        reads.add(file)
        for number, text in enumerate(read_text(root, file).splitlines(), start=1):
            key, separator, value = text.lstrip().partition("=")
            if separator and not key.startswith("#"):
                origin = Origin(file, number, 1, Writer.GENERATOR, number)
                yield key, Field(value, (origin, *by(line, Writer.GENERATOR).writers))


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


def _content(root: pathlib.Path, file: str, origin: Origin) -> tuple[str, bool]:
    try:
        data = (root / file).read_bytes()
    except OSError:
        problem = f"names {file}, which cannot be read; create it or remove the line"
        raise SourceError(origin.file, origin.line, problem) from None
    try:
        return data.decode(), False
    except UnicodeDecodeError:
        return _base64(data), True


def _encode(field: Field) -> str:
    return _base64(str(field.value).encode())


def _base64(data: bytes) -> str:
    """Return base64 as Kustomize writes it: in one line if that is short, else in lines that all end."""
    text = base64.b64encode(data).decode()
    if len(text) < _BASE64_LINE:
        return text
    return "".join(f"{text[at : at + _BASE64_LINE]}\n" for at in range(0, len(text), _BASE64_LINE))
