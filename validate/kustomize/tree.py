"""The tree of kustomizations that an overlay reads, evaluated field by field.

Kustomize says what an overlay renders, not who wrote which field of it. This module goes through
the same kustomizations in the same order (``AccumulateTarget`` of kustomize/api v0.21.1: resources,
generators, components, then transformers) on fields that carry their writers. Kustomize's own
output stays the truth: :mod:`validate.trace` compares every value with it, and claims a line only
where both agree.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from validate.errors import SourceError
from validate.kustomize import transformers
from validate.kustomize.files import find_kustomization, join
from validate.kustomize.generators import generate, merge_generated
from validate.kustomize.jsonpatch import apply_operations
from validate.kustomize.merge import schema_of, strategic_merge
from validate.kustomize.replacements import apply_replacement
from validate.kustomize.transformers import by
from validate.kustomize.undone import Undone, overwritten
from validate.place import Origin, Writer
from validate.source import Field, compose, read_documents, read_text
from validate.spelling import nearest

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

# The fields of a Kustomization (kustomize/api v0.21.1, types/kustomization.go).
_LISTS = frozenset(
    (
        "resources bases components crds generators transformers validators patches patchesStrategicMerge "
        "patchesJson6902 labels images imageTags replicas replacements vars configMapGenerator "
        "secretGenerator helmCharts helmChartInflationGenerator configurations buildMetadata"
    ).split()
)
_OTHERS = frozenset(
    (
        "apiVersion kind metadata namespace namePrefix nameSuffix commonLabels commonAnnotations "
        "generatorOptions helmGlobals openapi sortOptions"
    ).split()
)
# Kustomize does more with these than is done here, and most of them name further files.
UNFOLLOWED = (
    "helmCharts helmChartInflationGenerator generators transformers validators vars configurations "
    "crds openapi"
).split()
# Kustomize takes an object without a namespace for one of this.
_DEFAULT = "default"
_REMOTE = re.compile(r"://|^(git@|github\.com[/:])|\?(ref|version|timeout|submodules)=")


class Entry(Struct, frozen=True):
    """One thing that a kustomization asks for, and whether it changed anything.

    ``title`` says it in the words of the file: ``patch daemonset.placement.yaml``.
    """

    kind: Writer
    origin: Origin
    title: str
    changed: bool


class Item(Struct):
    """An object on its way through the tree.

    Attributes:
        field: the object.
        api_version: ``apps/v1``.
        kind: ``DaemonSet``.
        names: those that it has had, the latest last.
        hashed: whether Kustomize appends a hash of the content to the name at the end.
        past: namespace and name as they were each time that Kustomize noted them, before a change.
    """

    field: Field
    api_version: str
    kind: str
    names: tuple[str, ...]
    hashed: bool = False
    past: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, field: Field, *, hashed: bool = False) -> Item:
        """Return the item of an object as it stands in a file, or as a generator makes it."""
        name = field.text("metadata", "name")
        return cls(field, field.text("apiVersion"), field.text("kind"), (name,), hashed)

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What no two objects of a tree share: group, kind, namespace and name."""
        return self.api_version.rpartition("/")[0], self.kind, self.namespace, self.name

    @property
    def name(self) -> str:
        """Its name so far, without the hash that Kustomize appends at the end."""
        return self.names[-1]

    @property
    def namespace(self) -> str:
        """Its namespace so far."""
        return self.field.text("metadata", "namespace")


class Tree(Struct):
    """What an overlay's kustomizations make: objects, what was asked for, and the files read.

    ``undone`` lists what patches write and transformers of Kustomize write over.
    ``opaque`` lists what Kustomize does and this module does not follow (remote bases, Helm charts,
    plugins): fields that come of it have no line of their own.
    """

    root: pathlib.Path
    items: list[Item] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    undone: list[Undone] = field(default_factory=list)
    reads: set[str] = field(default_factory=set)
    opaque: list[Origin] = field(default_factory=list)


