"""Whether there is an image already: what the registry is asked, and what comes of its answers."""

from __future__ import annotations

import base64
import json

import pytest

from tests.e2e.streams import Ending
from tests.standin.conftest import IMAGE, WAITING

NAME, _, TAG = IMAGE.partition("/")[2].rpartition(":")
MANIFEST = f"/v2/{NAME}/manifests/{TAG}"
OCI = "application/vnd.oci.image.manifest.v1+json"
INTERNAL = {"phase": "failed", "status_code": 500, "message": "Internal Server Error\n"}
FOUND = {"phase": "ready", "imageName": IMAGE, "message": "Done! Found built image\n"}


def basic(credentials: str) -> str:
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


def first(stream) -> dict[str, str]:
    """Return the first thing that is said."""
    return next(iter(stream)).data


def test_an_image_that_is_there_is_not_built(standin, registry, cluster) -> None:
    registry.manifests[MANIFEST] = {"schemaVersion": 2}
    stream = standin.build()
    kept = stream.transcript()
    assert ([event.data for event in kept.events], kept.ending) == ([FOUND], Ending.CLOSED)
    ((path, headers),) = registry.asked
    assert path == MANIFEST
    assert (headers["Authorization"], headers["Accept"]) == (basic("binderhub:secret"), OCI)
    assert cluster.calls == []


def test_an_image_that_is_not_there_is_built(standin, registry) -> None:
    assert first(standin.build()) == WAITING
    assert [path for path, _ in registry.asked] == [MANIFEST]


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_a_registry_that_does_not_tell_has_no_image(standin, registry, status) -> None:
    registry.answer = lambda *_: (status, {}, "{}")
    assert first(standin.build()) == WAITING
    assert len(registry.asked) == 3


def test_a_registry_that_tells_late_is_believed(standin, registry) -> None:
    registry.answer = lambda *_: (200, {}, "{}") if len(registry.asked) == 3 else (500, {}, "")
    # An empty manifest is none.
    assert first(standin.build()) == WAITING
    registry.asked.clear()
    registry.answer = lambda *_: (200, {}, '{"a": 1}') if len(registry.asked) == 3 else (500, {}, "")
    assert first(standin.build()) == FOUND


def test_a_registry_that_is_not_there_has_no_image(serve) -> None:
    standin = serve({"DockerRegistry": {"url": "http://127.0.0.1:1"}})
    assert first(standin.build()) == WAITING


@pytest.mark.parametrize(
    ("config", "sent"),
    [
        ({"username": "u", "password": "p"}, "u:p"),
        ({"username": "u"}, "u:secret"),
        ({"auth_config_url": "https://elsewhere.example"}, ":"),
    ],
)
def test_credentials_are_sent_even_where_there_are_none(serve, registry, config, sent) -> None:
    registry.answer = lambda *_: (404, {}, "")
    assert first(serve({"DockerRegistry": config}).build()) == WAITING
    assert [headers["Authorization"] for _, headers in registry.asked] == [basic(sent)]


def test_a_wrong_password_ends_every_request(serve, registry, cluster) -> None:
    standin = serve({"DockerRegistry": {"password": "wrong"}})
    for _ in range(2):
        stream = standin.build()
        assert [event.data for event in stream.transcript().events] == [INTERNAL]
        assert stream.ending == Ending.CLOSED
    assert len(registry.asked) == 2
    assert cluster.calls == []


def test_a_password_that_was_changed_shows_after_a_restart(serve, registry, docker_config) -> None:
    standin = serve()
    assert first(standin.build()) == WAITING
    registry.credentials = "binderhub:rotated"
    auth = base64.b64encode(b"binderhub:rotated").decode()
    (docker_config / "config.json").write_text(json.dumps({"auths": {registry.url: {"auth": auth}}}))
    assert first(standin.build()) == INTERNAL
    assert first(serve().build()) == WAITING


@pytest.mark.parametrize("content", ["", "[]", '{"auths": {"$URL": {"auth": "bm8gY29sb24="}}}'])
def test_a_docker_configuration_that_is_none_ends_every_request(
    serve, registry, docker_config, content
) -> None:
    (docker_config / "config.json").write_text(content.replace("$URL", registry.url))
    assert first(serve().build()) == INTERNAL


def test_without_a_docker_configuration_nobody_is_anybody(serve, registry, docker_config) -> None:
    (docker_config / "config.json").unlink()
    registry.answer = lambda *_: (404, {}, "")
    assert first(serve({"DockerRegistry": {"url": registry.url}}).build()) == WAITING
    assert [headers["Authorization"] for _, headers in registry.asked] == [basic(":")]


