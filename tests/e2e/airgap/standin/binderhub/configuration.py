"""The configuration, and what each of BinderHub's objects reads in it.

traitlets loads it, as it does for BinderHub. What comes of it is computed by :mod:`validate.binderhub`,
so that what stands in and what is validated before a merge are one model.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any

from traitlets import TraitError

from validate.binderhub.config import namespaces
from validate.binderhub.precedence import APPLICATION, Settings
from validate.binderhub.traits import TraitSchema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from validate.binderhub.config import Namespaces

BUILD_CLASS = "binderhub.build.KubernetesBuildExecutor"
CLEANER_CLASS = "binderhub.build.KubernetesCleaner"
# What BinderHub may be told to use, as far as it is here.
_CHOICES: dict[str, tuple[str | None, ...]] = {
    "build_class": (BUILD_CLASS,),
    "build_cleaner_class": (CLEANER_CLASS, None),
    "health_handler_class": ("binderhub.health.KubernetesHealthHandler", "binderhub.health.HealthHandler"),
    "launch_quota_class": ("binderhub.quota.KubernetesLaunchQuota", "binderhub.quota.LaunchQuota"),
    "registry_class": ("binderhub.registry.DockerRegistry", "binderhub.registry.FakeRegistry"),
}


class Configuration:
    """What a configuration (class -> trait -> value) says; classes stand as their dotted names.

    Attributes:
        value: the configuration itself.
        environment: the environment variables of the process.
    """

    def __init__(self, value: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self.value = _plain(value)
        self.environment = environment
        self._settings = Settings(self.value)

    def get(self, class_name: str, trait: str) -> Any:
        """Return the value that the trait will have; None for a default that BinderHub computes."""
        return self._settings.effective(class_name, trait)

    def app(self, trait: str) -> Any:
        """Return the value of a trait of ``BinderHub`` itself."""
        return self.get(APPLICATION, trait)

    def load(self, class_name: str) -> None:
        """Do what making an object of that class does to its traits.

        Raises:
            TraitError: one of them is refused.
        """
        try:
            self._settings.load(class_name)
        except Exception as error:
            raise TraitError(str(error)) from error

    @cached_property
    def namespaces(self) -> Namespaces:
        """Where BinderHub builds, cleans up and counts."""
        return namespaces(self._settings, self.environment)

    def chosen(self, trait: str) -> str:
        """Return the name of the class, without its module, that a trait of ``BinderHub`` chooses."""
        path = self.app(trait) or _CHOICES[trait][0]
        return str(path).rpartition(".")[2]

    @property
    def base_url(self) -> str:
        """The prefix of every route, with a slash at both ends."""
        inner = str(self.app("base_url")).strip("/")
        return f"/{inner}/" if inner else "/"

    def check(self) -> None:
        """Do what BinderHub does when it makes its objects at start.

        Raises:
            TraitError: it would end there, or be told to use what is not here.
        """
        for name in self._made_at_start:
            self.load(name)
        for trait, choices in _CHOICES.items():
            choice = self.app(trait)
            if choice not in choices and not (choice is None and trait == "health_handler_class"):
                known = " and ".join(str(each) for each in choices)
                raise TraitError(f"The stand-in has no {choice} for '{trait}': it has {known}.")
        if self.app("auth_enabled"):
            raise TraitError("The stand-in has no hub to ask for users: 'auth_enabled' must be false.")

    def warnings(self) -> Iterator[str]:
        """Yield what traitlets says of options that no object has."""
        for name in self._made_at_start:
            for option in self._settings.unrecognized(name):
                yield _unrecognized(name, option)

    @property
    def _made_at_start(self) -> tuple[str, ...]:
        # Providers are made with each request, and refuse their configuration then.
        chosen = ("build_class", "build_cleaner_class", "registry_class", "launch_quota_class")
        return (APPLICATION, *(self.chosen(trait) for trait in chosen), "RateLimiter", "Launcher", "EventLog")


def _plain(value: Any) -> Any:
    """Return a value as JSON would have it, which is what the model takes."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    return value


def _unrecognized(class_name: str, option: str) -> str:
    traits = TraitSchema.load().traits(class_name)
    near = sorted(get_close_matches(option, traits))
    message = f"Config option `{option}` not recognized by `{class_name}`."
    match near:
        case []:
            return message
        case [one]:
            return f"{message}  Did you mean `{one}`?"
        case _:
            return f"{message}  Did you mean one of: `{', '.join(near)}`?"