# Kustomizations that others use as a base, evaluated; a process reads each once.
_BASES: dict[tuple[pathlib.Path, str], Tree] = {}


def read_tree(root: pathlib.Path, directory: str) -> Tree:
    """Evaluate the kustomization in ``directory`` (relative to ``root``).

    Raises:
        SourceError: with file and line, whatever keeps the tree from being read: a file that is
            missing or no YAML, a loop, a patch whose target does not exist.
    """
    tree = Tree(root)
    items = _Directory(tree, directory, ()).accumulate([])
    _follow_service_accounts(items)
    tree.items = items
    return tree


class _Directory:
    """One kustomization of the tree."""

    def __init__(
        self, tree: Tree, directory: str, stack: tuple[str, ...], origin: Origin | None = None
    ) -> None:
        self.tree = tree
        self.directory = directory
        file = find_kustomization(tree.root, directory)
        if file is None:
            where = origin or Origin(directory, 1, 1, Writer.SOURCE)
            problem = f"names {directory}, which has no kustomization.yaml; correct the path"
            raise SourceError(where.file, where.line, problem)
        if file in stack:
            where = origin or Origin(file, 1, 1, Writer.SOURCE)
            loop = " -> ".join((*stack[stack.index(file) :], file))
            raise SourceError(
                where.file, where.line, f"closes a loop of kustomizations ({loop}); remove one reference"
            )
        self.file = file
        self.stack = (*stack, file)
        tree.reads.add(file)
        documents = read_documents(tree.root, file, Writer.SOURCE)
        if len(documents) != 1 or not isinstance(documents[0].value, dict):
            raise SourceError(file, 1, "is not a kustomization; it must be one YAML mapping")
        self.fields = documents[0]
        _check_fields(self.fields)

    def accumulate(self, items: list[Item]) -> list[Item]:
        """Return ``items`` and what this kustomization adds, all transformed by it."""
        items = list(items)
        entries = (*self.fields.sequence("resources"), *self.fields.sequence("bases"))
        _add(items, (item for entry in entries for item in self.resource(entry)))
        self.generators(items)
        for entry in self.fields.sequence("components"):
            directory = self.resolve(str(entry.value))
            items = _Directory(self.tree, directory, self.stack, entry.origin).accumulate(items)
        for key in UNFOLLOWED:
            unknown = self.fields.get(key)
            if unknown is not None:
                self.tree.opaque.append(unknown.origin)
        return self.transform(items)

    def resource(self, entry: Field) -> list[Item]:
        path = str(entry.value)
        if _REMOTE.search(path):
            self.tree.opaque.append(entry.origin)
            return []
        target = self.resolve(path)
        if (self.tree.root / target).is_dir():
            return self.base(target, entry.origin)
        if not (self.tree.root / target).exists():
            origin = entry.origin
            raise SourceError(
                origin.file, origin.line, f"names {path}, which does not exist; create it or remove it"
            )
        self.tree.reads.add(target)
        documents = read_documents(self.tree.root, target, Writer.RESOURCE)
        return [item for document in documents for item in _items(document)]

    def base(self, directory: str, origin: Origin) -> list[Item]:
        """Return what a kustomization below this one makes: the same for every overlay that uses it."""
        key = (self.tree.root, directory)
        if key not in _BASES:
            part = Tree(self.tree.root)
            part.items = _Directory(part, directory, self.stack, origin).accumulate([])
            _BASES[key] = part
        part = _BASES[key]
        self.tree.entries += part.entries
        self.tree.undone += part.undone
        self.tree.reads |= part.reads
        self.tree.opaque += part.opaque
        return [replace(item) for item in part.items]

    def generators(self, items: list[Item]) -> None:
        options = self.fields.get("generatorOptions")
        for key, secret in (("configMapGenerator", False), ("secretGenerator", True)):
            for entry in self.fields.sequence(key):
                made, reads = generate(self.tree.root, entry, options, self.resolve, secret=secret)
                self.tree.reads |= reads
                without = entry.get("options", "disableNameSuffixHash") or (
                    options.get("disableNameSuffixHash") if options else None
                )
                item = Item.of(made, hashed=without is None or not without.value)
                self.absorb(items, item, entry)

    def absorb(self, items: list[Item], item: Item, entry: Field) -> None:
        behavior = entry.text("behavior") or "create"
        if behavior == "create":
            _add(items, [item])
            return
        old = next((old for old in items if old.kind == item.kind and item.name in old.names), None)
        if old is None:
            origin = entry.origin
            problem = f"has behavior: {behavior} for {item.kind} {item.name}, which nothing above it makes"
            raise SourceError(origin.file, origin.line, f"{problem}; correct the name or create it")
        old.hashed = item.hashed
        if behavior == "merge":
            old.field = merge_generated(old.field, item.field)
        else:
            name = old.field.get("metadata", "name") or item.field
            old.field = transformers.set_at(item.field, ("metadata", "name"), lambda _: name, create=None)

    def transform(self, items: list[Item]) -> list[Item]:
        arrived = {id(item): item.field for item in items}
        for entry in self.fields.sequence("patchesStrategicMerge"):
            items = self.strategic_merge(items, entry, None, str(entry.value))
        for entry in self.fields.sequence("patches"):
            items = self.patch(items, entry)
        with self.watching(items, arrived):
            self.stamp(items)
        for entry in self.fields.sequence("patchesJson6902"):
            items = self.patch(items, entry)
        with self.watching(items, arrived):
            self.count_and_tag(items)
        for entry in self.fields.sequence("replacements"):
            self.replace(items, entry)
        return [item for item in items if item.field.value]

    @contextmanager
    def watching(self, items: Sequence[Item], arrived: Mapping[int, Field]) -> Iterator[None]:
        """Note what of the patches so far is written over meanwhile."""
        patched = [(item, item.field) for item in items]
        yield
        for item, before in patched:
            self.tree.undone += overwritten(before, item.field, arrived.get(id(item)))

    def stamp(self, items: list[Item]) -> None:
        namespace = self.fields.get("namespace")
        if namespace is not None:
            _note(items)
            _each(items, partial(transformers.set_namespace, namespace=by(namespace, Writer.NAMESPACE)))
        for key, writer in (("namePrefix", Writer.NAME_PREFIX), ("nameSuffix", Writer.NAME_SUFFIX)):
            affix = self.fields.get(key)
            if affix is not None and affix.value:
                written = by(affix, writer)
                _note(item for item in items if item.kind not in transformers.KEEPS_NAME)
                _each(items, partial(transformers.set_affix, affix=written, prefix=key == "namePrefix"))
        for entry in self.fields.sequence("labels"):
            _stamp(items, _label_specs(entry), entry.mapping("pairs"), Writer.LABELS)
        _stamp(items, transformers.SELECTOR_LABELS, self.fields.mapping("commonLabels"), Writer.LABELS)
        _stamp(items, transformers.ANNOTATIONS, self.fields.mapping("commonAnnotations"), Writer.ANNOTATIONS)

    def count_and_tag(self, items: list[Item]) -> None:
        for entry in self.fields.sequence("replicas"):
            named = [item for item in items if entry.text("name") in item.names]
            count = by(entry.get("count") or entry, Writer.REPLICAS)
            if not named:
                problem = f"sets replicas of {entry.text('name')!r}, which nothing makes; correct the name"
                raise SourceError(entry.origin.file, entry.origin.line, problem)
            changed = _differ(_each(named, partial(transformers.set_replicas, count=count)))
            self.record(entry, Writer.REPLICAS, f"replicas of {entry.text('name')}", changed)
        for entry in self.fields.sequence("images"):
            changed = _differ(_each(items, partial(transformers.set_image, entry=entry)))
            self.record(entry, Writer.IMAGES, f"image {entry.text('name')}", changed)

    def patch(self, items: list[Item], entry: Field) -> list[Item]:
        target = entry.get("target")
        path = entry.get("path")
        text = entry.get("patch")
        title = str(path.value) if path is not None else "written here"
        if path is None and (text is None or not isinstance(text.value, str)):
            raise SourceError(
                entry.origin.file, entry.origin.line, "has neither patch nor path; give it one of them"
            )
        documents = self.patch_documents(path, text)
        if documents and isinstance(documents[0].value, list):
            if target is None:
                raise SourceError(
                    entry.origin.file, entry.origin.line, "has a JSON patch without target; name one"
                )
            operations = documents[0].sequence()
            targets = [item for item in items if _selects(target, item)]
            _note(targets)
            changed = _differ(_each(targets, partial(apply_operations, operations=operations)))
            self.record(entry, Writer.JSON_PATCH, f"patch {title}", changed)
            return items
        for document in documents:
            items = self.strategic_merge(items, entry, target, title, document)
        return items

    def patch_documents(self, path: Field | None, text: Field | None) -> Sequence[Field]:
        file = self.resolve(str(path.value)) if path is not None else ""
        if path is not None:
            if not (self.tree.root / file).is_file():
                problem = f"names the patch {path.value}, which does not exist; create it or remove the entry"
                raise SourceError(path.origin.file, path.origin.line, problem)
            self.tree.reads.add(file)
            documents = read_documents(self.tree.root, file, Writer.STRATEGIC_MERGE)
        else:
            assert text is not None  # noqa: S101 - for the type checker: one of the two is given
            origin = text.origin
            documents = tuple(
                compose(
                    str(text.value),
                    origin.file,
                    writer=Writer.STRATEGIC_MERGE,
                    first_line=origin.text_line,
                )
            )
        if documents and isinstance(documents[0].value, list):
            written = read_text(self.tree.root, file) if text is None else str(text.value).strip()
            _check_json(written, documents[0].origin)
            return tuple(_rewritten(document, Writer.JSON_PATCH) for document in documents)
        return documents

    def strategic_merge(
        self, items: list[Item], entry: Field, target: Field | None, title: str, patch: Field | None = None
    ) -> list[Item]:
        patches = [patch] if patch is not None else self.patch_documents(entry, None)
        for document in patches:
            if target is not None:
                targets = [item for item in items if _selects(target, item)]
            else:
                targets = [item for item in items if _is_patched(document, item)]
                if not targets:
                    name = f"{document.text('kind')} {document.text('metadata', 'name')}"
                    problem = f"patches {name}, which nothing makes; correct its kind or name"
                    of_kind = any(item.kind == document.text("kind") for item in items)
                    at = (document.get("metadata", "name") if of_kind else document.get("kind")) or document
                    raise SourceError(at.origin.file, at.origin.line, problem)
            changed = False
            for item in targets:
                before = item.field
                schema = schema_of(item.api_version, item.kind)
                after = strategic_merge(before, document, schema)
                changed |= after is None or after.plain() != before.plain()
                item.field = after or Field(None, before.writers)
            self.record(entry, Writer.STRATEGIC_MERGE, f"patch {title}", changed)
        return [item for item in items if item.field.value]

    def replace(self, items: list[Item], entry: Field) -> None:
        path = entry.get("path")
        entries: Iterable[Field] = [entry]
        if path is not None:
            file = self.resolve(str(path.value))
            self.tree.reads.add(file)
            documents = read_documents(self.tree.root, file, Writer.REPLACEMENT)
            entries = [one for document in documents for one in (document.sequence() or [document])]
        for one in entries:
            changed = apply_replacement(items, one, _selects)
            self.record(one, Writer.REPLACEMENT, f"replacement from {one.text('source', 'kind')}", changed)

    def record(self, entry: Field, kind: Writer, title: str, changed: bool) -> None:  # noqa: FBT001 - its subject
        self.tree.entries.append(Entry(kind, entry.origin, title, changed))

    def resolve(self, path: str) -> str:
        return join(self.directory, path)


