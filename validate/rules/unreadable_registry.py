"""unreadable-registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.binderhub.credentials import find_docker_config
from validate.binderhub.registry import binderhub_asks, docker_finds, image_host
from validate.cluster.services import find_service, read_service_name, selected_pods, target_ports
from validate.rules.rule import Breach, NotApplicable, OverlayRule
from validate.rules.subjects import the_binder, the_config, the_dockerd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.binderhub.config import BinderHubConfig
    from validate.binderhub.credentials import DockerConfig
    from validate.binderhub.registry import RegistryQuery
    from validate.overlay import Overlay
    from validate.place import Place

_PLAIN, _HTTPS = "http://", 443
_DOCKER, _GOOGLE, _FAKE = "DockerRegistry", "GoogleArtifactRegistry", "FakeRegistry"


class UnreadableRegistry(OverlayRule):
    """BinderHub cannot read the registry, or docker-api cannot push to it, so every image is built again.

    Before a build, BinderHub itself asks the registry whether the image is there. The push Secret
    belongs to the build pods: BinderHub needs credentials of its own. Without them the answer is 401
    or 403, which BinderHub takes for "no such image" and says nothing. Every request waits for a
    build (2i2c-org/infrastructure issues 4315 and 4340).

    Mount the Secret into BinderHub's container and name its directory in `DOCKER_CONFIG`, or set
    `DockerRegistry.url`, `username` and `password`. BinderHub is stricter than docker: it reads only
    the `auth` of an entry, it does not find a key with a port and no scheme (`registry:5000`), and
    it asks the registry of the first key unless `DockerRegistry.url` says otherwise.

    A registry of the overlay itself is found through its Service: the name and the port in `image_prefix`
    have to be those of one that leads to its pods. docker pushes by https, unless `insecure-registries` in
    `daemon.json` names the registry.
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
        lost = list(_lost(overlay, config))
        yield from lost
        if lost:
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
        elif query.url.startswith(_PLAIN):
            yield from _refused_by_docker(overlay, query)


def _lost(overlay: Overlay, config: BinderHubConfig) -> Iterator[Breach]:
    """Yield why the Service that the prefix names does not lead to a registry, where it is one of ours."""
    prefix = config.trait("BinderHub", "image_prefix")
    host, _, port = image_host(prefix.text).partition(":")
    ours = {item.namespace for item in overlay.objects if item.namespace}
    name = read_service_name(host, the_binder(overlay).object.namespace, ours)
    if name is None or name.namespace not in ours or "." not in host:
        return
    number = int(port) if port.isdigit() else _HTTPS
    service = find_service(name, overlay.objects)
    if service is None:
        others = [item for item in overlay.of_kind("Service") if item.namespace == name.namespace]
        yield Breach(
            at=prefix,
            problem=f"images are in {host}, and no Service of {name.namespace} is called {name.name}",
            fix=f"name the registry's Service in {prefix.origin.file}",
            related=tuple(item.place.at("metadata", "name") for item in others),
        )
        return
    ports = service.place.at("spec", "ports")
    # Names that no pod has for a port are judged by misdirected-service.
    named = any((port / "port").value == number and (port / "targetPort").text for port in ports.each())
    pods = tuple(selected_pods(service, overlay.objects))
    if pods and not named and not any(next(target_ports(service, number, pod), None) for pod in pods):
        yield Breach(
            at=ports,
            problem=f"images are in {host} at port {number}, and {service.title} leads from there to no port "
            "of its pods",
            fix=f"give the Service that port, and one of the pods behind it, in {ports.origin.file}",
            related=(prefix,),
        )


def _refused_by_docker(overlay: Overlay, query: RegistryQuery) -> Iterator[Breach]:
    """Yield why docker does not push to a registry without TLS."""
    if overlay.docker_api is None:
        return
    dockerd = the_dockerd(overlay)
    settings = dockerd.settings
    allowed = [one.text for one in (settings / "insecure-registries").each()]
    # A block of addresses may be that of the host, and 127.0.0.0/8 is always allowed.
    known = query.host in allowed or query.host.startswith("127.")
    if not known and not any("/" in one for one in allowed):
        yield Breach(
            at=settings / "insecure-registries",
            problem=f"{query.url} has no TLS, and docker-api is not told: it asks by https, and every push "
            "fails",
            fix=f"add {query.host} to insecure-registries in {settings.origin.file}",
            related=(the_config(overlay).trait("BinderHub", "image_prefix"),),
        )


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
