"""Which of several sections decides a trait.

traitlets merges every section that names the class or one of its base classes, and then the same
sections again inside those of the parent; the last one wins. BinderHub copies a deprecated trait of
its own over the trait that succeeds it, before it makes the object that has that trait.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from validate.binderhub.traits import TraitSchema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from validate.binderhub.traits import Trait
    from validate.place import Json, Path

APPLICATION = "BinderHub"
# Not copied: used where nothing sets the trait that succeeds it.
_FALLBACKS = frozenset({"build_max_age"})


class Setting(NamedTuple):
    """A value of a trait, and the path in the configuration at which it is written."""

    path: Path
    value: Json


class Settings:
    """A configuration (class -> trait -> value, nested classes included) as BinderHub's objects read it."""

    def __init__(self, config: Mapping[str, Json]) -> None:
        self._config = config
        self._schema = TraitSchema.load()

    def setters(self, class_name: str, trait: str) -> tuple[Setting, ...]:
        """Return every setting of the trait for objects of that class, the one that decides first."""
        layers = list(self._layers(class_name))
        return tuple(layer[trait] for layer in reversed(layers) if trait in layer)

    def accepted(self, class_name: str, trait: str, value: Json) -> Json:
        """Return what an object holds whose trait is set to ``value``; a refused one as it is."""
        known = self._schema.traits(class_name).get(trait)
        return _accepted(known, value) if known else value

    def effective(self, class_name: str, trait: str) -> Json:
        """Return the value that the trait will have: what decides it, else its default.

        A refused value is returned as it is written. None for a default that BinderHub computes.
        """
        setters = self.setters(class_name, trait)
        if setters:
            return self.accepted(class_name, trait, setters[0].value)
        known = self._schema.traits(class_name).get(trait)
        return known.default if known else None

    def unrecognized(self, class_name: str) -> tuple[str, ...]:
        """Return what is set on objects of that class that is no trait of theirs; a section is none of it."""
        traits = self._schema.traits(class_name)
        written = {name for layer in self._layers(class_name) for name in layer}
        return tuple(sorted(name for name in written if name not in traits and not name[:1].isupper()))

    def load(self, class_name: str) -> dict[str, Setting]:
        """Return what the configuration sets on an object of that class, as the object will hold it.

        Raises:
            TraitError: a value is refused; where several are, the one that traitlets meets first.
            AttributeError, KeyError, TypeError, ValueError, OverflowError: a section is no mapping, or a
                conversion of BinderHub's fails.
        """
        written: dict[str, Setting] = {}
        for layer in self._layers(class_name, strict=True):
            written.update(layer)
        traits = self._schema.traits(class_name)
        loaded = {
            name: Setting(setting.path, traits[name].type.accept(setting.value, name, class_name))
            for name, setting in written.items()
            if name in traits
        }
        if class_name == APPLICATION:
            # traitlets holds these back until all values are set, and skips them for what is no change.
            for name, setting in loaded.items():
                if traits[name].is_change(setting.value):
                    self._schema.validate(name, setting.value)
        return loaded

    def _layers(self, class_name: str, *, strict: bool = False) -> Iterator[dict[str, Setting]]:
        """Yield what each section sets, the weakest first; ``strict`` raises where one is no mapping."""
        known = self._schema.find(class_name)
        sections = known.sections if known else (class_name,)
        if class_name != APPLICATION:
            yield self._deprecated(class_name, copied=False)
        for section in sections:
            if section in self._config:
                yield _settings((section,), self._config[section], strict=strict)
            if class_name != APPLICATION:
                yield self._deprecated(section, copied=True)
        if known is None or not known.reads_nested:
            return
        for section in sections:
            for parent in self._parents:
                outer = self._config.get(parent)
                if isinstance(outer, dict) and section in outer:
                    yield _settings((parent, section), outer[section], strict=strict)

    @cached_property
    def _parents(self) -> tuple[str, ...]:
        return self._schema.classes[APPLICATION].sections

    def _deprecated(self, section: str, *, copied: bool) -> dict[str, Setting]:
        return {
            trait: setting
            for name, (target, trait), setting in self._succeeded
            if target == section and (name not in _FALLBACKS) is copied
        }

    @cached_property
    def _succeeded(self) -> list[tuple[str, tuple[str, str], Setting]]:
        """Deprecated traits that are set to something else than their default: name, successor, setting."""
        traits = self._schema.traits(APPLICATION)
        written: dict[str, Setting] = {}
        for layer in self._layers(APPLICATION):
            written.update(layer)
        found = []
        for name, setting in written.items():
            successor = traits[name].successor if name in traits else None
            if successor:
                value = _accepted(traits[name], setting.value)
                if traits[name].is_change(value):
                    found.append((name, successor, Setting(setting.path, value)))
        return found


def _settings(path: Path, section: Json, *, strict: bool) -> dict[str, Setting]:
    if isinstance(section, dict):
        return {name: Setting((*path, name), value) for name, value in section.items()}
    if strict:
        message = f"'{type(section).__name__}' object has no attribute 'items'"
        raise AttributeError(message)
    return {}


def _accepted(trait: Trait, value: Json) -> Json:
    """Return the value that the application holds; one that it refuses stops it, so any will do."""
    try:
        return trait.type.accept(value, trait.name, APPLICATION)
    except Exception:  # noqa: BLE001 - whatever a conversion of BinderHub's raises; `load` raises it again
        return value
