"""Which credentials of a docker configuration docker uses, and which BinderHub: they read it differently.

Docker pushes the image of a build, BinderHub asks the registry whether there is an image already.
Both read a ``config.json`` of the same form.
"""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from validate.binderhub.config import BinderHubConfig
    from validate.place import Json, Place

DOCKER_HUB = "docker.io"
DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_DOCKER_HUB_API = "https://registry-1.docker.io"
_DOCKER_HUB_DOMAINS = (".docker.io", ".docker.com")
_CLASSES = {
    f"binderhub.registry.{name}": name
    for name in ("DockerRegistry", "ExternalRegistryHelper", "FakeRegistry", "GoogleArtifactRegistry")
}


class RegistryQuery(NamedTuple):
    """How BinderHub asks a registry for an image.

    Attributes:
        url: the registry that it asks.
        key: the key of ``auths`` with whose credentials, None for none of them.
        configured: the trait that gives credentials instead of ``auths``, None where none does.
    """

    url: str
    key: str | None
    configured: Place | None

    @property
    def host(self) -> str:
        """Host and port of the registry, ``docker.io`` for all of Docker Hub's."""
        return _canonical(urlsplit(self.url).netloc)


def image_host(image: str) -> str:
    """Return the registry (host and port) of an image or image prefix, ``docker.io`` where none is named."""
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return _canonical(first)
    return DOCKER_HUB


def docker_finds(auths: Mapping[str, Json], image: str) -> str | None:
    """Return the key of ``auths`` that docker pushes ``image`` with, None for an anonymous push.

    The exact address of the registry, else the first key with its host and port, whatever scheme and
    path stand around it. Docker Hub has one key only (docker CLI; docker-py also takes others for it).
    """
    host = image_host(image)
    wanted = DOCKER_HUB_KEY if host == DOCKER_HUB else host
    if wanted in auths:
        return wanted if _has_credentials(auths[wanted]) else None
    for key, entry in auths.items():
        if _host_of_key(key) == wanted:
            return key if _has_credentials(entry) else None
    return None


def binderhub_asks(auths: Mapping[str, Json], config: BinderHubConfig) -> RegistryQuery:
    """Return how BinderHub asks for images when ``auths`` is what its own docker configuration holds."""
    name = _CLASSES.get(config.trait("BinderHub", "registry_class").text, "DockerRegistry")
    url = config.trait(name, "url").text or default_url(auths)
    key = config.trait(name, "auth_config_url").text or default_key(auths, url)
    configured = config.trait(name, "username")
    if configured.text and config.trait(name, "password").text:
        return RegistryQuery(url, None, configured)
    return RegistryQuery(url, key if _is_readable(auths.get(key)) else None, None)


def binderhub_finds(auths: Mapping[str, Json], image: str, config: BinderHubConfig) -> str | None:
    """Return what BinderHub authenticates with when it asks for ``image``.

    A key of ``auths``, or the name of a trait such as ``DockerRegistry.username``. None where it asks
    anonymously, or asks another registry than the one that the image is in.
    """
    query = binderhub_asks(auths, config)
    if query.host != image_host(image):
        return None
    return str(query.configured) if query.configured is not None else query.key


def default_url(auths: Mapping[str, Json]) -> str:
    """Return the registry that BinderHub asks where ``url`` is not set: that of the first key."""
    first = next(iter(auths), _DOCKER_HUB_API)
    url = first if "://" in first else f"https://{first}"
    return _DOCKER_HUB_API if url.rstrip("/") == DOCKER_HUB_KEY.rstrip("/") else url


def default_key(auths: Mapping[str, Json], url: str) -> str:
    """Return the key whose credentials BinderHub uses there where ``auth_config_url`` is not set."""
    if url in auths:
        return url
    try:
        # Without the port: `registry:5000` as a key is never found.
        host = urlsplit(url).hostname or ""
    except ValueError:
        return url
    if host in auths:
        return host
    return DOCKER_HUB_KEY if f".{host}".endswith(_DOCKER_HUB_DOMAINS) else url


def basic_auth(entry: Json) -> tuple[str, str] | None:
    """Return the user and password that BinderHub gets from an entry: of ``auth`` alone, in base64.

    Raises:
        ValueError: there is one that holds no user and password.
    """
    auth = entry.get("auth") if isinstance(entry, dict) else None
    if not isinstance(auth, str) or not auth:
        return None
    user, colon, password = b64decode(auth).decode().partition(":")
    if not colon:
        raise ValueError("auth is not the base64 of user:password")
    return user, password


def _is_readable(entry: Json) -> bool:
    try:
        return basic_auth(entry) is not None
    except ValueError:
        return False


def _has_credentials(entry: Json) -> bool:
    if not isinstance(entry, dict):
        return False
    return bool(
        entry.get("auth")
        or (entry.get("username") and entry.get("password"))
        or entry.get("identitytoken")
        or entry.get("registrytoken")
    )


def _host_of_key(key: str) -> str:
    return key.removeprefix("http://").removeprefix("https://").partition("/")[0]


def _canonical(host: str) -> str:
    return DOCKER_HUB if f".{host}".endswith(_DOCKER_HUB_DOMAINS) else host
