"""Strict schemas: what the API server of each Kubernetes version refuses in an object as it is written.

``schemas.json`` has them for Kubernetes 1.25 to 1.37 and for the custom resources that the overlays
use (:mod:`validate.cluster.schema_bundle` writes it). Schemas are compared by the line that holds
them, so what two versions have in common is checked once. They use a handful of JSON Schema's
keywords; checking these here costs a fifth of importing a validator, and gives sentences for
people. ``jsonschema`` is the referee in the tests.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from functools import cache
from pathlib import Path as File
from re import search
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from validate.place import dotted
from validate.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from validate.place import Json, Path

_Schema: TypeAlias = "dict[str, Any]"
_Faults: TypeAlias = "tuple[tuple[Path, str], ...]"

# Gone before the oldest version that has schemas here; since which minor version.
# https://kubernetes.io/docs/reference/using-api/deprecation-guide/
_LONG_GONE = {
    "apps/v1beta1": 16,
    "apps/v1beta2": 16,
    "extensions/v1beta1": 22,
    "admissionregistration.k8s.io/v1beta1 ValidatingWebhookConfiguration": 22,
    "admissionregistration.k8s.io/v1beta1 MutatingWebhookConfiguration": 22,
    "apiextensions.k8s.io/v1beta1": 22,
    "apiregistration.k8s.io/v1beta1": 22,
    "certificates.k8s.io/v1beta1 CertificateSigningRequest": 22,
    "coordination.k8s.io/v1beta1 Lease": 22,
    "networking.k8s.io/v1beta1 Ingress": 22,
    "networking.k8s.io/v1beta1 IngressClass": 22,
    "rbac.authorization.k8s.io/v1beta1": 22,
    "scheduling.k8s.io/v1beta1": 22,
    "storage.k8s.io/v1beta1 CSIDriver": 22,
    "storage.k8s.io/v1beta1 CSINode": 22,
    "storage.k8s.io/v1beta1 StorageClass": 22,
    "storage.k8s.io/v1beta1 VolumeAttachment": 22,
    "autoscaling/v2beta1": 25,
    "batch/v1beta1": 25,
    "discovery.k8s.io/v1beta1": 25,
    "events.k8s.io/v1beta1": 25,
    "node.k8s.io/v1beta1": 25,
    "policy/v1beta1": 25,
}


class SchemaError(Struct, frozen=True):
    """One thing that the API server refuses.

    Attributes:
        path: where; for a missing or unknown field the field itself.
        sentence: what is wrong, with the value found, beginning with the path.
        versions: the minor versions that refuse it (``1.33``), or what publishes the custom resource.
    """

    path: Path
    sentence: str
    versions: tuple[str, ...]


class SchemaVerdict(Struct, frozen=True):
    """What the schemas say of one object.

    Attributes:
        errors: what is refused, in the order of the object's fields.
        unchecked: why nothing could be checked, empty where it was: ``no schema for .../v1 Kind``.
    """

    errors: tuple[SchemaError, ...] = ()
    unchecked: str = ""


def supported_versions() -> tuple[str, ...]:
    """Return the minor versions that have schemas, oldest first."""
    oldest, newest = _bundle().header["minors"]
    return tuple(f"1.{minor}" for minor in range(oldest, newest + 1))


def check_schema(value: Mapping[str, Json], versions: Sequence[str]) -> SchemaVerdict:
    """Judge one object by the schemas of ``versions``, such as ``("1.33", "1.34")``.

    Raises:
        KeyError: a version that :func:`supported_versions` does not have.
    """
    kind = f"{value.get('apiVersion')} {value.get('kind')}"
    bundle = _bundle()
    lines: dict[int, tuple[str, ...]] = {}
    found: dict[tuple[Path, str], tuple[str, ...]] = {}
    if kind in bundle.header["custom"]:
        publisher, line = bundle.header["custom"][kind]
        lines = {line: (publisher,)}
    elif not _is_kubernetes(kind, bundle):
        return _custom(kind, bundle)
    else:
        for version in versions:
            number = bundle.line(kind, version)
            if number is None:
                fault: tuple[Path, str] = (("apiVersion",), _gone(kind, version, bundle))
                found[fault] = (*found.get(fault, ()), version)
            else:
                lines[number] = (*lines.get(number, ()), version)
    known: dict[tuple[int, int], _Faults] = {}
    for line, refusing in lines.items():
        for fault in bundle.faults(line, value, known):
            found[fault] = (*found.get(fault, ()), *refusing)
    return SchemaVerdict(
        tuple(
            SchemaError(path, f"{dotted(path) or 'the object'} {said}", named)
            for (path, said), named in found.items()
        )
    )


def is_known(api_version: str, kind: str) -> bool:
    """Whether objects of that kind are checked: it has a schema, or its group has and no such kind."""
    name, bundle = f"{api_version} {kind}", _bundle()
    custom = name in bundle.header["custom"]
    return custom or _is_kubernetes(name, bundle) or not _custom(name, bundle).unchecked


class _Bundle:
    """``schemas.json``, each line of it parsed when it is met."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self.header: dict[str, Any] = json.loads(self._lines[1].rstrip(","))
        self._schemas: dict[int, _Schema] = {}

    def schema(self, number: int) -> _Schema:
        """Return the schema with that number; the file's first lines are a bracket and the header."""
        if number not in self._schemas:
            self._schemas[number] = json.loads(self._lines[number + 2].rstrip(","))
        return self._schemas[number]

    def line(self, kind: str, version: str) -> int | None:
        """Return the number of the schema of a kind in one version, None where it has none."""
        if version not in supported_versions():
            raise KeyError(version)
        number = None
        for since, line in self.header["kinds"].get(kind, ()):
            if since <= _minor(version):
                number = line
        return number

    def faults(self, number: int, value: object, known: dict[tuple[int, int], _Faults]) -> _Faults:
        """Return what schema ``number`` finds wrong with ``value``, paths relative to it.

        ``known`` remembers parts by identity: versions share most of their schemas.
        """
        part = (number, id(value))
        if part not in known:
            known[part] = tuple(self._judge(self.schema(number), value, known))
        return known[part]

    def _below(self, schema: _Schema, value: object, known: dict[tuple[int, int], _Faults]) -> _Faults:
        number = schema.get("$ref")
        return (
            tuple(self._judge(schema, value, known)) if number is None else self.faults(number, value, known)
        )

    def _judge(
        self, schema: _Schema, value: object, known: dict[tuple[int, int], _Faults]
    ) -> Iterator[tuple[Path, str]]:
        types = schema.get("type")
        if types is not None and not _is_any(value, types):
            yield (), f"is {_worded(value)}, and must be {_types(types)}"
            return
        if isinstance(value, dict):
            yield from self._mapping(schema, value, known)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                for path, sentence in self._below(schema.get("items", {}), item, known):
                    yield (index, *path), sentence
        if len(schema) > 1:  # most leaves have a type and nothing else
            yield from _limits(schema, value)

    def _mapping(
        self, schema: _Schema, value: dict[str, object], known: dict[tuple[int, int], _Faults]
    ) -> Iterator[tuple[Path, str]]:
        fields = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        for key, item in value.items():
            below = fields.get(key, others)
            if below is False:
                yield (key,), f"is not a field that exists{_nearest(key, fields)}"
            elif below is not True:
                for path, sentence in self._below(below, item, known):
                    yield (key, *path), sentence
        for key in schema.get("required", ()):
            if key not in value:
                yield (key,), "is missing, and is required"


