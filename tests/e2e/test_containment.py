"""From inside of a build, nothing is reached that the policies close: first shown to be open to others.

A connection that is refused proves nothing where nobody listens, and a policy proves nothing where nobody
enforces it. So each target is reached from a pod that no policy holds, and a canary shows that the
cluster's network enforces policies at all.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager

import pytest

from tests.e2e.builds import NAMESPACE
from tests.e2e.cluster import BUILDS, CORE
from tests.e2e.kube import applied, is_ready, manifest, until
from tests.e2e.repositories import dockerfile
from tests.e2e.supply import GIT_SERVER

METADATA = "169.254.169.254"
PID_FILE = "/run/metadata.pid"
OF_THE_NODE = "/var/run/docker.sock /run/docker-api /run/binderhub /var/lib/binderhub /var/lib/docker-api"
# Prints as JSON which of the targets accept a connection: now, or once the network plugin has heard of the
# pod, which may take it a moment.
PROBE = """\
import json, socket, sys, time

def is_open(host, port):
    try:
        socket.create_connection((host, port), 3).close()
    except OSError:
        return False
    return True

targets, patience = json.loads(sys.argv[1]), time.monotonic() + float(sys.argv[2])
while True:
    reached = {name: is_open(*target) for name, target in targets.items()}
    if not any(reached.values()) or time.monotonic() > patience:
        break
print("PROBE", json.dumps(reached))
"""


@pytest.fixture(scope="module")
def enforced(world):
    """Skip where the network plugin lets everything pass, whatever the policies say."""
    deny = {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "canary", "namespace": "e2e"},
        "spec": {"podSelector": {"matchLabels": {"app": "canary"}}, "policyTypes": ["Egress"]},
    }  # fmt: skip
    git = world.kube.the_pod("e2e", "app=git")
    target = {"git": (git.status.pod_ip, 9418)}
    with free_pod(world, "canary"):
        until("the canary reaches the git server", lambda: probe(world, "canary", target)["git"], seconds=30)
        with applied(world.kube, [deny]):
            try:
                until("the canary is cut off", lambda: not probe(world, "canary", target)["git"], seconds=30)
            except AssertionError:
                pytest.skip(
                    "not applicable: the network plugin of this cluster does not enforce NetworkPolicy"
                )
    return True


@contextmanager
def free_pod(world, name):
    """Have a pod that no policy holds, on the node of the services."""
    container = {"name": name, "image": GIT_SERVER, "command": ["sleep", "infinity"]}
    node = world.cluster.node(CORE)
    pod = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "e2e", "labels": {"app": name}},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]},
    }  # fmt: skip
    with applied(world.kube, [pod]):
        until(
            f"{name} runs", lambda: is_ready(world.kube.core.read_namespaced_pod(name, "e2e")), seconds=60,
        )  # fmt: skip
        yield
    until(f"{name} is gone", lambda: not world.kube.pods("e2e", f"app={name}"), seconds=30)


def probe(world, name, targets):
    """Which targets a pod of the tests reaches."""
    pod = world.kube.core.read_namespaced_pod(name, "e2e")
    return answers(world.kube.run_in(pod, "python3", "-c", PROBE, json.dumps(targets), "0"))


def answers(text):
    """What a probe printed, wherever it stands in a text."""
    (line,) = {line.partition("PROBE ")[2] for line in text.splitlines() if "PROBE {" in line}
    return json.loads(line.replace('\\"', '"'))


@pytest.fixture(scope="module")
def targets(world, enforced):
    """What is worth reaching from a build, each known to answer a pod that no policy holds."""
    assert enforced
    nodes = {pool: world.cluster.node(pool) for pool in (CORE, BUILDS)}
    address = {pool: world.cluster.address(node) for pool, node in nodes.items()}
    binderhub = world.kube.the_pod(NAMESPACE, "app.kubernetes.io/component=binderhub")
    dns = world.kube.pods("kube-system", "k8s-app=kube-dns")[0]
    service = world.kube.core.read_namespaced_service("kubernetes", "default").spec.cluster_ip
    found = {
        "the API server by its Service": (service, 443),
        "the API server by its node": (world.cluster.address(world.cluster.control_plane), 6443),
        "the kubelet of its own node": (address[BUILDS], 10250),
        "the kubelet of another node": (address[CORE], 10250),
        "the metadata address": (METADATA, 80),
        "BinderHub": (binderhub.status.pod_ip, 8585),
        "another port of the DNS server": (dns.status.pod_ip, 9153),
    }
    with (
        metadata_servers(world, nodes.values()),
        applied(world.kube, manifest("binderhub-for-everybody")),
        free_pod(world, "free"),
    ):
        open_ = until_all_open(world, found)
        assert open_ == dict.fromkeys(found, True)
        world.kube.delete("networking.k8s.io/v1", "NetworkPolicy", "binderhub-for-everybody", NAMESPACE)
        yield found


def until_all_open(world, found):
    seen = {}

    def all_open():
        seen.update(probe(world, "free", found))
        return all(seen.values())

    until("everything is open to a pod that no policy holds", all_open, seconds=60, state=lambda: seen)
    return seen


@contextmanager
def metadata_servers(world, nodes):
    """Have something at the address of the clouds' metadata servers, on every node."""
    nodes = list(nodes)
    for node in nodes:
        world.cluster.on_node(node, "ip", "address", "add", f"{METADATA}/32", "dev", "lo")
        listen = f"socat TCP4-LISTEN:80,bind={METADATA},fork,reuseaddr SYSTEM:true"
        world.cluster.on_node(node, "sh", "-c", f"{listen} >/dev/null 2>&1 & echo $! >{PID_FILE}")
    try:
        yield
    finally:
        for node in nodes:
            world.cluster.on_node(node, "sh", "-c", f"kill $(cat {PID_FILE}); rm {PID_FILE}")
            world.cluster.on_node(node, "ip", "address", "del", f"{METADATA}/32", "dev", "lo")


