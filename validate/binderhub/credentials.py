"""Where BinderHub finds its docker configuration, and what is known of the content of one.

A build pod mounts the Secret that ``push_secret`` names. BinderHub itself reads the file that
``DockerRegistry.docker_config_path`` names, by default ``$DOCKER_CONFIG/config.json`` or
``~/.docker/config.json``.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from posixpath import join, normpath
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from validate.cluster.mounts import mount_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from validate.binderhub.config import BinderHubConfig
    from validate.cluster.objects import ContainerView, KubeObject, PodView
    from validate.place import Json, Path, Place

FILE = "config.json"
_IN_HOME = ".docker"
_EXTERNAL_SECRETS = "external-secrets.io"
# Traits whose value is a credential, and the environment variable that BinderHub takes it from instead.
_CREDENTIALS = {
    "access_token": "",
    "api_token": "JUPYTERHUB_API_TOKEN",
    "auth_token": "BINDERHUB_CONTAINER_REGISTRY_HELPER_AUTH_TOKEN",
    "build_token_secret": "BINDERHUB_BUILD_TOKEN_SECRET",
    "client_secret": "GITHUB_CLIENT_SECRET",
    "git_credentials": "",
    "hub_api_token": "JUPYTERHUB_API_TOKEN",
    "password": "",
    "private_token": "GITLAB_PRIVATE_TOKEN",
}
_TOKENS = {"GitHubRepoProvider": "GITHUB_ACCESS_TOKEN", "GitLabRepoProvider": "GITLAB_ACCESS_TOKEN"}
# A variable that leads to a credential (NETRC_TOKEN_FILE) is none.
_VARIABLE = r"(?i).*(passw(or)?d|secret|token|credentials?|(api|access|private)_?key)(_\d+)?"
_IN_URL = r"[a-z][a-z0-9+.-]*://[^/@\s:]*:[^/@\s]+@.*"
# Stands for what a template fetches: the base64 of a user and a password, so that it reads as either.
_FETCHED = "ZmV0Y2hlZDpmZXRjaGVk"


class DockerConfig(Struct, frozen=True):
    """A docker configuration as far as the tree shows it.

    Attributes:
        place: the entry of a Secret, or of an ExternalSecret's template, that holds it.
        auths: credentials by registry; those from a secret store are replaced by others of the same form.
        problem: why nobody can read it, empty where all is well.
        path: where a container reads it, empty where none was asked about.
    """

    place: Place
    auths: Mapping[str, Json] = field(default_factory=dict)
    problem: str = ""
    path: str = ""


def read_docker_config(
    objects: Iterable[KubeObject], namespace: str, secret: str, key: str = FILE
) -> DockerConfig | None:
    """Return the docker configuration under ``key`` of a Secret.

    None where the tree does not show it: the Secret is made elsewhere, is encrypted, or a template
    leaves the registries themselves to the secret store.
    """
    for item in objects:
        if item.namespace != namespace:
            continue
        if item.kind == "Secret" and item.name == secret:
            return _of_secret(item, key)
        if item.kind == "ExternalSecret" and item.group == _EXTERNAL_SECRETS:
            target = item.place.at("spec", "target")
            entry = target.at("template", "data", key)
            if ((target / "name").text or item.name) == secret and entry.exists:
                return _of_template(entry)
    return None


def find_docker_config(
    objects: Iterable[KubeObject],
    config: BinderHubConfig,
    pod: PodView,
    container: ContainerView,
    class_name: str = "DockerRegistry",
) -> DockerConfig | None:
    """Return the docker configuration that BinderHub reads; None where the tree does not show it.

    Where no volume stands at its path, an empty one that says so: at the variable that was meant to name
    it, else at the container's mounts.
    """
    path = _path(config, container, class_name)
    mount = _mount_over(path, container)
    volume = pod.volume((mount / "name").text) if mount is not None else None
    if mount is None or volume is None or _stays_empty(volume, pod, container):
        place = container.slip("DOCKER_CONFIG") or container.place / "volumeMounts"
        return DockerConfig(place, problem="no volume puts there", path=path)
    wanted = join((mount / "subPath").text, _below(path, mount)).strip("/")
    for source, name in _secrets(volume):
        items = {normpath((item / "path").text): (item / "key").text for item in (source / "items").each()}
        key = items.get(wanted) if items else wanted
        found = read_docker_config(objects, pod.owner.namespace, name.text, key) if key else None
        if found is not None:
            return replace(found, path=path)
    return None


def _stays_empty(volume: Place, pod: PodView, container: ContainerView) -> bool:
    """Whether it is an emptyDir that no other container of the pod could write into."""
    name = (volume / "name").value
    users = {
        each.name for each in pod.all_containers for mount in each.mounts if (mount / "name").value == name
    }
    # A volume without a source is an emptyDir.
    is_empty = (volume / "emptyDir").exists or volume.mapping.keys() <= {"name"}
    return is_empty and users <= {container.name}


def is_credential(path: Path, value: Json) -> bool:
    """Whether a value at that path of BinderHub's configuration is a credential."""
    if not isinstance(value, str) or not value:
        return False
    if re.match(_IN_URL, value):
        return True
    key = str(path[-1]) if path else ""
    variable = "extra_envs" in path and re.fullmatch(_VARIABLE, key) is not None
    return variable or key in _CREDENTIALS