@cache
def _bundle() -> _Bundle:
    return _Bundle(File(__file__).with_name("schemas.json").read_text(encoding="utf-8"))


_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}
_TYPE_NAMES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
}


def _is_any(value: object, names: str | Sequence[str]) -> bool:
    return _is_a(value, names) if isinstance(names, str) else any(_is_a(value, name) for name in names)


def _is_a(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[name])


def _types(names: str | Sequence[str]) -> str:
    listed = [names] if isinstance(names, str) else names
    return " or ".join(_TYPE_NAMES[name] for name in listed if name != "null")


def _worded(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the string {value!r}"
        case dict():
            return "a mapping"
    return "a list"


def _nearest(key: str, fields: Iterable[str]) -> str:
    alike = {field.lower(): field for field in fields}
    near = nearest(key.lower().replace("_", ""), alike, cutoff=0.7)
    return f"; did you mean {alike[near]}?" if near else ""


_BITS = {"int32": 31, "int64": 63}
_SIZES = (
    ("minLength", "maxLength", str, "characters"),
    ("minItems", "maxItems", list, "elements"),
    ("minProperties", "maxProperties", dict, "entries"),
)


def _limits(schema: _Schema, value: object) -> Iterator[tuple[Path, str]]:
    """Yield where a value of the right type is still refused."""
    allowed = schema.get("enum")
    if allowed is not None and value is not None and value not in allowed:
        yield (), f"is {_worded(value)}, and must be one of {', '.join(map(str, allowed))}"
    if isinstance(value, str):
        pattern = schema.get("pattern")
        if pattern is not None and not search(pattern, value):
            yield (), f"is {_worded(value)}, and must match {pattern}"
        if schema.get("format") == "byte" and not _is_base64(value):
            yield (), "is not base64; write it under stringData where this is a Secret, or encode it"
    if isinstance(value, int | float) and not isinstance(value, bool):
        bits = _BITS.get(schema.get("format", ""))
        lowest = schema.get("minimum", -(2**bits) if bits else value)
        highest = schema.get("maximum", 2**bits - 1 if bits else value)
        if not lowest <= value <= highest:
            yield (), f"is {_worded(value)}, and must be at least {lowest} and at most {highest}"
    for least, most, kind, unit in _SIZES:
        if isinstance(value, kind):
            size = len(value)
            if not schema.get(least, size) <= size <= schema.get(most, size):
                few = size < schema.get(least, size)
                bound = f"at least {schema[least]}" if few else f"at most {schema[most]}"
                yield (), f"has {size} {unit}, and must have {bound}"


def _is_base64(text: str) -> bool:
    """Whether Go's decoder takes it, which skips line ends."""
    try:
        b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except (Base64Error, ValueError):
        return False
    return True


def _minor(version: str) -> int:
    return int(version.partition(".")[2])


def _group(kind: str) -> str:
    version, _, _ = kind.partition(" ")
    return version.rpartition("/")[0]


@cache
def _kubernetes_groups() -> frozenset[str]:
    return frozenset({*map(_group, _bundle().header["kinds"]), *map(_group, _LONG_GONE)})


def _is_kubernetes(kind: str, bundle: _Bundle) -> bool:
    return kind in bundle.header["kinds"] or _group(kind) in _kubernetes_groups()


def _gone(kind: str, version: str, bundle: _Bundle) -> str:
    """Return why a version does not have the kind, and which of its versions to use instead."""
    api_version, _, name = kind.partition(" ")
    said = f"is {api_version}, which has no {name} in this version"
    history = bundle.header["kinds"].get(kind, ())
    since = next((minor for minor, line in history if line is None), None)
    since = since or _LONG_GONE.get(kind) or _LONG_GONE.get(api_version)
    if since is not None and since <= _minor(version):
        said = f"is {api_version}, whose {name} is gone since 1.{since}"
    elif history:
        said = f"is {api_version}, whose {name} is new in 1.{history[0][0]}"
    others = [
        other.partition(" ")[0]
        for other in bundle.header["kinds"]
        if other.endswith(f" {name}") and bundle.line(other, version) is not None
    ]
    stable = [other for other in others if "alpha" not in other and "beta" not in other] or others
    return f"{said}; use {' or '.join(stable)}" if stable else said


def _custom(kind: str, bundle: _Bundle) -> SchemaVerdict:
    """Judge a custom resource that has no schema here, or none in that version."""
    api_version, _, name = kind.partition(" ")
    for other, (publisher, _line) in bundle.header["custom"].items():
        if _group(other) == _group(kind) and other.endswith(f" {name}"):
            use = other.partition(" ")[0]
            sentence = f"apiVersion is {api_version}, which is not served; use {use}"
            return SchemaVerdict((SchemaError(("apiVersion",), sentence, (publisher,)),))
    return SchemaVerdict(unchecked=f"no schema for {kind}")
