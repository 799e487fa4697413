"""``cluster.yaml``: what an overlay says of the cluster that it is for.

Read by hand and not by a schema validator, whose import alone would cost more than everything else
that happens to the file. ``cluster.schema.json`` beside this module is for editors; a test holds
that both accept the same files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from validate.cluster.limits import Quantity, parse_quantity
from validate.cluster.scheduling import Node, Taint
from validate.cluster.selectors import is_label_key, is_label_value
from validate.errors import SourceError
from validate.place import Document, Origin, Place, Writer, dotted
from validate.source import Field, SourceDocument, read_documents
from validate.spelling import nearest

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Collection, Iterator, Mapping

    from validate.place import Path

# Those with a strict schema in kubernetes-validate 1.37.
SUPPORTED_KUBERNETES = tuple(f"1.{minor}" for minor in range(25, 38))
# What is checked where an overlay does not say what its cluster runs: the versions that EKS, GKE and
# AKS all offered with standard support when 1.36 was the newest of them.
DEFAULT_KUBERNETES = ("1.33", "1.34", "1.35", "1.36")
_TITLE = "cluster facts"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class NodePool(Struct, frozen=True):
    """Nodes that are alike.

    Attributes:
        name: what the cloud calls the pool.
        node: one of its nodes, without a name, since nodes come and go.
        allocatable: what a node has for pods, by resource (``cpu``, ``memory``); what is not said is
            not known.
        place: where ``cluster.yaml`` describes it.
    """

    name: str
    node: Node
    allocatable: Mapping[str, Quantity]
    place: Place

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of its nodes."""
        return self.node.labels

    @property
    def taints(self) -> tuple[Taint, ...]:
        """The taints of its nodes."""
        return self.node.taints


class Provided(NamedTuple):
    """An object that exists though nothing in the tree makes it.

    Attributes:
        kind: its kind.
        name: its name.
        namespace: its namespace, empty for any.
        keys: the keys of a Secret or ConfigMap; none for unknown ones.
        place: where ``cluster.yaml`` declares it.
    """

    kind: str
    name: str
    namespace: str
    keys: tuple[str, ...]
    place: Place


class OutsideNamespace(NamedTuple):
    """A namespace that is not in the tree; ``labels`` have the one that Kubernetes adds."""

    name: str
    labels: Mapping[str, str]
    place: Place


class ClusterFacts(Struct, frozen=True):
    """What is known of a cluster.

    Attributes:
        document: ``cluster.yaml``; one that says nothing where there is none.
        cluster: what Argo CD calls it, empty where that is the name of the overlay.
        kubernetes: the minor versions that it runs now and after its next upgrade, such as ``1.33``.
        disposable: it is thrown away after use: literal credentials and unpinned images are accepted.
        pools: its node pools.
        provides: objects that exist outside the tree.
        namespaces: namespaces outside the tree.
        generate_paths: the directories that Argo CD watches for the overlay.
    """

    document: Document
    cluster: str = ""
    kubernetes: tuple[str, ...] = DEFAULT_KUBERNETES
    disposable: bool = False
    pools: tuple[NodePool, ...] = ()
    provides: tuple[Provided, ...] = ()
    namespaces: tuple[OutsideNamespace, ...] = ()
    generate_paths: tuple[str, ...] = ()

    @property
    def place(self) -> Place:
        """The place of the whole file."""
        return Place.root(self.document)


def no_facts(file: str = "cluster.yaml") -> ClusterFacts:
    """Return the facts of an overlay without ``cluster.yaml``; ``file`` is where it would stand."""
    return ClusterFacts(SourceDocument(_TITLE, Field({}, (Origin(file, 1, 1, Writer.FACTS),))))


