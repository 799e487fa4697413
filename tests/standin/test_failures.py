"""How builds fail: what the client is told, and whether the stream ends."""

from __future__ import annotations

import json
from concurrent.futures import Executor, Future

import pytest

import binderhub.builder
from tests.e2e.streams import Ending
from tests.standin.conftest import IMAGE, WAITING, open_after

UNHANDLED = {
    "phase": "failed",
    "message": "Unhandled error watching for build events. Please try again.\n",
}
SAYS = {"message": "Step 1\n", "phase": "building"}
SAYS_FAILED = {"message": "Error during build: no\n", "phase": "failed"}


def run(stream, pod, *events: dict[str, str], phase: str) -> None:
    """Have the pod run, say something, and end once the client has read that."""
    pod.becomes("Running")
    pod.says(*(json.dumps(event) + "\n" for event in events))
    for item in stream:
        if item.data == events[-1]:
            pod.ends(phase)


def told(stream) -> list[dict[str, str]]:
    return [event.data for event in stream.transcript().events]


@pytest.mark.parametrize("word", ["failed", "failure"])
def test_after_a_failed_build_the_stream_stays_open(standin, cluster, word) -> None:
    stream = standin.build(**open_after(4))
    run(stream, cluster.created(), {"message": "no\n", "phase": word}, phase="Failed")
    bare = {"phase": "failed"}
    # Once for its phase, once for its end.
    assert told(stream) == [WAITING, {"message": "no\n", "phase": word}, bare, bare]
    assert stream.ending == Ending.LEFT
    assert cluster.pods == {}


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        ("list pods", 403),
        ("create pods", 403),
        ("create pods", 422),
        ("create pods", 500),
        ("watch pods", 403),
    ],
)
def test_a_call_that_is_refused_ends_the_stream(standin, cluster, refused, status) -> None:
    cluster.refuses = {refused: status}
    cluster.hold(refused)
    stream = standin.build()
    standin.comes_to_wait(stream)
    cluster.release()
    assert told(stream) == [WAITING, UNHANDLED]
    assert stream.ending == Ending.CLOSED


def test_a_log_that_is_refused_ends_the_stream_and_the_pod_runs_on(standin, cluster) -> None:
    cluster.refuses = {"get pods/log": 403}
    stream = standin.build()
    pod = cluster.created()
    standin.comes_to_wait(stream)
    pod.becomes("Running")
    assert told(stream) == [WAITING, UNHANDLED]
    assert stream.ending == Ending.CLOSED
    assert list(cluster.pods.values()) == [pod]


def test_a_deletion_that_is_refused_hides_a_success(standin, cluster) -> None:
    cluster.refuses = {"delete pods": 403}
    stream = standin.build()
    pod = cluster.created()
    pod.becomes("Running")
    pod.says(json.dumps(SAYS) + "\n")
    for item in stream:
        if item.data == SAYS:
            standin.settle()
            pod.ends("Succeeded")
    assert told(stream) == [WAITING, SAYS, UNHANDLED]
    assert stream.ending == Ending.CLOSED
    assert list(cluster.pods.values()) == [pod]


def test_a_pod_that_is_gone_already_need_not_be_deleted(standin, cluster) -> None:
    cluster.keeps = True
    stream = standin.build()
    pod = cluster.created()
    # Whoever deleted it was faster, and the watch has yet to tell.
    cluster.pods.clear()
    pod.ends("Succeeded")
    cluster.is_asked("DELETE")
    pod.goes()
    assert told(stream)[-1] == {"phase": "ready", "message": "Done! Image built\n", "imageName": IMAGE}


class Immediately(Executor):
    """Does what it is given before it says so."""

    def submit(self, do, /, *arguments, **options) -> Future:
        task: Future = Future()
        try:
            task.set_result(do(*arguments, **options))
        except Exception as error:  # noqa: BLE001 - as any executor
            task.set_exception(error)
        return task


