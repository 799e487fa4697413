"""unsynced-overlay."""

from __future__ import annotations

from posixpath import dirname
from typing import TYPE_CHECKING

from validate.place import Origin, Spot, Writer
from validate.rules.rule import Breach, RepositoryRule
from validate.rules.subjects import the_applications

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from validate.argocd.applications import SyncedPath
    from validate.overlay import Overlay, Repository

_NEUTRAL = "."


class UnsyncedOverlay(RepositoryRule[str]):
    """No Argo CD application syncs an overlay, or one syncs what is no overlay.

    An overlay that nothing syncs is edited, reviewed and merged, and reaches no cluster. An
    Application whose path does not exist shows a `ComparisonError` in Argo CD, and what it
    installed before goes on running.

    The ApplicationSet of this repository makes an application of each `overlays/*/cluster.yaml`: an
    overlay without that file has none.
    """

    id = "unsynced-overlay"

    def observe(self, overlay: Overlay) -> str:
        """Return the overlay's kustomization file."""
        own = (file for file in overlay.reads if dirname(file) == overlay.name)
        return min((file for file in own if "kustomization" in file.lower()), default="")

    def check(self, repository: Repository, facts: Mapping[str, str]) -> Iterator[tuple[str, Breach]]:
        """Compare the overlays with the paths that applications sync."""
        applications = the_applications(repository)
        synced = {one.path for one in repository.synced or ()}
        for overlay, file in facts.items():
            if overlay != _NEUTRAL and overlay not in synced:
                yield overlay, _unsynced(overlay, file, repository.synced or ())
        for application in applications:
            if application.path not in (*repository.overlays, _NEUTRAL) and not _holds(
                application, repository
            ):
                yield "", _astray(application, repository.overlays)


def _holds(application: SyncedPath, repository: Repository) -> bool:
    """Whether the path is where applications themselves are kept: an app of apps."""
    return any(one.place.origin.file.startswith(f"{application.path}/") for one in repository.synced or ())


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
    from difflib import get_close_matches  # noqa: PLC0415 - 2 ms, and only where something is wrong

    near = get_close_matches(application.path, overlays, 1)
    hint = f" to {near[0]}" if near else " to an overlay"
    return Breach(
        at=application.place,
        problem=f"the application {application.application} syncs {application.path}, which is no overlay",
        fix=f"correct the path{hint} in {application.place.origin.file}",
    )
