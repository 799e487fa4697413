"""What a change does on the cluster: what restarts, what is refused, deleted, opened, or no longer fits."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from validate.argocd.syncs import KEEPING, LOST_WITH, object_options, options_place, prunes
from validate.binderhub.capacity import capacity
from validate.cluster.immutable import refused_changes
from validate.cluster.network import Network, other_policies
from validate.cluster.openings import Member, openings
from validate.cluster.podsecurity import Level, namespace_level, violations
from validate.cluster.rbac import Grants, gained, subjects
from validate.cluster.references import references
from validate.cluster.rollout import rollout
from validate.cluster.scheduling import Placement, admitting_pools
from validate.diff.changes import Effect, Kind
from validate.diff.pairing import title
from validate.place import dotted, lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from validate.argocd.applications import SyncedPath
    from validate.binderhub.capacity import Capacity
    from validate.cluster.network import Endpoint
    from validate.cluster.objects import KubeObject, PodView
    from validate.diff.causes import Causes
    from validate.diff.changes import Cause, FieldChange, ObjectChange
    from validate.diff.pairing import Pair
    from validate.overlay import Overlay
    from validate.place import Json, Place

_REPLACING = frozenset({"Replace=true", "Force=true"})
_LEVELS = (Level.RESTRICTED, Level.BASELINE, Level.PRIVILEGED)
_BUILDS = "builds"
# What of a pod decides on which nodes it can run.
_PLACING = ("nodeSelector", "affinity", "tolerations", "nodeName")
_KEEPS_FILES = "keeps until it restarts the files (subPath) that it took from"


class Change(Struct, frozen=True, eq=False, dict=True):
    """One overlay that both sides have, and what effects are told from.

    Attributes:
        pairs: the objects.
        told: what differs in each, by title.
        renamed: former generated names by new ones.
        synced: what Argo CD syncs it by, as the head says.
    """

    before: Overlay
    after: Overlay
    pairs: Sequence[Pair]
    told: Mapping[str, ObjectChange]
    renamed: Mapping[str, str]
    causes: Causes
    synced: Sequence[SyncedPath]

    @cached_property
    def shared(self) -> tuple[tuple[KubeObject, KubeObject], ...]:
        """The objects that stay, as they were and as they are."""
        return tuple(
            (pair.before, pair.after)
            for pair in self.pairs
            if pair.before is not None and pair.after is not None and not pair.is_moved
        )

    def fields_of(self, item: KubeObject) -> Sequence[FieldChange]:
        """Return what differs in an object of the head."""
        told = self.told.get(title(item))
        return told.fields if told else ()

    def pods(self) -> Iterator[tuple[str, PodView, PodView]]:
        """Yield the pods that stay, those of builds last."""
        for old, new in self.shared:
            if old.pod is not None and new.pod is not None:
                yield title(new), old.pod, new.pod
        old_build, new_build = _build_pod(self.before), _build_pod(self.after)
        if old_build is not None and new_build is not None:
            yield "build pod", old_build, new_build


def effects(change: Change) -> tuple[Effect, ...]:
    """Return what happens, the worst first."""
    tellers: tuple[Callable[[Change], Iterator[Effect]], ...] = (
        _refused,
        _gone,
        _moved,
        _security,
        _rights,
        _network,
        _capacity,
        _placement,
        _images,
        _restarts,
        _stale,
    )
    found = dict.fromkeys(effect for tell in tellers for effect in tell(change))
    order = list(Kind)
    return tuple(sorted(found, key=lambda effect: order.index(effect.kind)))


def _refused(change: Change) -> Iterator[Effect]:
    for old, new in change.shared:
        if "argocd.argoproj.io/hook" in new.annotations:
            # Argo CD deletes a hook before it runs it again.
            continue
        fields = list(refused_changes(old, new))
        if not fields:
            continue
        causes = change.causes.first((one.before, one.after) for one in fields)
        names = ", ".join(one.field for one in fields)
        if object_options(new) >= _REPLACING:
            sentence = f"is deleted and made anew, since {names} cannot change"
            yield Effect(Kind.RECREATED, title(new), sentence, causes, grave=True)
            continue
        sentence = (
            f"cannot change {names}: the API server refuses it, and the sync fails until somebody "
            "deletes the object"
        )
        yield Effect(Kind.REFUSED, title(new), sentence, causes, grave=True)


def _gone(change: Change) -> Iterator[Effect]:
    for pair in change.pairs:
        if pair.before is not None and pair.after is None:
            yield _removed(pair.before, change)


def _removed(item: KubeObject, change: Change) -> Effect:
    cause = change.causes.of(item.place.at("metadata", "name"), None)
    causes = (cause,) if cause else ()
    kept = next(iter(sorted(object_options(item) & KEEPING)), None)
    if kept:
        at = change.causes.of(options_place(item), None)
        sentence = f"stays on the cluster, since it is annotated with {kept}"
        return Effect(Kind.KEPT, title(item), sentence, tuple(filter(None, (*causes, at))))
    if change.synced and not any(prunes(one.spec) for one in change.synced):
        return Effect(
            Kind.KEPT, title(item), "stays on the cluster, since Argo CD does not prune here", causes
        )
    by = "by Argo CD" if change.synced else "where somebody prunes (kubectl apply leaves it)"
    loss = LOST_WITH.get(item.kind, "")
    sentence = f"is deleted {by}{f', and with it {loss}' if loss else ''}"
    return Effect(Kind.PRUNED, title(item), sentence, causes, grave=bool(loss))


def _moved(change: Change) -> Iterator[Effect]:
    """Tell what another name or namespace makes another object, as the API server sees it."""
    for pair in change.pairs:
        old, new = pair
        if old is None or new is None or not pair.is_moved:
            continue
        keys = [key for key in ("namespace", "name") if _meta(old, key) != _meta(new, key)]
        causes = change.causes.first(
            (old.place.at("metadata", key), new.place.at("metadata", key)) for key in keys
        )
        former = f"the one in {old.namespace or 'no namespace'}" if keys == ["namespace"] else title(old)
        sentence = f"is made anew, and {former} is deleted: nothing of it is carried over"
        yield Effect(Kind.RECREATED, title(new), sentence, causes, grave=new.kind in LOST_WITH)


def _meta(item: KubeObject, key: str) -> Json:
    return lookup(item.value, ("metadata", key))


def _security(change: Change) -> Iterator[Effect]:
    for name, old, new in change.pods():
        was, now = _level(old), _level(new)
        if _LEVELS.index(now) > _LEVELS.index(was):
            known = {violation.sentence for violation in violations(was, old.template)}
            found = [one for one in violations(was, new.template) if one.sentence not in known]
            places = [(old.template.at(*one.path), new.template.at(*one.path)) for one in found]
            what = "; ".join(dict.fromkeys(one.sentence for one in found))
            sentence = f"needs the level {now} now, after {was}: {what}"
            yield Effect(Kind.SECURITY, name, sentence, change.causes.first(places), grave=True)
        elif now is not was:
            yield Effect(Kind.SECURITY, name, f"is content with the level {now} now, after {was}")
    for before, after in change.shared:
        if after.kind == "Namespace":
            was, now = namespace_level(before.labels), namespace_level(after.labels)
            if was is not now:
                labels = (before.place.at("metadata", "labels"), after.place.at("metadata", "labels"))
                wider = _LEVELS.index(now) > _LEVELS.index(was)
                sentence = f"enforces the level {now} now, after {was}"
                yield Effect(
                    Kind.SECURITY, title(after), sentence, change.causes.first([labels]), grave=wider
                )


def _level(pod: PodView) -> Level:
    """Return the strictest level that admits a pod."""
    return next(level for level in _LEVELS if not violations(level, pod.template))


def _rights(change: Change) -> Iterator[Effect]:
    known = (subjects(change.before.objects), subjects(change.after.objects))
    for who in dict.fromkeys([*known[0], *known[1]]):
        old, new = (Grants.of_subject(side.objects, who) for side in (change.before, change.after))
        if old == new:
            continue
        for first, then, word, is_wider in ((old, new, "may now", True), (new, old, "may no longer", False)):
            for grant, clause in gained(first, then):
                writers = (grant.rule / "verbs").writers, (grant.role_ref / "name").writers
                own = (*writers[0], *grant.rule.writers, *writers[1])
                cause = change.causes.of_writers(*(((), own) if is_wider else (own, ())))
                causes = (cause,) if cause else ()
                yield Effect(Kind.RBAC, str(who), f"{word} {clause}", causes, grave=is_wider)


def _network(change: Change) -> Iterator[Effect]:
    if any(True for side in (change.before, change.after) for _ in other_policies(side.objects)):
        # What those of a network plugin say is not known here.
        return
    old, new = (Network.of(side.objects, side.facts.namespaces) for side in (change.before, change.after))
    members = [
        Member(name, _endpoint(old, pods[0]), _endpoint(new, pods[1])) for name, *pods in change.pods()
    ]
    for one in openings(old, new, members):
        verb = "connect to" if one.direction == "Egress" else "be reached from"
        may = "may now" if one.is_open else "may no longer"
        sentence = f"{may} {verb} {', '.join(one.others)} at {one.ports}"
        cause = change.causes.of(one.before, one.after)
        yield Effect(Kind.NETWORK, one.who, sentence, (cause,) if cause else (), grave=one.is_open)


def _endpoint(network: Network, pod: PodView) -> Endpoint:
    return network.pod(pod)


def _capacity(change: Change) -> Iterator[Effect]:
    """Tell where builds can run, where that is another place than it was."""
    old, new = _capacities(change.before), _capacities(change.after)
    if old is None or new is None or old == new:
        return
    was, now = (_listed([str(one) for one in side]) or "no declared pool" for side in (old, new))
    fewer = {one.pool for one in old} - {one.pool for one in new}
    sentence = f"can run in {now}; before, in {was}"
    counted = ["containers"] if any(one.builds is not None for one in (*old, *new)) else []
    causes = _placement_causes(change, *counted)
    yield Effect(Kind.CAPACITY, _BUILDS, sentence, causes, grave=bool(fewer))


def _capacities(side: Overlay) -> Sequence[Capacity] | None:
    build = _build_pod(side)
    if build is None or not side.facts.pools:
        return None
    daemon = side.docker_api.pod if side.docker_api else None
    return capacity(side.facts.pools, build, daemon, side.objects)


def _placement_causes(change: Change, *more: str) -> tuple[Cause, ...]:
    """Return the lines that decide where builds run, and have changed; ``more`` fields of pods count too."""
    sides = [
        (_build_pod(side), side.docker_api and side.docker_api.pod) for side in (change.before, change.after)
    ]
    causes = [*_of_pools(change)]
    for old, new in zip(*sides, strict=True):
        if old is not None and new is not None:
            causes += _placed_by(change, old, new, *more)
    return tuple(dict.fromkeys(causes))


def _of_pools(change: Change) -> Iterator[Cause]:
    """Yield the line of ``cluster.yaml`` that describes another pool than before."""
    deeper = _deepest(*(side.facts.place / "nodePools" for side in (change.before, change.after)))
    cause = change.causes.of(*deeper) if deeper else None
    if cause:
        yield cause


def _deepest(before: Place, after: Place) -> tuple[Place, Place] | None:
    """Return the first value in two places that differs, as deep as both go; None where none does."""
    if before.value == after.value:
        return None
    keys: Sequence[str | int] = ()
    if isinstance(before.value, dict) and isinstance(after.value, dict):
        keys = list(dict.fromkeys([*after.mapping, *before.mapping]))
    elif (
        isinstance(before.value, list)
        and isinstance(after.value, list)
        and len(before.items) == len(after.items)
    ):
        keys = range(len(after.items))
    differing = [key for key in keys if (before / key).value != (after / key).value]
    if not differing:
        return before, after
    return _deepest(before / differing[0], after / differing[0])


def _placement(change: Change) -> Iterator[Effect]:
    """Tell in which declared pools the other workloads can run, where that changes."""
    roles = {id(side.docker_api.object) for side in (change.before, change.after) if side.docker_api}
    if not (change.before.facts.pools and change.after.facts.pools):
        return
    for old, new in change.shared:
        if old.pod is None or new.pod is None or (id(new) in roles and _capacities(change.after) is not None):
            continue
        was, now = (
            [pool.name for pool in admitting_pools(_placed(pod), side.facts.pools)]
            for pod, side in ((old.pod, change.before), (new.pod, change.after))
        )
        if was != now:
            causes = tuple(_placed_by(change, old.pod, new.pod)) or tuple(_of_pools(change))
            sentence = f"can run in {_listed(now) or 'no declared pool'}; before, in {_listed(was) or 'none'}"
            yield Effect(Kind.PLACEMENT, title(new), sentence, causes, grave=not now)


def _placed_by(change: Change, before: PodView, after: PodView, *more: str) -> Iterator[Cause]:
    """Yield the lines of a pod that place it in another way than before."""
    for key in (*_PLACING, *more):
        deeper = _deepest(before.spec / key, after.spec / key)
        cause = change.causes.of(*deeper) if deeper else None
        if cause:
            yield cause


def _placed(pod: PodView) -> Placement:
    return Placement.of(pod.spec.mapping, daemonset=pod.owner.kind == "DaemonSet")


def _images(change: Change) -> Iterator[Effect]:
    """Tell each image that changes once, with all the containers that it changes in."""
    found: dict[tuple[str, str], list[tuple[str, Place, Place]]] = {}
    for name, old, new in change.pods():
        known = {container.name: container for container in old.all_containers}
        for container in new.all_containers:
            before = known.get(container.name)
            if before is not None and before.image != container.image:
                where = f"{name} ({container.name})"
                places = (where, before.place / "image", container.place / "image")
                found.setdefault((before.image, container.image), []).append(places)
    for (was, now), containers in found.items():
        causes = change.causes.first((before, after) for _, before, after in containers)
        names = ", ".join(name for name, _, _ in containers)
        yield Effect(Kind.IMAGE, names, f"{was} becomes {now}", causes)


def _restarts(change: Change) -> Iterator[Effect]:
    refused = {title(new) for old, new in change.shared if any(True for _ in refused_changes(old, new))}
    for old, new in change.shared:
        if old.pod is None or new.pod is None or old.pod.template.value == new.pod.template.value:
            continue
        happens = rollout(new)
        if happens is None or title(new) in refused:
            continue
        prefix = dotted(new.pod.template.path)
        fields = (one for one in change.fields_of(new) if one.path.startswith(prefix))
        causes = (*_causes(fields), *_of_content(change, old.pod, new.pod))
        kind = Kind.RESTARTS if happens.restarts else Kind.STALE
        yield Effect(kind, title(new), happens.how, tuple(dict.fromkeys(causes)))


def _of_content(change: Change, before: PodView, after: PodView) -> Iterator[Cause]:
    """Yield the lines that gave a generated object that the pod uses another name."""
    used = _names(before) & change.renamed.keys()
    for old, new in change.shared:
        if old.name in used and new.name in _names(after):
            yield from _causes(change.fields_of(new))


def _causes(fields: Iterable[FieldChange]) -> Iterator[Cause]:
    return (one.cause for one in fields if one.cause is not None)


def _names(pod: PodView) -> set[str]:
    return {one.name for one in references([pod.owner]) if one.kind in ("ConfigMap", "Secret")}


def _stale(change: Change) -> Iterator[Effect]:
    """Tell who goes on with what a ConfigMap or Secret said: its name stays, so nothing restarts."""
    changed = {
        (new.kind, new.namespace, new.name): (old, new)
        for old, new in change.shared
        if new.kind in ("ConfigMap", "Secret")
        and old.name == new.name
        and any(old.value.get(key) != new.value.get(key) for key in ("data", "binaryData", "stringData"))
    }
    same = {
        id(new)
        for old, new in change.shared
        if old.pod and new.pod and old.pod.template.value == new.pod.template.value
    }
    for one in references(change.after.objects) if changed else ():
        pair = changed.get((one.kind, one.namespace, one.name))
        owner = one.place.document
        if pair is None or id(owner) not in same:
            continue
        reader = next(new for _, new in change.shared if new is owner)
        causes = tuple(dict.fromkeys(_causes(change.fields_of(pair[1]))))
        yield Effect(Kind.STALE, title(reader), f"{_reads(one.place.path, reader)} {title(pair[1])}", causes)


def _reads(path: Sequence[object], reader: KubeObject) -> str:
    """Return what becomes of what a pod took, by where in it the ConfigMap or Secret is named."""
    pod = reader.pod
    if "env" in path or "envFrom" in path:
        return "keeps until it restarts the variables that it took from"
    if "volumeMounts" in path:
        return _KEEPS_FILES
    if pod is not None and "volumes" in path:
        volume = pod.spec.at("volumes", int(str(path[list(path).index("volumes") + 1])), "name").value
        mounts = (
            mount for one in pod.all_containers for mount in one.mounts if (mount / "name").value == volume
        )
        if any((mount / "subPath").exists or (mount / "subPathExpr").exists for mount in mounts):
            return _KEEPS_FILES
        return "sees within about a minute, without a restart, the new files of"
    return "keeps until it restarts what it took from"


def _build_pod(side: Overlay) -> PodView | None:
    found = side.build_pod
    return found.object.pod if found is not None and found.object is not None else None


def _listed(words: Sequence[str]) -> str:
    if len(words) < 2:  # noqa: PLR2004 - nothing to join
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
