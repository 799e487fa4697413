"""push-without-registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_build_pod, the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay


class PushWithoutRegistry(OverlayRule):
    """`use_registry` is false, and BinderHub has no docker daemon to ask instead.

    Without a registry BinderHub looks for images in the docker daemon beside it. Its pod has none, so
    each request ends with "Internal Server Error" before anything is built. Nothing would be
    pushed either: an image would stay on the node that built it.

    Remove the line, or set it to true, and name the registry in `image_prefix`.
    """

    id = "push-without-registry"
    requires = ("wrong-config-type",)

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look at the one trait."""
        the_build_pod(overlay)
        config = the_config(overlay)
        trait = config.trait("BinderHub", "use_registry")
        if not config.effective("BinderHub", "use_registry"):
            yield Breach(
                at=trait,
                problem="use_registry is false: BinderHub asks a docker daemon that its pod does not have, "
                "and every request fails",
                fix=f"set use_registry to true in {trait.origin.file}",
            )
