"""Writes ``schemas.json``: the strict schemas of every kind, small enough to be read in a millisecond.

The data files of kubernetes-validate are 1.5 MB of JSON for each Kubernetes minor version, most of it
prose and most of it alike from version to version. Here each different schema is one line of one
file, referred to by the number of that line, so that a reader parses only what it meets, and knows
two versions to agree where they name the same line.

Run ``python -m validate.cluster.schema_bundle`` after an update of kubernetes-validate or of a version in
``MODULES``, the Go modules that custom resources come from; it fetches them with ``go mod download``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from subprocess import run
from typing import TYPE_CHECKING, Any, TypeAlias
from zipfile import ZipFile

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_Schema: TypeAlias = "dict[str, Any]"

BUNDLE = Path(__file__).with_name("schemas.json")
OLDEST, NEWEST = 25, 37
_METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_KEYWORDS = (
    "type",
    "enum",
    "format",
    "pattern",
    "required",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
)


@dataclass(frozen=True)
class _Module:
    """A Go module that publishes custom resource definitions, under Apache-2.0."""

    product: str
    path: str
    version: str
    files: tuple[str, ...]


MODULES = (
    _Module(
        "External Secrets",
        "github.com/external-secrets/external-secrets",
        "v1.3.2",
        tuple(
            f"config/crds/bases/{name}.yaml"
            for name in (
                "external-secrets.io_clusterexternalsecrets",
                "external-secrets.io_clustersecretstores",
                "external-secrets.io_externalsecrets",
                "external-secrets.io_secretstores",
                "generators.external-secrets.io_acraccesstokens",
                "generators.external-secrets.io_ecrauthorizationtokens",
                "generators.external-secrets.io_gcraccesstokens",
                "generators.external-secrets.io_passwords",
                "generators.external-secrets.io_quayaccesstokens",
            )
        ),
    ),
    _Module(
        "Argo CD",
        "github.com/argoproj/argo-cd/v3",
        "v3.6.1",
        tuple(f"manifests/crds/{name}-crd.yaml" for name in ("application", "applicationset", "appproject")),
    ),
)


class _Lines:
    """The schemas in the order in which they were met, each one once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def add(self, schema: _Schema) -> int:
        """Return the number of the line that has this schema."""
        return self.numbers.setdefault(_json(schema), len(self.numbers))


def bundle(definitions: Iterable[tuple[str, str]]) -> str:
    """Return the text of ``schemas.json``.

    ``definitions`` are custom resource definitions: what publishes one (``Argo CD v3.6.1``), and its YAML.

    The first line is a header. Its ``kinds`` say in which minor version a kind starts, changes and ends:
    a list of that version and the line of the schema, null for gone.
    """
    lines = _Lines()
    kinds: dict[str, list[tuple[int, int | None]]] = {}
    metadata: _Schema = {}
    for minor in range(OLDEST, NEWEST + 1):
        found = dict(_kubernetes(minor, lines))
        metadata = {"$ref": found.pop(_METADATA)}
        for kind in sorted(kinds.keys() | found.keys()):
            history = kinds.setdefault(kind, [])
            if (history[-1][1] if history else None) != found.get(kind):
                history.append((minor, found.get(kind)))
    custom = {
        kind: (publisher, _intern(schema, lines, lambda _: metadata)["$ref"])
        for publisher, text in definitions
        for kind, schema in _served(text)
    }
    header = {
        "written by": "python -m validate.cluster.schema_bundle",
        "from": ["kubernetes-validate 1.37.0", *(f"{module.path} {module.version}" for module in MODULES)],
        "licence": "Apache-2.0",
        "minors": (OLDEST, NEWEST),
        "kinds": kinds,
        "custom": custom,
    }
    return "[\n" + ",\n".join((_json(header), *lines.numbers)) + "\n]\n"


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _kubernetes(minor: int, lines: _Lines) -> Iterator[tuple[str, int]]:
    """Yield each kind of one minor version, and the metadata of all, with the line of its schema."""
    schemas = json.loads((data_directory(minor) / "_definitions.json").read_text(encoding="utf-8"))["$defs"]
    known: dict[str, _Schema] = {}

    def definition(name: str) -> _Schema:
        if name not in known:
            # What refers to itself (only the schema inside a CustomResourceDefinition) is free below that.
            known[name] = {}
            known[name] = _intern(schemas[name], lines, definition)
        return known[name]

    for name, schema in sorted(schemas.items()):
        if name == _METADATA:
            yield name, definition(name)["$ref"]
        for kind in schema.get("x-kubernetes-group-version-kind", ()):
            if "metadata" in schema.get("properties", {}) and not kind["kind"].endswith("List"):
                group = f"{kind['group']}/" if kind["group"] else ""
                yield f"{group}{kind['version']} {kind['kind']}", definition(name)["$ref"]


