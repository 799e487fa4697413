"""unrenderable-overlay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.place import Origin, Spot, Writer
from validate.rules.rule import Breach, RepositoryRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from validate.errors import SourceError
    from validate.overlay import Overlay, Repository


class UnrenderableOverlay(RepositoryRule[None]):
    """An overlay cannot be read or rendered.

    Kustomize refuses it, or a file that it reads is not what it must be: not YAML, not UTF-8, a
    config fragment that is no mapping, a `cluster.yaml` with an unknown key. Argo CD would show the
    application as `Unknown` with a `ComparisonError` and go on running what it synced before, so a
    merge like this goes unnoticed until something else has to change.

    No other rule can judge the overlay. Mend the file that is named; the other overlays are judged
    all the same.
    """

    id = "unrenderable-overlay"

    def observe(self, overlay: Overlay) -> None:
        """Take nothing from an overlay that renders."""

    def check(self, repository: Repository, facts: Mapping[str, None]) -> Iterator[tuple[str, Breach]]:  # noqa: ARG002 - it is about the others
        """Report what stood in the way."""
        for overlay, error in sorted(repository.unrenderable.items()):
            what, _, way_out = error.problem.rpartition("; ")
            yield (
                overlay,
                Breach(
                    at=_place(error),
                    problem=f"{overlay} cannot be checked: {error.file} {what or error.problem}",
                    fix=f"in {error.file}: {way_out if what else f'let kustomize build {overlay} succeed'}",
                ),
            )


def _place(error: SourceError) -> Spot:
    origin = Origin(error.file, error.line, 1, Writer.SOURCE, error.line)
    return Spot(error.file, (), None, True, (origin,))  # noqa: FBT003 - Spot.exists
