"""What validate says of nodes is what scheduler, DaemonSet controller and kubelet do."""

from __future__ import annotations

import random
from contextlib import contextmanager

import pytest
import yaml

from tests.e2e.builds import build_pods
from tests.e2e.cases import cases, overlay_of, report_on
from tests.e2e.cluster import DECOY
from tests.e2e.kube import until
from validate.cluster.scheduling import Node, Placement, Taint, admits

NAMESPACE = "placement"
RULE = "build-pod-without-docker-api"
HOSTNAME = "kubernetes.io/hostname"
# Never pulled: nothing here has to run.
IMAGE = "registry.k8s.io/pause:3.10.1"
PLACEMENTS, NODES = 5, 6
KEYS, VALUES = ("example.org/a", "example.org/b"), ("1", "2")
EFFECTS = ("NoSchedule", "NoExecute", "PreferNoSchedule")


@pytest.fixture(scope="module", autouse=True)
def namespace(world):
    world.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    yield
    world.kube.delete("v1", "Namespace", NAMESPACE)


@pytest.fixture
def decoy(world):
    return world.cluster.node(DECOY)


@contextmanager
def relabelled(world, name, labels, taints):
    """Give a node these labels and taints, and in the end those that it had."""
    before = world.kube.core.read_node(name)
    own = dict(before.metadata.labels)
    ours = {key: None for key in own if "/node-purpose" in key or key.startswith("example.org/")}
    world.kube.core.patch_node(
        name,
        {"metadata": {"labels": {**ours, **labels}},
         "spec": {"taints": [{"key": one.key, "value": one.value, "effect": one.effect} for one in taints]}},
    )  # fmt: skip
    try:
        yield
    finally:
        taints_before = [
            {"key": one.key, "value": one.value, "effect": one.effect} for one in before.spec.taints or ()
        ]
        world.kube.core.patch_node(
            name,
            {"metadata": {"labels": {**dict.fromkeys(labels), **own}}, "spec": {"taints": taints_before}},
        )


def printed_node(evidence):
    """The node that a finding prints, as it prints it."""
    _, _, text = evidence.partition("\n")
    node = yaml.safe_load(text.replace("taints: none", "taints: {}"))
    labels = {key: str(value) for key, value in (node.get("labels") or {}).items()}
    taints = node.get("taints") or {}
    written = taints.split() if isinstance(taints, str) else []
    return labels, [taint_of(text) for text in written]


def taint_of(text):
    named, _, effect = text.rpartition(":")
    key, _, value = named.partition("=")
    return Taint(key, value, effect)


def pod(name, spec, node):
    """A pod that wants what ``spec`` says, on one node alone."""
    wanted = {**spec, "nodeSelector": {**spec.get("nodeSelector", {}), HOSTNAME: node}}
    containers = [{"name": "pause", "image": IMAGE}]
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"containers": containers, "terminationGracePeriodSeconds": 0, **wanted},
    }  # fmt: skip


def daemonset(name, spec, node):
    """A DaemonSet whose pods want what ``spec`` says, on one node alone."""
    labels = {"name": name}
    template = {"metadata": {"labels": labels}, "spec": pod(name, spec, node)["spec"]}
    return {
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }  # fmt: skip


def placement_only(spec):
    return {key: spec[key] for key in ("nodeSelector", "affinity", "tolerations") if key in spec}


def is_scheduled(world, name):
    """Wait for the scheduler's verdict on a pod."""

    def verdict():
        found = world.kube.core.read_namespaced_pod(name, NAMESPACE)
        if found.spec.node_name:
            return "yes"
        conditions = found.status.conditions or ()
        return (
            "no" if any(one.type == "PodScheduled" and one.status == "False" for one in conditions) else None
        )

    return until(f"the scheduler has seen {name}", verdict, seconds=30) == "yes"


def is_wanted(world, name):
    """Wait for the DaemonSet controller, and tell whether it wants a pod on the node."""

    def status():
        found = world.kube.apps.read_namespaced_daemon_set(name, NAMESPACE)
        return found.status if found.status.observed_generation == found.metadata.generation else None

    return until(f"the controller has seen {name}", status, seconds=30).desired_number_scheduled > 0


NODE = "this node admits"


