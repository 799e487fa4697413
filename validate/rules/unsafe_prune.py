"""unsafe-prune."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from validate.argocd.syncs import (
    KEEPING,
    LOST_WITH,
    application_options,
    object_options,
    options_place,
    prunes,
)
from validate.cluster.generated import generated
from validate.place import Place
from validate.rules.rule import Breach, NotApplicable, RepositoryRule
from validate.rules.subjects import the_applications

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from validate.argocd.applications import SyncedPath
    from validate.cluster.objects import KubeObject
    from validate.overlay import Overlay, Repository
    from validate.place import Spot

_LAST = "PruneLast=true"
# Of ``applicationsSync``.
_DELETES_NOTHING = ("create-only", "create-update")


class _Prunable(NamedTuple):
    """What one overlay leaves for Argo CD to take away.

    ``hashed`` is an object with a hash in its name, None without one; ``lasting`` maps the options of
    objects that should stay to what goes with them.
    """

    hashed: Spot | None
    lasting: tuple[tuple[Spot, str], ...]
    disposable: bool


class UnsafePrune(RepositoryRule[_Prunable]):
    """Argo CD takes away what is still in use.

    With `prune: true` it deletes what an overlay no longer renders. A generated ConfigMap has a new
    name after each change, so each sync prunes the old one. Without `PruneLast=true` that happens before
    the rollout is done: a pod of the old ReplicaSet that starts meanwhile ends in
    CreateContainerConfigError (fluxcd/flux2 issue 3378, argoproj/argo-cd issue 1629), and rolling back
    needs what is gone. `IgnoreExtraneous` changes only what Argo CD shows.

    A Namespace, a volume or credentials should go when somebody decides it, not because a line was
    lost in a merge: they need `argocd.argoproj.io/sync-options: Prune=false` (or `Prune=confirm`).
    Clusters that `cluster.yaml` calls disposable have nothing to lose.

    An application that an ApplicationSet makes is deleted with everything that it installed when its
    generator no longer yields it: a directory that was renamed, a file that was lost. So the set needs
    `preserveResourcesOnDeletion: true`, or a policy that deletes nothing.
    """

    id = "unsafe-prune"

    def observe(self, overlay: Overlay) -> _Prunable:
        """Return what nothing keeps from being pruned, as far as its own options go."""
        hashed = [one.item for one in generated(overlay.objects)]
        early = (item for item in hashed if not object_options(item) & {_LAST, *KEEPING})
        return _Prunable(
            next((item.place.at("metadata", "name").pin() for item in early), None),
            () if overlay.facts.disposable else tuple(_lasting(overlay.objects, hashed)),
            overlay.facts.disposable,
        )

    def check(self, repository: Repository, facts: Mapping[str, _Prunable]) -> Iterator[tuple[str, Breach]]:
        """Compare what may be pruned with how applications prune."""
        applications = [one for one in the_applications(repository) if one.path in facts]
        pruning = [one for one in applications if prunes(one.spec)]
        seen = set()
        for application in applications:
            breach = None if facts[application.path].disposable else _deleted(application)
            if breach and breach.at.origin not in seen:
                seen.add(breach.at.origin)
                yield "", breach
        if not pruning and not seen:
            raise NotApplicable("no application prunes by itself")
        for application in pruning:
            options = application_options(application.spec)
            found = facts[application.path]
            breach = _early(application, found.hashed) if found.hashed and _LAST not in options else None
            if breach and not options & KEEPING and breach.at.origin not in seen:
                seen.add(breach.at.origin)
                yield "", breach
            for spot, loss in () if options & KEEPING else found.lasting:
                yield application.path, _unprotected(spot, loss, application)


def _lasting(objects: tuple[KubeObject, ...], hashed: list[KubeObject]) -> Iterator[tuple[Spot, str]]:
    for item in objects:
        loss = LOST_WITH.get(item.kind)
        # The Secret outlives an ExternalSecret that does not own it.
        orphaned = item.place.at("spec", "target", "creationPolicy").value in ("Orphan", "Merge", "None")
        if loss and item not in hashed and not orphaned and not object_options(item) & KEEPING:
            yield options_place(item).pin(), loss


def _deleted(application: SyncedPath) -> Breach | None:
    """Return why the set that makes the application takes down what it installed, None where it does not."""
    policy = Place.root(application.place.document).at("spec", "syncPolicy")
    preserve = policy / "preserveResourcesOnDeletion"
    if application.generator is None or preserve.value is True:
        return None
    if (policy / "applicationsSync").text in _DELETES_NOTHING:
        return None
    return Breach(
        at=preserve,
        problem=f"when the generator no longer yields {application.application}, Argo CD deletes it with "
        f"everything that {application.path} installed",
        fix=f"set spec.syncPolicy.preserveResourcesOnDeletion to true in {preserve.origin.file}",
        related=(application.generator,),
    )


def _early(application: SyncedPath, hashed: Spot) -> Breach:
    options = application.written.at("spec", "syncPolicy", "syncOptions")
    name, _, value = _LAST.partition("=")
    set_otherwise = (option for option in options.each() if option.text.startswith(f"{name}="))
    place = next(set_otherwise, options)
    return Breach(
        at=place,
        problem=f"Argo CD prunes {hashed.title} as soon as its content, and with it its name, changes: pods "
        "of the old version that start during the rollout do not find it",
        fix=f"set {name} to {value} in {place.origin.file}"
        if place is not options
        else f"add {_LAST} to spec.syncPolicy.syncOptions in {place.origin.file}",
        related=(hashed,),
    )


def _unprotected(spot: Spot, loss: str, application: SyncedPath) -> Breach:
    place = application.written.at("spec", "syncPolicy", "automated", "prune")
    return Breach(
        at=spot,
        problem=f"Argo CD deletes {spot.title} by itself once nothing renders it, and {loss} goes with it",
        fix=f"annotate it with argocd.argoproj.io/sync-options: Prune=false in {spot.origin.file}",
        related=(place,),
    )
