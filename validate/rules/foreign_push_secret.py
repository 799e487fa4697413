"""foreign-push-secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.binderhub.credentials import read_docker_config
from validate.binderhub.registry import DOCKER_HUB, DOCKER_HUB_KEY, docker_finds, image_host
from validate.rules.rule import Breach, NotApplicable, OverlayRule
from validate.rules.subjects import the_build_pod, the_config, the_push_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay


class ForeignPushSecret(OverlayRule):
    """Build pods have no credentials for the registry that they push to.

    They push to the registry in `BinderHub.image_prefix`, with the entry of the push Secret's
    `auths` for that host. Where there is none, the push is anonymous: builds run to their end and
    fail there, each of them. It happens when an overlay moves to another registry and its
    credentials stay. Docker Hub is known by one key only, `https://index.docker.io/v1/`
    (2i2c-org/binderhub-service issue 152).

    Write an entry for the host with its scheme, as in `https://quay.io`, and with `auth`: BinderHub
    reads the same file, and is stricter than docker.
    """

    id = "foreign-push-secret"
    requires = ("missing-push-secret", "wrong-push-secret-key", "shallow-image-prefix")

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look up the host of the image prefix as docker does."""
        secret = the_push_secret(overlay)
        prefix = the_config(overlay).trait("BinderHub", "image_prefix")
        docker = read_docker_config(overlay.objects, the_build_pod(overlay).namespace, secret.text)
        if docker is None:
            raise NotApplicable(f"what the Secret {secret.text} holds is not in the tree")
        host = image_host(prefix.text)
        key = DOCKER_HUB_KEY if host == DOCKER_HUB else f"https://{host}"
        if docker.problem:
            yield Breach(
                at=docker.place,
                problem=f"what build pods push with {docker.problem}: every push is refused",
                fix=f"write a docker configuration in JSON in {docker.place.origin.file}",
            )
        elif docker_finds(docker.auths, prefix.text) is None:
            known = ", ".join(docker.auths) or "no registry"
            yield Breach(
                at=docker.place,
                problem=f"build pods push to {host} and have credentials for {known}: every push is refused",
                fix=f"write an entry of auths for {key} in {docker.place.origin.file}",
                related=(prefix,),
            )
