"""unknown-config-trait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.binderhub.sections import sections
from validate.binderhub.traits import TraitSchema
from validate.edits import rename
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.binderhub.sections import Section
    from validate.binderhub.traits import TraitClass
    from validate.overlay import Overlay


class UnknownConfigTrait(OverlayRule):
    """The configuration sets a trait that its class does not have.

    BinderHub writes one warning into its log ("Config option ... not recognized") and goes on with
    the default. Six files of a large deployment said `nodeSelector` for `node_selector`, and build
    pods ran anywhere (2i2c-org/infrastructure commit 658edcfc2).

    Traits are written with underscores, under the class that has them. The editor completes both
    where the file begins with the line `# yaml-language-server: $schema=...`.
    """

    id = "unknown-config-trait"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Compare what each section sets with the traits of its class."""
        schema = TraitSchema.load()
        for section in sections(the_config(overlay)):
            known = schema.find(section.class_name)
            if known is None or known.open:
                continue
            traits = schema.traits(known.name)
            for name, _ in section.traits:
                if name not in traits:
                    yield _breach(schema, known, section, name)


def _breach(schema: TraitSchema, known: TraitClass, section: Section, name: str) -> Breach:
    place = section.place / name
    file = place.origin.file
    near = schema.suggest_trait(known.name, name)
    homes = schema.classes_with(name)
    meant = None if name in known.traits or homes else schema.surely_meant_trait(known.name, name)
    if name in known.traits:
        fix = f"remove it from {file}: BinderHub sets it itself"
    elif homes:
        fix = f"move it to {' or '.join(homes)} in {file}"
    elif near:
        fix = f"write {near} in {file}"
    else:
        fix = f"remove it from {file}"
    return Breach(
        at=place,
        problem=f"{known.name} has no trait {name} that a configuration can set: "
        "BinderHub logs a warning and goes on without it",
        fix=fix,
        edits=rename(place, meant) if meant and not (section.place / meant).exists else (),
    )
