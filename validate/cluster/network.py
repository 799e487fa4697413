"""Who may send to whom: the NetworkPolicies of a tree, as the API describes them.

From ``k8s.io/api/networking/v1/types.go`` and ``pkg/apis/networking/v1/defaults.go`` of Kubernetes 1.34.
Policies only ever allow. A pod that no policy selects for a direction is open in that direction; one
that is selected has what the selecting policies allow together. A connection needs both its ends.

Not modelled, because the API leaves it to the network plugin or to the cluster:

- A pod's own node reaches the pod whatever policies say, and so do the kubelet's probes.
- A pod on the network of its node is its node: no policy selects it, no selector of a peer means it.
- Services: name the pod and its port, which is what policies see.
- ``ipBlock`` and pods: some plugins (Cilium) never match a pod by its address, most do. A pod here has the
  addresses that it may have, and a block that holds one of them may mean it.
- Policies of other kinds (:func:`other_policies` finds them), and those of other trees in a namespace.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, field

from validate.cluster.addresses import Addresses
from validate.cluster.selectors import as_text, selects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from validate.cluster.facts import OutsideNamespace
    from validate.cluster.objects import KubeObject, PodView
    from validate.place import Json, Place

# Where clusters put their pods and nodes: RFC 1918, RFC 6598 (shared addresses), RFC 4193.
PRIVATE = Addresses.of("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
NAMESPACE_NAME = "kubernetes.io/metadata.name"
_OTHER_POLICIES = {
    ("cilium.io", "CiliumNetworkPolicy"),
    ("cilium.io", "CiliumClusterwideNetworkPolicy"),
    ("crd.projectcalico.org", "NetworkPolicy"),
    ("crd.projectcalico.org", "GlobalNetworkPolicy"),
    ("projectcalico.org", "NetworkPolicy"),
    ("projectcalico.org", "GlobalNetworkPolicy"),
    ("policy.networking.k8s.io", "AdminNetworkPolicy"),
    ("policy.networking.k8s.io", "BaselineAdminNetworkPolicy"),
    ("policy.networking.k8s.io", "ClusterNetworkPolicy"),
}


class Direction(StrEnum):
    """Which end of a connection a rule is about: Egress the one that opens it."""

    EGRESS = "Egress"
    INGRESS = "Ingress"


class ContainerPort(NamedTuple):
    """A port that a container gives a name."""

    name: str
    number: int
    protocol: str = "TCP"


class Port(NamedTuple):
    """A port that a connection goes to."""

    number: int
    protocol: str = "TCP"

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"


class Endpoint(Struct, frozen=True):
    """One end of a connection.

    Attributes:
        addresses: where it may be.
        labels: of the pod; None for what is no pod of the pod network, such as an address outside.
        namespace: of the pod.
        namespace_labels: of that namespace, the one that Kubernetes adds among them.
        ports: those that the pod's containers give a name.
    """

    addresses: Addresses
    labels: Mapping[str, str] | None = None
    namespace: str = ""
    namespace_labels: Mapping[str, str] | None = None
    ports: tuple[ContainerPort, ...] = ()


class Opening(NamedTuple):
    """What lets a connection through.

    Attributes:
        rule: the entry of ``egress`` or ``ingress``.
        peer: the entry of its ``to`` or ``from``; the rule itself where it names nobody.
        addresses: those of the other end that it is open to.
    """

    rule: Place
    peer: Place
    addresses: Addresses

    @property
    def is_by_address(self) -> bool:
        """Whether a block means the other end."""
        return (self.peer / "ipBlock").exists


class Miss(NamedTuple):
    """A rule that lets a connection through but for its ports, or but for its peers.

    Attributes:
        rule: the entry of ``egress`` or ``ingress``.
        at: what is in the way: its ports, or the selector or block of a peer.
        distance: how much of it is: 0 ports, 1 one selector or a block, 2 more than that.
    """

    rule: Place
    at: Place
    distance: int

    @property
    def is_port(self) -> bool:
        """Whether it is the ports."""
        return self.at.path[-1] == "ports"


class Side(Struct, frozen=True, eq=False):
    """What the policies of one end say to a connection.

    Attributes:
        direction: which end.
        isolating: the policies that select it for this direction.
        openings: what lets the connection through.
        misses: what nearly does.
    """

    direction: Direction
    isolating: tuple[KubeObject, ...]
    openings: tuple[Opening, ...]
    misses: tuple[Miss, ...]

    @property
    def allowed(self) -> bool:
        """Whether this end lets the connection through."""
        return bool(self.openings) or not self.isolating


class Decision(Struct, frozen=True, eq=False):
    """Whether a connection is allowed, and what decides."""

    egress: Side
    ingress: Side

    @property
    def allowed(self) -> bool:
        """Whether both ends let it through."""
        return self.egress.allowed and self.ingress.allowed

    @property
    def denying(self) -> tuple[Side, ...]:
        """The ends that do not let it through."""
        return tuple(side for side in (self.egress, self.ingress) if not side.allowed)


class Network(Struct, frozen=True, eq=False):
    """The policies of a tree, and the namespaces that their selectors can mean.

    Attributes:
        policies: by namespace.
        namespaces: the labels of each namespace that is known.
        selected: which policies select which pods, as far as somebody has asked.
    """

    policies: Mapping[str, tuple[_Policy, ...]]
    namespaces: Mapping[str, Mapping[str, str]]
    selected: dict[tuple[object, ...], tuple[_Policy, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, objects: Iterable[KubeObject], outside: Iterable[OutsideNamespace] = ()) -> Network:
        """Return the network of a tree; ``outside`` are the namespaces that it does not make itself."""
        policies: dict[str, list[_Policy]] = {}
        namespaces = {"kube-system": {}, **{one.name: dict(one.labels) for one in outside}}
        for item in objects:
            if (item.group, item.kind) == ("networking.k8s.io", "NetworkPolicy"):
                policies.setdefault(item.namespace, []).append(_read_policy(item))
            elif (item.group, item.kind) == ("", "Namespace"):
                namespaces[item.name] = item.labels
        return cls(
            {namespace: tuple(those) for namespace, those in policies.items()},
            # https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name
            {name: {**labels, NAMESPACE_NAME: name} for name, labels in namespaces.items()},
        )

    def endpoint(
        self,
        labels: Mapping[str, str],
        namespace: str,
        ports: tuple[ContainerPort, ...] = (),
        addresses: Addresses = PRIVATE,
    ) -> Endpoint:
        """Return a pod with these labels; of a namespace that is not known, its name is."""
        known = self.namespaces.get(namespace, {NAMESPACE_NAME: namespace})
        return Endpoint(addresses, labels, namespace, known, ports)

    def pod(self, pod: PodView) -> Endpoint:
        """Return the pod of a workload; one on its node's network is but an address."""
        if (pod.spec / "hostNetwork").value is True:
            return Endpoint(PRIVATE)
        return self.endpoint(pod.labels, pod.owner.namespace, named_ports(pod))

    def decide(self, source: Endpoint, destination: Endpoint, port: Port) -> Decision:
        """Return whether some address of ``source`` may connect to some address of ``destination``.

        For a source or destination that is one address, or a pod by its labels, "some" is "that".
        """
        target = _Target(port, destination.ports)
        return Decision(
            self._side(Direction.EGRESS, source, destination, target),
            self._side(Direction.INGRESS, destination, source, target),
        )

    def reachable(self, source: Endpoint, addresses: Addresses, port: Port) -> Addresses:
        """Return which of these addresses, none of them a pod's, ``source`` may connect to."""
        side = self.decide(source, Endpoint(addresses), port).egress
        reached = addresses if not side.isolating else Addresses()
        for opening in side.openings:
            reached |= opening.addresses
        return reached

    def isolating(self, endpoint: Endpoint, direction: Direction) -> tuple[KubeObject, ...]:
        """Return the policies that isolate a pod in that direction."""
        return tuple(policy.object for policy in self._isolating(endpoint, direction))

    def _isolating(self, endpoint: Endpoint, direction: Direction) -> tuple[_Policy, ...]:
        if endpoint.labels is None or endpoint.namespace not in self.policies:
            return ()
        key = (endpoint.namespace, direction, *sorted(endpoint.labels.items()))
        if key not in self.selected:
            self.selected[key] = tuple(
                policy
                for policy in self.policies[endpoint.namespace]
                if direction in policy.rules and selects(policy.selector, endpoint.labels)
            )
        return self.selected[key]

    def _side(self, direction: Direction, end: Endpoint, other: Endpoint, target: _Target) -> Side:
        isolating = self._isolating(end, direction)
        rules = [(rule, policy.namespace) for policy in isolating for rule in policy.rules[direction]]
        openings = [
            opening
            for rule, namespace in rules
            if rule.is_for(target)
            for opening in rule.openings(other, namespace)
        ]
        misses = (
            [miss for rule, namespace in rules for miss in rule.misses(other, namespace, target)]
            if not openings
            else []
        )
        return Side(direction, tuple(policy.object for policy in isolating), tuple(openings), tuple(misses))


