"""shared-rate-limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.exposure import admitted_hub, lets_addresses_in, ways_in
from validate.rules.rule import Breach, NotApplicable, OverlayRule, Severity
from validate.rules.subjects import the_binder, the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay


class SharedRateLimit(OverlayRule):
    """All users share one limit of builds per hour.

    BinderHub counts requests by the address that they come from: ten in an hour, unless
    `RateLimiter.limit` says otherwise. Users who come through a JupyterHub, or through a load balancer that
    hides addresses behind those of nodes, have one address together. The eleventh build of the hour
    is refused, whoever asks for it (2i2c-org/jupyterhub-fancy-profiles issue 157). Whoever
    shows a token is not counted.

    Turn authentication on, raise the limit, or switch it off with `limit: 0` where only your own users reach
    BinderHub. A Service with `externalTrafficPolicy: Local` keeps addresses as they are.
    """

    id = "shared-rate-limit"
    severity = Severity.WARNING
    requires = ("wrong-config-type", "open-build-api")

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look for what makes many users one address."""
        config = the_config(overlay)
        pod = the_binder(overlay).pod
        limit = config.trait("RateLimiter", "limit")
        number = config.effective("RateLimiter", "limit")
        if number == 0:
            raise NotApplicable("there is no limit")
        if config.effective("BinderHub", "auth_enabled"):
            raise NotApplicable("auth_enabled is on: whoever has a token is not counted")
        outside = ways_in(pod, overlay.objects) if lets_addresses_in(pod, overlay.objects) else ()
        shared = [
            (place, "come from the addresses of nodes")
            for item, place in outside
            if item.kind == "Service" and item.place.at("spec", "externalTrafficPolicy").value != "Local"
        ]
        shared += [(place, "come from a JupyterHub") for place in admitted_hub(pod, overlay.objects)]
        for place, how in shared:
            yield Breach(
                at=limit,
                problem=f"requests {how}, and BinderHub admits {number} from one address in an hour: "
                "all users share them",
                fix=f"set RateLimiter.limit in {limit.origin.file}, or auth_enabled",
                related=(place,),
            )
