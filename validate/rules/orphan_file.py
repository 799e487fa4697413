"""orphan-file."""

from __future__ import annotations

from posixpath import basename, dirname
from typing import TYPE_CHECKING

from validate.place import Origin, Spot, Writer
from validate.rules.rule import Breach, NotApplicable, RepositoryRule, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from validate.overlay import Overlay, Repository


class OrphanFile(RepositoryRule[None]):
    """No kustomization reads a manifest or a config file.

    Kustomize reads what a kustomization names, and nothing else: a network policy that was written,
    reviewed and merged without a line in `resources` protects nobody, and a patch that lost its line
    in a merge has no effect.

    Name the file in a kustomization, or delete it. A component that no overlay uses is not reported,
    since components are there to be added; a file that its component does not name is. Prose,
    `cluster.yaml`, `waivers.yaml` and values for the Helm chart of a JupyterHub (`values.yaml`) are
    read by others. The neutral install counts as a reader. Judged where every overlay was checked.
    """

    id = "orphan-file"
    severity = Severity.WARNING
    requires = ("unrenderable-overlay",)

    def observe(self, overlay: Overlay) -> None:
        """Take nothing: the files that it reads are known."""

    def check(self, repository: Repository, facts: Mapping[str, None]) -> Iterator[tuple[str, Breach]]:
        """Report the files that are left over."""
        unseen = set(repository.overlays) - facts.keys()
        if unseen:
            raise NotApplicable(f"{len(unseen)} of {len(repository.overlays)} overlays were not checked")
        for file in repository.unread:
            overlay = next((name for name in repository.overlays if file.startswith(f"{name}/")), "")
            yield overlay, _breach(file)


def _breach(file: str) -> Breach:
    whole = basename(file).lower().startswith("kustomization")
    what = dirname(file) if whole else file
    return Breach(
        at=Spot(file, (), None, True, (Origin(file, 1, 1, Writer.SOURCE, 1),)),  # noqa: FBT003 - Spot.exists
        problem=f"no overlay uses {what}, nor does the neutral install: nothing renders it"
        if whole
        else f"no kustomization reads {what}: what it says has no effect",
        fix=f"name {what} in a kustomization, or delete it",
    )
