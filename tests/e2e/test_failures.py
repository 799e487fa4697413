"""Each failure says why within a bound, leaves nothing behind, and the next build ends well.

Where the stream of the real BinderHub is recorded for a case, this one is the same.
"""

from __future__ import annotations

import base64
import json
import re
import time
from contextlib import contextmanager

import pytest
from kubernetes import client

from tests.e2e.builds import build_pods, recorded
from tests.e2e.cluster import BUILDS
from tests.e2e.installation import json_patch
from tests.e2e.kube import until
from tests.e2e.repositories import Repository, dockerfile
from tests.e2e.streams import Ending, Event, normalise

NAMESPACE = "binderhub"
DOCKER_API = "app.kubernetes.io/component=docker-api"
BINDERHUB = "app.kubernetes.io/component=binderhub"
REGISTRY = "app.kubernetes.io/component=registry"
SOCKET = "/run/binderhub/binderhub/binderhub/docker-api.sock"
# How long a person waits for the reason of a failure.
BOUND = 60
# No node has this label.
NOWHERE = {"op": "add", "path": "/spec/template/spec/nodeSelector/nowhere", "value": "true"}


def text(transcript):
    """All messages of a stream."""
    return "".join(event.message for event in transcript.events)


def failed(transcript):
    """The stream, of a build that failed in time."""
    ends = [event for event in transcript.events if event.is_terminal]
    assert ends, f"the stream has no end:\n{transcript}"
    assert ends[0].phase == "failed", transcript
    assert ends[0].seconds < BOUND, transcript
    return transcript


def read_until(stream, words):
    """Read a stream until a message has these words."""
    for item in stream:
        if isinstance(item, Event) and words in item.message:
            return
    raise AssertionError(f"{words!r} is not in the stream:\n{stream.transcript()}")


def events_of_build_pods(world):
    """What the cluster says of the build pods that there are."""
    names = {pod.metadata.name for pod in build_pods(world.kube)}
    return [
        f"{event.reason}: {event.message}"
        for event in world.kube.core.list_namespaced_event(NAMESPACE).items
        if event.involved_object.name in names
    ]


def wait_for_event(world, words):
    """Wait until the cluster says this of a build pod."""
    until(
        f"an event of a build pod with {words!r}",
        lambda: any(words in event for event in events_of_build_pods(world)),
        seconds=BOUND,
        state=lambda: events_of_build_pods(world),
    )


def delete_build_pods(world):
    for pod in build_pods(world.kube):
        world.kube.core.delete_namespaced_pod(pod.metadata.name, NAMESPACE, grace_period_seconds=0)


def gone(world, selector):
    """Wait until no pod with these labels is left."""
    until(
        f"no pod with {selector}", lambda: not world.kube.pods(NAMESPACE, selector), seconds=BOUND,
        state=lambda: [pod.status.phase for pod in world.kube.pods(NAMESPACE, selector)],
    )  # fmt: skip


@pytest.fixture
def node(world):
    """The node that builds."""
    return world.cluster.node(BUILDS)


@pytest.fixture
def secret(world, request):
    """Make a Secret in the namespace of the builds, for one test."""

    def make(name, data):
        metadata = {"name": name, "namespace": NAMESPACE}
        world.kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})
        request.addfinalizer(lambda: world.kube.delete("v1", "Secret", name, NAMESPACE))
        return name

    return make


@pytest.fixture
def repo(world, request):
    """Make a repository of a Dockerfile, its ``FROM`` given; each test has its own."""

    def make(*lines):
        name = re.sub(r"[^a-z0-9-]", "-", request.node.name)
        # A commit of its own in each run: a kept cluster has the images of earlier ones.
        return world.repositories.commit(name, dockerfile(*lines, f"LABEL at={time.time_ns()}"))

    return make


@pytest.fixture(autouse=True)
def the_next_build_ends_well(world, builds):
    """Whatever a test did: after it, a build ends well."""
    yield
    repo = world.repositories.commit("after", dockerfile(f"LABEL after={time.time_ns()}"))
    builds.succeed(repo)


def base64_of(text):
    return base64.b64encode(text.encode()).decode()


def credentials(password):
    """The docker configuration of the overlay's registry, with this password."""
    auth = base64_of(f"binderhub:{password}")
    return json.dumps({"auths": {"http://registry.binderhub.svc:5000": {"auth": auth}}})


def test_a_dockerfile_that_fails(builds, repo):
    transcript = failed(builds.run(repo("RUN exit 3")))
    assert normalise(transcript) == recorded("run-step-fails")
    assert "exit code: 3" in text(transcript)


@pytest.mark.parametrize(
    ("url", "ref", "says"),
    [
        ("git://git.e2e.svc/demo.git", "no-such-branch", "Could not resolve ref"),
        ("git://git.e2e.svc/no-such-repository.git", "main", "Error resolving ref"),
        ("file:///srv/git/demo.git", "main", "Unsupported git url"),
    ],
)
@pytest.mark.usefixtures("demo")
def test_a_ref_that_does_not_exist(builds, url, ref, says):
    with builds.recorded_pods() as states:
        transcript = failed(builds.run(Repository(url, ""), ref))
    assert says in text(transcript)
    assert transcript.ending is Ending.CLOSED
    assert not states


