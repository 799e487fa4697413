"""Who may send to whom, against a model that asks each policy in turn about single addresses."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from textwrap import dedent

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from validate.cluster.addresses import Addresses
from validate.cluster.network import (
    ContainerPort,
    Direction,
    Endpoint,
    Network,
    Port,
    named_ports,
    other_policies,
)
from validate.cluster.objects import KubeObject
from validate.source import compose

HTTP = ContainerPort("http", 8585)
PUBLIC = "198.51.100.7"


def objects(*documents):
    text = "---\n".join(dedent(document) for document in documents)
    return tuple(KubeObject(field.plain(), field.writers_at) for field in compose(text, "network.yaml"))


def policy(spec, namespace="binder", name="policy"):
    """Return a NetworkPolicy whose ``spec`` is written in flow style."""
    return f"""
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {{name: {name}, namespace: {namespace}}}
        spec: {spec}
    """


DENY = policy("{podSelector: {}, policyTypes: [Ingress, Egress]}", name="default-deny")


def network(*specs):
    return Network.of(objects(*(spec if "kind:" in spec else policy(spec) for spec in specs)))


def pod(net, labels="app=a", namespace="binder", ports=(), addresses="10.0.0.1"):
    pairs = dict(label.split("=") for label in labels.split(",") if label)
    return net.endpoint(pairs, namespace, ports, Addresses.of(addresses))


def outside(*blocks):
    return Endpoint(Addresses.of(*blocks))


def allowed(net, source, destination, number=80, protocol="TCP"):
    return net.decide(source, destination, Port(number, protocol)).allowed


def test_without_policies_everything_is_open():
    net = network()
    assert allowed(net, pod(net), outside(PUBLIC))
    assert allowed(net, outside(PUBLIC), pod(net))
    assert net.reachable(pod(net), Addresses.of("0.0.0.0/0"), Port(80)) == Addresses.of("0.0.0.0/0")


def test_a_policy_of_another_namespace_or_for_other_pods_isolates_nobody():
    elsewhere = policy("{podSelector: {}, policyTypes: [Egress]}", namespace="elsewhere")
    net = network(elsewhere, "{podSelector: {matchLabels: {app: b}}, policyTypes: [Egress]}")
    assert allowed(net, pod(net), outside(PUBLIC))
    assert not allowed(net, pod(net, "app=b"), outside(PUBLIC))


def test_a_policy_without_a_selector_is_for_every_pod():
    net = network("{policyTypes: [Egress]}")
    assert not allowed(net, pod(net), outside(PUBLIC))


@pytest.mark.parametrize(
    ("spec", "isolated"),
    [
        ("{podSelector: {}}", {"Ingress"}),
        ("{podSelector: {}, egress: []}", {"Ingress"}),
        ("{podSelector: {}, egress: [{ports: [{port: 1}]}]}", {"Ingress", "Egress"}),
        ("{podSelector: {}, ingress: [], policyTypes: []}", {"Ingress"}),
        ("{podSelector: {}, policyTypes: [Egress]}", {"Egress"}),
        ("{podSelector: {}, policyTypes: [Egress], ingress: [{ports: [{port: 1}]}]}", {"Egress"}),
        ("{podSelector: {}, policyTypes: [Ingress], egress: [{ports: [{port: 1}]}]}", {"Ingress"}),
    ],
)
def test_policy_types_say_what_is_isolated_and_default_to_ingress_and_egress_where_it_has_rules(
    spec, isolated
):
    net = network(spec)
    assert {str(one) for one in Direction if net.isolating(pod(net), one)} == isolated


def test_both_ends_must_allow():
    a, b = "{matchLabels: {app: a}}", "{matchLabels: {app: b}}"
    sends = policy(f"{{podSelector: {a}, policyTypes: [Egress], egress: [{{to: [{{podSelector: {b}}}]}}]}}")
    takes = policy(
        f"{{podSelector: {b}, policyTypes: [Ingress], ingress: [{{from: [{{podSelector: {a}}}]}}]}}"
    )
    both = network(DENY, sends, takes)
    assert allowed(both, pod(both), pod(both, "app=b"))
    assert not allowed(both, pod(both, "app=b"), pod(both))
    for half, side in ((sends, "Ingress"), (takes, "Egress")):
        net = network(DENY, half)
        decision = net.decide(pod(net), pod(net, "app=b"), Port(80))
        assert [str(one.direction) for one in decision.denying] == [side]


def test_policies_add_up():
    one = "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}"
    two = "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 443}]}]}"
    net = network(one, two)
    assert [number for number in (80, 443, 8080) if allowed(net, pod(net), outside(PUBLIC), number)] == [
        80,
        443,
    ]


@pytest.mark.parametrize("peers", ["", "to: []", "to: null"])
def test_a_rule_that_names_nobody_is_for_everybody(peers):
    net = network(f"{{policyTypes: [Egress], egress: [{{{peers}}}]}}")
    assert allowed(net, pod(net), outside(PUBLIC))
    assert allowed(net, pod(net), pod(net, "app=b", "elsewhere"))


NAMESPACES = """
    apiVersion: v1
    kind: Namespace
    metadata: {name: hub, labels: {team: hub}}