def _check_fields(kustomization: Field) -> None:
    """Refuse a field that Kustomize does not have, or that is no list where it has one."""
    for key, below in kustomization.mapping().items():
        if key in _LISTS and below.value is not None and not isinstance(below.value, list):
            raise SourceError(
                below.origin.file, below.origin.line, f"has {key}, which must be a list; write it as one"
            )
        if key not in _LISTS and key not in _OTHERS:
            near = nearest(key, _LISTS | _OTHERS)
            way_out = f"did you mean {near}?" if near else "remove it"
            problem = f"has the field {key!r}, which kustomizations do not have; {way_out}"
            raise SourceError(below.origin.file, below.origin.line, problem)


def _check_json(patch: str, origin: Origin) -> None:
    """Refuse a JSON patch that Kustomize takes for JSON, by its first character, and that is other YAML."""
    try:
        if patch.startswith("["):
            json.loads(patch)
    except ValueError:
        problem = "has a JSON patch that begins with [ and is no JSON, which Kustomize refuses"
        way_out = "begin each operation with a dash, or quote it as JSON"
        raise SourceError(origin.file, origin.line, f"{problem}; {way_out}") from None


def _items(document: Field) -> list[Item]:
    if document.text("kind").endswith("List") and document.get("items") is not None:
        return [item for one in document.sequence("items") for item in _items(one)]
    item = Item.of(document)
    for missing in ("apiVersion", "kind", "name"):
        place = document if missing != "name" else (document.get("metadata") or document)
        if not place.text(missing) and item.kind != "Kustomization":
            path = "metadata.name" if missing == "name" else missing
            raise SourceError(
                place.origin.file, place.origin.line, f"has an object without {path}; give it one"
            )
    return [item]