def test_a_build_reaches_nothing_of_the_cluster(targets, builds, world):
    # docker-api has run for long: its policies hold.
    run = f"RUN python3 /probe.py '{json.dumps(targets)}' 0"
    files = dockerfile(f"ENV at={time.time_ns()}", "COPY probe.py /probe.py", run)
    transcript = builds.succeed(world.repositories.commit("probe", {**files, "probe.py": PROBE}))
    reached = answers("".join(event.message for event in transcript.events))
    assert reached == dict.fromkeys(targets, False)


def test_a_build_pod_reaches_nothing_of_the_cluster(targets, builds, world, demo):
    """The pod that runs repo2docker, which a clone may trick, and not the build that docker-api runs."""
    pod = builds.predicted(demo, world.installation.render())
    pod["metadata"]["name"] = "probe"
    builder = pod["spec"]["containers"][0]
    builder["args"] = ["python3", "-c", PROBE, json.dumps(targets), "20"]
    world.kube.create(pod)
    try:
        log = until("the probe is done", lambda: finished_log(world, "probe"), seconds=60)
    finally:
        world.kube.core.delete_namespaced_pod("probe", NAMESPACE, grace_period_seconds=0)
    assert answers(log) == dict.fromkeys(targets, False)


def finished_log(world, name):
    pod = world.kube.core.read_namespaced_pod(name, NAMESPACE)
    if pod.status.phase not in ("Succeeded", "Failed"):
        return None
    return "\n".join(world.kube.log(pod, "builder"))


@pytest.mark.usefixtures("enforced")
def test_a_build_sees_no_socket_and_no_directory_of_its_node(builds, world):
    look = f"for path in {OF_THE_NODE}; do [ ! -e $path ] || echo FOUND $path; done; echo LOOKED"
    files = dockerfile(f"ENV at={time.time_ns()}", f"RUN {look}")
    transcript = builds.succeed(world.repositories.commit("look", files))
    text = "".join(event.message for event in transcript.events)
    assert "LOOKED" in text
    lines = [line for line in text.splitlines() if "FOUND /" in line and "RUN" not in line]
    assert not lines
