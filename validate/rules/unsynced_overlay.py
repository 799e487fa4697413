"""unsynced-overlay."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from posixpath import basename, dirname
from typing import TYPE_CHECKING, NamedTuple

from validate.argocd.projects import (
    DEFAULT,
    Refusal,
    Rendered,
    boundless,
    idle,
    normalized,
    project_of,
    refusals,
)
from validate.cluster.scope import is_cluster_wide
from validate.place import Origin, Place, Spot, Writer
from validate.rules.rule import Breach, RepositoryRule
from validate.rules.subjects import the_applications
from validate.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from validate.argocd.applications import SyncedPath
    from validate.overlay import Overlay, Repository

_NEUTRAL = "."
_HEAD = "HEAD"
# https://argo-cd.readthedocs.io/en/stable/operator-manual/applicationset/GoTemplate/
_STRICT = "missingkey=error"


class _Seen(NamedTuple):
    """What is known of one overlay: its kustomization file, and what projects ask about."""

    file: str
    rendered: Rendered


class UnsyncedOverlay(RepositoryRule[_Seen]):
    """No Argo CD application syncs an overlay, or one syncs what is no overlay.

    An overlay that nothing syncs is edited, reviewed and merged, and reaches no cluster. An
    Application whose path does not exist shows a `ComparisonError` in Argo CD, and what it
    installed before goes on running.

    The ApplicationSet of this repository makes an application of each `overlays/*/cluster.yaml`: an
    overlay without that file has none. It reads those files from the repository and revision that the
    applications sync, and each application has a name of its own. A template that does not insist on its keys
    writes `<no value>` for one that a file lacks.

    The AppProject has to permit the repository, the destination, the namespace of each object and each
    kind that has no namespace. Argo CD refuses what it does not permit, and the application stays as it
    was. A project that no application belongs to protects nothing, and one that permits every repository,
    every namespace, or every kind that has none, protects little.
    """

    id = "unsynced-overlay"

    def observe(self, overlay: Overlay) -> _Seen:
        """Return the overlay's kustomization file, its namespaces, and its kinds that have none."""
        own = (file for file in overlay.reads if dirname(file) == overlay.name)
        file = min((file for file in own if "kustomization" in file.lower()), default="")
        namespaces: dict[str, Spot] = {}
        kinds: dict[tuple[str, str], Spot] = {}
        for item in overlay.objects:
            if is_cluster_wide(item.kind):
                kinds.setdefault((item.group, item.kind), item.place.pin())
            elif item.namespace not in namespaces:
                namespaces[item.namespace] = item.place.at("metadata", "namespace").pin()
        cluster_wide = tuple((group, kind, spot) for (group, kind), spot in kinds.items())
        # An object without a namespace goes where its application does.
        return _Seen(file, Rendered(tuple(spot for name, spot in namespaces.items() if name), cluster_wide))

    def check(self, repository: Repository, facts: Mapping[str, _Seen]) -> Iterator[tuple[str, Breach]]:
        """Compare the overlays with what applications sync, and with what projects let them sync."""
        applications = the_applications(repository)
        synced = repository.synced or ()
        paths = {one.path for one in synced}
        # Where a generator looks beside all overlays, that may be why none is synced.
        barren = [one for one in repository.barren if not any(_looks_for(one, overlay) for overlay in facts)]
        for generator in barren:
            yield "", _barren(generator)
        for overlay, seen in facts.items():
            if not barren and overlay != _NEUTRAL and overlay not in paths:
                yield overlay, _unsynced(overlay, seen.file, synced)
        for application in applications:
            if application.path not in (*repository.overlays, _NEUTRAL) and not _holds(
                application, repository
            ):
                yield "", _astray(application, repository.overlays)
        for breach in _each_once(_disagreements(applications, facts)):
            yield "", breach


def _holds(application: SyncedPath, repository: Repository) -> bool:
    """Whether the path is where applications themselves are kept: an app of apps."""
    return any(one.place.origin.file.startswith(f"{application.path}/") for one in repository.synced or ())


def _asked(generator: Place) -> list[Place]:
    """Return the paths of directories and files that a git generator looks for."""
    entries = [entry for kind in ("directories", "files") for entry in generator.at("git", kind).each()]
    return [entry / "path" for entry in entries if not (entry / "exclude").value]


def _looks_for(generator: Place, overlay: str) -> bool:
    """Whether it would find the overlay, if the overlay had the file that it asks for."""
    return any(fnmatchcase(f"{overlay}/{basename(path.text)}", path.text) for path in _asked(generator))


def _barren(generator: Place) -> Breach:
    asked = _asked(generator)
    at = asked[0] if asked else generator
    nothing = f"nothing here matches {' or '.join(place.text for place in asked)}" if asked else "it is empty"
    return Breach(
        at=at,
        problem=f"the generator makes no application, as {nothing}: Argo CD syncs no overlay for it",
        fix=f"correct it in {at.origin.file}",
    )


def _unsynced(overlay: str, file: str, synced: Sequence[SyncedPath]) -> Breach:
    origin = Origin(file or overlay, 1, 1, Writer.SOURCE, 1)
    others = sorted({one.place for one in synced}, key=lambda place: place.origin)[:1]
    return Breach(
        at=Spot(origin.file, (), None, True, (origin,)),  # noqa: FBT003 - Spot.exists
        problem=f"no application of argocd/ syncs {overlay}: what is merged here reaches no cluster",
        fix=f"add {overlay}/cluster.yaml, or an Application in argocd/ with the path {overlay}",
        related=tuple(others),
    )


