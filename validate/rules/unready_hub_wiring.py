"""unready-hub-wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from validate.rules.rule import Breach, NotApplicable, OverlayRule
from validate.rules.subjects import the_binder, the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay, Workload
    from validate.place import Place

_LABEL = "hub.jupyter.org/network-access-hub"
_NAME = "JUPYTERHUB_SERVICE_NAME"
_SCOPES = "JUPYTERHUB_OAUTH_ACCESS_SCOPES"
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


class UnreadyHubWiring(OverlayRule):
    """BinderHub asks for a JupyterHub's tokens, and cannot ask that JupyterHub about them.

    With `BinderHub.auth_enabled` each request carries a token, which BinderHub shows to the hub at
    `JUPYTERHUB_API_URL`. Without that variable it asks itself, and every request fails. The hub's own
    network policy admits only pods with the label `hub.jupyter.org/network-access-hub: "true"`: without it
    requests wait until they time out. The hub passes on what is below `/services/<name>/`, so `base_url`
    must be that. A large deployment met the label and the address one after the other
    (2i2c-org/infrastructure issues 8453 and 8568).

    `JUPYTERHUB_SERVICE_NAME` makes the scope `access:services!service=<name>` necessary. Without it, and
    without other scopes, any token of the hub may build: that of a notebook server as well.

    `components/jupyterhub` sets all of them. The address must be one inside the cluster, and end with
    `/hub/api`.
    """

    id = "unready-hub-wiring"
    requires = ("wrong-config-type",)

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look for the address of the hub, the label that admits, and the prefix of the service."""
        config = the_config(overlay)
        enabled = config.trait("BinderHub", "auth_enabled")
        if not config.effective("BinderHub", "auth_enabled"):
            raise NotApplicable("auth_enabled is false: BinderHub asks nobody about tokens")
        binder = the_binder(overlay)
        address = _address(binder, config.trait("HubOAuth", "api_url"))
        problem = _problem(address) if address is not None else ""
        if address is not None and problem:
            yield Breach(
                at=address,
                problem=f"auth_enabled is on, and {problem}: every request fails",
                fix=f"set JUPYTERHUB_API_URL to the hub's address in the cluster in {address.origin.file}",
                related=(enabled,),
            )
        if binder.pod.labels.get(_LABEL) != "true":
            labels = binder.pod.template.at("metadata", "labels")
            yield Breach(
                at=labels / _LABEL,
                problem=f"auth_enabled is on, and BinderHub's pod lacks the label {_LABEL}: "
                "the hub's network policy drops its requests",
                fix=f'add {_LABEL}: "true" to the pod labels in {labels.origin.file}',
                related=(enabled,),
            )
        name = binder.container.env(_NAME)
        scoped = binder.container.env(_SCOPES) or config.trait("HubOAuth", "access_scopes").exists
        if not scoped and (name is None or not ((name / "value").text or (name / "valueFrom").exists)):
            place = name or binder.container.place / "env"
            yield Breach(
                at=place,
                problem=f"auth_enabled is on, and {_NAME} is not set: any token of the hub may build, "
                "whatever it was given for",
                fix=f"set {_NAME} to the name of the hub's service in {place.origin.file}",
                related=(enabled,),
            )
        yield from _prefix(overlay, binder, config.trait("BinderHub", "base_url"))


def _address(binder: Workload, configured: Place) -> Place | None:
    """Return the place of the hub's address, or where it is missing; None for one from elsewhere."""
    variable = binder.container.env("JUPYTERHUB_API_URL")
    if configured.exists:
        return configured
    if variable is None:
        return binder.container.slip("JUPYTERHUB_API_URL") or binder.container.place / "env"
    return None if (variable / "valueFrom").exists else variable / "value"


def _problem(address: Place) -> str:
    """Return what is wrong with the address of the hub's API, the empty string where nothing is."""
    if address.path[-1] in ("env", "name"):
        return "JUPYTERHUB_API_URL is not set" + (f" ({address.text} is)" if address.text else "")
    if not address.text:
        return f"{address} is empty"
    url = urlsplit(address.text)
    if url.hostname in _LOCAL:
        return f"{address.text} is BinderHub's own pod"
    if not url.path.rstrip("/").endswith("/hub/api"):
        return f"{address.text} does not end with /hub/api"
    return ""


def _prefix(overlay: Overlay, binder: Workload, base_url: Place) -> Iterator[Breach]:
    service = binder.container.env(_NAME)
    name = (service / "value").text if service is not None else ""
    # At a host of its own, BinderHub may have any prefix.
    if service is None or not name or next(overlay.of_kind("Ingress", "HTTPRoute"), None):
        return
    if not f"/{base_url.text.strip('/')}/".endswith(f"/services/{name}/"):
        yield Breach(
            at=base_url,
            problem=f"the hub passes on /services/{name}/, and BinderHub answers at {base_url.text or '/'}: "
            "requests through the hub get 404",
            fix=f"set base_url to /services/{name}/ in {base_url.origin.file}",
            related=(service / "value",),
        )
