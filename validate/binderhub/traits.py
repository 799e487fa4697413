"""The classes and traits that a BinderHub configuration may name, and what they accept.

``traits.json`` was recorded by introspection of BinderHub at the commit that it names (each class's
``class_traits``, ``section_names`` and defaults, under traitlets 5.14.3) and is kept as recorded.
"""

from __future__ import annotations

import json
import pathlib
import re
from ast import literal_eval
from binascii import a2b_hex
from functools import cache, cached_property
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from validate.binderhub.trait_types import TraitError, TraitType, parse_type
from validate.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from validate.place import Json, Path

# Configured by the same process, defined by JupyterHub (binderhub.md 1.2 of jupyterhub.services.auth):
# they have more traits than these, so an unknown one of theirs is not called unknown.
_JUPYTERHUB_CLASSES = {
    name: (
        "hub_host api_token api_url base_url hub_prefix oauth_redirect_uri oauth_client_id access_scopes"
    ).split()
    for name in ("HubAuth", "HubOAuth")
}
# The classes that are no configuration sections themselves, but may be named in a Type trait.
_OTHER_CLASSES = frozenset({"binderhub.health.HealthHandler", "binderhub.health.KubernetesHealthHandler"})
# What a Type trait demands, where it is not the class of the default itself.
_SUBCLASS_OF = {
    "build_class": "binderhub.build.BuildExecutor",
    "health_handler_class": "binderhub.health.HealthHandler",
    "launch_quota_class": "binderhub.quota.LaunchQuota",
}
# As near as one letter more, less or other in a word of six.
_SLIP = 0.83
_QUANTITY = r"[+-]?(\d+\.?\d*|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?"


class Trait(Struct, frozen=True, dict=True):
    """One trait of one class.

    Attributes:
        name: as it is written.
        type: what it accepts.
        help: what it is for, one sentence.
        configurable: whether a configuration can set it.
        computed: whether its default is computed when BinderHub runs.
        recorded_default: the default as recorded: Python, JSON, a class name, or prose where computed.
        successor: class and trait that a deprecated trait of BinderHub is copied to, None otherwise.
    """

    name: str
    type: TraitType
    help: str = ""
    configurable: bool = True
    computed: bool = False
    recorded_default: str = "None"
    successor: tuple[str, str] | None = None

    @cached_property
    def default(self) -> Json:
        """The value where nothing sets it; None also where BinderHub computes it."""
        try:
            value: Json = literal_eval(self.recorded_default)
        except (SyntaxError, ValueError):
            return None if self.computed else self.recorded_default
        return value

    def is_change(self, value: Json) -> bool:
        """Whether traitlets tells others of ``value``: setting the static default is no change.

        A computed default is not known yet at that time; traitlets compares with the empty value then.
        """
        if not self.type.compares_with_default:
            return True
        return bool(value != ("" if self.computed else self.default))


class TraitClass(NamedTuple):
    """A class that a configuration may name.

    Attributes:
        name: as it is written.
        path: dotted name, empty for a mere base class.
        bases: names of its direct base classes.
        sections: names of the sections that apply to it, weakest first; its own is the last.
        traits: its own and the inherited ones.
        open: whether it may have traits besides these.
    """

    name: str
    path: str
    bases: tuple[str, ...]
    sections: tuple[str, ...]
    traits: Mapping[str, Trait]
    open: bool = False

    @property
    def reads_nested(self) -> bool:
        """Whether ``BinderHub.<class>`` applies to it; repository providers are made without a parent."""
        return self.name != "BinderHub" and "RepoProvider" not in self.sections and not self.open


