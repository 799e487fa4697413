"""Two installations in two namespaces build at the same time, on one node, and never meet there."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.builds import Builds
from tests.e2e.cluster import BUILDS, SECOND_PORT
from tests.e2e.installation import Installation, json_patch
from tests.e2e.kube import until
from tests.e2e.repositories import dockerfile
from tests.e2e.sync import Application
from tests.e2e.world import wait_for_answer

NAMESPACE = "binderhub-two"
DOCKER_API = "app.kubernetes.io/component=docker-api"


@pytest.fixture(scope="module")
def second(world):
    """A second installation beside the first, as docs/how-to/run-two-installations.md describes it."""
    port = {"op": "replace", "path": "/spec/ports/0/nodePort", "value": SECOND_PORT}
    installation = Installation(
        overlay=Path("tests/e2e/second"),
        namespace=NAMESPACE,
        patches=[json_patch("Service", "binderhub-node-port", port)],
    )
    application = Application("binderhub-two", world.kube)
    application.sync(installation.render())
    builds = Builds(world, NAMESPACE, world.second_url)
    wait_for_answer(builds.url)
    yield builds
    application.delete()
    until("the namespace is gone", lambda: not world.kube.get("v1", "Namespace", NAMESPACE), seconds=120)


def test_both_build_at_the_same_time_on_one_node(world, builds, second):
    lines = (f"ENV at={time.time_ns()}", "RUN echo begun && sleep 6")
    repo = world.repositories.commit("both", dockerfile(*lines))
    with (
        builds.recorded_pods() as of_the_first,
        second.recorded_pods() as of_the_second,
        ThreadPoolExecutor() as pool,
    ):
        images = [
            transcript.image for transcript in pool.map(lambda one: one.succeed(repo), (builds, second))
        ]
    assert images[0].startswith("registry.binderhub.svc:5000/binderhub/")
    assert images[1].startswith("registry.binderhub.svc:5000/second/")
    running = [running_time(states) for states in (of_the_first, of_the_second)]
    assert max(begin for begin, _ in running) < min(end for _, end in running)
    nodes = {
        state["spec"]["nodeName"] for state in (*of_the_first, *of_the_second) if "nodeName" in state["spec"]
    }
    assert nodes == {world.cluster.node(BUILDS)}


def running_time(states):
    """From the first state in which a pod runs to the last one."""
    terminated = [
        status["state"]["terminated"]
        for state in states
        for status in state["status"].get("containerStatuses", ())
        if "terminated" in status["state"]
    ]
    return terminated[-1]["startedAt"], terminated[-1]["finishedAt"]


def test_each_has_a_daemon_of_its_own(world, builds, second):
    """What one daemon has built, the other does not know."""
    repo = world.repositories.commit("one", dockerfile(f"ENV at={time.time_ns()}"))
    image = builds.succeed(repo).image
    known = {}
    for one in (builds, second):
        pod = world.kube.the_pod(one.namespace, DOCKER_API)
        listed = ("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
        known[one.namespace] = world.kube.run_in(pod, *listed, container="docker-api").split()
    assert image in known[builds.namespace]
    assert image not in known[NAMESPACE]


def test_a_build_pod_may_not_mount_the_socket_of_the_other(world, second, demo):
    pod = second.predicted(demo, Installation().render())
    pod["metadata"]["namespace"] = NAMESPACE
    refusal = world.kube.refusal(pod)
    assert "a build pod mounts one socket below /run/binderhub/<its namespace>" in refusal