"""


@pytest.mark.parametrize(
    ("peer", "meant"),
    [
        ("podSelector: {matchLabels: {app: b}}", {"b in binder"}),
        ("podSelector: {}", {"a in binder", "b in binder"}),
        ("namespaceSelector: {matchLabels: {team: hub}}", {"a in hub", "b in hub"}),
        (
            "namespaceSelector: {matchLabels: {team: hub}}, podSelector: {matchLabels: {app: b}}",
            {"b in hub"},
        ),
        ("namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: hub}}", {"a in hub", "b in hub"}),
        (
            "namespaceSelector: {}, podSelector: {matchLabels: {app: a}}",
            {"a in binder", "a in hub", "a in unknown"},
        ),
        ("namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: unknown}}", {"a in unknown"}),
        ("namespaceSelector: {matchLabels: {team: unknown}}", set()),
        ("podSelector: null, namespaceSelector: null", set()),
    ],
)
def test_peers_mean_pods_by_both_selectors_together(peer, meant):
    rule = (
        f"{{podSelector: {{matchLabels: {{app: s}}}}, policyTypes: [Egress], egress: [{{to: [{{{peer}}}]}}]}}"
    )
    net = Network.of(objects(policy(rule), NAMESPACES))
    others = [("a", "binder"), ("b", "binder"), ("a", "hub"), ("b", "hub"), ("a", "unknown")]
    found = {
        f"{app} in {namespace}"
        for app, namespace in others
        if allowed(net, pod(net, "app=s"), pod(net, f"app={app}", namespace))
    }
    assert found == meant


def test_a_list_of_two_peers_means_either():
    net = network(
        "{policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: "
        "{kubernetes.io/metadata.name: hub}}}, {podSelector: {matchLabels: {app: b}}}]}]}"
    )
    assert allowed(net, pod(net), pod(net, "app=b"))
    assert allowed(net, pod(net), pod(net, "app=c", "hub"))
    assert not allowed(net, pod(net), pod(net, "app=c"))


def test_no_selector_means_an_address_outside_the_cluster():
    net = network("{policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}, podSelector: {}}]}]}")
    assert allowed(net, pod(net), pod(net, "app=b", "hub"))
    assert not allowed(net, pod(net), outside("10.0.0.1"))


@pytest.mark.parametrize(
    ("block", "reached"),
    [
        ("{cidr: 10.0.0.0/30}", ("10.0.0.0/30",)),
        ("{cidr: 10.0.0.0/30, except: [10.0.0.1/32]}", ("10.0.0.0/32", "10.0.0.2/31")),
        ("{cidr: 10.0.0.0/30, except: [10.0.0.0/31, 10.0.0.2/31]}", ()),
        ("{cidr: 10.0.0.3/30}", ("10.0.0.0/30",)),
        ("{cidr: 0.0.0.0/0}", ("10.0.0.0/29",)),
        ("{cidr: '::/0'}", ("fd00::/126",)),
        ("{cidr: '::/0', except: ['fd00::2/127']}", ("fd00::/127",)),
        ("{cidr: '::/0', except: [10.0.0.0/8]}", ("fd00::/126",)),
        ("{cidr: ten}", ()),
        ("{}", ()),
    ],
)
def test_blocks_mean_the_addresses_that_are_not_excepted(block, reached):
    net = network(f"{{policyTypes: [Egress], egress: [{{to: [{{ipBlock: {block}}}]}}]}}")
    everything = Addresses.of("10.0.0.0/29", "fd00::/126")
    assert net.reachable(pod(net), everything, Port(80)) == Addresses.of(*reached)


def test_a_peer_with_block_and_selector_which_the_api_refuses_means_nobody():
    net = network("{policyTypes: [Egress], egress: [{to: [{podSelector: {}, ipBlock: {cidr: 0.0.0.0/0}}]}]}")
    assert not allowed(net, pod(net), outside(PUBLIC))
    assert not allowed(net, pod(net), pod(net, "app=b"))


def test_a_block_means_a_pod_where_the_pod_may_have_one_of_its_addresses():
    net = network(
        "{podSelector: {matchLabels: {app: s}}, policyTypes: [Egress], "
        "egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 192.168.0.0/16]}}]}]}"
    )
    source = pod(net, "app=s")
    assert not allowed(net, source, pod(net, addresses="10.1.1.1"))
    assert allowed(net, source, pod(net, addresses="172.16.0.1"))
    assert allowed(net, source, net.endpoint({}, "binder"))


@pytest.mark.parametrize(
    ("ports", "meant"),
    [
        ("[{port: 8585}]", {"8585/TCP"}),
        ("[{port: http}]", {"8585/TCP"}),
        ("[{port: http, protocol: UDP}]", set()),
        ("[{port: dns, protocol: UDP}]", {"53/UDP"}),
        ("[{port: other}]", set()),
        ("[{port: '8585'}]", set()),
        ("[{port: 50, endPort: 60}]", {"53/TCP"}),
        ("[{port: 53, endPort: 53}]", {"53/TCP"}),
        ("[{port: 54, endPort: 60}]", set()),
        ("[{port: 50, endPort: 60, protocol: UDP}]", {"53/UDP"}),
        ("[{port: http, endPort: 9000}]", set()),
        ("[{endPort: 9000}]", set()),
        ("[{protocol: UDP}]", {"53/UDP"}),
        ("[{}]", {"53/TCP", "8585/TCP"}),
        ("[]", {"53/TCP", "53/UDP", "8585/TCP"}),
        ("null", {"53/TCP", "53/UDP", "8585/TCP"}),
        ("[{port: 8585}, {port: 53, protocol: UDP}]", {"53/UDP", "8585/TCP"}),
    ],
)
def test_ports_are_numbers_ranges_or_names_of_the_destination(ports, meant):
    net = network(f"{{podSelector: {{}}, policyTypes: [Ingress], ingress: [{{ports: {ports}}}]}}")
    to = pod(net, ports=(HTTP, ContainerPort("dns", 53, "UDP")))
    tried = [Port(53), Port(53, "UDP"), Port(8585)]
    assert {str(port) for port in tried if net.decide(outside(PUBLIC), to, port).allowed} == meant


def test_the_name_of_a_port_is_one_of_the_destination_and_not_of_the_source():
    net = network(
        "{podSelector: {matchLabels: {app: s}}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}"
    )
    named, bare = pod(net, "app=s", ports=(HTTP,)), pod(net, "app=d")
    assert not allowed(net, named, bare, 8585)
    assert allowed(net, pod(net, "app=s"), pod(net, "app=d", ports=(HTTP,)), 8585)
    assert not allowed(net, named, outside(PUBLIC), 8585)


POD = """
    apiVersion: v1
    kind: Pod
    metadata: {name: pod, namespace: binder, labels: {app: a}}
    spec:
      initContainers:
        - {name: once, ports: [{name: once, containerPort: 1}]}
        - {name: sidecar, restartPolicy: Always, ports: [{name: metrics, containerPort: 2}]}
      containers:
        - {name: main, ports: [{name: http, containerPort: 8585}]}
        - {name: resolver, ports: [{name: dns, containerPort: 53, protocol: UDP}]}
        - {name: other, ports: [{containerPort: 4}]}
