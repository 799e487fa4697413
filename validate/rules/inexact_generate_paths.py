"""inexact-generate-paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from validate.argocd.applications import GENERATE_PATHS
from validate.argocd.refreshes import Refreshes
from validate.edits import relist, write
from validate.rules.rule import Breach, NotApplicable, RepositoryRule
from validate.rules.subjects import the_applications

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from validate.argocd.applications import SyncedPath
    from validate.edits import Edit
    from validate.overlay import Overlay, Repository
    from validate.place import Place, Spot

_FACT = "generatePaths"


class _Listed(NamedTuple):
    """The list in ``cluster.yaml``, and its entries."""

    whole: Spot
    entries: tuple[Spot, ...]


class InexactGeneratePaths(RepositoryRule[_Listed]):
    """Argo CD watches other directories than the overlay reads.

    The annotation `argocd.argoproj.io/manifest-generate-paths` tells Argo CD which directories an
    application is made of, so that it renders it again only if one of them changes. A directory that
    is missing from it makes the application stale: a change of that base or component is merged, and
    Argo CD goes on syncing the manifests that it has in its cache. One that does not belong there,
    like all of `components/`, renders every application again for every commit, which is what the
    annotation is there to avoid.

    The list is relative to the overlay, or to the repository with a slash in front. Here it is
    `generatePaths` of `cluster.yaml`, from which the ApplicationSet makes the annotation. The finding
    has the exact list. An application without the annotation is rendered after each commit, which is
    slow and not wrong, so it is not judged, unless `cluster.yaml` has the list: then it was lost.
    """

    id = "inexact-generate-paths"
    requires = ("unsynced-overlay",)

    def observe(self, overlay: Overlay) -> _Listed:
        """Return what ``cluster.yaml`` lists."""
        place = overlay.facts.place / _FACT
        return _Listed(place.pin(), tuple(entry.pin() for entry in place.each()))

    def check(self, repository: Repository, facts: Mapping[str, _Listed]) -> Iterator[tuple[str, Breach]]:
        """Compare the list of each application with what its overlay reads."""
        lists = {overlay for overlay, listed in facts.items() if listed.entries}
        applications = [
            one for one in the_applications(repository) if one.generate_paths or one.path in lists
        ]
        if not applications:
            raise NotApplicable("no application says which paths it is generated from")
        refreshes = Refreshes(repository.reads)
        for application in applications:
            listed = facts.get(application.path)
            if listed and not application.generate_paths:
                yield application.path, _lost(application, listed)
                continue
            breach = _judge(application, listed, refreshes) if listed else None
            if breach:
                yield application.path, breach


def _lost(application: SyncedPath, listed: _Listed) -> Breach:
    annotation = application.written.at("metadata", "annotations", GENERATE_PATHS)
    return Breach(
        at=annotation,
        problem=f"no annotation says which paths {application.path} is made of, and {_FACT} lists them: "
        "Argo CD renders it again for every commit",
        fix=f"write {GENERATE_PATHS} into {annotation.origin.file}, made of {_FACT}",
        related=(listed.whole,),
    )


def _judge(application: SyncedPath, listed: _Listed, refreshes: Refreshes) -> Breach | None:
    overlay, paths = application.path, application.generate_paths
    missed = refreshes.missed(overlay, paths)
    idle = [path for path in paths if refreshes.idle(overlay, path)]
    wide = {path: files for path in paths if path not in idle and (files := refreshes.foreign(overlay, path))}
    problems = [
        *(
            [f"{missed[0]}{_more(missed)} can change without Argo CD rendering {overlay} again"]
            if missed
            else []
        ),
        *(f"{_written(path, overlay)} is watched, and {overlay} reads nothing there" for path in idle),
        *(
            f"{_written(path, overlay)} is watched, and {overlay} does not read {files[0]}{_more(files)}"
            for path, files in wide.items()
        ),
    ]
    if not problems:
        return None
    exact = [_written(path, overlay) for path in refreshes.exact(overlay)]
    annotation = application.written.at("metadata", "annotations", GENERATE_PATHS)
    if _FACT not in annotation.text:
        joined = ";".join(exact)
        return _breach(annotation, problems, f"{GENERATE_PATHS}: {joined}", write(annotation, joined))
    entries = dict(zip(paths, listed.entries, strict=False))
    at = next((entries[path] for path in (*idle, *wide) if path in entries), listed.whole)
    known = {_written(path, overlay): entry for path, entry in entries.items()}
    listing = "\n".join([f"{_FACT}:", *(f"  - {path}" for path in exact)])
    return _breach(at, problems, listing, relist(listed.whole, known, exact), annotation)


def _breach(
    at: Place | Spot, problems: list[str], exact: str, edits: tuple[Edit, ...], *related: Place
) -> Breach:
    return Breach(
        at=at,
        problem="; ".join(problems),
        fix=f"write exactly these paths into {at.origin.file}",
        evidence=exact,
        related=related,
        edits=edits,
    )


def _written(path: str, overlay: str) -> str:
    return "." if path == overlay else f"/{path}"


def _more(files: list[str]) -> str:
    others = len(files) - 1
    return f" (and {others} more {'file' if others == 1 else 'files'})" if others else ""