def data_directory(minor: int) -> Path:
    """Return where kubernetes-validate keeps the strict schemas of Kubernetes 1.``minor``."""
    package = find_spec("kubernetes_validate")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("kubernetes_validate")
    return Path(package.origin).parent / "kubernetes-json-schema" / f"v1.{minor}.0-local-strict"


def _intern(schema: _Schema, lines: _Lines, definition: Callable[[str], _Schema]) -> _Schema:
    """Return the schema without prose, each object in it a line of its own."""
    if "$ref" in schema:
        return definition(schema["$ref"].rpartition("/")[2])
    kept = {keyword: schema[keyword] for keyword in _KEYWORDS if keyword in schema}
    if "oneOf" in schema:  # Quantity and IntOrString, the only ones: a string or a number
        kept["type"] = sorted({name for option in schema["oneOf"] for name in option["type"]})
    for keyword in ("items", "additionalProperties"):
        below = schema.get(keyword)
        if below is not None:
            kept[keyword] = _intern(below, lines, definition) if isinstance(below, dict) else below
    if "properties" not in schema:
        return kept
    kept["properties"] = {
        name: _intern(below, lines, definition) for name, below in schema["properties"].items()
    }
    return {"$ref": lines.add(kept)}


def _served(text: str) -> Iterator[tuple[str, _Schema]]:
    """Yield each served version of a custom resource definition with its strict schema."""
    spec = yaml.load(text, Loader=yaml.CSafeLoader)["spec"]
    for version in spec["versions"]:
        if version["served"]:
            schema = _strict(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"$ref": _METADATA}
            yield f"{spec['group']}/{version['name']} {spec['names']['kind']}", schema


def _strict(schema: _Schema) -> _Schema:
    """Return the schema as strict JSON Schema: no unknown field, null for anything that is not required.

    https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
    """
    strict = dict(schema)
    if schema.get("x-kubernetes-int-or-string"):
        strict["type"] = ["integer", "null", "string"]
        del strict["anyOf"]
    elif "type" in schema:
        strict["type"] = [schema["type"], "null"]
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            strict[keyword] = _strict(schema[keyword])
    if "properties" in schema:
        strict["properties"] = {name: _strict(below) for name, below in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            strict["additionalProperties"] = False
    return strict


def published() -> Iterator[tuple[str, str]]:
    """Yield each custom resource definition of ``MODULES`` with its publisher, from the Go module cache.

    Raises:
        RuntimeError: a module that can neither be found there nor be fetched.
    """
    for module in MODULES:
        command = ("go", "mod", "download", "-json", f"{module.path}@{module.version}")
        answer = run(command, capture_output=True, check=False, text=True)  # noqa: S603 - constants only
        # The archive is there even where the module wants a newer Go: nothing of it is compiled.
        archive = json.loads(answer.stdout or "{}").get("Zip")
        if archive is None:
            raise RuntimeError(answer.stdout or answer.stderr)
        with ZipFile(archive) as files:
            for file in module.files:
                text = files.read(f"{module.path}@{module.version}/{file}").decode()
                yield f"{module.product} {module.version}", text


def main() -> None:
    """Write ``schemas.json``."""
    BUNDLE.write_text(bundle(published()), encoding="utf-8")


if __name__ == "__main__":
    main()
