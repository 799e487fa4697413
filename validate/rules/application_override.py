"""application-override."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.rules.rule import Breach, RepositoryRule
from validate.rules.subjects import the_applications

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from validate.argocd.applications import SyncedPath
    from validate.overlay import Overlay, Repository
    from validate.place import Place

# Of ApplicationSourceKustomize (Argo CD 3.1) those that change what is rendered; the others say how.
_OVERRIDES = (
    "commonAnnotations",
    "commonLabels",
    "components",
    "images",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "patches",
    "replicas",
)


class ApplicationOverride(RepositoryRule[None]):
    """An Argo CD application changes what its overlay renders.

    `spec.source.kustomize` can set images, patches, a prefix and more on top of an overlay. What runs
    is then not what the overlay renders: no pull request shows it, no rule here has judged it. And
    Argo CD has to edit the kustomization before it renders: its repo-server then works on one
    application of a repository at a time, for which its manual on scaling monorepos knows no
    workaround (argo-cd.readthedocs.io, operator-manual/high_availability).

    Write it into the overlay.
    """

    id = "application-override"

    def observe(self, overlay: Overlay) -> None:
        """Take nothing: it is about applications."""

    def check(self, repository: Repository, facts: Mapping[str, None]) -> Iterator[tuple[str, Breach]]:  # noqa: ARG002 - likewise
        """Look for what applications say about Kustomize; a template says it once for all of its own."""
        seen = set()
        for application in the_applications(repository):
            for place in _overrides(application):
                if place.origin not in seen:
                    seen.add(place.origin)
                    yield "", _breach(application, place)


def _overrides(application: SyncedPath) -> Iterator[Place]:
    options = application.source / "kustomize"
    return (options / key for key in _OVERRIDES if (options / key).value)


def _breach(application: SyncedPath, place: Place) -> Breach:
    templated = application.written.path != ()
    overlay = "each overlay that it syncs" if templated else application.path
    return Breach(
        at=place,
        problem=f"{place.path[-1]} is set on top of {overlay}: what runs is not what was reviewed, and "
        "Argo CD renders one application at a time",
        fix=f"move it from {place.origin.file} to the kustomization of {overlay}",
    )