def test_an_error_while_an_event_is_sent_is_not_told(standin, cluster) -> None:
    cluster.refuses = {"create pods": 403}
    standin.service.builds = Immediately()
    stream = standin.build()
    assert told(stream) == [WAITING]
    assert stream.ending == Ending.CLOSED


def test_a_build_that_no_pod_can_be_made_for_ends_the_stream(serve, cluster) -> None:
    # Nothing is labelled as an image builder, and BinderHub takes the first of none.
    cluster.hold("list pods")
    standin = serve({"KubernetesBuildExecutor": {"sticky_builds": True}})
    stream = standin.build()
    standin.comes_to_wait(stream)
    cluster.release()
    assert told(stream) == [WAITING, UNHANDLED]
    assert [call.split()[0] for call in cluster.calls] == ["GET"]


@pytest.mark.parametrize(
    ("phase", "events"),
    [
        ("Succeeded", [{"phase": "ready", "message": "Done! Image built\n", "imageName": IMAGE}]),
        ("Failed", [{"phase": "failed"}, {"phase": "failed"}]),
    ],
)
def test_of_a_pod_that_nobody_saw_running_there_is_no_log(standin, cluster, phase, events) -> None:
    stream = standin.build(**open_after(1 + len(events)))
    pod = cluster.created()
    pod.says(json.dumps(SAYS) + "\n")
    pod.ends(phase)
    assert told(stream) == [WAITING, *events]
    assert not any("/log" in call for call in cluster.calls)


def test_a_node_that_is_lost_is_told_and_waited_for(standin, cluster) -> None:
    stream = standin.build(**open_after(2))
    cluster.created().becomes("Unknown")
    assert told(stream) == [WAITING, {"phase": "unknown"}]
    assert stream.ending == Ending.LEFT


def test_a_log_line_that_is_json_and_no_object_is_an_internal_error(standin, cluster) -> None:
    stream = standin.build()
    pod = cluster.created()
    pod.becomes("Running")
    pod.says("[1]\n")
    assert told(stream) == [
        WAITING,
        {"phase": "failed", "status_code": 500, "message": "Internal Server Error\n"},
    ]
    assert stream.ending == Ending.CLOSED


LAUNCHING = [
    {"phase": "launching", "message": "Launching server...\n"},
    *(
        {"phase": "launching", "message": f"Launch attempt {attempt} failed, retrying...\n"}
        for attempt in (1, 2, 3)
    ),
    {"phase": "failed", "status_code": 500, "message": "Internal Server Error\n"},
]


@pytest.mark.parametrize("build_only", ["", "1", "yes", "false"])
def test_a_launch_without_a_hub_fails_after_the_build(serve, cluster, build_only) -> None:
    standin = serve({"Launcher": {"retry_delay": 0}})
    stream = standin.build(query={"build_only": build_only})
    run(stream, cluster.created(), SAYS, phase="Succeeded")
    built = {"phase": "built", "message": "Built image, launching...\n", "imageName": IMAGE}
    assert told(stream) == [WAITING, SAYS, built, *LAUNCHING]
    assert stream.ending == Ending.CLOSED


def test_an_image_that_is_there_is_not_launched_either(serve, registry) -> None:
    name, _, tag = IMAGE.partition("/")[2].rpartition(":")
    registry.manifests[f"/v2/{name}/manifests/{tag}"] = {"schemaVersion": 2}
    standin = serve({"Launcher": {"retry_delay": 0}})
    stream = standin.build(query={"build_only": ""})
    found = {"phase": "built", "imageName": IMAGE, "message": "Found built image, launching...\n"}
    assert told(stream) == [found, *LAUNCHING]


def test_what_would_have_been_launched_is_closed_later_when_the_build_is_lost(
    standin, cluster, monkeypatch
) -> None:
    monkeypatch.setattr(binderhub.builder, "LINGER", 30)
    cluster.refuses = {"create pods": 403}
    cluster.hold("create pods")
    stream = standin.build(query={"build_only": ""}, **open_after(2))
    standin.comes_to_wait(stream)
    cluster.release()
    assert told(stream) == [WAITING, UNHANDLED]
    assert stream.ending == Ending.LEFT