@pytest.mark.parametrize(
    "case",
    [case for case in cases(RULE, "bad") if NODE in (case / "expected.txt").read_text(encoding="utf-8")],
    ids=lambda case: case.name,
)
def test_on_the_node_that_validate_prints_a_build_waits_for_ever(case, world, decoy, tmp_path):
    overlay = overlay_of(case, tmp_path / "overlay")
    (evidence,) = (one.evidence for one in report_on(case, tmp_path / "report").findings if one.rule == RULE)
    labels, taints = printed_node(evidence)
    build_pod = {**overlay.build_pod.object.value["spec"]}
    docker_api = overlay.docker_api.pod.spec.value
    with relabelled(world, decoy, labels, taints):
        world.kube.apply(daemonset("docker-api", placement_only(docker_api), decoy))
        # Its volumes as well: what the kubelet says of the socket is what nobody sees.
        created = pod("build", build_pod, decoy)
        world.kube.create(created)
        try:
            assert is_scheduled(world, "build")
            assert not is_wanted(world, "docker-api")
            until(
                "the kubelet finds no socket",
                lambda: any(
                    "is not a socket file" in (event.message or "") for event in events(world, "build")
                ),
                seconds=60,
                state=lambda: [event.message for event in events(world, "build")],
            )
        finally:
            world.kube.core.delete_namespaced_pod("build", NAMESPACE, grace_period_seconds=0)
            world.kube.delete("apps/v1", "DaemonSet", "docker-api", NAMESPACE)
            until("the pod is gone", lambda: not world.kube.pods(NAMESPACE), seconds=30)


def events(world, name):
    return [
        event
        for event in world.kube.core.list_namespaced_event(NAMESPACE).items
        if event.involved_object.name == name
    ]


def a_node(draw):
    labels = {key: draw.choice(VALUES) for key in KEYS if draw.random() < 0.7}
    taints = [
        Taint(key, draw.choice(VALUES), draw.choice(EFFECTS))
        for key in draw.sample(KEYS, draw.choice((0, 1, 1, 2)))
    ]
    return labels, taints


def a_requirement(draw):
    key, operator = draw.choice(KEYS), draw.choice(("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"))
    values = {"In": list(VALUES[:1]), "NotIn": list(VALUES[1:]), "Gt": ["1"], "Lt": ["2"]}.get(operator)
    return {"key": key, "operator": operator, **({"values": values} if values else {})}


def a_toleration(draw):
    operator = draw.choice(("Exists", "Equal"))
    key = draw.choice((*KEYS, *KEYS, "")) if operator == "Exists" else draw.choice(KEYS)
    effect = draw.choice((*EFFECTS, ""))
    return {
        "operator": operator,
        **({"key": key} if key else {}),
        **({"value": draw.choice(VALUES)} if operator == "Equal" else {}),
        **({"effect": effect} if effect else {}),
    }


def a_spec(draw):
    spec = {"tolerations": [a_toleration(draw) for _ in range(draw.choice((0, 1, 2)))]}
    if draw.random() < 0.5:
        spec["nodeSelector"] = {draw.choice(KEYS): draw.choice(VALUES)}
    if draw.random() < 0.5:
        terms = [{"matchExpressions": [a_requirement(draw)]} for _ in range(draw.choice((1, 2)))]
        spec["affinity"] = {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        }
    return spec


@pytest.mark.parametrize("seed", range(NODES))
def test_random_pods_go_where_validate_says(seed, world, decoy):
    draw = random.Random(seed)  # noqa: S311 - the same draw in each run
    labels, taints = a_node(draw)
    specs = {f"pod-{seed}-{number}": a_spec(draw) for number in range(PLACEMENTS)}
    node = Node({**labels, HOSTNAME: decoy}, tuple(taints))
    with relabelled(world, decoy, labels, taints):
        for name, spec in specs.items():
            world.kube.create(pod(name, spec, decoy))
            world.kube.create(daemonset(name, spec, decoy))
        try:
            real = {name: (is_scheduled(world, name), is_wanted(world, name)) for name in specs}
        finally:
            for name in specs:
                world.kube.core.delete_namespaced_pod(name, NAMESPACE, grace_period_seconds=0)
                world.kube.delete("apps/v1", "DaemonSet", name, NAMESPACE)
    predicted = {
        name: tuple(
            admits(Placement.of(pod(name, spec, decoy)["spec"], daemonset=daemon), node)
            for daemon in (False, True)
        )
        for name, spec in specs.items()
    }
    assert real == predicted, (labels, taints, specs)


def test_the_pools_of_the_cluster_are_those_of_the_overlay(world, builds, demo):
    """What every other test stands on: builds are kept off the decoy by its label alone."""
    assert not build_pods(world.kube)
    predicted = builds.predicted(demo, world.installation.render())
    placement = Placement.of(predicted["spec"], daemonset=False)
    admitting = []
    for node in world.kube.core.list_node().items:
        taints = tuple(Taint(one.key, one.value or "", one.effect) for one in node.spec.taints or ())
        if admits(placement, Node(node.metadata.labels, taints, node.metadata.name)):
            admitting.append(node.metadata.name)
    assert admitting == [world.cluster.node("builds")]