def literal_credentials(place: Place) -> Iterator[Place]:
    """Yield each credential that is written out at ``place`` or below."""
    if is_credential(place.path, place.value):
        yield place
    for below in (*place.each(), *(entry for _, entry in place.entries())):
        yield from literal_credentials(below)


def variable_for(path: Path) -> str:
    """Return the environment variable that BinderHub takes a credential from, the empty string for none."""
    class_name, trait = str(path[-2]), str(path[-1])
    return _CREDENTIALS.get(trait, "") or (_TOKENS.get(class_name, "") if trait == "access_token" else "")


def _path(config: BinderHubConfig, container: ContainerView, class_name: str) -> str:
    """Return the file that BinderHub reads, beginning with ``~`` where its home is not known."""
    configured = config.trait(class_name, "docker_config_path").text
    home = join(_literal(container, "HOME") or "~", _IN_HOME)
    return normpath(configured or join(_literal(container, "DOCKER_CONFIG") or home, FILE))


def _mount_over(path: str, container: ContainerView) -> Place | None:
    """Return the deepest mount that ``path`` is in."""
    mounts = [mount for mount in container.mounts if _is_in(path, mount_path(mount))]
    return max(mounts, key=lambda mount: len(mount_path(mount)), default=None)


def _is_in(path: str, target: str) -> bool:
    if path.startswith("~"):
        return target.endswith((f"/{_IN_HOME}", path.removeprefix("~")))
    return path == target or path.startswith(target.rstrip("/") + "/")


def _below(path: str, mount: Place) -> str:
    """Return what ``path`` adds to the mount, empty where the mount is the file itself."""
    target = mount_path(mount)
    if path.startswith("~"):
        return "" if target.endswith(FILE) else FILE
    return path.removeprefix(target).lstrip("/")


def _secrets(volume: Place) -> Iterator[tuple[Place, Place]]:
    """Yield each Secret of a volume, with the place that names it."""
    if (volume / "secret").exists:
        yield volume / "secret", volume.at("secret", "secretName")
    for source in volume.at("projected", "sources").each():
        if (source / "secret").exists:
            yield source / "secret", source.at("secret", "name")


def _literal(container: ContainerView, name: str) -> str:
    entry = container.env(name)
    return (entry / "value").text if entry is not None else ""


def _of_secret(item: KubeObject, key: str) -> DockerConfig | None:
    if (item.place / "sops").exists:
        return None
    entry = item.place.at("stringData", key)
    if entry.exists:
        return _parse(entry, entry.text)
    entry = item.place.at("data", key)
    if not entry.exists:
        return DockerConfig(item.place / "data", problem=f"the Secret {item.name} does not hold")
    try:
        # Kustomize breaks long base64 into lines.
        text = b64decode("".join(entry.text.split()), validate=True).decode()
    except ValueError:
        return None
    return _parse(entry, text)


def _of_template(entry: Place) -> DockerConfig | None:
    text, fetched = re.subn(r"\{\{.*?\}\}", _FETCHED, entry.text, flags=re.DOTALL)
    parsed = _parse(entry, text)
    unknown = bool(parsed.problem) or any(_FETCHED in registry for registry in parsed.auths)
    return None if fetched and unknown else parsed


def _parse(entry: Place, text: str) -> DockerConfig:
    try:
        content = json.loads(text)
    except ValueError as error:
        return DockerConfig(entry, problem=f"is not JSON ({error})")
    if not isinstance(content, dict):
        return DockerConfig(entry, problem="is no JSON object")
    auths = content.get("auths")
    return DockerConfig(entry, auths if isinstance(auths, dict) else {})