def named_ports(pod: PodView) -> tuple[ContainerPort, ...]:
    """Return the ports that the containers of a pod give a name."""
    sidecars = (one for one in pod.init_containers if (one.place / "restartPolicy").value == "Always")
    return tuple(
        ContainerPort((port / "name").text, number, (port / "protocol").text or "TCP")
        for container in (*pod.containers, *sidecars)
        for port in container.ports
        if isinstance(number := (port / "containerPort").value, int) and (port / "name").text
    )


def other_policies(objects: Iterable[KubeObject]) -> Iterator[KubeObject]:
    """Yield the policies of network plugins, and those of administrators: they allow and deny as well."""
    return (item for item in objects if (item.group, item.kind) in _OTHER_POLICIES)


class _Target(NamedTuple):
    """A port, and the names that ports have where it is."""

    port: Port
    names: tuple[ContainerPort, ...]


class _RulePort(Struct, frozen=True, eq=False):
    """An entry of ``ports``."""

    protocol: str
    port: Json
    end: Json

    def is_for(self, target: _Target) -> bool:
        number, protocol = target.port
        if self.protocol != protocol:
            return False
        match self.port:
            case None:
                return self.end is None
            case bool():
                return False
            case int(first):
                return first <= number <= (self.end if isinstance(self.end, int) else first)
            case str(name):
                return self.end is None and ContainerPort(name, number, protocol) in target.names
        return False