def _add(items: list[Item], more: Iterable[Item]) -> None:
    """Append objects, unless the tree has one of them already."""
    known = {item.identity: item for item in items}
    for item in more:
        first = known.setdefault(item.identity, item)
        if first is not item:
            problem = (
                f"adds {item.kind} {item.name}, which {first.field.origin} adds as well; remove one of them"
            )
            raise SourceError(item.field.origin.file, item.field.origin.line, problem)
        items.append(item)


def _note(items: Iterable[Item]) -> None:
    """Note what items are called before they are changed, as ``StorePreviousId`` of kustomize/api does."""
    for item in items:
        item.past = (*item.past, (item.namespace or _DEFAULT, item.name))


def _follow_service_accounts(items: Sequence[Item]) -> None:
    """Give the subjects of bindings the namespace that the ServiceAccount they name was put in.

    That is what name references of Kustomize do (``filters/nameref`` of kustomize/api v0.21.1): of
    any kind of subject, and only where the account was noted under that name. A subject with a namespace
    means the account that was there to begin with, or is there now. A RoleBinding reaches the accounts of
    its own namespace and of those that its subjects name. Of several accounts nothing is said.
    """
    first = [item.past[0][0] if item.past else item.namespace or _DEFAULT for item in items]
    now = [item.namespace or _DEFAULT for item in items]

    def followed(within: Container[str] | None, name: str, namespace: str) -> Field | None:
        homes = first if namespace in first else now
        found = [
            item
            for item, home, here in zip(items, homes, now, strict=True)
            if namespace in ("", home)
            and (within is None or here in within)
            and item.kind == "ServiceAccount"
            and any(noted == name for _, noted in item.past)
        ]
        if len({(item.name, item.namespace) for item in found}) != 1:
            return None
        return found[0].field.get("metadata", "namespace")

    for item in items:
        if item.kind in ("RoleBinding", "ClusterRoleBinding"):
            within = _within(item) if item.kind == "RoleBinding" else None
            item.field = transformers.set_subject_namespaces(item.field, partial(followed, within))


