"""Repositories become images: built on the build pool, pushed, found again, pulled, and served."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.builds import LIMIT, build_pods, names, recorded
from tests.e2e.cluster import BUILDS, CORE
from tests.e2e.kube import is_ready, summary, until
from tests.e2e.repositories import dockerfile
from tests.e2e.streams import Event, normalise
from tests.e2e.supply import registries_answer

MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
AT_ONCE = 10


def without_what_the_cluster_adds(pod):
    """A pod as it was asked for, after the API server's defaults: no node, no status, no identity."""
    spec = {key: value for key, value in pod["spec"].items() if key != "nodeName"}
    kept = ("name", "namespace", "labels", "annotations")
    return {"metadata": {key: pod["metadata"].get(key) for key in kept}, "spec": spec}


@pytest.fixture(scope="module")
def built(builds, demo, measures):
    """The first build of the demo repository, and the states of its pod."""
    with builds.recorded_pods() as states, measures.stage("first build"):
        transcript = builds.succeed(demo)
    return transcript, states


def test_the_stream_of_a_build_is_that_of_the_real_binderhub(built):
    transcript, _ = built
    assert normalise(transcript) == recorded("success")


def test_the_build_pod_runs_on_the_build_pool(built, world):
    _, states = built
    nodes = {state["spec"].get("nodeName") for state in states} - {None}
    assert nodes == {world.cluster.node(BUILDS)}


def test_the_build_pod_is_the_one_that_validate_predicts(built, builds, demo, world):
    _, states = built
    # Defaults are the API server's to add: it gets the predicted pod, and says what it would make of it.
    predicted = builds.predicted(demo, world.installation.render())
    expected = world.kube.create(predicted, dry_run=True)
    assert without_what_the_cluster_adds(states[0]) == without_what_the_cluster_adds(expected)


def test_the_image_is_in_the_registry(built, world):
    transcript, _ = built
    found = world.manifest(transcript.image)
    assert found is not None
    # An index in its place would be built again with every request.
    assert found["mediaType"] in MANIFESTS


def test_the_image_is_pulled_and_answers(built, world, request):
    transcript, _ = built
    secret = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull", "namespace": "e2e"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": world.kube.core.read_namespaced_secret(
            "registry-credentials", "binderhub").data["config.json"]},
    }  # fmt: skip
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "built", "namespace": "e2e"},
        "spec": {
            "nodeName": world.cluster.node(CORE),
            "imagePullSecrets": [{"name": "pull"}],
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "built", "image": transcript.image}],
        },
    }  # fmt: skip
    for one in (secret, pod):
        world.kube.apply(one)
        name = one["metadata"]["name"]
        request.addfinalizer(lambda kind=one["kind"], name=name: world.kube.delete("v1", kind, name, "e2e"))

    def running():
        found = world.kube.core.read_namespaced_pod("built", "e2e")
        return found if is_ready(found) else None

    ready = until(
        "the built image runs", running, seconds=60,
        state=lambda: summary(world.kube.core.read_namespaced_pod("built", "e2e")),
    )  # fmt: skip
    git = world.kube.the_pod("e2e", "app=git")
    url = f"http://{ready.status.pod_ip}:8888/hello.txt"
    fetch = (
        f"import urllib.request; print(urllib.request.urlopen('{url}', timeout=10).read().decode(), end='')"
    )
    answer = until(
        "the built image answers",
        lambda: world.kube.run_in(
            git, "python3", "-c", f"try:\n {fetch}\nexcept OSError:\n pass", container="http"
        ),
        seconds=30,
    )
    assert answer == "hello from the built image\n"


def test_the_second_request_finds_the_image_without_a_pod(built, builds, demo):
    transcript, _ = built
    with builds.recorded_pods() as states:
        again = builds.run(demo)
    assert normalise(again) == recorded("already-built")
    assert again.image == transcript.image
    assert not states


def test_a_branch_is_built_at_its_newest_commit(builds, world):
    world.repositories.commit("moving", dockerfile("RUN echo one"))
    newest = world.repositories.commit("moving", dockerfile("RUN echo two"))
    transcript = builds.succeed(newest, "main")
    assert transcript.image.endswith(f":{newest.commit}")


def test_two_clients_for_one_commit_share_one_pod(builds, world):
    repo = world.repositories.commit("shared", dockerfile("RUN sleep 4"))
    with builds.recorded_pods() as states, builds.ask(repo) as first:
        for item in first:
            if isinstance(item, Event) and item.phase == "building":
                break
        second = builds.succeed(repo)
        assert first.transcript().image == second.image
    assert len({(state["metadata"]["name"], state["metadata"]["uid"]) for state in states}) == 1


def test_ten_builds_at_once_all_end_well(builds, world):
    repos = [
        world.repositories.commit(f"crowd-{number}", dockerfile(f"RUN echo {number}"))
        for number in range(AT_ONCE)
    ]
    with builds.recorded_pods() as states, ThreadPoolExecutor(AT_ONCE) as pool:
        images = {
            transcript.image
            for transcript in pool.map(lambda repo: builds.succeed(repo, limit=2 * LIMIT), repos)
        }
    assert len(images) == AT_ONCE
    assert len(names(states)) == AT_ONCE
    assert not build_pods(world.kube)


def test_a_repository_of_requirements_is_built(builds, world):
    if not registries_answer():
        pytest.skip(
            "not applicable: no registry answers that has buildpack-deps, which repo2docker builds on"
        )
    repo = world.repositories.commit("requirements", {"requirements.txt": "escapism==1.0.1\n"})
    transcript = builds.succeed(repo, limit=1800)
    assert world.manifest(transcript.image) is not None