def read_facts(root: pathlib.Path, file: str) -> ClusterFacts:
    """Return the facts in ``file``, a posix path relative to ``root``.

    Raises:
        SourceError: it cannot be read, or has not the shape of ``cluster.schema.json``: unknown keys
            (with the nearest known one), wrong types, labels or taints that no node can have.
    """
    documents = read_documents(root, file, Writer.FACTS)
    if not documents:
        raise SourceError(file, 1, "is empty; say what the cluster is like or remove the file")
    if len(documents) > 1:
        raise SourceError(file, documents[1].origin.line, "has a second document; keep one")
    document = SourceDocument(_TITLE, documents[0])
    facts = _Part(documents[0], ())
    parts = facts.parts(
        known=("cluster", "kubernetes", "disposable", "nodePools", "namespaces", "provides", "generatePaths"),
        required=(),
    )
    return ClusterFacts(
        document,
        cluster=parts["cluster"].name() if "cluster" in parts else "",
        kubernetes=_read_versions(parts["kubernetes"]) if "kubernetes" in parts else DEFAULT_KUBERNETES,
        disposable=parts["disposable"].boolean() if "disposable" in parts else False,
        pools=tuple(_read_pools(document, parts.get("nodePools"))),
        provides=tuple(_read_provided(document, parts.get("provides"))),
        namespaces=tuple(_read_namespaces(document, parts.get("namespaces"))),
        generate_paths=parts["generatePaths"].names() if "generatePaths" in parts else (),
    )


class _Part(NamedTuple):
    """A part of the file that has to have a certain shape."""

    field: Field
    path: Path

    def refuse(self, problem: str) -> SourceError:
        return SourceError(self.field.origin.file, self.field.origin.line, f"{self} {problem}")

    def __str__(self) -> str:
        return dotted(self.path) or "the file"

    def parts(self, known: Collection[str], required: tuple[str, ...]) -> dict[str, _Part]:
        """Return the entries of a mapping that has these keys."""
        if not isinstance(self.field.value, dict):
            raise self.refuse(f"is {self.describe()}; write a mapping with {_listed(known)}")
        parts = {key: _Part(field, (*self.path, key)) for key, field in self.field.value.items()}
        unknown = next((part for key, part in parts.items() if key not in known), None)
        if unknown is not None:
            raise unknown.refuse(f"is unknown; {_suggest(str(unknown.path[-1]), known)}")
        missing = next((key for key in required if key not in parts), None)
        if missing is not None:
            raise self.refuse(f"has no {missing}; add it")
        return parts

    def elements(self) -> Iterator[_Part]:
        if not isinstance(self.field.value, list):
            raise self.refuse(f"is {self.describe()}; write a list")
        for index, field in enumerate(self.field.value):
            yield _Part(field, (*self.path, index))

    def string(self) -> str:
        if isinstance(self.field.value, str):
            return self.field.value
        raise self.refuse(f"is {self.describe()}; write a string, in quotes if need be")

    def name(self) -> str:
        if not self.string():
            raise self.refuse("is empty; give it a value")
        return self.string()

    def names(self) -> tuple[str, ...]:
        return tuple(part.name() for part in self.elements())

    def boolean(self) -> bool:
        if isinstance(self.field.value, bool):
            return self.field.value
        raise self.refuse(f"is {self.describe()}; write true or false, without quotes")

    def quantity(self) -> Quantity:
        try:
            return parse_quantity(self.field.plain())
        except ValueError as error:
            raise self.refuse(f"is no quantity: {error}") from None

    def mapping(self) -> dict[str, _Part]:
        """Return the entries of a mapping that may have any keys."""
        if not isinstance(self.field.value, dict):
            raise self.refuse(f"is {self.describe()}; write a mapping")
        return {key: _Part(field, (*self.path, key)) for key, field in self.field.value.items()}

    def labels(self) -> dict[str, str]:
        labels: dict[str, str] = {}
        for key, part in self.mapping().items():
            if not is_label_key(key):
                raise part.refuse("is no key that a label can have; correct it")
            labels[key] = part.label_value()
        return labels

    def label_value(self) -> str:
        if not is_label_value(self.string()):
            raise self.refuse(
                f"is {self.string()!r}, which Kubernetes accepts as no label's value; correct it"
            )
        return self.string()

    def describe(self) -> str:
        match self.field.value:
            case None:
                return "empty"
            case bool(value):
                return f"the boolean {str(value).lower()}"
            case int(value) | float(value):
                return f"the number {value}"
            case str(value):
                return f"the string {value!r}"
            case list():
                return "a list"
            case _:
                return "a mapping"


