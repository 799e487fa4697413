"""Where BinderHub finds its docker configuration, and what is known of the content of one.

A build pod mounts the Secret that ``push_secret`` names. BinderHub itself reads the file that
``DockerRegistry.docker_config_path`` names, by default ``$DOCKER_CONFIG/config.json`` or
``~/.docker/config.json``.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from dataclasses import dataclass, field
from posixpath import join, normpath
from typing import TYPE_CHECKING

from validate.binderhub.mounts import mount_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from validate.binderhub.config import BinderHubConfig
    from validate.cluster.objects import ContainerView, KubeObject, PodView
    from validate.place import Json, Place

FILE = "config.json"
_HOME_DIRECTORY = ".docker"
_EXTERNAL_SECRETS = "external-secrets.io"
# Stands for what a template fetches: the base64 of a user and a password, so that it reads as either.
_FETCHED = "ZmV0Y2hlZDpmZXRjaGVk"


@dataclass(frozen=True)
class DockerConfig:
    """A docker configuration as far as the tree shows it.

    Attributes:
        place: the entry of a Secret, or of an ExternalSecret's template, that holds it.
        auths: credentials by registry; those from a secret store are replaced by others of the same form.
        problem: why nobody can read it, empty where all is well.
    """

    place: Place
    auths: Mapping[str, Json] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True)
class MountedSecret:
    """A key of a Secret that stands at some path in a container; ``place`` names the Secret."""

    name: str
    key: str
    place: Place


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


def docker_config_path(config: BinderHubConfig, container: ContainerView, class_name: str) -> str:
    """Return the file that BinderHub reads, beginning with ``~`` where its home is not known."""
    configured = config.trait(class_name, "docker_config_path").text
    if configured:
        return normpath(configured)
    directory = _literal(container, "DOCKER_CONFIG")
    home = _literal(container, "HOME") or "~"
    return normpath(join(directory or join(home, _HOME_DIRECTORY), FILE))


def mount_over(path: str, container: ContainerView) -> Place | None:
    """Return the mount that decides what stands at ``path``; of ``~``, the one that looks like it."""
    best: Place | None = None
    for mount in container.mounts:
        target = mount_path(mount)
        covers = path == target or path.startswith(target.rstrip("/") + "/")
        if path.startswith("~"):
            covers = target.endswith((f"/{_HOME_DIRECTORY}", path.removeprefix("~")))
        if covers and (best is None or len(target) >= len(mount_path(best))):
            best = mount
    return best


def mounted_secret(path: str, mount: Place, pod: PodView) -> MountedSecret | None:
    """Return what ``mount`` puts at ``path``: a key of a Secret, or None for anything else."""
    volume = pod.volume((mount / "name").text)
    target = mount_path(mount)
    # A path that begins with ~ ends as the mount does, or one file below it.
    below = path.removeprefix(target).lstrip("/") if path.startswith(target) else FILE
    if path.startswith("~") and target.endswith(FILE):
        below = ""
    wanted = "/".join(part for part in ((mount / "subPath").text.strip("/"), below) if part)
    for source, name in _sources(volume) if volume is not None else ():
        items = source / "items"
        if not items.items and "/" not in wanted:
            return MountedSecret(name.text, wanted, name)
        for entry in items.each():
            if normpath((entry / "path").text) == wanted:
                return MountedSecret(name.text, (entry / "key").text, name)
    return None


def _sources(volume: Place) -> Iterator[tuple[Place, Place]]:
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
    try:
        text = b64decode(entry.text, validate=True).decode()
    except ValueError:
        return None
    return _parse(entry, text) if entry.exists else None


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
