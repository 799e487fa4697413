"""The answers that were recorded of BinderHub, and the other small ones."""

from __future__ import annotations

import asyncio
import json

import pytest

import binderhub.health
from binderhub.health import Cached, Patient
from tests.standin.conftest import open_after

# As for the recording: no hub, no registry, one repository that is nowhere.
RECORDED = {
    "BinderHub": {
        "enable_api_only_mode": True,
        "image_prefix": "registry.example.org/builds/r2d-",
        "registry_class": "binderhub.registry.FakeRegistry",
        "repo_providers": {"fake": "binderhub.repoproviders.FakeProvider"},
    },
    # Nobody may be called ``hub`` where the tests run.
    "KubernetesBuildExecutor": {},
}
REPO2DOCKER = "quay.io/jupyterhub/repo2docker:2024.07.0"


@pytest.fixture
def recorded(serve, monkeypatch):
    monkeypatch.setattr(binderhub.health, "PAUSE", 0)
    return serve(RECORDED)


def test_versions_say_what_this_is(recorded) -> None:
    answer = recorded.get("versions")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.body == json.dumps(
        {
            "builder_info": {"build_image": REPO2DOCKER},
            "binderhub": "stand-in of binderhub-service, modelled on BinderHub 0.2.0+2227.gb9fad995",
            "builder": REPO2DOCKER,
        }
    )
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_versions_say_what_is_configured(serve) -> None:
    image = json.loads(serve({"KubernetesBuildExecutor": {"build_image": "x:1"}}).get("versions").body)
    assert (image["builder"], image["builder_info"]) == ("x:1", {"build_image": "x:1"})
    info = json.loads(serve({"BuildExecutor": {"builder_info": {"a": 1}}}).get("versions").body)
    assert ("builder" in info, info["builder_info"]) == (False, {"a": 1})


def test_without_a_hub_nothing_is_healthy(recorded, cluster) -> None:
    answer = recorded.get("health")
    assert answer.status == 503
    assert answer.body == json.dumps(
        {
            "ok": False,
            "checks": [
                {"service": "Docker registry", "ok": True},
                {"service": "JupyterHub API", "ok": False},
                {
                    "service": "Pod quota",
                    "total_pods": 0,
                    "build_pods": 0,
                    "user_pods": 0,
                    "quota": None,
                    "ok": True,
                    "_ignore_failure": True,
                },
            ],
        }
    )
    assert sorted(cluster.calls) == [
        f"GET /api/v1/namespaces/binder/pods?labelSelector={selector}"
        for selector in ("app=jupyterhub,component=singleuser-server", "component=binderhub-build")
    ]


def test_a_head_is_answered_with_the_status_alone(recorded) -> None:
    answer = recorded.get("health", "HEAD")
    assert (answer.status, answer.body) == (503, "")


@pytest.fixture
def healthy(serve, registry, monkeypatch):
    """Return a function that starts one whose hub is the registry, which answers that question too."""
    monkeypatch.setattr(binderhub.health, "PAUSE", 0)
    registry.manifests["/hub/api/health"] = {}
    answer = registry.answer
    registry.answer = lambda path, headers: (200, {}, "{}") if "health" in path else answer(path, headers)

    def start(config=None):
        config = {"BinderHub": {}, **(config or {})}
        config["BinderHub"] = {"hub_url_local": registry.url, **config["BinderHub"]}
        return serve(config)

    return start


def test_with_a_hub_all_is_well(healthy, cluster, registry) -> None:
    cluster.add("binder", "jupyter-user", {"app": "jupyterhub", "component": "singleuser-server"})
    cluster.add("binder", "build-x", {"component": "binderhub-build"})
    answer = healthy({"LaunchQuota": {"total_quota": 1}}).get("health")
    assert answer.status == 200
    *_, quota = json.loads(answer.body)["checks"]
    # Too many pods are told of, and make nobody unhealthy.
    assert quota == {
        "service": "Pod quota",
        "total_pods": 2,
        "build_pods": 1,
        "user_pods": 1,
        "quota": 1,
        "ok": False,
        "_ignore_failure": True,
    }
    paths = {path for path, _ in registry.asked}
    assert paths == {"/hub/api/health", "/v2/binder/r2d-some-image-name/manifests/12345"}


def test_an_answer_about_health_is_kept_for_a_while(healthy, registry, cluster) -> None:
    standin = healthy()
    assert [standin.get("health").status for _ in range(3)] == [200] * 3
    assert (len(registry.asked), len(cluster.calls)) == (2, 2)


def test_a_registry_that_does_not_answer_is_asked_three_times(healthy, registry) -> None:
    registry.credentials = "somebody:else"
    answer = healthy({"BinderHub": {"health_handler_class": "binderhub.health.HealthHandler"}}).get("health")
    assert answer.status == 503
    assert json.loads(answer.body)["checks"] == [
        {"service": "Docker registry", "ok": False},
        {"service": "JupyterHub API", "ok": True},
    ]
    assert sum("manifests" in path for path, _ in registry.asked) == 3


def test_without_a_registry_none_is_asked(healthy) -> None:
    standin = healthy({"BinderHub": {"use_registry": False}})
    services = [check["service"] for check in json.loads(standin.get("health").body)["checks"]]
    assert services == ["JupyterHub API", "Pod quota"]


def test_pods_that_may_not_be_listed_are_an_internal_error(healthy, cluster) -> None:
    cluster.refuses = {"list pods": 403}
    answer = healthy().get("health")
    assert (answer.status, answer.headers["Content-Type"]) == (500, "text/html; charset=UTF-8")


