"""shadowed-config."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.binderhub.sections import sections
from validate.place import Spot
from validate.rules.rule import Breach, OverlayRule, Severity
from validate.rules.subjects import the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay
    from validate.place import Origin, Place


class ShadowedConfig(OverlayRule):
    """A setting has no effect, since another one in the same part of the repository overrides it.

    An overlay is there to override what base says, and its fragments come later. But where two
    fragments of one overlay, or two components, set the same trait, the name of the file decides, and
    whoever edits the first one wonders. A class inside `BinderHub` overrides the same class at the
    top, whichever file that is in.

    Remove the one that loses, and write classes at the top.
    """

    id = "shadowed-config"
    severity = Severity.WARNING

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look for values with two writers in one directory, and for classes inside and outside."""
        config = the_config(overlay)
        for place in _leaves(config.place):
            last, *earlier = place.writers
            for origin in earlier:
                if _part(origin) == _part(last):
                    yield _breach(place, origin, place, f"remove it from {origin.file}")
        for section in sections(config):
            for name, place in section.traits if section.nested else ():
                flat = config.place / section.class_name / name
                if flat.exists:
                    fix = f"write it at the top of {place.origin.file}, as {flat}"
                    yield _breach(flat, flat.origin, place, fix)


def _leaves(place: Place) -> Iterator[Place]:
    """Yield what is replaced as a whole: anything but mappings."""
    if not place.mapping:
        yield place
    for _, below in place.entries():
        yield from _leaves(below)


def _part(origin: Origin) -> str:
    """Return ``base``, ``components`` or ``overlays``: nobody reads two overlays at once."""
    return origin.file.partition("/")[0]


def _breach(loser: Place, origin: Origin, winner: Place, fix: str) -> Breach:
    return Breach(
        at=Spot(loser.document.title, loser.path, None, True, (origin,)),  # noqa: FBT003 - Spot.exists
        problem=f"{loser} has no effect here: {winner} in {winner.origin} overrides it",
        fix=fix,
        related=(winner,),
    )
