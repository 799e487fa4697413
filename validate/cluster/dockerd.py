"""What a container that runs dockerd does: where it listens, where it keeps its data, its settings."""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from msgspec import Struct

from validate.errors import SourceError
from validate.source import Field, SourceDocument, compose

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from validate.cluster.objects import ContainerView, KubeObject, PodView
    from validate.place import Place

_TITLE = "daemon.json"
_DATA_ROOT = "/var/lib/docker"
_CONFIG_FILE = "/etc/docker/daemon.json"
_SHORT = {"-H": "--host", "-g": "--data-root"}


class Argument(Struct, frozen=True):
    """A value of a command line (or of ``daemon.json``), and where it stands."""

    value: str
    place: Place


class Dockerd(Struct, frozen=True):
    """The daemon of one container.

    Attributes:
        sockets: the unix sockets it listens on, as paths in the container.
        data_root: where images and build cache are kept, as a path in the container.
        settings: ``daemon.json``; where none is mounted, an empty one at the lines of the container.
    """

    sockets: tuple[Argument, ...]
    data_root: Argument
    settings: Place


def read_dockerd(container: ContainerView, pod: PodView, objects: Sequence[KubeObject]) -> Dockerd:
    """Return what the daemon of ``container`` does.

    Raises:
        SourceError: its ``daemon.json`` is no JSON object, so it does not start.
    """
    options = list(_options(container))
    config_files = [one for name, one in options if name == "--config-file"]
    config_file = config_files[-1].value if config_files else _CONFIG_FILE
    settings = _settings(_mounted_text(config_file, container, pod, objects), container)
    hosts = [one for name, one in options if name == "--host"]
    hosts += [Argument(str(host.value), host) for host in (settings / "hosts").each()]
    sockets = tuple(
        Argument(urlparse(host.value).path, host.place) for host in hosts if host.value.startswith("unix://")
    )
    roots = [one for name, one in options if name == "--data-root"]
    if (settings / "data-root").text:
        roots.append(Argument((settings / "data-root").text, settings / "data-root"))
    data_root = roots[-1] if roots else Argument(_DATA_ROOT, container.place / "args")
    return Dockerd(sockets, data_root, settings)


def _options(container: ContainerView) -> Iterator[tuple[str, Argument]]:
    """Yield the options of the command line, ``--name=value`` and ``--name value`` alike."""
    words = [word for part in ("command", "args") for word in (container.place / part).each()]
    for index, word in enumerate(words):
        name, separator, value = word.text.partition("=")
        name = _SHORT.get(name, name)
        if not name.startswith("--"):
            continue
        if separator:
            yield name, Argument(value, word)
        elif index + 1 < len(words):
            yield name, Argument(words[index + 1].text, words[index + 1])


def _mounted_text(
    path: str, container: ContainerView, pod: PodView, objects: Sequence[KubeObject]
) -> Place | None:
    """Return the entry of a ConfigMap that is mounted as the file ``path``."""
    for mount in container.mounts:
        directory, file = posixpath.split(path)
        at = (mount / "mountPath").text.rstrip("/")
        volume = pod.volume((mount / "name").text)
        if volume is None or at not in (directory, path):
            continue
        name = volume.at("configMap", "name").text
        key = (mount / "subPath").text if at == path else file
        for item in volume.at("configMap", "items").each():
            if (item / "path").text == key:
                key = (item / "key").text
                break
        for config_map in objects:
            known = (config_map.kind, config_map.name, config_map.namespace)
            if known == ("ConfigMap", name, pod.owner.namespace):
                text = config_map.place.at("data", key)
                return text if text.exists else None
    return None


def _settings(text: Place | None, container: ContainerView) -> Place:
    """Return the settings in ``text``, each with the line that it stands on."""
    if text is None:
        return SourceDocument(_TITLE, Field({}, container.place.writers)).place
    file, first_line = text.origin.file, text.origin.text_line
    try:
        settings = json.loads(text.text)
    except json.JSONDecodeError as error:
        line, problem = first_line + error.lineno - 1, f"is no JSON ({error.msg})"
        raise SourceError(file, line, f"{problem}, so dockerd does not start; correct it") from None
    if not isinstance(settings, dict):
        raise SourceError(file, first_line, "is no JSON object, so dockerd does not start; correct it")
    # JSON is YAML, but for tabs before a key.
    field = next(compose(text.text.expandtabs(), file, first_line=first_line), None)
    return SourceDocument(_TITLE, field or Field({}, text.writers)).place
