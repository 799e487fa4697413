"""Builds that go well: what clients read, and what the API server is asked."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from urllib3.exceptions import ReadTimeoutError

import binderhub.build
import binderhub.builder
from tests.e2e.streams import Ending
from tests.standin.conftest import IMAGE, REF, REPO

NAME = "build-git-3a-2f-2fgit-2ebinder-2esvc-2fdemo-2egit-5ad678-507-e6"
PODS = "/api/v1/namespaces/binder/pods"
CLONING = '{"message": "Cloning...\\n", "phase": "fetching"}\n'


def test_a_build_is_waited_for_followed_and_reported(standin, cluster) -> None:
    stream = standin.build()
    pod = cluster.created()
    pod.becomes("Running")
    pod.says(CLONING)
    for item in stream:
        if item.phase == "fetching":
            pod.ends("Succeeded")
    kept = stream.transcript()
    assert (kept.status, kept.content_type, kept.ending) == (200, "text/event-stream", Ending.CLOSED)
    assert [event.data for event in kept.events] == [
        {"phase": "waiting", "message": "Waiting for build to start...\n"},
        {"message": "Cloning...\n", "phase": "fetching"},
        {"phase": "ready", "message": "Done! Image built\n", "imageName": IMAGE},
    ]
    assert cluster.calls == [
        f"GET {PODS}?labelSelector=component=image-builder,app=binder",
        f"POST {PODS}",
        f"GET {PODS}?labelSelector=name={NAME}&timeoutSeconds=30&watch=True",
        f"GET {PODS}/{NAME}/log?follow=True&tailLines=100",
        f"DELETE {PODS}/{NAME}",
    ]
    created, deleted = cluster.bodies
    assert created == POD
    assert deleted == {"gracePeriodSeconds": 0}


def follow(stream, pod, *lines: str) -> list[dict[str, str]]:
    """Have the pod run, write lines, and end well once the client has read those; return what it read."""
    if pod.body["status"]["phase"] == "Pending":
        pod.becomes("Running")
    pod.says(*lines)
    wanted = len(stream.events) + len(lines) + (not stream.events)
    while len(stream.events) < wanted:
        next(iter(stream))
    pod.ends("Succeeded")
    kept = stream.transcript()
    assert (kept.events[-1].phase, kept.ending) == ("ready", Ending.CLOSED)
    return [event.data for event in kept.events[1:-1]]


def step(number: int) -> str:
    return json.dumps({"message": f"Step {number}\n", "phase": "building"}) + "\n"


def until(is_so) -> None:
    """Wait for something that the test has no other way to see."""
    for _ in range(1000):
        if is_so():
            return
        time.sleep(0.02)
    raise AssertionError("it never came to it")


def watches(cluster) -> int:
    return sum("watch=True" in call for call in cluster.calls)


def test_log_lines_come_as_they_were_written(standin, cluster) -> None:
    lines = [
        '{"message": "no phase"}\n',
        '{"phase":"pushing", "progress": {"a": "50%"}, "layers": {"a": {"current": 1}}}\n',
        '{"message": "umlaut: \u00e4", "phase": "building"}\n',
        "no JSON at all\n",
        "\n",
    ]
    assert follow(standin.build(), cluster.created(), *lines) == [
        *(json.loads(line) for line in lines[:3]),
        {"phase": "unknown", "message": "no JSON at all\n"},
        {"phase": "unknown", "message": "\n"},
    ]


def test_the_last_lines_alone_are_read_of_a_log_that_is_long_already(serve, cluster) -> None:
    config = {"KubernetesBuildExecutor": {"log_tail_lines": 2}}
    stream = serve(config).build()
    pod = cluster.created()
    pod.says(*map(step, range(5)))
    pod.becomes("Running")
    for item in stream:
        if item.message == "Step 4\n":
            pod.ends("Succeeded")
    assert [event.message for event in stream.transcript().events[1:-1]] == ["Step 3\n", "Step 4\n"]


def test_two_clients_share_a_pod(standin, cluster) -> None:
    first = standin.build()
    pod = cluster.created()
    pod.becomes("Running")
    pod.says(step(1))
    second = standin.build()
    with ThreadPoolExecutor() as threads:
        reads = threads.submit(lambda: [event.data for event in first.transcript().events])
        assert follow(second, pod, step(2), step(3))[0]["message"] == "Step 1\n"
        seen = reads.result(20)
    assert [event["message"] for event in seen[1:-1]] == ["Step 1\n", "Step 2\n", "Step 3\n"]
    assert seen[-1]["imageName"] == IMAGE
    assert (len(cluster.made), cluster.pods) == (1, {})


def test_something_is_said_while_nothing_happens(standin, cluster, monkeypatch) -> None:
    monkeypatch.setattr(binderhub.builder, "KEEPALIVE", 0.05)
    stream = standin.build()
    items = iter(stream)
    while not stream.events:
        next(items)
    assert [next(items).text for _ in range(2)] == [":keepalive", ":keepalive"]
    follow(stream, cluster.created(), step(1))


def test_a_pod_is_watched_for_as_long_as_it_takes(standin, cluster) -> None:
    cluster.watch_seconds = 0.1
    stream = standin.build()
    pod = cluster.created()
    pod.becomes("Running")
    # Each watch begins with the pod as it is: running, again.
    until(lambda: watches(cluster) >= 4)
    assert follow(stream, pod, step(1)) == [json.loads(step(1))]
    assert sum("/log?" in call for call in cluster.calls) == 1


def test_a_watch_that_nothing_comes_of_is_begun_again(standin, cluster, monkeypatch) -> None:
    silent = [ReadTimeoutError(None, "", "nothing for half a minute") for _ in range(2)]

    class Impatient(binderhub.build.Watch):
        def stream(self, *arguments, **options):
            if silent:
                raise silent.pop()
            return super().stream(*arguments, **options)

    monkeypatch.setattr(binderhub.build, "Watch", Impatient)
    assert follow(standin.build(), cluster.created(), step(1)) == [json.loads(step(1))]
    assert silent == []


def test_a_build_goes_on_without_its_client(standin, cluster) -> None:
    started = []

    class Noting(ThreadPoolExecutor):
        def submit(self, *arguments):
            started.append(super().submit(*arguments))
            return started[-1]

    standin.service.builds = Noting()
    stream = standin.build()
    pod = cluster.created()
    pod.becomes("Running")
    stream.close()

    def has_ended() -> bool:
        # That the client has gone is noticed by the next thing that is to be said.
        pod.says(step(1))
        cluster.break_off()
        return all(task.done() for task in started)

    until(has_ended)
    assert [task.result() for task in started] == [None, None]
    assert list(cluster.pods.values()) == [pod]


def test_builds_of_a_repository_stick_to_a_node(serve, cluster) -> None:
    labels = {"component": "image-builder", "app": "binder"}
    for node in ("a", "b"):
        cluster.add("binder", f"docker-api-{node}", labels, spec={"nodeName": node})
    cluster.add("binder", "other", {"component": "image-builder"}, spec={})
    stream = serve({"KubernetesBuildExecutor": {"sticky_builds": True}}).build()
    pod = cluster.created()
    (preferred,) = pod.body["spec"]["affinity"]["nodeAffinity"][
        "preferredDuringSchedulingIgnoredDuringExecution"
    ]
    (expression,) = preferred["preference"]["matchExpressions"]
    assert expression["values"] in (["a"], ["b"])
    follow(stream, pod, step(1))


@pytest.mark.parametrize(
    ("config", "namespace"),
    [
        ({}, "binder"),
        ({"KubernetesBuildExecutor": {"namespace": "k"}}, "k"),
        ({"KubernetesBuildExecutor": {"namespace": "k"}, "BinderHub": {"build_namespace": "b"}}, "b"),
    ],
)
def test_builds_are_made_in_the_namespace(serve, cluster, config, namespace) -> None:
    follow(serve(config).build(), cluster.created(), step(1))
    assert {call.split("/")[4] for call in cluster.calls} == {namespace}


def test_an_image_has_a_name_that_registries_take(serve, cluster) -> None:
    standin = serve({"BinderHub": {"image_prefix": "Registry.example.org/My_Project/r2d-"}})
    stream = standin.build()
    follow(stream, cluster.created(), step(1))
    assert stream.transcript().image.startswith("registry.example.org/my-project/r2d-git-3a")


POD = {
    "metadata": {
        "name": NAME,
        "labels": {"name": NAME, "component": "binderhub-build"},
        "annotations": {"binder-repo": REPO},
    },
    "spec": {
        "restartPolicy": "Never",
        "nodeSelector": {},
        "tolerations": [
            {"key": key, "operator": "Equal", "value": "user", "effect": "NoSchedule"}
            for key in ("hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated")
        ],
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 100,
                        "podAffinityTerm": {
                            "topologyKey": "kubernetes.io/hostname",
                            "labelSelector": {"matchLabels": {"component": "binderhub-build"}},
                        },
                    }
                ]
            }
        },
        "imagePullSecrets": [],
        "volumes": [
            {"name": "docker-socket", "hostPath": {"path": "/var/run/docker.sock", "type": "Socket"}},
            {"name": "docker-config", "secret": {"secretName": "binder-build-docker-config"}},
        ],
        "containers": [
            {
                "name": "builder",
                "image": "quay.io/jupyterhub/repo2docker:2024.07.0",
                "args": [
                    *["jupyter-repo2docker", f"--ref={REF}", f"--image={IMAGE}", "--no-clean", "--no-run"],
                    *["--json-logs", "--user-name=jovyan", "--user-id=1000", "--push", REPO],
                ],
                "env": [],
                "resources": {"limits": {}, "requests": {}},
                "volumeMounts": [
                    {"name": "docker-socket", "mountPath": "/var/run/docker.sock"},
                    {
                        "name": "docker-config",
                        "mountPath": "/root/.docker/config.json",
                        "subPath": "config.json",
                    },
                ],
            }
        ],
    },
}
