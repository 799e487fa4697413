"""unknown-config-class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.binderhub.sections import own_classes, sections
from validate.binderhub.traits import TraitSchema
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay


class UnknownConfigClass(OverlayRule):
    """The configuration names a class that BinderHub does not have.

    BinderHub takes a configuration apart by class and asks each of its objects for its own. What
    stands under `KubernetesBuildExecuter` is asked for by nobody. BinderHub does not even log it: it
    starts, it runs, and every setting in that section is its default.

    Correct the name. A class inside `BinderHub` is read as well, but those of repository providers
    are not: they belong to the top of the file. Classes of your own packages are accepted where a trait
    such as `build_class` or `repo_providers` names them.
    """

    id = "unknown-config-class"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Compare each section with the classes that BinderHub's process has."""
        config = the_config(overlay)
        schema, own = TraitSchema.load(), own_classes(config)
        for section in sections(config):
            name, file = section.class_name, section.place.origin.file
            known = schema.find(name)
            if known is None and name not in own:
                near = schema.suggest_class(name)
                yield Breach(
                    at=section.place,
                    problem=f"BinderHub has no class {name}: it ignores the whole section and logs nothing",
                    fix=f"write {near} in {file}" if near else f"remove {name} from {file}",
                )
            elif known is not None and section.nested and not known.reads_nested:
                yield Breach(
                    at=section.place,
                    problem=f"BinderHub does not read {name} inside another class: it ignores the section",
                    fix=f"move {name} to the top of {file}",
                )
