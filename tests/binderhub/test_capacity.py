"""On which declared pools builds can run, and how many at a time."""

from __future__ import annotations

import yaml

from validate.binderhub.capacity import capacity
from validate.cluster.facts import NodePool
from validate.cluster.limits import parse_quantity
from validate.cluster.objects import KubeObject
from validate.cluster.scheduling import Node, Taint


def pod(spec, kind="Pod"):
    value = {"kind": kind, "spec": yaml.safe_load(spec)}
    if kind == "DaemonSet":
        value["spec"] = {"template": {"spec": value["spec"]}}
    return KubeObject(value, lambda _: ())


def pool(name, labels=None, taints=(), **allocatable):
    amounts = {key: parse_quantity(value) for key, value in allocatable.items()}
    return NodePool(name=name, node=Node(labels or {}, taints), allocatable=amounts, place=None)


def build(requests="{}", selector="{}"):
    return pod(
        f"{{nodeSelector: {selector}, containers: [{{name: b, resources: {{requests: {requests}}}}}]}}"
    )


def daemon(requests="{}", selector="{}"):
    spec = f"{{nodeSelector: {selector}, containers: [{{name: d, resources: {{requests: {requests}}}}}]}}"
    return pod(spec, "DaemonSet")


def told(pools, builds, daemons, others=()):
    return [str(one) for one in capacity(pools, builds.pod, daemons.pod if daemons else None, [*others])]


def test_a_pool_has_to_admit_both():
    pools = [
        pool("both", {"a": "1", "b": "1"}),
        pool("build only", {"a": "1"}),
        pool("daemon only", {"b": "1"}),
        pool("tainted", {"a": "1", "b": "1"}, (Taint("x", "", "NoSchedule"),)),
    ]
    assert told(pools, build(selector="{a: '1'}"), daemon(selector="{b: '1'}")) == ["both"]
    assert told(pools, build(selector="{a: '1'}"), None) == ["both", "build only"]


def test_what_is_scarcer_decides_how_many_fit():
    pools = [pool("p", cpu="4", memory="8Gi")]
    assert told(pools, build("{cpu: 1, memory: 1Gi}"), daemon()) == ["p (4 at a time on a node)"]
    assert told(pools, build("{cpu: 1, memory: 3Gi}"), daemon()) == ["p (2 at a time on a node)"]


def test_daemon_sets_of_the_tree_take_their_share_of_the_pools_that_admit_them():
    own, other = daemon("{cpu: 1}"), daemon("{cpu: 2}", "{elsewhere: '1'}")
    assert told([pool("p", cpu="4")], build("{cpu: 1}"), own, [own, other]) == ["p (3 at a time on a node)"]


def test_what_is_not_declared_is_not_counted():
    assert told([pool("p")], build("{cpu: 1}"), daemon()) == ["p"]
    assert told([pool("p", cpu="4")], build(), daemon()) == ["p"]
