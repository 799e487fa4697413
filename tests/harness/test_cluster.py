"""The cluster that is asked of kind: pools as the overlay declares them, and a decoy; kind is a script."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.e2e.cluster import Cluster, Ports, find_tool, full_name, pools
from tests.e2e.errors import CannotRunError
from tests.e2e.preflight import free_port
from validate.cluster.facts import read_facts

KIND = r"""
echo "$*" >>"$CALLS"
case "$1 $2" in
"get clusters") printf 'one\ntwo\n' ;;
"create cluster") cp "$8" "$CALLS.config"; cat "$SAYS" >&2; exit 1 ;;
esac
"""
PORTS = Ports(8585, 5001, 8586)


@pytest.fixture
def calls(command, tmp_path, monkeypatch):
    """What kind was called with; everything is written below a directory."""
    monkeypatch.setenv("KIND", str(command("kind", KIND)))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("SAYS", str(tmp_path / "says"))
    (tmp_path / "says").write_text("")
    (tmp_path / "calls").write_text("")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("tests.e2e.cluster._STATE", tmp_path / "state")
    return tmp_path / "calls"


def config(calls):
    """The configuration that kind got."""
    with pytest.raises(CannotRunError):
        Cluster("one", ports=PORTS).create()
    return yaml.safe_load(calls.with_name("calls.config").read_text())


def test_a_description_makes_nothing(calls, tmp_path):
    Cluster("one", ports=PORTS)
    assert list((tmp_path / "here").iterdir()) == []
    assert not (tmp_path / "state").exists()
    assert calls.read_text() == ""


@pytest.mark.parametrize(("name", "there"), [("one", True), ("two", True), ("on", False), ("three", False)])
def test_a_cluster_is_known_by_its_whole_name(calls, name, there):
    assert Cluster(name, ports=PORTS).exists() == there
    assert calls.read_text() == "get clusters\n"


def test_there_is_a_worker_for_each_pool_and_a_decoy(calls):
    control_plane, *workers = config(calls)["nodes"]
    assert control_plane["role"] == "control-plane"
    assert [worker["role"] for worker in workers] == ["worker"] * len(pools())
    declared = read_facts(find_tool("kustomize").parents[1], "overlays/kind/cluster.yaml").pools
    assert [pool.name for pool in pools()] == [*(pool.name for pool in declared), "decoy"]


def test_a_worker_has_the_labels_and_taints_of_its_pool(calls):
    workers = config(calls)["nodes"][1:]
    for worker, pool in zip(workers, pools(), strict=True):
        assert worker["labels"] == pool.labels
        joining = yaml.safe_load(worker["kubeadmConfigPatches"][0])["nodeRegistration"]
        given = [(one["key"], one["value"], one["effect"]) for one in joining["taints"]]
        assert given == [(taint.key, taint.value, taint.effect) for taint in pool.taints]


def test_the_decoy_has_the_taints_of_the_build_pool_and_not_its_label():
    builds, decoy = (next(pool for pool in pools() if pool.name == name) for name in ("builds", "decoy"))
    assert decoy.taints == builds.taints
    assert decoy.taints
    assert not decoy.labels.items() & builds.labels.items()


def test_labels_that_the_kubelet_sets_are_left_to_it():
    assert not [key for pool in pools() for key in pool.labels if key.startswith("kubernetes.io/")]


def test_the_ports_are_those_of_this_machine_alone(calls):
    mapped = config(calls)["nodes"][0]["extraPortMappings"]
    assert {one["listenAddress"] for one in mapped} == {"127.0.0.1"}
    assert {one["hostPort"] for one in mapped} == set(PORTS)
    assert {one["containerPort"] for one in mapped} == {30500, 30585, 30586}


def test_every_node_trusts_the_registry_through_its_own_port(calls, tmp_path):
    nodes = config(calls)["nodes"]
    trusted = tmp_path / "state" / "one" / "certs.d"
    mounts = {json.dumps(node["extraMounts"]) for node in nodes}
    assert [json.loads(mount) for mount in mounts] == [
        [{"hostPath": str(trusted), "containerPath": "/etc/containerd/certs.d", "readOnly": True}]
    ]
    hosts = (trusted / "registry.binderhub.svc:5000" / "hosts.toml").read_text()
    assert 'server = "http://127.0.0.1:30500"' in hosts


@pytest.mark.parametrize(
    ("image", "option"), [("", ""), ("kindest/node:v1.33.4", " --image kindest/node:v1.33.4")]
)
def test_the_image_of_the_nodes_is_kind_s_choice_or_the_named_one(calls, tmp_path, image, option):
    with pytest.raises(CannotRunError):
        Cluster("one", image=image, ports=PORTS).create()
    state = tmp_path / "state" / "one"
    files = f"--kubeconfig {state}/kubeconfig --config {state}/kind.yaml"
    assert calls.read_text() == f"create cluster --name one {files} --wait 120s{option}\n"


PORT_TAKEN = """\
Creating cluster "one" ...
 ✗ Preparing nodes
