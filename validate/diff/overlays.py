"""What becomes of one overlay: its objects, and what happens on its cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.diff.changes import Effect, How, Kind, ObjectChange, OverlayChange
from validate.diff.effects import Change, effects
from validate.diff.objects import object_change
from validate.diff.pairing import Pair, generated_names, pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from validate.argocd.applications import SyncedPath
    from validate.cluster.objects import KubeObject
    from validate.diff.causes import Causes
    from validate.overlay import Overlay


def overlay_change(
    before: Overlay | None, after: Overlay | None, causes: Causes, synced: Sequence[SyncedPath] = ()
) -> OverlayChange:
    """Return what becomes of an overlay that ``before`` was and ``after`` is, one of them perhaps None."""
    if before is None or after is None:
        return _whole(before, after, causes)
    together = pairs(before.objects, after.objects)
    renamed = generated_renames(together)
    told = [one for pair in together if (one := object_change(pair, causes, renamed)) is not None]
    told += _build_pod(before, after, causes, renamed)
    by_title = {one.title: one for one in told}
    change = Change(before, after, together, by_title, renamed, causes, synced)
    was = before.name if before.name != after.name else ""
    return OverlayChange(after.name, How.CHANGED, was, tuple(told), effects(change))


def _whole(before: Overlay | None, after: Overlay | None, causes: Causes) -> OverlayChange:
    overlay = after or before
    assert overlay is not None  # noqa: S101 - for the type checker: one of the two is there
    how = How.ADDED if before is None else How.REMOVED
    both = [Pair(item, None) if after is None else Pair(None, item) for item in overlay.objects]
    told = [change for pair in both if (change := object_change(pair, causes, {})) is not None]
    return OverlayChange(overlay.name, how, objects=tuple(told))


def generated_renames(together: Sequence[Pair]) -> dict[str, str]:
    """Return the generated names of the objects that stay, by those that they had."""
    old = dict(generated_names(pair.before for pair in together if pair.before and pair.after))
    return {
        pair.before.name: pair.after.name
        for pair in together
        if pair.before and pair.after and pair.before.name in old and pair.before.name != pair.after.name
    }


def _build_pod(
    before: Overlay, after: Overlay, causes: Causes, renamed: Mapping[str, str]
) -> list[ObjectChange]:
    """Return what becomes of the pods of builds, which are in no manifest."""
    old, new = _predicted(before), _predicted(after)
    if old is None or new is None:
        return []
    change = object_change(Pair(old, new), causes, renamed)
    return [change] if change else []


def _predicted(overlay: Overlay) -> KubeObject | None:
    return overlay.build_pod.object if overlay.build_pod else None


def argocd_effects(
    before: Sequence[SyncedPath], after: Sequence[SyncedPath], causes: Causes
) -> tuple[Effect, ...]:
    """Return what becomes of the Applications that sync an overlay."""
    old = {one.application: one for one in before}
    new = {one.application: one for one in after}
    found = []
    for name in dict.fromkeys([*new, *old]):
        was, now = old.get(name), new.get(name)
        subject = f"Application {name}"
        if was is None and now is not None:
            cause = causes.of(None, now.place)
            sentence = f"begins to sync it to {_cluster(now)}"
            found.append(Effect(Kind.SYNC, subject, sentence, (cause,) if cause else ()))
        elif now is None and was is not None:
            found.append(_ends(was, causes))
        elif was is not None and now is not None:
            found += _changed(was, now, causes)
    return tuple(found)


def applications(synced: Sequence[SyncedPath]) -> tuple[str, ...]:
    """Return the Applications, each with its cluster."""
    return tuple(dict.fromkeys(f"{one.application} on {_cluster(one)}" for one in synced))


def _cluster(one: SyncedPath) -> str:
    return f"cluster {one.destination}" if one.destination else "no cluster"


def _ends(was: SyncedPath, causes: Causes) -> Effect:
    document = was.place.document.value
    kept = _is_kept(document)
    cause = causes.of(was.place, None)
    what = "and what it installed stays on" if kept else "and Argo CD deletes what it installed on"
    sentence = f"no longer syncs it, {what} {_cluster(was)}"
    return Effect(
        Kind.SYNC, f"Application {was.application}", sentence, (cause,) if cause else (), grave=not kept
    )


def _is_kept(document: object) -> bool:
    """Whether the objects of an Application outlive it.

    An ApplicationSet gives its Applications the finalizer that deletes them, unless it preserves resources.
    """
    value = document if isinstance(document, dict) else {}
    if value.get("kind") == "ApplicationSet":
        policy = (value.get("spec") or {}).get("syncPolicy") or {}
        return policy.get("preserveResourcesOnDeletion") is True
    finalizers = (value.get("metadata") or {}).get("finalizers") or []
    return not any(str(one).startswith("resources-finalizer.argocd.argoproj.io") for one in finalizers)


def _changed(was: SyncedPath, now: SyncedPath, causes: Causes) -> list[Effect]:
    """Return the fields of an Application that differ."""
    found = []
    for path in _leaves(was.spec, now.spec):
        old, new = (_text(one.spec, path) for one in (was, now))
        places = [one.written.at("spec", *path) for one in (was, now)]
        cause = causes.of(*places)
        field = ".".join(("spec", *path))
        sentence = f"has {field}: {new} now, after {old}"
        grave = path[:1] in (("destination",), ("syncPolicy",), ("source",))
        subject = f"Application {now.application}"
        found.append(Effect(Kind.SYNC, subject, sentence, (cause,) if cause else (), grave=grave))
    return found


def _leaves(old: object, new: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys([*new, *old])
        return [leaf for key in keys for leaf in _leaves(old.get(key), new.get(key), (*path, str(key)))]
    return [path]


def _text(spec: object, path: Sequence[str]) -> str:
    import json  # noqa: PLC0415 - only where an Application changes

    value = spec
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return "nothing" if value is None else json.dumps(value)
