"""open-build-api."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.exposure import is_restricted, ways_in
from validate.rules.rule import Breach, NotApplicable, OverlayRule, Severity
from validate.rules.subjects import the_binder, the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay

# In the names of annotations by which Ingress controllers ask for a login, or look at the address.
_GUARDS = ("auth", "whitelist", "allowlist", "source-range")


class OpenBuildApi(OverlayRule):
    """Everybody who can reach the cluster can build.

    A build runs the code of a repository next to a privileged daemon, on the cluster's bill and with its
    addresses. `/build` asks for a token only with `BinderHub.auth_enabled`. Without it, whoever can
    reach BinderHub through an Ingress, a route or a Service of type LoadBalancer or NodePort can start
    builds. A network policy does not help behind an Ingress: every request comes from its controller.

    Turn authentication on (`components/jupyterhub`), let the Ingress ask for a login or for known
    addresses, or restrict the Service to addresses of yours.
    """

    id = "open-build-api"
    severity = Severity.WARNING
    requires = ("wrong-config-type",)

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look at each way in from outside, and at what guards it."""
        config = the_config(overlay)
        binder = the_binder(overlay)
        auth = config.trait("BinderHub", "auth_enabled")
        if config.effective("BinderHub", "auth_enabled"):
            raise NotApplicable("auth_enabled is on: a build needs a token")
        for item, place in ways_in(binder.pod, overlay.objects):
            if item.kind == "Service":
                ranges = item.place.at("spec", "loadBalancerSourceRanges")
                guarded = ranges.exists or is_restricted(binder.pod, overlay.objects)
            else:
                guarded = any(guard in name for name in item.annotations for guard in _GUARDS)
            if not guarded:
                yield Breach(
                    at=place,
                    problem=f"{item.title} leads to BinderHub, which asks nobody for a token: "
                    "everybody who can reach it can build",
                    fix=f"set auth_enabled in {auth.origin.file}, or let {place.origin.file} admit known "
                    "users or addresses only",
                    related=(auth,) if auth.exists else (),
                )
