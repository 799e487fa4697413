"""What an object refers to by name, and by key where there is one, and what of it nobody produces.

A kind of reference is one row of a table: where it stands, what it names, what happens to people
when it is not there. Selectors are no references; a Namespace is none either, since it may come
with the destination of the sync.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from validate.cluster.producers import ANY_NAMESPACE, Producer, is_built_in, producers
from validate.cluster.reference_table import CLUSTER_WIDE, POD_ROWS, Row, rows_of
from validate.place import Json, Key, Path, lookup
from validate.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validate.cluster.objects import KubeObject, PodView
    from validate.cluster.producers import Provided
    from validate.place import Place


class Reference(Struct, frozen=True):
    """One object, and perhaps a key of it, that another object needs.

    Attributes:
        kind: kind of what it names.
        name: its name.
        namespace: where it must be: empty for cluster-wide kinds, ``*`` where any namespace will do.
        key: data key, port (name or number as text) or listener that it must hold; None for the whole.
        optional: whether the object manages without it.
        place: the value to change: the key where it names one that the object lacks, else the name.
        group: API group of ``kind``.
        otherwise: what happens where it is missing, a clause: ``the pod stays in ContainerCreating``.
        instead: others of which any one would do as well.
        unlisted: why no object can satisfy it: the volume hides the key.
        named: the name, where ``place`` is the key.
    """

    kind: str
    name: str
    namespace: str
    key: str | None
    optional: bool
    place: Place
    group: str
    otherwise: str
    instead: tuple[Reference, ...] = ()
    unlisted: str = ""
    named: Place | None = None

    @property
    def title(self) -> str:
        """``Secret binder/registry-credentials``."""
        scoped = self.namespace not in ("", ANY_NAMESPACE)
        return f"{self.kind} {self.namespace}/{self.name}" if scoped else f"{self.kind} {self.name}"


def references(objects: Iterable[KubeObject]) -> Iterator[Reference]:
    """Yield every reference that the objects make, optional ones included."""
    together = tuple(objects)
    for item in together:
        for row in rows_of(item.group, item.kind):
            yield from _made_by(row, item, ())
        pod = item.pod
        if pod is not None:
            for row in POD_ROWS:
                yield from _made_by(row, item, pod.spec.path)
            yield from _mounted_files(pod)
        if item.kind.endswith("AdmissionPolicyBinding"):
            yield from _policy_parameters(item, together)


def dangling(
    objects: Iterable[KubeObject], provided: Iterable[Provided] = ()
) -> Iterator[tuple[Reference, str]]:
    """Yield each reference to something that nobody produces, with a sentence that says so.

    ``provided`` are the objects outside the tree that the facts of the cluster declare.
    """
    together = tuple(objects)
    known = _index(producers(together, provided))
    for reference in references(together):
        if reference.optional:
            continue
        why = _missing(reference, known)
        if why and all(_missing(other, known) for other in reference.instead):
            absent = not any(producer.creates for producer in _here(reference, known))
            place = reference.named if absent and reference.named is not None else reference.place
            yield replace(reference, place=place), f"{why}, so {reference.otherwise}"


def _made_by(row: Row, item: KubeObject, root: Path) -> Iterator[Reference]:
    base = lookup(item.value, root)
    for path in _find(base, row.holder):
        holder = lookup(base, path)
        name = holder.get(row.name) if isinstance(holder, dict) else None
        if not isinstance(holder, dict) or not isinstance(name, str) or not name:
            continue
        kind, group = _kind_of(row, holder)
        if not kind or (row.only and kind != row.only):
            continue
        place = item.place.at(*root, *path)
        whole = Reference(
            kind=kind,
            name=name,
            namespace=_namespace_of(row, kind, holder, item),
            key=None,
            optional=holder.get("optional") is True,
            place=place / row.name,
            group=group,
            otherwise=row.otherwise,
        )
        yield from _parts(whole, row, place) or (whole,)


def _parts(whole: Reference, row: Row, holder: Place) -> list[Reference]:
    """Return one reference for each key that is named or taken for granted."""
    parts = [replace(whole, key=key) for key in row.all_of]
    if row.any_of:
        first, *others = (replace(whole, key=key) for key in row.any_of)
        parts.append(replace(first, instead=tuple(others)))
    for path in _find(holder.value, row.keys) if row.keys else ():
        key = holder.at(*path)
        if key.value not in (None, ""):
            parts.append(replace(whole, key=str(key.value), place=key, named=whole.place))
    return parts


def _kind_of(row: Row, holder: dict[str, Json]) -> tuple[str, str]:
    if not row.group_field:
        return row.kind, row.group
    kind = str(holder.get("kind") or row.kind)
    written = holder.get(row.group_field)
    if not isinstance(written, str):
        return kind, row.group
    return kind, written.rpartition("/")[0] if row.group_field == "apiVersion" else written


def _namespace_of(row: Row, kind: str, holder: dict[str, Json], item: KubeObject) -> str:
    if kind in CLUSTER_WIDE:
        return ""
    written = holder.get(row.namespace) if row.namespace else None
    # A cluster-wide store without a namespace in the reference looks in that of each ExternalSecret.
    return str(written or item.namespace or (ANY_NAMESPACE if item.kind in CLUSTER_WIDE else ""))


def _find(value: Json, pattern: str) -> Iterator[Path]:
    """Yield the path of everything that ``pattern`` matches."""
    return _walk(value, _steps(pattern), ())


@cache
def _steps(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.replace("[]", ".[]").split(".")) if pattern else ()


def _walk(value: Json, steps: tuple[str, ...], path: Path) -> Iterator[Path]:
    if not steps:
        yield path
        return
    step, rest = steps[0], steps[1:]
    if step == "**":
        yield from _walk(value, rest, path)
        rest = steps
    for key, below in _below(value, step):
        yield from _walk(below, rest, (*path, key))


def _below(value: Json, step: str) -> Iterable[tuple[Key, Json]]:
    if isinstance(value, list):
        return enumerate(value) if step in ("[]", "**") else ()
    if not isinstance(value, dict):
        return ()
    if step in value:
        return ((step, value[step]),)
    return [entry for entry in value.items() if fnmatchcase(entry[0], step)] if "*" in step else ()


_EMPTY_DIRECTORY = "the kubelet mounts an empty directory where the container expects a file"


def _mounted_files(pod: PodView) -> Iterator[Reference]:
    """Yield what ``subPath`` mounts need: a key of the ConfigMap or Secret behind the volume.

    The kubelet does not fail where it is missing: it makes a directory of that name.
    """
    for container in pod.all_containers:
        for mount in container.mounts:
            wanted = mount / "subPath"
            volume = pod.volume((mount / "name").text)
            if wanted.text and volume is not None:
                yield from _mounted_file(volume, wanted, pod.owner.namespace)


def _mounted_file(volume: Place, wanted: Place, namespace: str) -> Iterator[Reference]:
    """Yield the reference for one mount; none where the volume lists the file.

    A source with ``items`` shows those paths and nothing else; its keys are references already.
    """
    file = wanted.text.split("/")[0]
    sources = list((volume / "projected" / "sources").each()) or [volume]
    if any(_lists(source, file) for source in sources):
        return
    whole: list[Reference] = []
    listing: list[Reference] = []
    for source in sources:
        for field, kind, name in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
            holder = source / field
            named = (holder / name).text or (holder / "name").text
            if not named:
                continue
            reference = Reference(
                kind=kind,
                name=named,
                namespace=namespace,
                key=file,
                optional=(holder / "optional").value is True,
                place=wanted,
                group="",
                otherwise=_EMPTY_DIRECTORY,
            )
            (listing if (holder / "items").items else whole).append(reference)
    if whole:
        yield replace(whole[0], instead=tuple(whole[1:]))
    elif listing:
        unlisted = f"the items of volume {(volume / 'name').text} do not list {file}"
        yield replace(listing[0], unlisted=unlisted)


def _lists(source: Place, file: str) -> bool:
    entries = [source / "serviceAccountToken", source / "clusterTrustBundle"]
    for field in ("configMap", "secret", "downwardAPI"):
        entries += (source / field / "items").each()
    return any((entry / "path").text.split("/")[0] == file for entry in entries)


def _policy_parameters(binding: KubeObject, objects: tuple[KubeObject, ...]) -> Iterator[Reference]:
    """Yield the parameters of a binding, whose kind stands in the policy that it binds."""
    bound = (binding.kind.removesuffix("Binding"), (binding.place / "spec" / "policyName").text)
    policy = next((item for item in objects if (item.kind, item.name) == bound), None)
    name = binding.place / "spec" / "paramRef" / "name"
    if policy is None or not name.text:
        return
    kind = policy.place / "spec" / "paramKind"
    reference = binding.place / "spec" / "paramRef"
    if kind.exists:
        yield Reference(
            kind=(kind / "kind").text,
            name=name.text,
            namespace=(reference / "namespace").text or ANY_NAMESPACE,
            key=None,
            optional=(reference / "parameterNotFoundAction").value == "Allow",
            place=name,
            group=(kind / "apiVersion").text.rpartition("/")[0],
            otherwise="the policy refuses every object that it matches",
        )


_Index: TypeAlias = "dict[tuple[str, str], list[Producer]]"


def _index(known: Iterable[Producer]) -> _Index:
    index: _Index = {}
    for producer in known:
        index.setdefault((producer.kind, producer.name), []).append(producer)
    return index


def _missing(reference: Reference, index: _Index) -> str:
    """Return why nothing satisfies the reference, the empty string where something does."""
    if reference.unlisted:
        return reference.unlisted
    if is_built_in(reference.kind, reference.name):
        return ""
    here = _here(reference, index)
    if not any(producer.creates for producer in here):
        return _nobody(reference, _namesakes(reference, index), index)
    if reference.key is None or any(producer.keys is None for producer in here):
        return ""
    keys = frozenset[str]().union(*(producer.keys or () for producer in here))
    if reference.key in keys:
        return ""
    part = {"Service": "port", "Gateway": "listener"}.get(reference.kind, "key")
    held = f"only {', '.join(sorted(keys))}" if keys else f"nor any other {part}"
    return f"{reference.title} has no {part} {reference.key}, {held}"


def _namesakes(reference: Reference, index: _Index) -> list[Producer]:
    return [
        producer
        for producer in index.get((reference.kind, reference.name), ())
        if producer.group is None or producer.group == reference.group
    ]


def _here(reference: Reference, index: _Index) -> list[Producer]:
    namesakes = _namesakes(reference, index)
    return [producer for producer in namesakes if _meets(producer.namespace, reference.namespace)]


def _meets(produced: str, wanted: str) -> bool:
    return produced == wanted or ANY_NAMESPACE in (produced, wanted)


def _nobody(reference: Reference, namesakes: list[Producer], index: _Index) -> str:
    says = f"nothing produces {reference.title}"
    elsewhere = sorted({producer.namespace for producer in namesakes if producer.creates})
    if elsewhere:
        return f"{says} (one of that name is in namespace {', '.join(elsewhere)})"
    names = [name for kind, name in index if kind == reference.kind]
    near = nearest(reference.name, names)
    return f"{says} (there is {near})" if near else says