def test_attempts_are_never_given_back() -> None:
    """BinderHub counts on: three attempts until the first no, then one."""
    asked = []

    async def ask() -> None:
        asked.append(1)
        raise ConnectionError

    async def run() -> list[int]:
        question = Patient("it", ask)
        counts = []
        for _ in range(3):
            asked.clear()
            assert not await question()
            counts.append(len(asked))
        return counts

    binderhub.health.PAUSE, pause = 0, binderhub.health.PAUSE
    try:
        assert asyncio.run(run()) == [3, 1, 1]
    finally:
        binderhub.health.PAUSE = pause


def test_a_question_is_asked_by_one_at_a_time_and_again_when_its_time_is_over(monkeypatch) -> None:
    now, asked = 100.0, []
    monkeypatch.setattr("binderhub.health.time.monotonic", lambda: now)

    async def ask() -> int:
        asked.append(1)
        await asyncio.sleep(0)
        return len(asked)

    async def run() -> list[int]:
        nonlocal now
        question = Cached(ask, 15)
        answers = list(await asyncio.gather(question(), question()))
        for seconds in (14, 2):
            now += seconds
            answers.append(await question())
        return answers

    assert asyncio.run(run()) == [1, 1, 1, 2]


@pytest.mark.parametrize(
    "path",
    ["", "about", "v2/fake/x", "_config", "build", "build/fake/", "badge.svg", "oauth_callback", "repo/x"],
)
def test_there_is_no_page(recorded, path) -> None:
    answer = recorded.get(path)
    assert answer.status == 404
    assert answer.body.startswith("<html><title>404: Not Found</title>")


def test_the_builds_of_the_recording(recorded, cluster) -> None:
    refused = recorded.ask("build/fake/x?build_only=true", headers={"Accept": ""}).transcript()
    message = "Missing Accept header: text/event-stream\n"
    assert [event.data for event in refused.events] == [
        {"phase": "failed", "status_code": 400, "message": message}
    ]
    stream = recorded.ask("build/fake/x?build_only=true")
    cluster.created().ends("Succeeded")
    waiting, ready = stream.transcript().events
    assert waiting.data == {"phase": "waiting", "message": "Waiting for build to start...\n"}
    assert ready.data == {
        "phase": "ready",
        "message": "Done! Image built\n",
        "imageName": "registry.example.org/builds/r2d-rick-2dmorty-a104b7:1a2b3c4d5e6f",
    }
    assert cluster.calls[-1].endswith("/pods/build-rick-2dmorty-a104b7-1a2-77")


def test_providers_are_listed(recorded, serve) -> None:
    answer = recorded.get("api/repoproviders")
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.body) == [{"id": "fake", "displayName": "Fake GitHub"}]
    ids = [each["id"] for each in json.loads(serve().get("api/repoproviders").body)]
    assert ids == ["gh", "git", "gl"]


def metric(standin, line: str) -> float:
    answer = standin.get("metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=1.0.0")
    found = [each for each in answer.body.splitlines() if each.startswith(line)]
    return float(found[0].rpartition(" ")[2]) if found else 0


@pytest.mark.parametrize(
    ("status", "phase", "said"),
    [("success", "Succeeded", "building"), ("failure", "Failed", "failed"), ("failure", "Failed", "failure")],
)
def test_builds_are_counted(serve, cluster, status, phase, said) -> None:
    standin = serve()
    labels = f'provider="Git",repo="git://git.binder.svc/demo.git",status="{status}"'
    line = f"binderhub_build_count_total{{{labels}}}"
    before = metric(standin, line)
    stream = standin.build(**open_after(3))
    pod = cluster.created()
    pod.becomes("Running")
    pod.says(json.dumps({"message": "x", "phase": said}) + "\n")
    for item in stream:
        if item.message == "x":
            pod.ends(phase)
    assert metric(standin, line) == before + 1
    assert metric(standin, f'binderhub_build_time_seconds_count{{status="{status}"}}') >= 1


def test_what_goes_on_is_counted(serve, cluster) -> None:
    standin = serve()
    before = metric(standin, "binderhub_inprogress_builds")
    stream = standin.build()
    pod = cluster.created()
    assert metric(standin, "binderhub_inprogress_builds") == before + 1
    pod.ends("Succeeded")
    stream.transcript()
    assert metric(standin, "binderhub_inprogress_builds") == before
    for name in ("launch_count", "launch_time_seconds", "inprogress_launches", "github_rate_limit_remaining"):
        assert f"# TYPE binderhub_{name}" in standin.get("metrics").body


@pytest.mark.parametrize("base_url", ["/binder/", "binder", "/binder"])
def test_all_of_it_is_below_the_base(serve, cluster, base_url) -> None:
    standin = serve({"BinderHub": {"base_url": base_url}})
    assert standin.url.endswith("/binder/")
    assert standin.get("versions").status == 200
    stream = standin.build()
    cluster.created().ends("Succeeded")
    assert stream.transcript().image
    standin.url = standin.url.removesuffix("binder/")
    assert standin.get("versions").status == 404


def test_headers_are_those_of_the_configuration(serve) -> None:
    config = {"cors_allow_origin": "https://a.example", "tornado_settings": {"headers": {"X-A": "1"}}}
    standin = serve({"BinderHub": config})
    for path in ("versions", "metrics"):
        headers = standin.get(path).headers
        assert (headers["Access-Control-Allow-Origin"], headers["X-A"]) == ("https://a.example", "1")
    assert serve().get("metrics").headers["Access-Control-Allow-Origin"] is None
    assert standin.get("build/x/y", "OPTIONS").headers["Access-Control-Allow-Headers"] == "cache-control"
