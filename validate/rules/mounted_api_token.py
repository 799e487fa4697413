"""mounted-api-token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.tokens import AUTOMOUNT, account_of, mounted_token
from validate.edits import write
from validate.rules.rule import Breach, NotApplicable, OverlayRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay
    from validate.place import Place


class MountedApiToken(OverlayRule):
    """docker-api or the build pods hold a token of the Kubernetes API.

    A build runs the code of strangers, beside the build pod and under docker-api. Kubernetes mounts a
    token into every pod unless it is told not to, and whoever reads it speaks to the API server as that
    ServiceAccount. Neither docker-api nor a build pod ever calls it.

    Set `automountServiceAccountToken: false` for docker-api. A build pod runs as the ServiceAccount
    `default` of its namespace, which BinderHub cannot change: set it on that ServiceAccount.
    """

    id = "mounted-api-token"
    requires = ("dangling-reference",)

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Ask, for each of the two, the pod and then its ServiceAccount."""
        build = overlay.build_pod.object if overlay.build_pod else None
        pods = {
            "docker-api": overlay.docker_api.pod if overlay.docker_api else None,
            "the build pod": build.pod if build else None,
        }
        if not any(pods.values()):
            raise NotApplicable("nothing here runs docker-api or creates build pods")
        for who, pod in pods.items():
            place = mounted_token(pod, overlay.objects) if pod else None
            if pod is not None and place is not None:
                account = account_of(pod)
                yield Breach(
                    at=place,
                    problem=f"{who} mounts an API token of the ServiceAccount {account}, beside the code of "
                    "strangers",
                    fix=_fix(place, account),
                    edits=write(place, value=False) if place.path[-1] == AUTOMOUNT else (),
                )


def _fix(place: Place, account: str) -> str:
    match place.path[-1]:
        case "serviceAccountToken":
            return f"remove the token from the volume in {place.origin.file}"
        case "automountServiceAccountToken":
            return f"set {AUTOMOUNT} to false in {place.origin.file}"
    return f"add a ServiceAccount {account} with {AUTOMOUNT}: false, as policies/pod-security does"
