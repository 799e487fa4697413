"""unreadable-registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.binderhub.credentials import find_docker_config
from validate.binderhub.registry import binderhub_asks, docker_finds, image_host
from validate.rules.rule import Breach, NotApplicable, OverlayRule
from validate.rules.subjects import the_binder, the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.binderhub.credentials import DockerConfig
    from validate.binderhub.registry import RegistryQuery
    from validate.overlay import Overlay
    from validate.place import Place

_DOCKER, _GOOGLE, _FAKE = "DockerRegistry", "GoogleArtifactRegistry", "FakeRegistry"


class UnreadableRegistry(OverlayRule):
    """BinderHub cannot read the registry, so it builds every image again.

    Before a build, BinderHub itself asks the registry whether the image is there. The push Secret
    belongs to the build pods: BinderHub needs credentials of its own. Without them the answer is 401
    or 403, which BinderHub takes for "no such image" and says nothing. Every request waits for a
    build (2i2c-org/infrastructure issues 4315 and 4340).

    Mount the Secret into BinderHub's container and name its directory in `DOCKER_CONFIG`, or set
    `DockerRegistry.url`, `username` and `password`. BinderHub is stricter than docker: it reads only
    the `auth` of an entry, it does not find a key with a port and no scheme (`registry:5000`), and
    it asks the registry of the first key unless `DockerRegistry.url` says otherwise.
    """

    id = "unreadable-registry"
    requires = ("foreign-push-secret",)

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Find the docker configuration of BinderHub, and look up the registry of the images in it."""
        config = the_config(overlay)
        registry = config.trait("BinderHub", "registry_class")
        class_name = registry.text.rpartition(".")[2] or _DOCKER
        if not config.effective("BinderHub", "use_registry"):
            raise NotApplicable("use_registry is false, so BinderHub asks no registry")
        if class_name == _FAKE:
            yield Breach(
                at=registry,
                problem="FakeRegistry never finds an image: BinderHub builds every image again",
                fix=f"remove registry_class from {registry.origin.file}",
            )
            return
        if class_name not in (_DOCKER, _GOOGLE):
            raise NotApplicable(f"{class_name} asks a service of its own")
        binder = the_binder(overlay)
        docker = find_docker_config(overlay.objects, config, binder.pod, binder.container, class_name)
        if docker is None:
            raise NotApplicable("what BinderHub's docker configuration holds is not in the tree")
        query = binderhub_asks(docker.auths, config)
        prefix = config.trait("BinderHub", "image_prefix")
        authenticated = class_name == _GOOGLE or query.key is not None or query.configured is not None
        if query.host != image_host(prefix.text) or not authenticated:
            yield _breach(docker, query, config.trait(class_name, "url"), prefix)


def _breach(docker: DockerConfig, query: RegistryQuery, url: Place, prefix: Place) -> Breach:
    host = image_host(prefix.text)
    entry = docker_finds(docker.auths, prefix.text)
    consequence = f"it has no credentials for {host} and builds every image again"
    if query.host != host and (url.exists or entry):
        decides = url if url.exists else docker.place
        file = (url if url.exists else prefix).origin.file
        return Breach(
            at=decides,
            problem=f"BinderHub asks {query.url} for images, and build pods push them to {host}: "
            "it finds none and builds every image again",
            fix=f"set {url} to the address of {host} in {file}",
            related=(prefix,),
        )
    if docker.problem:
        problem = f"BinderHub reads {docker.path}, which {docker.problem}: {consequence}"
        fix = (
            f"mount a Secret with credentials for {host} there, "
            f"or name its directory in DOCKER_CONFIG, in {docker.place.origin.file}"
        )
    elif entry is None:
        known = ", ".join(docker.auths) or "no registry"
        problem = f"BinderHub reads credentials for {known}, and images are in {host}: {consequence}"
        fix = f"write an entry of auths for https://{host} in {docker.place.origin.file}"
    elif "://" not in entry and ":" in entry:
        problem = f"BinderHub does not find the key {entry}, which has a port and no scheme: {consequence}"
        fix = f"write the key with http:// or https:// in {docker.place.origin.file}"
    else:
        problem = f"BinderHub finds no auth in the entry of {entry}: {consequence}"
        fix = f"give the entry an auth, the base64 of user:password, in {docker.place.origin.file}"
    return Breach(at=docker.place, problem=problem, fix=fix, related=(prefix,))
