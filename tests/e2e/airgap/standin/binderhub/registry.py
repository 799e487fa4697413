"""Whether an image is in the registry already."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.httputil import encode_username_password, url_concat
from tornado.log import app_log

from validate.binderhub.registry import basic_auth, default_key, default_url

if TYPE_CHECKING:
    from binderhub.configuration import Configuration

_UNAUTHORIZED, _NOT_FOUND = 401, 404
# No index is among it: of one that is pushed, a registry that minds says that it is not there.
_ACCEPT = {"Accept": "application/vnd.oci.image.manifest.v1+json"}


class DockerRegistry:
    """A registry that speaks the distribution API, with password or token."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    async def has(self, name: str, tag: str) -> bool:
        """Return whether there is a manifest of that name (without registry) and tag.

        Raises:
            HTTPClientError: the registry answers otherwise, or not at all.
            ValueError: it asks for something else than what BinderHub can give.
        """
        manifest = f"{self._url}/v2/{name}/manifests/{tag}"
        token = None
        if self._token_url:
            token = await self._token(self._token_url, f"repository:{name}:pull", "container_registry")
            request = HTTPRequest(manifest, headers={"Authorization": f"Bearer {token}", **_ACCEPT})
        else:
            request = HTTPRequest(manifest, headers={"Authorization": self._basic, **_ACCEPT})
        try:
            return await _exists(request)
        except HTTPClientError as error:
            if error.code != _UNAUTHORIZED:
                raise
            if token is not None:
                if self._is_missing_at_401:
                    return False
                raise
            challenge = error.response.headers.get("WWW-Authenticate") if error.response else None
            if challenge is None:
                raise
        realm, service, scope = _bearer(challenge)
        token = await self._token(realm, scope, service)
        # BinderHub does not say here what it accepts.
        return await _exists(HTTPRequest(manifest, headers={"Authorization": f"Bearer {token}"}))

    async def _token(self, url: str, scope: str, service: str) -> str:
        query = {"scope": scope, "service": service}
        request = HTTPRequest(url_concat(url, query), headers={"Authorization": self._basic})
        answer = json.loads((await AsyncHTTPClient().fetch(request)).body)
        token = answer.get("token", answer.get("access_token"))
        if token is None:
            raise ValueError(f"No token in the registry's answer: {answer}")
        return str(token)

    @cached_property
    def _auths(self) -> dict[str, Any]:
        """The credentials by registry, read once: a change shows after a restart."""
        file = Path(self._trait("docker_config_path") or self._default_path)
        if not file.exists():
            app_log.warning("No docker config at %s", file)
            return {}
        auths: dict[str, Any] = json.loads(file.read_text("utf-8")).get("auths", {})
        return auths

    @property
    def _default_path(self) -> str:
        environment = self._configuration.environment
        home = Path(environment.get("HOME", "~")) / ".docker"
        return str(Path(environment.get("DOCKER_CONFIG", home)).expanduser() / "config.json")

    @cached_property
    def _url(self) -> str:
        return self._trait("url") or default_url(self._auths)

    @cached_property
    def _basic(self) -> str:
        """What is sent for user and password, even where both are empty."""
        key = self._trait("auth_config_url") or default_key(self._auths, self._url)
        user, password = basic_auth(self._auths.get(key)) or ("", "")
        both = encode_username_password(self._trait("username") or user, self._trait("password") or password)
        return f"Basic {b64encode(both).decode()}"

    @cached_property
    def _token_url(self) -> str:
        if configured := self._trait("token_url"):
            return configured
        host = urlsplit(self._url).hostname
        if host is None:
            raise TypeError(f"{self._url} is the address of no registry: it has no scheme")
        if f".{host}".endswith(".gcr.io"):
            return f"https://{host}/v2/token?service={host}"
        return "https://auth.docker.io/token?service=registry.docker.io" if self._is_docker_hub else ""

    @property
    def _is_missing_at_401(self) -> bool:
        configured = self._configuration.get("DockerRegistry", "not_found_401")
        return self._is_docker_hub if configured is None else bool(configured)

    @property
    def _is_docker_hub(self) -> bool:
        return self._url.endswith(".docker.io")

    def _trait(self, name: str) -> str:
        return self._configuration.get("DockerRegistry", name) or ""


class FakeRegistry(DockerRegistry):
    """A registry that never has an image."""

    async def has(self, name: str, tag: str) -> bool:  # noqa: ARG002 - the name of a parameter is part of it
        """Return False."""
        return False


async def _exists(request: HTTPRequest) -> bool:
    try:
        answer = await AsyncHTTPClient().fetch(request)
    except HTTPClientError as error:
        if error.code == _NOT_FOUND:
            return False
        raise
    return bool(json.loads(answer.body))


def _bearer(challenge: str) -> tuple[str, str, str]:
    """Return realm, service and scope of a challenge."""
    if not challenge.lower().startswith("bearer "):
        raise ValueError(f"Only WWW-Authenticate Bearer type supported: {challenge}")
    found = [re.search(rf'{name}="([^"]*)"', challenge) for name in ("realm", "service", "scope")]
    realm, service, scope = ("" if each is None else each[1] for each in found)
    if None in found or not realm:
        raise ValueError(f"Expected WWW-Authenticate to include realm service scope: {challenge}")
    return realm, service, scope