class TraitSchema:
    """All classes that BinderHub's process configures."""

    def __init__(self, recorded: Mapping[str, Json], version: str) -> None:
        self.version = version
        self.classes: dict[str, TraitClass] = {
            name: _read_class(name, entry) for name, entry in recorded.items() if isinstance(entry, dict)
        }
        for name, traits in _JUPYTERHUB_CLASSES.items():
            known = {trait: Trait(trait, parse_type("Any | None"), computed=True) for trait in traits}
            self.classes[name] = TraitClass(
                name, f"jupyterhub.services.auth.{name}", (), (name,), known, open=True
            )
        self._by_path = {known.path: known for known in self.classes.values()}

    @staticmethod
    @cache
    def load() -> TraitSchema:
        """Return the schema that ``traits.json`` records; read once per process."""
        recorded = json.loads(pathlib.Path(__file__).with_name("traits.json").read_text("utf-8"))
        return TraitSchema(recorded["classes"], recorded["binderhub_version"])

    @cached_property
    def base_classes(self) -> Mapping[str, TraitClass]:
        """Classes that may be named because others inherit from them, with the traits of all of those."""
        bases: dict[str, dict[str, Trait]] = {}
        for known in self.classes.values():
            for section in known.sections:
                if section not in self.classes:
                    bases.setdefault(section, {}).update(known.traits)
        return {name: TraitClass(name, "", (), (name,), traits) for name, traits in bases.items()}

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of all classes that may be configured, mere base classes included."""
        return (*self.classes, *self.base_classes)

    def find(self, name: str) -> TraitClass | None:
        """Return the class of that name, None where BinderHub does not have it."""
        return self.classes.get(name) or self.base_classes.get(name)

    def traits(self, name: str) -> Mapping[str, Trait]:
        """Return the traits that may be written under that class, an empty mapping for an unknown one."""
        known = self.find(name)
        return {key: trait for key, trait in known.traits.items() if trait.configurable} if known else {}

    def suggest_class(self, name: str) -> str | None:
        """Return the class that somebody who wrote ``name`` may have meant."""
        return _suggest(name, self.class_names)

    def suggest_trait(self, class_name: str, trait: str) -> str | None:
        """Return the trait that ``trait`` may have been meant for: ``node_selector`` for ``nodeSelector``."""
        return _suggest(trait, self.traits(class_name))

    def surely_meant_trait(self, class_name: str, trait: str) -> str | None:
        """Return what :meth:`suggest_trait` does where nobody can doubt it, else None.

        It differs in capitals, underscores and dashes alone, or by a slip, and is near to no other trait.
        """
        near = self.suggest_trait(class_name, trait)
        if near is None or _squeezed(near) == _squeezed(trait):
            return near
        from difflib import get_close_matches  # noqa: PLC0415 - only where something is wrong

        traits = {_squeezed(name): name for name in self.traits(class_name)}
        slips = get_close_matches(_squeezed(trait), traits, 2, _SLIP)
        return near if [traits[slip] for slip in slips] == [near] else None

    def classes_with(self, trait: str) -> tuple[str, ...]:
        """Return the classes that have the trait and define it themselves: where it may belong instead."""
        return tuple(
            known.name
            for known in self.classes.values()
            if trait in self.traits(known.name)
            and not any(trait in self.traits(base) for base in known.bases if base in self.classes)
        )

    def refuses(self, class_name: str, trait: str, value: Json) -> str | None:
        """Return why BinderHub refuses the value at start (repository providers: at the first request).

        None where it accepts it, and for a class or trait that is not known.
        """
        known = self.traits(class_name).get(trait)
        if known is None:
            return None
        owner = next(
            (
                name
                for name, each in self.classes.items()
                if trait in each.traits and class_name in each.sections
            ),
            class_name,
        )
        try:
            accepted = known.type.accept(value, trait, owner)
            if owner == "BinderHub" and known.is_change(accepted):
                self.validate(trait, accepted)
        except Exception as error:  # noqa: BLE001 - BinderHub ends with whatever its conversions raise
            return _one_line(error)
        return self._misnamed_class(known, owner, accepted)

    def validate(self, trait: str, value: Json) -> None:
        """Do what BinderHub's own validator of one of its traits does.

        Raises:
            TraitError, ValueError: it refuses the value.
        """
        check = _VALIDATORS.get(trait)
        if check is not None:
            check(value)

    def problems_at_api_server(self, class_name: str, trait: str, value: Json) -> Iterator[tuple[Path, str]]:
        """Yield what BinderHub accepts and the API server then refuses in each build pod.

        Each is the path below the value, and what is wrong there.
        """
        known = self.traits(class_name).get(trait)
        if known is None:
            return
        target = known.successor or (class_name, trait)
        if target[0] in self.classes["KubernetesBuildExecutor"].sections and target[1] in _AT_API_SERVER:
            yield from _AT_API_SERVER[target[1]](value)

    def _misnamed_class(self, trait: Trait, owner: str, value: Json) -> str | None:
        if trait.name == "repo_providers" and owner == "BinderHub" and isinstance(value, dict):
            for prefix, path in value.items():
                problem = self._is_no(path, "RepoProvider", f"'repo_providers' names for {prefix!r}")
                if problem:
                    return problem
        if trait.type.kind == "Type" and isinstance(value, str):
            wanted = _SUBCLASS_OF.get(trait.name, trait.recorded_default)
            return self._is_no(value, wanted.rpartition(".")[2], f"the '{trait.name}' trait names")
        return None

    def _is_no(self, path: Json, wanted: str, what: str) -> str | None:
        if not isinstance(path, str) or "." not in path:
            return f"{what} {path!r}, which is not the dotted name of a class"
        if not path.startswith("binderhub.") or path in _OTHER_CLASSES:
            return None
        known = self._by_path.get(path)
        if known is None:
            return f"{what} {path}, which BinderHub does not have"
        if wanted in (known.name, *known.sections):
            return None
        return f"{what} {path}, which is not a {wanted}"


def _read_class(name: str, entry: Mapping[str, Json]) -> TraitClass:
    bases, sections, traits = entry["bases"], entry["config_sections"], entry["traits"]
    assert isinstance(bases, list)  # noqa: S101 - for the type checker: traits.json is ours
    assert isinstance(sections, list)  # noqa: S101
    assert isinstance(traits, dict)  # noqa: S101
    return TraitClass(
        name,
        f"{entry['module']}.{name}",
        tuple(map(str, bases)),
        # ``section_names`` begins with it everywhere, so the record leaves it out.
        ("Configurable", *map(str, sections)),
        {trait: _read_trait(trait, each) for trait, each in traits.items() if isinstance(each, dict)},
    )


def _read_trait(name: str, entry: Mapping[str, Json]) -> Trait:
    type_ = parse_type(str(entry["type"]))
    if type_.kind == "Type":
        wanted = _SUBCLASS_OF.get(name, str(entry["default"]))
        type_ = replace(type_, description=f"a subclass of '{wanted}'")
    class_name, _, trait = str(entry.get("deprecated_for", "")).partition(".")
    return Trait(
        name,
        type_,
        str(entry["help"]),
        bool(entry["config"]),
        bool(entry["dynamic_default"]),
        str(entry["default"]),
        # ``memory_limit`` is deprecated too, but in prose, for something outside the configuration.
        (class_name, trait) if class_name.isidentifier() and trait.isidentifier() else None,
    )


def _squeezed(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _suggest(name: str, known: Mapping[str, Trait] | tuple[str, ...]) -> str | None:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    by_lower = {each.lower(): each for each in known}
    for spelling in (snake, snake.replace("-", "_"), name.lower()):
        if spelling in by_lower:
            return by_lower[spelling]
    close = nearest(snake, by_lower) or nearest(name.lower(), by_lower)
    return by_lower[close] if close else None


def _one_line(error: Exception) -> str:
    text = str(error) if isinstance(error, TraitError) else f"{type(error).__name__}: {error}"
    return text.partition("\n")[0]


def _build_docker_host(value: Json) -> None:
    from urllib.parse import urlparse  # noqa: PLC0415 - the trait is deprecated, the import is not free

    parts = urlparse(str(value))
    if parts.scheme != "unix" or parts.netloc:
        raise TraitError("Only unix domain sockets on same node are supported for build_docker_host")


def _ban_networks(value: Json) -> None:
    import ipaddress  # noqa: PLC0415 - rarely configured, and the import is not free

    for network in value if isinstance(value, dict) else ():
        ipaddress.ip_network(network)


def _build_token_secret(value: Json) -> None:
    a2b_hex(str(value))


def _repo_providers(value: Json) -> None:
    if not value:
        raise TraitError("Please provide at least one repo provider")


# BinderHub's ``@validate`` methods that can refuse a value.
_VALIDATORS: dict[str, Callable[[Json], None]] = {
    "ban_networks": _ban_networks,
    "build_docker_host": _build_docker_host,
    "build_token_secret": _build_token_secret,
    "repo_providers": _repo_providers,
}


def _string_values(what: str) -> Callable[[Json], Iterator[tuple[Path, str]]]:
    def check(value: Json) -> Iterator[tuple[Path, str]]:
        for key, item in value.items() if isinstance(value, dict) else ():
            if not isinstance(item, str):
                yield (key,), f"{what} {key} is {json.dumps(item)}, not a string; quote it"

    return check


def _names(value: Json) -> Iterator[tuple[Path, str]]:
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if not isinstance(item, str):
            yield (index,), f"{json.dumps(item)} is not the name of a Secret"


def _resources(value: Json) -> Iterator[tuple[Path, str]]:
    for part, amounts in value.items() if isinstance(value, dict) else ():
        if part not in {"limits", "requests"}:
            yield (part,), f"{part} is no part of resources: write limits or requests"
        elif not isinstance(amounts, dict):
            yield (part,), f"{part} is {json.dumps(amounts)}, not a mapping"
        else:
            for name, amount in amounts.items():
                if isinstance(amount, bool) or not re.fullmatch(_QUANTITY, str(amount)):
                    yield (part, name), f"{json.dumps(amount)} is not a Kubernetes quantity"


_AT_API_SERVER: dict[str, Callable[[Json], Iterator[tuple[Path, str]]]] = {
    "extra_envs": _string_values("the variable"),
    "node_selector": _string_values("the label"),
    "image_pull_secrets": _names,
    "resources": _resources,
}
