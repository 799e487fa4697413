"""AppProjects: what an application that belongs to one may sync, and where to.

As in ``pkg/apis/application/v1alpha1/app_project_types.go`` of Argo CD 3.1. What no project here
says anything about (roles, windows, signatures) is left out.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    from validate.argocd.applications import SyncedPath
    from validate.place import Place, Spot

    _Prepare: TypeAlias = Callable[[str], str]

# Every Argo CD has it, and it permits everything.
DEFAULT = "default"
_ANY = "*"
_DENIED = "!"


class Rendered(NamedTuple):
    """What an overlay renders, as far as projects ask.

    Attributes:
        namespaces: where its objects are, one place for each namespace.
        cluster_wide: group, kind and an object of each kind that has no namespace.
    """

    namespaces: tuple[Spot, ...]
    cluster_wide: tuple[tuple[str, str, Spot], ...]


class Refusal(NamedTuple):
    """Why Argo CD does not sync: a clause, the part of the project that says so, and what it is about."""

    at: Place
    problem: str
    about: Place | Spot


def project_of(application: SyncedPath) -> str:
    """Return the name of the project that an application belongs to."""
    return application.spec_text("project") or DEFAULT


def refusals(project: Place, application: SyncedPath, rendered: Rendered) -> Iterator[Refusal]:
    """Yield why the project does not let the application sync what its overlay renders."""
    spec = project / "spec"
    source, destination = application.source / "repoURL", application.written.at("spec", "destination")
    if not _permits(spec / "sourceRepos", normalized(application.repository), "/", normalized):
        yield Refusal(
            spec / "sourceRepos",
            f"does not permit the repository {application.repository or '(none)'}",
            source,
        )
    # Argo CD asks for the destination of the application, and for the namespace of each object.
    namespaces: list[tuple[str, Place | Spot]] = [
        (application.namespace, destination),
        *((str(one.value), one) for one in rendered.namespaces),
    ]
    for namespace, about in namespaces:
        if not _permits_destination(spec / "destinations", application, namespace):
            yield _elsewhere(spec / "destinations", application, namespace, about)
            break
    kinds = spec / "clusterResourceWhitelist"
    for group, kind, spot in rendered.cluster_wide:
        if not any(
            _matches((entry / "group").text, group) and _matches((entry / "kind").text, kind)
            for entry in kinds.each()
        ):
            named = f"{group}/{kind}" if group else kind
            yield Refusal(kinds, f"does not permit {named}, which has no namespace", spot)


def _elsewhere(destinations: Place, application: SyncedPath, namespace: str, about: Place | Spot) -> Refusal:
    """Say what no entry permits: the namespace, where one permits the cluster and none denies anything."""
    denying = any(value.startswith(_DENIED) for item in destinations.each() for value in _texts(item))
    for item in () if denying else destinations.each():
        if _is_of_cluster(item, application):
            problem = f"does not permit the namespace {namespace or '(none)'}"
            return Refusal(item / "namespace", problem, about)
    where = f"{application.destination or 'no cluster'}, namespace {namespace or '(none)'}"
    return Refusal(destinations, f"does not permit the destination {where}", about)


def _texts(item: Place) -> tuple[str, ...]:
    return tuple((item / field).text for field in ("name", "server", "namespace"))


def _is_of_cluster(item: Place, application: SyncedPath) -> bool:
    return any(
        bool(value) and _matches((item / field).text, value)
        for field in ("name", "server")
        if (value := application.spec_text("destination", field))
    )


def _permits_destination(destinations: Place, application: SyncedPath, namespace: str) -> bool:
    permitted = False
    for item in destinations.each():
        here = _matches((item / "namespace").text, namespace)
        there = _is_of_cluster(item, application)
        denied = [text.startswith(_DENIED) for text in _texts(item)]
        if here and there:
            permitted = True
        elif (here and any(denied[:2]) and not there) or (there and denied[2] and not here):
            return False
    return permitted


def _permits(patterns: Place, value: str, separator: str, prepare: _Prepare) -> bool:
    permitted = False
    for entry in patterns.each():
        denying = entry.text.startswith(_DENIED)
        pattern = prepare(entry.text.removeprefix(_DENIED))
        matched = pattern == _ANY or bool(_compiled(pattern, separator).fullmatch(value))
        if denying and matched:
            return False
        permitted = permitted or matched != denying
    return permitted


def _matches(pattern: str, value: str) -> bool:
    if pattern.startswith(_DENIED):
        return not _matches(pattern[1:], value)
    return pattern == _ANY or bool(_compiled(pattern, "").fullmatch(value))


def boundless(project: Place) -> Iterator[tuple[Place, str]]:
    """Yield where a project permits everything of a sort, and what that is; a denial is a bound."""
    spec = project / "spec"
    namespaces = [item / "namespace" for item in (spec / "destinations").each()]
    kinds = [item / "kind" for item in (spec / "clusterResourceWhitelist").each()]
    for permitted, everything in (
        ([*(spec / "sourceRepos").each()], "every repository"),
        (namespaces, "every namespace"),
        (kinds, "every kind that has no namespace"),
    ):
        if not any(one.text.startswith(_DENIED) for one in permitted):
            yield from ((one, everything) for one in permitted if one.text == _ANY)


def normalized(url: str) -> str:
    """Return a repository's address as Argo CD compares it."""
    return url.strip().lower().removesuffix("/").removesuffix(".git")


@cache
def _compiled(pattern: str, separator: str) -> re.Pattern[str]:
    """Return a pattern of gobwas/glob as a regular expression; ``*`` stops at the separator."""
    one = f"[^{separator}]" if separator else "."
    words = {"**": ".*", "*": f"{one}*", "?": one}
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    return re.compile("".join(words.get(part, re.escape(part)) for part in parts), re.DOTALL)


def idle(projects: Iterable[Place], applications: Iterable[SyncedPath]) -> Iterator[Place]:
    """Yield the projects that no application belongs to: what they permit and refuse binds nobody."""
    used = {project_of(application) for application in applications}
    for project in projects:
        if (project / "metadata" / "name").text not in used:
            yield project
