"""shallow-image-prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.binderhub.names import lookup_name, rewrite
from validate.binderhub.registry import DOCKER_HUB, image_host
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay

# How many levels a registry has above an image: https://cloud.google.com/artifact-registry/docs/docker/names,
# https://docs.quay.io/guides/repo-permissions.html, and GitHub's and Google's older registry alike.
_LEVELS = {"pkg.dev": 2, "gcr.io": 1, "ghcr.io": 1, "quay.io": 1}
# Any name of a build is of this form and length or longer.
_SLUG = "example-2drepository-0a1b2c"


class ShallowImagePrefix(OverlayRule):
    """BinderHub asks the registry for another image than the one that was pushed.

    BinderHub has a rule of thumb for the registry in the name of an image. Two parts, of which the
    first has small letters and digits only and four of them at least, are a name on Docker Hub. Of
    anything else, the registry is what stands before the first slash. So it asks for `my-org/r2d-x`
    as `r2d-x`, never finds it, and builds every image again (jupyterhub/binderhub issues 800 and
    1073). Without any slash nothing is left to ask for, and docker pushes into the `library` of
    Docker Hub, where nobody may. Other registries have levels of their own: Artifact Registry keeps images
    in `<project>/<repository>/`, quay.io and ghcr.io in those of an organisation.

    Write registry, project and prefix: `<registry>/<project>/<prefix>-`, and `docker.io` for Docker
    Hub.
    """

    id = "shallow-image-prefix"
    requires = ("wrong-config-type", "image-prefix-rewritten")

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Compare the repository that docker pushes to with the one that BinderHub asks for."""
        prefix = the_config(overlay).trait("BinderHub", "image_prefix")
        image = rewrite(prefix.text + _SLUG)
        host, pushed, asked = image_host(image), _pushed(image), lookup_name(image)
        if asked != pushed:
            yield Breach(
                at=prefix,
                problem=f"build pods push {pushed} to {host}, and BinderHub asks for {asked or 'nothing'}: "
                "it finds none and builds every image again",
                fix=f"write <registry>/<project>/<prefix> in {prefix.origin.file}, "
                f"such as {host}/project/r2d-",
            )
            return
        levels = next((number for name, number in _LEVELS.items() if f".{host}".endswith(f".{name}")), 0)
        if pushed.count("/") < levels:
            path = "/".join(("<project>", "<repository>")[:levels])
            yield Breach(
                at=prefix,
                problem=f"build pods push {pushed} to {host}, which keeps images in {path}/: "
                "every push is refused",
                fix=f"write {host}/{path}/<prefix> in {prefix.origin.file}",
            )


def _pushed(image: str) -> str:
    """Return the repository in its registry that docker takes ``image`` for."""
    first, slash, rest = image.partition("/")
    has_host = slash and ("." in first or ":" in first or first == "localhost")
    repository = rest if has_host else image
    return (
        f"library/{repository}" if image_host(image) == DOCKER_HUB and "/" not in repository else repository
    )