class _Peer(Struct, frozen=True, eq=False):
    """An entry of ``to`` or ``from``; ``block`` is None where selectors say who is meant."""

    place: Place
    block: Addresses | None
    spaces: Json
    pods: Json

    def admits(self, other: Endpoint, namespace: str) -> Addresses | None:
        """Return the addresses of ``other`` that are meant, None where it is not meant."""
        if self.block is not None:
            return other.addresses & self.block or None
        return None if self.obstacles(other, namespace) else other.addresses

    def obstacles(self, other: Endpoint, namespace: str) -> list[str]:
        """Return the selectors that keep a policy of ``namespace`` from meaning ``other``."""
        if other.labels is None or (self.spaces is None and self.pods is None):
            return ["podSelector"]
        found = []
        if self.spaces is None:
            means_space = other.namespace == namespace
        else:
            means_space = selects(self.spaces, other.namespace_labels or {})
        if not means_space:
            found.append("namespaceSelector")
        if self.pods is not None and not selects(self.pods, other.labels):
            found.append("podSelector")
        return found


class _Rule(Struct, frozen=True, eq=False):
    """An entry of ``egress`` or ``ingress``; no peers are all, and no ports are all."""

    place: Place
    peers: tuple[_Peer, ...]
    ports: tuple[_RulePort, ...]

    def is_for(self, target: _Target) -> bool:
        return not self.ports or any(port.is_for(target) for port in self.ports)

    def openings(self, other: Endpoint, namespace: str) -> Iterator[Opening]:
        if not self.peers:
            yield Opening(self.place, self.place, other.addresses)
        for peer in self.peers:
            addresses = peer.admits(other, namespace)
            if addresses is not None:
                yield Opening(self.place, peer.place, addresses)

    def misses(self, other: Endpoint, namespace: str, target: _Target) -> Iterator[Miss]:
        """Yield what keeps the rule from being an opening, where it is not one."""
        found = tuple(self.openings(other, namespace))
        if found and not self.is_for(target):
            by_guess = other.labels is not None and all(one.is_by_address for one in found)
            yield Miss(self.place, self.place / "ports", 2 if by_guess else 0)
        elif not found and self.is_for(target):
            yield from self._missing_peers(other, namespace)

    def _missing_peers(self, other: Endpoint, namespace: str) -> Iterator[Miss]:
        """Yield what keeps a peer from meaning ``other``, of peers that mean things of its kind."""
        for peer in self.peers:
            if other.labels is None and peer.block is not None:
                yield Miss(self.place, peer.place / "ipBlock", 1)
            elif other.labels is not None and peer.block is None:
                obstacles = peer.obstacles(other, namespace)
                yield Miss(self.place, peer.place / obstacles[0], min(len(obstacles), 2))


class _Policy(Struct, frozen=True, eq=False):
    """A NetworkPolicy; ``rules`` has the directions that it isolates in."""

    object: KubeObject
    namespace: str
    selector: Json
    rules: Mapping[Direction, tuple[_Rule, ...]]


def _read_policy(item: KubeObject) -> _Policy:
    spec = item.place / "spec"
    types = (spec / "policyTypes").items
    if not types:
        types = ["Ingress", "Egress"] if (spec / "egress").items else ["Ingress"]
    selector = (spec / "podSelector").value
    return _Policy(
        item,
        item.namespace,
        {} if selector is None else selector,
        {
            direction: tuple(_read_rule(rule, key) for rule in (spec / section).each())
            for direction, section, key in (
                (Direction.EGRESS, "egress", "to"),
                (Direction.INGRESS, "ingress", "from"),
            )
            if direction in types
        },
    )


def _read_rule(place: Place, key: str) -> _Rule:
    return _Rule(
        place,
        tuple(
            _Peer(peer, _read_block(peer), (peer / "namespaceSelector").value, (peer / "podSelector").value)
            for peer in (place / key).each()
        ),
        tuple(
            _RulePort(
                as_text((port / "protocol").value) or "TCP", (port / "port").value, (port / "endPort").value
            )
            for port in (place / "ports").each()
        ),
    )


def _read_block(peer: Place) -> Addresses | None:
    """Return the addresses of a peer's ``ipBlock``; none of them where the API server refuses it."""
    block = peer / "ipBlock"
    if block.value is None:
        return None
    if (peer / "podSelector").value is not None or (peer / "namespaceSelector").value is not None:
        return Addresses()
    try:
        return Addresses.of((block / "cidr").text) - Addresses.of(*_texts((block / "except").items))
    except ValueError:
        return Addresses()


def _texts(items: Sequence[Json]) -> tuple[str, ...]:
    return tuple(map(as_text, items))