ERROR: failed to create cluster: command "docker run --privileged ..." failed with error: exit status 125
Command Output: docker: Error response from daemon:
it failed: port is already allocated
"""


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            PORT_TAKEN,
            "docker: Error response from daemon: it failed: port is already allocated",
        ),
        ("one\n\ntwo\nthree\nfour\n", "two three four"),
        ("", ""),
    ],
)
def test_a_failure_is_told_by_what_the_command_said(calls, tmp_path, said, sentence):
    del calls
    (tmp_path / "says").write_text(said)
    with pytest.raises(CannotRunError) as caught:
        Cluster("one", ports=PORTS).create()
    assert str(caught.value) == f"kind create cluster fails: {sentence}"


def test_without_kind_one_sentence_says_what_installs_it(calls, monkeypatch):
    del calls
    monkeypatch.setenv("KIND", "/no/such/kind")
    with pytest.raises(CannotRunError) as caught:
        Cluster("one", ports=PORTS).exists()
    assert str(caught.value) == "/no/such/kind is not there; run `make e2e` or `make up`, which install kind"


def test_what_is_deleted_leaves_nothing_and_once_more_is_fine(calls, tmp_path):
    cluster = Cluster("one", ports=PORTS)
    with pytest.raises(CannotRunError):
        cluster.create()
    assert (tmp_path / "state" / "one").is_dir()
    cluster.delete()
    cluster.delete()
    assert not (tmp_path / "state").exists()
    assert calls.read_text().count("delete cluster --name one") == 2


def test_another_cluster_keeps_what_it_has(calls, tmp_path):
    del calls
    (tmp_path / "state" / "two").mkdir(parents=True)
    Cluster("one", ports=PORTS).delete()
    assert (tmp_path / "state" / "two").is_dir()


@pytest.fixture
def remembered(calls, tmp_path):
    """Return a function: has a cluster of which this is known."""
    del calls

    def write(text):
        (tmp_path / "state" / "one").mkdir(parents=True)
        (tmp_path / "state" / "one" / "cluster.json").write_text(text)
        return Cluster("one", ports=PORTS)

    return write


def test_a_kept_cluster_has_the_ports_that_it_was_made_with(remembered):
    cluster = remembered('{"ports": [1, 2, 3], "loaded": ["a node"]}')
    cluster.remember()
    assert cluster.ports == Ports(1, 2, 3)


@pytest.mark.parametrize(
    "text", ["", "{", "{}", '{"ports": [1, 2], "loaded": []}', '{"ports": [1, 2, 3]}', "[]"]
)
def test_a_cluster_of_which_too_little_is_known_is_one_sentence(remembered, text):
    with pytest.raises(CannotRunError) as caught:
        remembered(text).remember()
    assert str(caught.value) == (
        "a cluster one is there, and nothing is known of it; `make down CLUSTER=one` removes it"
    )


def test_a_kept_cluster_that_does_not_answer_is_one_sentence(remembered, monkeypatch):
    cluster = remembered("{}")
    user = {"name": "admin", "user": {}}
    nowhere = {"name": "nowhere", "cluster": {"server": f"http://127.0.0.1:{free_port()}"}}
    context = {"name": "nowhere", "context": {"cluster": "nowhere", "user": "admin"}}
    kubeconfig = {"users": [user], "clusters": [nowhere], "contexts": [context], "current-context": "nowhere"}
    cluster.kubeconfig_path.parent.mkdir(parents=True, exist_ok=True)
    cluster.kubeconfig_path.write_text(yaml.safe_dump(kubeconfig))
    monkeypatch.setattr("tests.e2e.cluster._ANSWER_SECONDS", 0)
    with pytest.raises(CannotRunError) as caught:
        cluster.require_answer()
    assert str(caught.value) == (
        "a cluster one is there, and does not answer; `make down CLUSTER=one` removes it"
    )


def test_workers_are_called_as_kind_calls_them(calls):
    del calls
    cluster = Cluster("one", ports=PORTS)
    names = [pool.name for pool in pools()]
    assert [cluster.node(name) for name in names][:3] == ["one-worker", "one-worker2", "one-worker3"]
    assert cluster.control_plane == "one-control-plane"


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("python:3.13", "docker.io/library/python:3.13"),
        ("jupyter/base:1", "docker.io/jupyter/base:1"),
        ("docker.io/library/docker:28", "docker.io/library/docker:28"),
        ("quay.io/a/b:1", "quay.io/a/b:1"),
        ("localhost/base:1", "localhost/base:1"),
        ("registry:5000/base:1", "registry:5000/base:1"),
    ],
)
def test_an_image_has_a_registry_in_its_name_as_containerd_keeps_it(reference, name):
    assert full_name(reference) == name