def test_a_configuration_may_lie_elsewhere(serve, registry, docker_config) -> None:
    file = (docker_config / "config.json").rename(docker_config / "other.json")
    assert first(serve({"DockerRegistry": {"docker_config_path": str(file)}}).build()) == WAITING
    home = docker_config / "home" / ".docker"
    home.mkdir(parents=True)
    file.rename(home / "config.json")
    assert first(serve(DOCKER_CONFIG=str(home)).build()) == WAITING
    assert len(registry.asked) == 2


def test_an_address_without_scheme_ends_every_request(serve) -> None:
    assert first(serve({"DockerRegistry": {"url": "registry.example:5000"}}).build()) == INTERNAL


class Tokens:
    """A registry that wants a token from itself."""

    def __init__(self, registry, *, answer: str = '{"token": "t"}', final: int = 200) -> None:
        self.registry, self.answer, self.final = registry, answer, final

    def __call__(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        if path.startswith("/token"):
            return 200, {}, self.answer
        if headers.get("Authorization") == "Bearer t":
            return self.final, {}, '{"schemaVersion": 2}'
        realm = f'{self.registry.url}/token",service="s",scope="repository:x:pull'
        return 401, {"WWW-Authenticate": f'Bearer realm="{realm}"'}, ""


@pytest.mark.parametrize("key", ["token", "access_token"])
def test_a_challenge_for_a_token_is_met(standin, registry, key) -> None:
    registry.answer = Tokens(registry, answer=json.dumps({key: "t"}))
    assert first(standin.build()) == FOUND
    (_, asks), (path, authenticates), (_, asks_again) = registry.asked
    assert asks["Authorization"] == authenticates["Authorization"] == basic("binderhub:secret")
    assert path == "/token?scope=repository%3Ax%3Apull&service=s"
    # BinderHub does not say the second time what it accepts.
    assert (asks_again["Authorization"], asks_again["Accept"]) == ("Bearer t", "*/*")


@pytest.mark.parametrize(("final", "event", "asked"), [(404, WAITING, 3), (403, WAITING, 9)])
def test_a_token_may_not_help(standin, registry, final, event, asked) -> None:
    registry.answer = Tokens(registry, final=final)
    assert first(standin.build()) == event
    assert len(registry.asked) == asked


@pytest.mark.parametrize(
    "challenge",
    ['Basic realm="r"', 'Bearer realm="http://r/t"', 'Bearer realm="",service="s",scope="x"', "Bearer"],
)
def test_a_challenge_that_cannot_be_met_ends_every_request(standin, registry, challenge) -> None:
    registry.answer = lambda *_: (401, {"WWW-Authenticate": challenge}, "")
    assert first(standin.build()) == INTERNAL
    assert len(registry.asked) == 1


def test_an_answer_without_token_ends_every_request(standin, registry) -> None:
    registry.answer = Tokens(registry, answer='{"details": "no"}')
    assert first(standin.build()) == INTERNAL


def test_a_token_is_fetched_first_where_it_is_said_from_where(serve, registry) -> None:
    registry.answer = Tokens(registry)
    assert first(serve({"DockerRegistry": {"token_url": f"{registry.url}/token"}}).build()) == FOUND
    (token, _), (path, headers) = registry.asked
    assert token == f"/token?scope=repository%3A{NAME.replace('/', '%2F')}%3Apull&service=container_registry"
    assert (path, headers["Authorization"], headers["Accept"]) == (MANIFEST, "Bearer t", OCI)


@pytest.mark.parametrize(("not_found", "asked"), [(True, 2), (False, 6)])
def test_a_refused_token_may_mean_that_there_is_no_image(serve, registry, not_found, asked) -> None:
    registry.answer = Tokens(registry, final=401)
    config = {"token_url": f"{registry.url}/token", "not_found_401": not_found}
    assert first(serve({"DockerRegistry": config}).build()) == WAITING
    assert len(registry.asked) == asked


def test_a_name_that_looks_like_one_of_docker_hub_is_asked_for_whole(serve, registry) -> None:
    standin = serve({"BinderHub": {"image_prefix": "registry/r2d-"}})
    assert first(standin.build()) == WAITING
    ((path, _),) = registry.asked
    assert path.startswith("/v2/registry/r2d-git-3a")


def test_a_fake_registry_is_asked_nothing(serve, registry) -> None:
    standin = serve({"BinderHub": {"registry_class": "binderhub.registry.FakeRegistry"}})
    assert first(standin.build()) == WAITING
    assert registry.asked == []


def test_without_a_registry_and_a_docker_daemon_nothing_is_built(serve, registry, cluster) -> None:
    assert first(serve({"BinderHub": {"use_registry": False}}).build()) == INTERNAL
    assert (registry.asked, cluster.calls) == ([], [])