def test_a_wrong_push_password(builds, repo, secret, install, world):
    name = secret("wrong-credentials", {"config.json": credentials("wrong")})
    install(config={"KubernetesBuildExecutor": {"push_secret": name}})
    transcript = failed(builds.run(repo("RUN true")))
    assert normalise(transcript) == recorded("wrong-password-private-base")
    assert "401 Unauthorized" in text(transcript)
    scratch = {"Dockerfile": "FROM scratch\nCOPY hello.txt /\n", "hello.txt": f"{time.time_ns()}\n"}
    transcript = failed(builds.run(world.repositories.commit("from-scratch", scratch)))
    assert normalise(transcript) == recorded("wrong-password-push")
    assert "unauthorized" in text(transcript)


def test_a_push_secret_with_another_key(builds, repo, secret, install):
    name = secret("another-key", {".dockerconfigjson": credentials("throw-away-password")})
    install(config={"KubernetesBuildExecutor": {"push_secret": name}})
    transcript = failed(builds.run(repo("RUN true")))
    assert normalise(transcript) == recorded("wrong-secret-key")
    assert "is a directory" in text(transcript)


def test_a_push_secret_that_is_missing(builds, repo, install, world):
    install(config={"KubernetesBuildExecutor": {"push_secret": "no-such-secret"}})
    with builds.ask(repo("RUN true")) as stream:
        wait_for_event(world, 'secret "no-such-secret" not found')
        delete_build_pods(world)
        assert normalise(stream.transcript()) == recorded("push-secret-missing-then-deleted")


def test_no_node_for_the_build_pod(builds, repo, install, world):
    install(config={"KubernetesBuildExecutor": {"node_selector": {"nowhere": "true"}}})
    with builds.ask(repo("RUN true")) as stream:
        wait_for_event(world, "didn't match Pod's node affinity/selector")
        delete_build_pods(world)
        assert normalise(stream.transcript()) == recorded("no-node-for-the-build-pod-then-deleted")


def test_a_password_that_is_rotated(builds, repo, install, world):
    # As docs/how-to/rotate-credentials.md says: the registry's side, the Secret, and then BinderHub again.
    entry = "binderhub:$2y$05$oxmddd2Rd3OxnyZgee5vFetsdBlecOhVZNboc9yJ4ioLcJLKZqy3."
    rotated = [
        json_patch("Secret", name, {"op": "replace", "path": f"/data/{key}", "value": base64_of(value)})
        for name, key, value in (
            ("registry-htpasswd", "htpasswd", entry + "\n"),
            ("registry-credentials", "config.json", credentials("another-throw-away-password")),
        )
    ]
    try:
        install(patches=rotated)
        wanted = repo("RUN true")
        # BinderHub read the password when it started.
        stale = failed(builds.run(wanted))
        assert stale.events[-1].data["status_code"] == 500
        assert stale.ending is Ending.CLOSED
        restart(world, BINDERHUB)
        builds.succeed(wanted)
    finally:
        install()
        restart(world, BINDERHUB)


def restart(world, selector):
    """Delete a pod at once, and wait for the next one."""
    pod = world.kube.the_pod(NAMESPACE, selector)
    world.kube.core.delete_namespaced_pod(pod.metadata.name, NAMESPACE, grace_period_seconds=0)
    until(f"another pod with {selector}", lambda: pod.metadata.uid not in
          {one.metadata.uid for one in world.kube.pods(NAMESPACE, selector)}, seconds=BOUND)  # fmt: skip
    world.kube.the_pod(NAMESPACE, selector)
    world.wait_for_answer()


def test_a_registry_that_is_down_during_the_push(builds, repo, world):
    with builds.ask(repo("RUN echo begun && sleep 5")) as stream:
        read_until(stream, "begun")
        world.kube.apps.patch_namespaced_deployment_scale("registry", NAMESPACE, {"spec": {"replicas": 0}})
        try:
            transcript = failed(stream.transcript())
        finally:
            world.kube.apps.patch_namespaced_deployment_scale(
                "registry", NAMESPACE, {"spec": {"replicas": 1}}
            )
            world.kube.the_pod(NAMESPACE, REGISTRY)
            # It keeps nothing: its store is an emptyDir.
            world.keep_base()
    assert "dial tcp" in text(transcript)


def test_docker_api_that_is_killed_during_a_build(builds, repo, world, node):
    wanted = repo("RUN echo begun && sleep 20")
    with builds.ask(wanted) as stream:
        read_until(stream, "begun")
        world.cluster.on_node(node, "pkill", "-KILL", "-x", "dockerd")
        transcript = failed(stream.transcript())
    assert "daemon" in text(transcript) or "EOF" in text(transcript) or "transport" in text(transcript)
    world.kube.the_pod(NAMESPACE, DOCKER_API)