def _within(binding: Item) -> set[str]:
    """Return the namespaces whose accounts a RoleBinding may mean (``getNamespacesForRoleBinding``)."""
    named = {
        subject.text("namespace")
        for subject in binding.field.sequence("subjects")
        if subject.text("kind") == "ServiceAccount"
    }
    return {binding.namespace or _DEFAULT, *named}


def _each(items: Iterable[Item], change: Callable[[Field], Field]) -> list[tuple[Field, Field]]:
    """Apply ``change`` to every item; return what was written, before and after."""
    written = []
    for item in items:
        before = item.field
        item.field = change(before)
        if item.field is not before:
            written.append((before, item.field))
            name = item.field.text("metadata", "name")
            if name != item.names[-1]:
                item.names = (*item.names, name)
    return written


def _differ(written: Iterable[tuple[Field, Field]]) -> bool:
    """Whether a value is another one, and not merely written again."""
    return any(after.plain() != before.plain() for before, after in written)


def _stamp(
    items: Sequence[Item], specs: Sequence[transformers.FieldSpec], pairs: Mapping[str, Field], writer: Writer
) -> None:
    for key, value in pairs.items():
        _each(items, partial(transformers.set_entry, specs=specs, key=key, value=by(value, writer)))


def _label_specs(entry: Field) -> tuple[transformers.FieldSpec, ...]:
    def on(key: str) -> bool:
        flag = entry.get(key)
        return flag is not None and flag.value is True

    custom = tuple(
        transformers.FieldSpec(
            spec.text("path"), spec.text("kind"), create=bool(spec.mapping().get("create"))
        )
        for spec in entry.sequence("fields")
    )
    if on("includeSelectors"):
        return (*custom, *transformers.SELECTOR_LABELS)
    if on("includeTemplates"):
        return (*custom, *transformers.TEMPLATE_LABELS)
    return (*custom, *transformers.METADATA_LABELS)


