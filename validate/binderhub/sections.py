"""The sections of a configuration: classes at its top, and classes inside ``BinderHub``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from validate.binderhub.precedence import APPLICATION
from validate.binderhub.traits import TraitSchema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.binderhub.config import BinderHubConfig
    from validate.place import Place


class Section(NamedTuple):
    """A class, and where the configuration sets traits of it; ``nested`` inside ``BinderHub``."""

    class_name: str
    place: Place
    nested: bool = False

    @property
    def traits(self) -> Iterator[tuple[str, Place]]:
        """What it sets, without the sections inside it."""
        return ((name, place) for name, place in self.place.entries() if not _is_nested(self, name, place))


def sections(config: BinderHubConfig) -> Iterator[Section]:
    """Yield every section, the nested ones after the one that they are in."""
    for name, place in config.place.entries():
        section = Section(name, place)
        yield section
        for inner, below in place.entries():
            if _is_nested(section, inner, below):
                yield Section(inner, below, nested=True)


def own_classes(config: BinderHubConfig) -> frozenset[str]:
    """Return the classes that the configuration brings from other packages: it may configure those too."""
    traits = TraitSchema.load().traits(APPLICATION)
    named = [config.trait(APPLICATION, name) for name, trait in traits.items() if trait.type.kind == "Type"]
    named += [place for _, place in config.trait(APPLICATION, "repo_providers").entries()]
    paths = (place.text for place in named)
    return frozenset(path.rpartition(".")[2] for path in paths if not path.startswith("binderhub."))


def _is_nested(section: Section, name: str, place: Place) -> bool:
    inside = section.class_name == APPLICATION and not section.nested
    return inside and name[:1].isupper() and isinstance(place.value, dict)