def test_docker_api_that_comes_after_the_build_pod(builds, repo, install, world):
    wanted = repo("RUN true")
    with without_docker_api(install, world):
        alone = builds.run(wanted, limit=8)
        assert normalise(alone) == recorded("no-docker-api-on-the-node")
        wait_for_event(world, "is not a socket file")
        stream = builds.ask(wanted)
    with stream:
        assert normalise(stream.transcript()) == recorded("docker-api-gone-and-back")


def test_a_directory_at_the_socket_path(builds, repo, install, world, node):
    with without_docker_api(install, world):
        world.cluster.on_node(node, "rm", "-f", SOCKET)
        world.cluster.on_node(node, "mkdir", "-p", SOCKET)
    assert world.cluster.on_node(node, "stat", "--format=%F", SOCKET).strip() == "socket"
    builds.succeed(repo("RUN true"))


@contextmanager
def without_docker_api(install, world):
    """Have no docker-api anywhere, and in the end have it again."""
    install(patches=[json_patch("DaemonSet", "docker-api", NOWHERE)])
    gone(world, DOCKER_API)
    yield
    install()
    world.kube.the_pod(NAMESPACE, DOCKER_API)


def test_a_daemon_that_hangs(builds, repo, install, world, node):
    # The probe of base/docker-api ends a hung daemon after two minutes; here it has less patience.
    probe = {
        "periodSeconds": 5,
        "timeoutSeconds": 3,
        "failureThreshold": 2,
        "terminationGracePeriodSeconds": 1,
    }
    path = "/spec/template/spec/containers/0/livenessProbe"
    impatient = [{"op": "add", "path": f"{path}/{key}", "value": value} for key, value in probe.items()]
    install(patches=[json_patch("DaemonSet", "docker-api", *impatient)])
    world.kube.the_pod(NAMESPACE, DOCKER_API)
    world.cluster.on_node(node, "pkill", "-STOP", "-x", "dockerd")
    transcript = failed(builds.run(repo("RUN true")))
    assert normalise(transcript) == recorded("dockerd-hung")
    assert "Cannot connect to the Docker daemon" in text(transcript)


def test_a_node_that_is_drained(builds, repo, world, node):
    with builds.ask(repo("RUN echo begun && sleep 30")) as stream:
        read_until(stream, "begun")
        world.kube.core.patch_node(node, {"spec": {"unschedulable": True}})
        try:
            for pod in build_pods(world.kube):
                metadata = client.V1ObjectMeta(name=pod.metadata.name, namespace=NAMESPACE)
                options = client.V1DeleteOptions(grace_period_seconds=0)
                world.kube.core.create_namespaced_pod_eviction(
                    pod.metadata.name, NAMESPACE, client.V1Eviction(metadata=metadata, delete_options=options)
                )
            transcript = failed(stream.transcript())
        finally:
            world.kube.core.patch_node(node, {"spec": {"unschedulable": None}})
    assert normalise(transcript) == recorded("build-pod-killed")


def test_binderhub_that_is_restarted_during_a_build(builds, repo, world):
    wanted = repo("RUN echo begun && sleep 15")
    with builds.recorded_pods() as states, builds.ask(wanted) as stream:
        read_until(stream, "begun")
        restart(world, BINDERHUB)
        cut = stream.transcript()
        assert not any(event.is_terminal for event in cut.events), cut
        assert cut.ending is not Ending.LEFT
        builds.succeed(wanted)
    assert len({state["metadata"]["uid"] for state in states}) == 1


def test_an_api_server_that_is_restarted_during_a_build(builds, repo, world):
    wanted = repo("RUN echo begun && sleep 10")
    with builds.ask(wanted) as stream:
        read_until(stream, "begun")
        world.cluster.on_node(world.cluster.control_plane, "pkill", "-KILL", "-x", "kube-apiserver")
        transcript = stream.transcript()
    assert any(event.is_terminal for event in transcript.events) or transcript.ending is Ending.CLOSED
    until("the API server answers", lambda: world.kube.core.list_namespace().items, seconds=2 * BOUND)
    builds.succeed(wanted)


def test_a_disk_that_is_full(builds, repo, world, node):
    with small_storage(world, node, mebibytes=300):
        transcript = failed(builds.run(repo("RUN head -c 400M /dev/zero >/large")))
    assert "no space left on device" in text(transcript).lower()


@contextmanager
def small_storage(world, node, *, mebibytes):
    """Give docker-api a small file system for its data."""
    mount = ("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", "/var/lib/binderhub")
    world.cluster.on_node(node, *mount)
    restart(world, DOCKER_API)
    try:
        yield
    finally:
        # The pod that still runs keeps it; the next one has the node's disk again.
        world.cluster.on_node(node, "umount", "--lazy", "/var/lib/binderhub")
        restart(world, DOCKER_API)


def test_a_build_that_outlives_the_limit(builds, repo, install):
    install(config={"KubernetesCleaner": {"max_age": 10}})
    transcript = failed(builds.run(repo("RUN echo begun && sleep 120")))
    assert normalise(transcript) == recorded("build-pod-killed")
