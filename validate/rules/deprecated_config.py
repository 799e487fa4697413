"""deprecated-config."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.binderhub.precedence import APPLICATION
from validate.binderhub.sections import sections
from validate.binderhub.traits import TraitSchema
from validate.rules.rule import Breach, OverlayRule, Severity
from validate.rules.subjects import the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.binderhub.config import BinderHubConfig
    from validate.overlay import Overlay
    from validate.place import Place

_EXECUTOR = "KubernetesBuildExecutor"
# Deprecated in their help alone: what they gave, `resources` gives now, and more.
_MEMORY = frozenset({"memory_limit", "memory_request"})
_EXECUTORS = frozenset({"BuildExecutor", _EXECUTOR})


class DeprecatedConfig(OverlayRule):
    """The configuration sets a deprecated trait.

    `build_image`, `build_docker_host`, `push_secret` and their like moved from `BinderHub` to the build
    executor. BinderHub still copies a deprecated one over its successor: where both are set, the old one wins
    and nothing says so. Somebody changes `KubernetesBuildExecutor.docker_host`, and build pods go on
    mounting what `BinderHub.build_docker_host` says.

    Write the successor, and remove the old trait.
    """

    id = "deprecated-config"
    severity = Severity.WARNING
    requires = ("wrong-config-type", "split-namespace")

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look up the successor of each trait that is set."""
        config = the_config(overlay)
        known = TraitSchema.load().traits(APPLICATION)
        for section in sections(config):
            for name, place in section.traits:
                trait = known.get(name) if section.class_name == APPLICATION else None
                if trait is not None and trait.successor is not None:
                    class_name, successor = trait.successor
                    yield _breach(
                        config, place, _EXECUTOR if class_name in _EXECUTORS else class_name, successor
                    )
                elif name in _MEMORY and section.class_name in _EXECUTORS:
                    yield _breach(config, place, _EXECUTOR, "resources")


def _breach(config: BinderHubConfig, place: Place, class_name: str, successor: str) -> Breach:
    setters = config.setters(class_name, successor)
    others = tuple(other for other in setters if other.path != place.path)
    rank = ""
    if others:
        rank = ", and wins over" if setters[0].path == place.path else ", and loses to"
        rank = f"{rank} {others[0]}"
    return Breach(
        at=place,
        problem=f"{place} is deprecated{rank}",
        fix=f"remove it from {place.origin.file}, and write {class_name}.{successor}",
        related=others,
    )
