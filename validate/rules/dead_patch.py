"""dead-patch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from validate.place import Spot
from validate.rules.rule import Breach, RepositoryRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from validate.overlay import Overlay, Repository
    from validate.place import Origin

_MOST_NAMES = 3


class _Entry(NamedTuple):
    """A patch (or images entry, and so on) of a kustomization, as one overlay met it."""

    origin: Origin
    title: str
    changed: bool


class DeadPatch(RepositoryRule[tuple[_Entry, ...]]):
    """A patch, image, replica count or replacement changes nothing.

    Kustomize does not mind a JSON 6902 patch whose target does not exist, an `images` entry for an
    image that nobody runs, or a patch that says what is already so: it renders, and exits 0
    (kubernetes-sigs/kustomize issue 4379). What somebody wanted to change runs unchanged, which
    shows when it is needed: the memory limit that was raised, the image that was mended.

    Correct the target or the name, or remove the entry. An entry of a base or component is dead only
    if it changes nothing in every overlay that reads it, so it is not judged where one of the
    overlays was not checked.
    """

    id = "dead-patch"

    def observe(self, overlay: Overlay) -> tuple[_Entry, ...]:
        """Return the entries of every kustomization that the overlay reads."""
        return tuple(_Entry(entry.origin, entry.title, entry.changed) for entry in overlay.entries)

    def check(
        self, repository: Repository, facts: Mapping[str, tuple[_Entry, ...]]
    ) -> Iterator[tuple[str, Breach]]:
        """Take each entry over all overlays that read it."""
        readers: dict[tuple[Origin, str], list[str]] = {}
        alive: set[tuple[Origin, str]] = set()
        for overlay, entries in facts.items():
            for entry in entries:
                readers.setdefault((entry.origin, entry.title), []).append(overlay)
                if entry.changed:
                    alive.add((entry.origin, entry.title))
        unseen = set(repository.overlays) - facts.keys()
        for (origin, title), overlays in readers.items():
            owner = next((name for name in overlays if origin.file.startswith(f"{name}/")), "")
            if (origin, title) in alive or (unseen and not owner):
                continue
            yield owner, _breach(origin, title, overlays)


def _breach(origin: Origin, title: str, overlays: list[str]) -> Breach:
    where = ", ".join(overlays) if len(overlays) <= _MOST_NAMES else f"any of {len(overlays)} overlays"
    return Breach(
        at=Spot(origin.file, (), None, True, (origin,)),  # noqa: FBT003 - Spot.exists
        problem=f"the {title} changes nothing in {where}: what it was written for does not happen",
        fix=f"correct its target, name or value in {origin.file}, or remove it",
    )