def _read_versions(part: _Part) -> tuple[str, ...]:
    versions: list[str] = []
    for element in part.elements():
        version = element.field.value
        if isinstance(version, (int, float)) and not isinstance(version, bool):
            raise element.refuse(
                f'is the number {version}; quote versions, as in "1.30", which YAML else reads as 1.3'
            )
        if version not in SUPPORTED_KUBERNETES:
            oldest, newest = SUPPORTED_KUBERNETES[0], SUPPORTED_KUBERNETES[-1]
            raise element.refuse(
                f"is {element.describe()}; write one of the supported versions, {oldest} to {newest}"
            )
        if version in versions:
            raise element.refuse(f"is {version} again; write each version once")
        versions.append(str(version))
    if not versions:
        raise part.refuse("is an empty list; name the minor versions that the cluster runs")
    return tuple(versions)


def _read_pools(document: Document, part: _Part | None) -> Iterator[NodePool]:
    seen: set[str] = set()
    for pool in part.elements() if part else ():
        parts = pool.parts(known=("name", "labels", "taints", "allocatable"), required=("name",))
        name = parts["name"].name()
        if name in seen:
            raise parts["name"].refuse(f"is {name!r} a second time; give each pool its own name")
        seen.add(name)
        taints = tuple(map(_read_taint, parts["taints"].elements())) if "taints" in parts else ()
        labels = parts["labels"].labels() if "labels" in parts else {}
        allocatable = parts["allocatable"].mapping() if "allocatable" in parts else {}
        yield NodePool(
            name=name,
            node=Node(labels, taints),
            allocatable={resource: entry.quantity() for resource, entry in allocatable.items()},
            place=Place.root(document).at(*pool.path),
        )


def _read_taint(part: _Part) -> Taint:
    parts = part.parts(known=("key", "value", "effect"), required=("key",))
    key = parts["key"].name()
    if not is_label_key(key):
        raise parts["key"].refuse(f"is {key!r}, which Kubernetes accepts as no taint's key; correct it")
    if "effect" not in parts:
        raise part.refuse(f"has no effect; add {_listed(_EFFECTS)}")
    effect = parts["effect"].string()
    if effect not in _EFFECTS:
        raise parts["effect"].refuse(f"is {effect!r}; {_suggest(effect, _EFFECTS)}")
    return Taint(key, parts["value"].label_value() if "value" in parts else "", effect)


def _read_provided(document: Document, part: _Part | None) -> Iterator[Provided]:
    for provided in part.elements() if part else ():
        parts = provided.parts(known=("kind", "name", "namespace", "keys"), required=("kind", "name"))
        yield Provided(
            kind=parts["kind"].name(),
            name=parts["name"].name(),
            namespace=parts["namespace"].name() if "namespace" in parts else "",
            keys=parts["keys"].names() if "keys" in parts else (),
            place=Place.root(document).at(*provided.path),
        )


def _read_namespaces(document: Document, part: _Part | None) -> Iterator[OutsideNamespace]:
    for namespace in part.elements() if part else ():
        parts = namespace.parts(known=("name", "labels"), required=("name",))
        name = parts["name"].name()
        labels = parts["labels"].labels() if "labels" in parts else {}
        # https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name
        labels = {**labels, "kubernetes.io/metadata.name": name}
        yield OutsideNamespace(name, labels, Place.root(document).at(*namespace.path))


def _suggest(word: str, known: Collection[str]) -> str:
    by_folded = {item.lower(): item for item in known}
    near = nearest(word.lower(), by_folded)
    return f"write {by_folded[near] if near else _listed(known)}"


def _listed(words: Collection[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