"""


def test_containers_and_sidecars_give_ports_names_and_init_containers_do_not():
    (item,) = objects(POD)
    assert {port.name: port[1:] for port in named_ports(item.pod)} == {
        "http": (8585, "TCP"),
        "dns": (53, "UDP"),
        "metrics": (2, "TCP"),
    }


def test_a_pod_on_the_network_of_its_node_is_an_address():
    (item,) = objects(POD.replace("spec:\n", "spec:\n      hostNetwork: true\n", 1))
    net = network(DENY)
    (plain,) = objects(POD)
    assert allowed(net, net.pod(item.pod), outside(PUBLIC))
    assert not allowed(net, net.pod(plain.pod), outside(PUBLIC))
    by_selector = network(
        "{podSelector: {matchLabels: {app: s}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}"
    )
    assert not allowed(by_selector, pod(by_selector, "app=s"), by_selector.pod(item.pod))
    assert allowed(by_selector, pod(by_selector, "app=s"), by_selector.pod(plain.pod))


def test_policies_of_other_kinds_are_found():
    kinds = [
        ("cilium.io/v2", "CiliumNetworkPolicy"),
        ("projectcalico.org/v3", "NetworkPolicy"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
    ]
    found = other_policies(
        objects(*(f"{{apiVersion: {v}, kind: {k}, metadata: {{name: a}}}}\n" for v, k in kinds))
    )
    assert [item.api_version for item in found] == ["cilium.io/v2", "projectcalico.org/v3"]


def misses(net, source, destination, number=80):
    (side,) = net.decide(source, destination, Port(number)).denying
    return [(str(miss.at), miss.distance) for miss in side.misses]


def test_a_miss_is_the_port_or_the_selector_that_is_in_the_way():
    rule = (
        "{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], egress: "
        "[{to: [{podSelector: {matchLabels: {app: b}}}], ports: [{port: 80}]}]}"
    )
    net = network(rule)
    assert misses(net, pod(net), pod(net, "app=b"), 81) == [("spec.egress[0].ports", 0)]
    assert misses(net, pod(net), pod(net, "app=c")) == [("spec.egress[0].to[0].podSelector", 1)]
    assert misses(net, pod(net), pod(net, "app=c"), 81) == []
    assert misses(net, pod(net), pod(net, "app=b", "elsewhere")) == [
        ("spec.egress[0].to[0].namespaceSelector", 1)
    ]
    assert misses(net, pod(net), pod(net, "app=c", "elsewhere"))[0][1] == 2
    assert misses(net, pod(net), outside(PUBLIC)) == []


def test_a_port_that_is_missing_where_a_block_may_mean_a_pod_is_a_far_miss():
    net = network(
        "{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], egress: "
        "[{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 80}]}]}"
    )
    assert misses(net, pod(net), pod(net, "app=b"), 81) == [("spec.egress[0].ports", 2)]
    assert misses(net, pod(net), outside("10.1.1.1"), 81) == [("spec.egress[0].ports", 0)]


def test_a_miss_of_an_address_is_the_block_and_not_a_selector():
    net = network(
        "{policyTypes: [Egress], egress: [{to: [{podSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8}}]}]}"
    )
    assert misses(net, pod(net), outside(PUBLIC)) == [("spec.egress[0].to[1].ipBlock", 1)]


def test_what_is_allowed_has_openings_and_no_misses():
    net = network(
        "{policyTypes: [Egress], egress: [{ports: [{port: 1}]}, {to: [{ipBlock: {cidr: 198.51.100.0/24}}]}]}"
    )
    side = net.decide(pod(net), outside(PUBLIC), Port(80)).egress
    assert [str(opening.peer) for opening in side.openings] == ["spec.egress[1].to[0]"]
    assert side.misses == ()


# The model: one address, one policy, one rule at a time, from the words of the API reference.


def says(selector, labels):
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())


def port_matches(ports, destination, number, protocol):
    if not ports:
        return True
    for entry in ports:
        if entry.get("protocol", "TCP") != protocol:
            continue
        port = entry.get("port")
        names = [
            one["name"]
            for one in destination["ports"]
            if (one["number"], one["protocol"]) == (number, protocol)
        ]
        if port is None or port == number or port in names:
            return True
        if "endPort" in entry and number in range(port, entry["endPort"] + 1):
            return True
    return False


def peer_matches(peer, policy_namespace, other, spaces):
    if "ipBlock" in peer:
        address = ip_address(other["address"])
        block = peer["ipBlock"]
        return address in ip_network(block["cidr"]) and not any(
            address in ip_network(hole) for hole in block.get("except", ())
        )
    if other["labels"] is None:
        return False
    if "namespaceSelector" in peer:
        if not says(peer["namespaceSelector"], spaces[other["namespace"]]):
            return False
    elif other["namespace"] != policy_namespace:
        return False
    return says(peer.get("podSelector", {}), other["labels"])


def end_allows(policies, direction, end, other, destination, number, protocol, spaces):
    if end["labels"] is None:
        return True
    section, key = {"Egress": ("egress", "to"), "Ingress": ("ingress", "from")}[direction]
    isolated = False
    for one in policies:
        spec = one["spec"]
        types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
        namespace = one["metadata"]["namespace"]
        if (
            namespace != end["namespace"]
            or direction not in types
            or not says(spec["podSelector"], end["labels"])
        ):
            continue
        isolated = True
        for rule in spec.get(section) or ():
            peers = rule.get(key) or ()
            meant = not peers or any(peer_matches(peer, namespace, other, spaces) for peer in peers)
            if meant and port_matches(rule.get("ports"), destination, number, protocol):
                return True
    return not isolated


def model_allows(policies, source, destination, number, protocol, spaces):
    """Whether one address may connect to one address."""
    return end_allows(
        policies, "Egress", source, destination, destination, number, protocol, spaces
    ) and end_allows(policies, "Ingress", destination, source, destination, number, protocol, spaces)


SPACES = {"one": {"team": "x"}, "two": {"team": "y"}, "kube-system": {}}
LABELS = [{}, {"app": "a"}, {"app": "b"}, {"app": "a", "tier": "t"}]
selectors = st.sampled_from([{}, {"matchLabels": {"app": "a"}}, {"matchLabels": {"tier": "t"}}])
space_selectors = st.sampled_from(
    [{}, {"matchLabels": {"team": "x"}}, {"matchLabels": {"kubernetes.io/metadata.name": "two"}}]
)
addresses = st.sampled_from(
    [*(f"10.0.0.{last}" for last in range(4)), "10.0.0.4", *(f"fd00::{last}" for last in range(4))]
)
holes = st.lists(st.sampled_from(["10.0.0.0/31", "10.0.0.3/32", "10.0.0.2/31", "fd00::/127"]), max_size=2)
ip_blocks = st.fixed_dictionaries(
    {"cidr": st.sampled_from(["10.0.0.0/30", "0.0.0.0/0", "::/0", "fd00::2/127", "10.0.0.4/32"])},
    optional={"except": holes},
)
peers = st.one_of(
    st.fixed_dictionaries({"ipBlock": ip_blocks}),
    st.fixed_dictionaries({"podSelector": selectors}),
    st.fixed_dictionaries({"namespaceSelector": space_selectors}, optional={"podSelector": selectors}),
)
port_entries = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "port": st.sampled_from([80, 53, "http", "dns"]),
            "protocol": st.sampled_from(["TCP", "UDP"]),
        },
    ),
    st.fixed_dictionaries({"port": st.just(50), "endPort": st.sampled_from([52, 53, 80])}),
)


def rules(key):
    return st.lists(
        st.fixed_dictionaries(
            {}, optional={key: st.lists(peers, max_size=2), "ports": st.lists(port_entries, max_size=2)}
        ),
        max_size=2,
    )


policies_drawn = st.lists(
    st.fixed_dictionaries(
        {
            "apiVersion": st.just("networking.k8s.io/v1"),
            "kind": st.just("NetworkPolicy"),
            "metadata": st.fixed_dictionaries(
                {"name": st.just("p"), "namespace": st.sampled_from(["one", "two"])}
            ),
            "spec": st.fixed_dictionaries(
                {"podSelector": selectors},
                optional={
                    "policyTypes": st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
                    "ingress": rules("from"),
                    "egress": rules("to"),
                },
            ),
        }
    ),
    max_size=4,
)
port_names = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["http", "dns"]),
            "number": st.sampled_from([80, 53]),
            "protocol": st.sampled_from(["TCP", "UDP"]),
        }
    ),
    max_size=2,
)
pods = st.fixed_dictionaries(
    {
        "labels": st.sampled_from(LABELS),
        "namespace": st.sampled_from(sorted(SPACES)),
        "address": addresses,
        "ports": port_names,
    }
)
ends = st.one_of(
    pods,
    st.fixed_dictionaries(
        {"labels": st.none(), "namespace": st.just(""), "address": addresses, "ports": st.just([])}
    ),
)


def known(policies):
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        for name, labels in SPACES.items()
    ]
    return Network.of(objects(yaml.safe_dump_all([*namespaces, *policies])))


def as_endpoint(net, end):
    address = Addresses.of(end["address"])
    ports = tuple(ContainerPort(one["name"], one["number"], one["protocol"]) for one in end["ports"])
    if end["labels"] is None:
        return Endpoint(address)
    return net.endpoint(end["labels"], end["namespace"], ports, address)


NAMED_SPACES = {name: {**labels, "kubernetes.io/metadata.name": name} for name, labels in SPACES.items()}
PORTS = [(80, "TCP"), (53, "TCP"), (53, "UDP"), (52, "TCP")]


@settings(max_examples=60, deadline=None)
@given(policies_drawn, ends, ends)
def test_decisions_are_those_of_the_model(policies, source, destination):
    net = known(policies)
    for number, protocol in PORTS:
        decision = net.decide(as_endpoint(net, source), as_endpoint(net, destination), Port(number, protocol))
        assert decision.allowed == model_allows(policies, source, destination, number, protocol, NAMED_SPACES)
        assert decision.allowed == (not decision.denying)


@settings(max_examples=50, deadline=None)
@given(policies_drawn, pods)
def test_what_is_reachable_is_what_the_model_allows_address_by_address(policies, source):
    net = known(policies)
    everywhere = [*(f"10.0.0.{last}" for last in range(8)), *(f"fd00::{last}" for last in range(4))]
    for number, protocol in PORTS:
        reached = net.reachable(
            as_endpoint(net, source), Addresses.of("10.0.0.0/29", "fd00::/126"), Port(number, protocol)
        )
        expected = [
            address
            for address in everywhere
            if model_allows(
                policies,
                source,
                {"labels": None, "namespace": "", "address": address, "ports": []},
                number,
                protocol,
                NAMED_SPACES,
            )
        ]
        assert reached == Addresses.of(*expected)
