"""Which credentials docker finds, and which BinderHub finds, in one docker configuration."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.binderhub.pods import config_of
from validate.binderhub.registry import binderhub_asks, binderhub_finds, docker_finds, image_host

AUTH = {"auth": base64.b64encode(b"user:password").decode()}


def binderhub(auths: dict[str, Any], image: str, **registry: str) -> str | None:
    return binderhub_finds(
        auths, image, config_of({"00-base.yaml": json.dumps({"DockerRegistry": registry})})
    )


@pytest.mark.parametrize(
    ("image", "host"),
    [
        ("quay.io/org/r2d-", "quay.io"),
        ("registry:5000/p/r2d-", "registry:5000"),
        ("localhost/p/x", "localhost"),
        ("org/r2d-", "docker.io"),
        ("docker.io/org/r2d-", "docker.io"),
        ("index.docker.io/org/r2d-", "docker.io"),
        ("r2d-", "docker.io"),
    ],
)
def test_the_registry_of_an_image_is(image: str, host: str) -> None:
    assert image_host(image) == host


@pytest.mark.parametrize(
    ("key", "image", "docker", "hub"),
    [
        ("quay.io", "quay.io/org/r2d-x", True, True),
        ("https://quay.io", "quay.io/org/r2d-x", True, True),
        ("https://quay.io/v2/", "quay.io/org/r2d-x", True, True),
        ("quay.example", "quay.io/org/r2d-x", False, False),
        # Without a scheme BinderHub looks for the host without its port.
        ("registry:5000", "registry:5000/p/x", True, False),
        ("http://registry:5000", "registry:5000/p/x", True, True),
        ("http://registry:5001", "registry:5000/p/x", False, False),
        ("https://index.docker.io/v1/", "docker.io/org/x", True, True),
        ("https://index.docker.io/v1/", "org/x", True, True),
        # What people write who think of Docker Hub as a host.
        ("docker.io", "org/x", False, True),
        ("https://registry-1.docker.io", "org/x", False, True),
    ],
)
def test_a_key_of_auths_is_found_by(key: str, image: str, docker: bool, hub: bool) -> None:  # noqa: FBT001
    found = (docker_finds({key: AUTH}, image), binderhub({key: AUTH}, image))
    assert found == (key if docker else None, key if hub else None)


@pytest.mark.parametrize(
    ("entry", "docker", "hub"),
    [
        (AUTH, True, True),
        ({"username": "user", "password": "password"}, True, False),
        ({"identitytoken": "t"}, True, False),
        ({"auth": ""}, False, False),
        ({"auth": base64.b64encode(b"no colon").decode()}, True, False),
        ({}, False, False),
        (None, False, False),
    ],
)
def test_an_entry_of_auths_is_usable_by(entry: Any, docker: bool, hub: bool) -> None:  # noqa: FBT001
    auths = {"quay.io": entry}
    found = (docker_finds(auths, "quay.io/o/x") is not None, binderhub(auths, "quay.io/o/x") is not None)
    assert found == (docker, hub)


def test_binderhub_asks_the_registry_of_the_first_key() -> None:
    auths = {"https://other.example": AUTH, "https://quay.io": AUTH}
    assert docker_finds(auths, "quay.io/o/x") == "https://quay.io"
    assert binderhub(auths, "quay.io/o/x") is None
    assert binderhub(auths, "quay.io/o/x", url="https://quay.io") == "https://quay.io"


def test_the_exact_address_comes_before_any_other_key_of_the_host() -> None:
    assert docker_finds({"https://quay.io/v1": {}, "quay.io": AUTH}, "quay.io/o/x") == "quay.io"


def test_credentials_in_the_configuration_come_before_those_of_auths() -> None:
    traits = {"url": "https://quay.io", "username": "u", "password": "p"}
    assert binderhub({}, "quay.io/o/x", **traits) == "DockerRegistry.username"
    assert binderhub({}, "quay.io/o/x", url="https://quay.io", username="u") is None


def test_the_section_of_the_registry_class_decides() -> None:
    fragment = {
        "BinderHub": {"registry_class": "binderhub.registry.FakeRegistry"},
        "DockerRegistry": {"url": "https://a.example"},
        "FakeRegistry": {"url": "https://b.example"},
    }
    assert binderhub_asks({}, config_of({"00-base.yaml": json.dumps(fragment)})).host == "b.example"


def test_without_any_key_binderhub_asks_docker_hub_anonymously() -> None:
    query = binderhub_asks({}, config_of({"00-base.yaml": "BinderHub: {port: 1}"}))
    assert (query.host, query.key, query.configured) == ("docker.io", None, None)
