"""ui-mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.edits import write
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay


class UiMode(OverlayRule):
    """BinderHub would serve its web interface, and refuse requests that only build.

    `BinderHub.enable_api_only_mode` is false unless it is set. BinderHub then serves pages that launch
    into a JupyterHub, and answers `?build_only=true`, which is what the clients of this service
    send, with "Building but not launching is not permitted".

    Set it to true. `base/binderhub` does: somebody set it again, or left that fragment out.
    """

    id = "ui-mode"
    requires = ("wrong-config-type",)

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look at the one trait."""
        config = the_config(overlay)
        trait = config.trait("BinderHub", "enable_api_only_mode")
        if config.effective("BinderHub", "enable_api_only_mode") is not True:
            how = "is false" if trait.exists else "is not set"
            yield Breach(
                at=trait,
                problem=f"enable_api_only_mode {how}: BinderHub refuses every request that only builds",
                fix=f"set enable_api_only_mode to true in {trait.origin.file}",
                edits=write(trait, value=True),
            )