def _astray(application: SyncedPath, overlays: Sequence[str]) -> Breach:
    return Breach(
        at=application.place,
        problem=f"the application {application.application} syncs {application.path}, which is no overlay",
        fix=f"correct the path{_near(application.path, overlays) or ' to an overlay'} in "
        f"{application.place.origin.file}",
    )


def _near(wrong: str, right: Iterable[str]) -> str:
    near = nearest(wrong, right)
    return f" to {near}" if near else ""


def _each_once(breaches: Iterable[Breach]) -> Iterator[Breach]:
    """Yield what a template says of many applications once."""
    seen = set()
    for breach in breaches:
        if (breach.at.origin, breach.problem) not in seen:
            seen.add((breach.at.origin, breach.problem))
            yield breach


def _disagreements(applications: Sequence[SyncedPath], facts: Mapping[str, _Seen]) -> Iterator[Breach]:
    names = Counter(
        one.application for one in {(one.application, one.path): one for one in applications}.values()
    )
    for application in applications:
        name = application.written.at("metadata", "name")
        if names[application.application] > 1 or not application.application:
            called = f"called {application.application}" if application.application else "without a name"
            yield Breach(
                at=name,
                problem=f"{names[application.application]} applications are {called}: "
                "Argo CD makes none of them",
                fix=f"give each its own name in {name.origin.file}, as with {{{{ .path.basename }}}}",
            )
        yield from _read_elsewhere(application)
        yield from _unfilled(application)
        yield from _homeless(application)
    yield from _refused(applications, facts)
    projects = applications[0].projects if applications else ()
    known = {(one / "metadata" / "name").text for one in projects}
    # Where a name is wrong, that is what leaves a project to nobody.
    lost = any(project_of(application) not in {*known, DEFAULT} for application in applications)
    for project in () if lost else idle(projects, applications):
        name = project.at("metadata", "name")
        yield Breach(
            at=name,
            problem=f"no application belongs to the project {name.text}: it protects nothing",
            fix=f"name it as spec.project in {applications[0].place.origin.file}, or delete it",
            related=(applications[0].written.at("spec", "project"),),
        )
    for project in projects:
        for at, everything in boundless(project):
            yield Breach(
                at=at,
                problem=f"the project {(project / 'metadata' / 'name').text} permits {everything}: it keeps "
                "nobody from what others have in the cluster",
                fix=f"name what the overlays need in {at.origin.file}",
            )


def _read_elsewhere(application: SyncedPath) -> Iterator[Breach]:
    """Compare the repository and revision that the generator reads with those that are synced."""
    git = application.generator / "git" if application.generator else None
    if git is None or not git.exists:
        return
    source = application.source
    for read, synced, prepare in (
        (git / "repoURL", source / "repoURL", normalized),
        (git / "revision", source / "targetRevision", lambda text: text or _HEAD),
    ):
        if prepare(read.text) != prepare(synced.text):
            yield Breach(
                at=read,
                problem=f"the generator reads {prepare(read.text) or 'nothing'}, and what it finds there is "
                f"synced from {prepare(synced.text) or 'nothing'}",
                fix=f"write the same into both in {read.origin.file}",
                related=(synced,),
            )


def _unfilled(application: SyncedPath) -> Iterator[Breach]:
    """Ask whether a template that is filled in with what files have says so where one lacks it."""
    if application.generator is None:
        return
    spec = Place.root(application.generator.document) / "spec"
    options = spec / "goTemplateOptions"
    if (spec / "goTemplate").value is True and _STRICT not in options.items:
        yield Breach(
            at=options,
            problem="a key that a file of the generator lacks is written as <no value>, for a cluster too",
            fix=f"set spec.goTemplateOptions to [{_STRICT}] in {options.origin.file}",
        )


def _homeless(application: SyncedPath) -> Iterator[Breach]:
    """Ask whether the project of an application is there."""
    projects = _projects(application)
    name, at = project_of(application), application.written.at("spec", "project")
    # Without any project beside it, nobody knows which ones Argo CD has.
    if projects and name not in {*projects, DEFAULT}:
        yield Breach(
            at=at,
            problem=f"the application belongs to the project {name}, which argocd/ does not have: "
            "Argo CD syncs nothing of it",
            fix=f"correct the project{_near(name, projects)} in {at.origin.file}",
            related=tuple(project.at("metadata", "name") for project in projects.values())[:1],
        )


def _refused(applications: Sequence[SyncedPath], facts: Mapping[str, _Seen]) -> Iterator[Breach]:
    """Ask the project of each application; what it says of several is said once."""
    first: dict[tuple[Origin, str], Refusal] = {}
    paths: dict[tuple[Origin, str], list[str]] = {}
    for application in applications:
        name, seen = project_of(application), facts.get(application.path)
        project = _projects(application).get(name)
        for refusal in refusals(project, application, seen.rendered) if project and seen else ():
            said = refusal.at.origin, f"the project {name} {refusal.problem}"
            first.setdefault(said, refusal)
            paths.setdefault(said, []).append(application.path)
    for said, refusal in first.items():
        _, problem = said
        yield Breach(
            at=refusal.at,
            problem=f"{problem}: Argo CD refuses to sync {', '.join(dict.fromkeys(paths[said]))}",
            fix=f"permit it in {refusal.at.origin.file}, or do without it",
            related=(refusal.about,),
        )


def _projects(application: SyncedPath) -> dict[str, Place]:
    return {(one / "metadata" / "name").text: one for one in application.projects}
