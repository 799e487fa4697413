"""What a change of policies opens and closes, against asking the network about single connections."""

from __future__ import annotations

from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validate.cluster.addresses import Addresses
from validate.cluster.network import Endpoint, Network, Port
from validate.cluster.objects import KubeObject
from validate.cluster.openings import Member, openings
from validate.source import compose

DENY = "{podSelector: {}, policyTypes: [Ingress, Egress]}"


def network(*specs):
    documents = [
        dedent(f"""
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata: {{name: policy-{number}, namespace: binder}}
            spec: {spec}
        """)
        for number, spec in enumerate(specs)
    ]
    fields = compose("---\n".join(documents), "network.yaml")
    return Network.of(tuple(KubeObject(field.plain(), field.writers_at) for field in fields))


def told(before, after, *labels):
    old, new = network(*before), network(*after)
    members = [
        Member(label, old.endpoint({"app": label}, "binder"), new.endpoint({"app": label}, "binder"))
        for label in labels or ("a",)
    ]
    return {
        (one.who, str(one.direction), one.others, one.ports, one.is_open)
        for one in openings(old, new, members)
    }


def egress(peers, ports="[]", pods="{}"):
    return f"{{podSelector: {pods}, policyTypes: [Egress], egress: [{{to: {peers}, ports: {ports}}}]}}"


def test_nothing_changes_without_a_change():
    assert told([DENY], [DENY]) == set()
    assert told([], []) == set()


def test_a_policy_that_goes_opens_everything():
    assert told([DENY], []) == {
        ("a", "Egress", ("every address",), "every port", True),
        ("a", "Ingress", ("every address",), "every port", True),
    }


def test_a_policy_that_comes_closes_everything():
    assert told([], [DENY]) == {
        ("a", "Egress", ("every address",), "every port", False),
        ("a", "Ingress", ("every address",), "every port", False),
    }


@pytest.mark.parametrize(
    ("block", "port", "others", "ports"),
    [
        ("0.0.0.0/0", "{port: 443}", "the internet (IPv4)", "port 443/TCP"),
        ("10.1.0.0/16", "{port: 443}", "10.1.0.0 to 10.1.255.255", "port 443/TCP"),
        ("192.0.2.1/32, except: []", "{port: 1, endPort: 65535}", None, ""),
        (
            "169.254.169.254/32",
            "{protocol: UDP, port: 53}",
            "the cloud's metadata service (169.254.169.254)",
            "port 53/UDP",
        ),
        ("10.1.0.0/16", "{port: 8000, endPort: 8100}", "10.1.0.0 to 10.1.255.255", "port 8000-8100/TCP"),
        ("10.1.0.0/16", "{}", "10.1.0.0 to 10.1.255.255", "every TCP port"),
    ],
)
def test_a_block_opens_what_is_in_it(block, port, others, ports):
    rule = egress(f"[{{ipBlock: {{cidr: {block}}}}}]", f"[{port}]")
    found = {one for one in told([DENY], [DENY, rule]) if one[2] != ("private addresses",)}
    names = {(name, at) for who, _, those, at, is_open in found for name in those if is_open}
    if others is None:
        # Addresses of documentation lead nowhere.
        assert names == set()
    else:
        assert (others, ports) in names


def test_a_selector_opens_to_the_pods_that_it_means():
    rule = egress("[{podSelector: {matchLabels: {app: b}}}]")
    allow_b = "{podSelector: {matchLabels: {app: b}}, policyTypes: [Ingress], ingress: [{}]}"
    assert told([DENY, allow_b], [DENY, allow_b, rule], "a", "b", "c") == {
        ("a", "Egress", ("b",), "every port", True),
        ("c", "Egress", ("b",), "every port", True),
    }


def test_pods_of_other_namespaces_are_named_by_what_selects_them():
    peer = "[{namespaceSelector: {matchLabels: {team: x}}, podSelector: {matchLabels: {app: p}}}]"
    rule = f"{{podSelector: {{}}, policyTypes: [Ingress], ingress: [{{from: {peer}}}]}}"
    assert told([DENY], [DENY, rule]) == {
        ("a", "Ingress", ("pods with app=p in namespaces with team=x",), "every port", True)
    }


def test_every_port_but_one():
    ports = "[{port: 1, endPort: 21}, {port: 23, endPort: 65535}]"
    rule = egress("[{ipBlock: {cidr: 10.1.0.0/16}}]", ports)
    assert told([DENY], [DENY, rule]) == {
        ("a", "Egress", ("10.1.0.0 to 10.1.255.255",), "every TCP port but 22", True)
    }


BLOCKS = ("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "169.254.169.254/32", "8.8.8.0/24")
PORTS = (22, 80, 443, 9999)
RULES = st.lists(
    st.tuples(st.sampled_from(BLOCKS), st.sampled_from(PORTS[:3])).map(
        lambda one: egress(f"[{{ipBlock: {{cidr: {one[0]}}}}}]", f"[{{port: {one[1]}}}]")
    ),
    max_size=3,
)


@given(RULES, RULES, st.sampled_from(["10.1.2.3", "10.9.9.9", "8.8.8.8", "169.254.169.254", "1.1.1.1"]))
def test_a_connection_that_is_new_is_told_and_one_that_is_not_is_not(before, after, address):
    old, new = network(DENY, *before), network(DENY, *after)
    pods = [side.endpoint({"app": "a"}, "binder") for side in (old, new)]
    found = list(openings(old, new, [Member("a", *pods)]))
    for number in PORTS:
        target = Endpoint(Addresses.of(address)), Port(number)
        was, now = old.decide(pods[0], *target).allowed, new.decide(pods[1], *target).allowed
        opened = any(one.is_open and _speaks_of(one, address, number) for one in found)
        closed = any(not one.is_open and _speaks_of(one, address, number) for one in found)
        assert opened == (now and not was)
        assert closed == (was and not now)


def _speaks_of(one, address, number):
    ports = one.ports.removeprefix("port ").replace("/TCP", "").split(", ")
    return bool(one.addresses & Addresses.of(address)) and str(number) in ports
