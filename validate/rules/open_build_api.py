"""open-build-api."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.exposure import admitted_proxy, is_restricted, ways_in
from validate.cluster.network import NAMESPACE_NAME, PRIVATE, Endpoint, Network, Port, other_policies
from validate.rules.rule import Breach, NotApplicable, OverlayRule, Severity
from validate.rules.subjects import the_binder, the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay
    from validate.place import Place

# A namespace that nothing here has to do with.
_ANYWHERE = "somewhere-else"
# In the names of annotations by which Ingress controllers ask for a login, or look at the address.
_GUARDS = ("auth", "whitelist", "allowlist", "source-range")


class OpenBuildApi(OverlayRule):
    """Everybody who can reach the cluster can build.

    A build runs the code of a repository next to a privileged daemon, on the cluster's bill and with its
    addresses. `/build` asks for a token only with `BinderHub.auth_enabled`. Without it, whoever can
    reach BinderHub through an Ingress, a route or a Service of type LoadBalancer or NodePort can start
    builds. A network policy does not help behind an Ingress: every request comes from its controller. The
    proxy of a JupyterHub passes on what comes from outside, and asks nobody who it is. Within the cluster
    a policy does help, as long as it names its clients: a rule without `from` means everybody.

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
        yield from _everybody_inside(overlay, auth)
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
        for peer in admitted_proxy(binder.pod, overlay.objects):
            at = auth if auth.exists else peer
            yield Breach(
                at=at,
                problem="the JupyterHub's proxy passes requests on to BinderHub, which asks nobody for a "
                "token: everybody who can reach the hub can build",
                fix=f"set auth_enabled to true in {auth.origin.file}",
                related=(peer,) if auth.exists else (),
            )


def _everybody_inside(overlay: Overlay, auth: Place) -> Iterator[Breach]:
    """Yield what lets every pod of the cluster in, where policies are there to choose among them."""
    network, binder = Network.of(overlay.objects, overlay.facts.namespaces), the_binder(overlay).pod
    number = the_config(overlay).effective("BinderHub", "port")
    stranger = Endpoint(PRIVATE, {}, _ANYWHERE, {NAMESPACE_NAME: _ANYWHERE})
    if not isinstance(number, int) or any(other_policies(overlay.objects)):
        return
    for opening in network.decide(stranger, network.pod(binder), Port(number)).ingress.openings:
        at = opening.peer
        # What is outside has an address as well, and a Service can choose among those.
        if opening.is_by_address:
            continue
        yield Breach(
            at=at,
            problem="every pod of the cluster reaches BinderHub, which asks nobody for a token: all that "
            "runs there can build",
            fix=f"admit known clients by their labels in {at.origin.file}, or set auth_enabled in "
            f"{auth.origin.file}",
        )