def _rewritten(document: Field, writer: Writer) -> Field:
    """Return ``document`` with every line in it credited to ``writer``."""
    written = by(document, writer)
    if isinstance(written.value, dict):
        return Field(
            {key: _rewritten(below, writer) for key, below in written.value.items()}, written.writers
        )
    if isinstance(written.value, list):
        return Field([_rewritten(below, writer) for below in written.value], written.writers)
    return written


def _is_patched(patch: Field, item: Item) -> bool:
    """Whether a strategic-merge patch without target means this object."""
    namespace = patch.text("metadata", "namespace")
    return (
        patch.text("kind") == item.kind
        and patch.text("apiVersion") == item.api_version
        and patch.text("metadata", "name") in item.names
        and namespace in ("", item.namespace)
    )


def _selects(target: Field, item: Item) -> bool:
    """Whether the ``target`` of a patch selects this object; names are regular expressions."""
    group, _, version = item.api_version.rpartition("/")
    facts = {"group": group, "version": version, "kind": item.kind}
    if any(not _matches(target.text(key), value) for key, value in facts.items()):
        return False
    if not any(_matches(target.text("name"), name) for name in item.names):
        return False
    if not _matches(target.text("namespace"), item.namespace or "default"):
        return False
    return all(
        _matches_pairs(target.text(f"{kind}Selector"), item.field.mapping("metadata", f"{kind}s"))
        for kind in ("label", "annotation")
    )


def _matches(pattern: str, value: str) -> bool:
    return not pattern or re.fullmatch(pattern, value) is not None


def _matches_pairs(selector: str, pairs: Mapping[str, Field]) -> bool:
    known = {key: str(value.value) for key, value in pairs.items()}
    for part in filter(None, (part.strip() for part in selector.split(","))):
        key, separator, value = part.replace("==", "=").partition("=")
        negated = key.endswith("!")
        key = key.removesuffix("!").strip()
        if separator and (known.get(key) == value.strip()) == negated:
            return False
        if not separator and (key.removeprefix("!") in known) == key.startswith("!"):
            return False
    return True
