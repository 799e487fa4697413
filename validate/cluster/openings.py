"""What a change of policies opens and closes: who may send to whom that could not before, and the reverse.

Asked of every pod whose policies or labels change: towards all addresses, the other pods of the tree, and
pods of other namespaces, at every port. Ports between two numbers that some policy names are all alike, so
one of each kind stands for the others.
"""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from operator import or_
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from validate.cluster.addresses import Addresses
from validate.cluster.network import NAMESPACE_NAME, PRIVATE, Direction, Endpoint, Port
from validate.cluster.objects import string_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from validate.cluster.network import Decision, Network
    from validate.place import Place

_EVERY = Addresses.of("0.0.0.0/0", "::/0")
_IPV4 = Addresses.of("0.0.0.0/0")
_LINK_LOCAL = Addresses.of("169.254.0.0/16", "fe80::/10")
_METADATA = Addresses.of("169.254.169.254/32")
_INTERNET = (
    Addresses.of("0.0.0.0/0", "2000::/3")
    - PRIVATE
    - _LINK_LOCAL
    - Addresses.of("0.0.0.0/8", "127.0.0.0/8", "192.0.0.0/24", "224.0.0.0/3", "168.63.129.16/32")
    - Addresses.of("192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)
_FIRST_PORT, _PAST_PORTS = 1, 65_536
_PROTOCOLS, _SCTP = ("TCP", "UDP"), "SCTP"
_ELSEWHERE = "elsewhere"
_MOST_RANGES = 4
_NOWHERE = Addresses()
_EVERYWHERE, _PRIVATE = "every address", "private addresses"
# Pods have such addresses, so that to name them as well would say the same again.
_WITH_PODS = (_EVERYWHERE, _PRIVATE)


class Member(NamedTuple):
    """A pod of the tree, before and after."""

    title: str
    before: Endpoint
    after: Endpoint


class Opened(Struct, frozen=True, eq=False):
    """Connections that the change allows, or no longer does.

    Attributes:
        who: the pod.
        direction: whether it opens them or accepts them.
        others: the other ends, as people say it.
        ports: at which ports, as people say it.
        is_open: whether they are allowed now.
        before: what in the former policies decides; None where no policy does.
        after: what in the policies of now does, likewise.
        addresses: those that are meant, besides pods that are meant by their labels.
    """

    who: str
    direction: Direction
    others: tuple[str, ...]
    ports: str
    is_open: bool
    before: Place | None
    after: Place | None
    addresses: Addresses


def openings(before: Network, after: Network, members: Sequence[Member]) -> Iterator[Opened]:
    """Yield what the policies of ``after`` let through and those of ``before`` do not, and the reverse."""
    ports = _port_classes(before, after, members)
    strangers = _strangers(before, after)
    found: dict[tuple[str, Direction, bool, str], list[tuple[str, _Difference]]] = {}
    for member in members:
        for direction in Direction:
            if _asked(before, member.before, direction) == _asked(after, member.after, direction):
                continue
            others = [*members, *strangers] if direction is Direction.EGRESS else [*strangers, *members]
            for is_open in (True, False):
                for label, difference in _differences(
                    _Question(before, after, member, direction), others, ports, is_open=is_open
                ):
                    key = (member.title, direction, is_open, difference.ports)
                    found.setdefault(key, []).append((label, difference))
    for (who, direction, is_open, at), differences in found.items():
        first = differences[0][1]
        labels = tuple(dict.fromkeys(label for label, _ in differences))
        meant = reduce(or_, (one.addresses for _, one in differences))
        yield Opened(who, direction, labels, at, is_open, first.before, first.after, meant)


class _Question(NamedTuple):
    before: Network
    after: Network
    member: Member
    direction: Direction

    def decide(self, other: Member, port: Port) -> tuple[Decision, Decision]:
        if self.direction is Direction.EGRESS:
            return (
                self.before.decide(self.member.before, other.before, port),
                self.after.decide(self.member.after, other.after, port),
            )
        return (
            self.before.decide(other.before, self.member.before, port),
            self.after.decide(other.after, self.member.after, port),
        )


class _Difference(NamedTuple):
    ports: str
    before: Place | None
    after: Place | None
    addresses: Addresses = _NOWHERE


def _differences(
    question: _Question, others: Sequence[Member], ports: Sequence[_Ports], *, is_open: bool
) -> Iterator[tuple[str, _Difference]]:
    """Yield with whom it may, or may no longer, connect, and at which ports."""
    addresses: dict[tuple[str, Addresses], tuple[list[_Ports], Decision, Decision]] = {}
    everywhere = Member("", Endpoint(_EVERY), Endpoint(_EVERY))
    for one in ports:
        old, new = question.decide(everywhere, one.first)
        had, has = _open_to(old, question.direction), _open_to(new, question.direction)
        for named in _named(has - had if is_open else had - has):
            addresses.setdefault(named, ([], old, new))[0].append(one)
    for (label, meant), (those, old, new) in addresses.items():
        yield label, _difference(question.direction, those, old, new, ports)._replace(addresses=meant)
    if any(label.startswith(_WITH_PODS) for label, _ in addresses):
        return
    for other in others:
        if other.title == question.member.title:
            continue
        those = []
        last: tuple[Decision, Decision] | None = None
        for one in ports:
            old, new = question.decide(other, one.first)
            allowed = _means(new, question.direction)
            if _means(old, question.direction) != allowed and allowed is is_open:
                those.append(one)
                last = last or (old, new)
        if last:
            yield other.title, _difference(question.direction, those, *last, ports)


def _difference(
    direction: Direction, those: Sequence[_Ports], old: Decision, new: Decision, every: Sequence[_Ports]
) -> _Difference:
    return _Difference(_port_text(those, every), _decider(old, direction), _decider(new, direction))


def _open_to(decision: Decision, direction: Direction) -> Addresses:
    side = decision.egress if direction is Direction.EGRESS else decision.ingress
    if not side.isolating:
        return _EVERY
    reached = Addresses()
    for opening in side.openings:
        reached |= opening.addresses
    return reached


def _means(decision: Decision, direction: Direction) -> bool:
    """Whether it is allowed, and not only because a block of addresses may hold the pod's."""
    side = decision.egress if direction is Direction.EGRESS else decision.ingress
    by_guess = side.openings and all(opening.is_by_address for opening in side.openings)
    return decision.allowed and not by_guess


def _decider(decision: Decision, direction: Direction) -> Place | None:
    """Return the rule that lets most of it through, or else a policy that isolates."""
    side = decision.egress if direction is Direction.EGRESS else decision.ingress
    if side.openings:
        return max(side.openings, key=lambda opening: opening.addresses.size).rule
    return side.isolating[0].place / "spec" if side.isolating else None


def _asked(network: Network, endpoint: Endpoint, direction: Direction) -> list[tuple[str, object]]:
    """Return what the policies of a pod say for that direction."""
    section = direction.lower()
    return sorted(
        (
            (policy.title, policy.place.at("spec", section).value)
            for policy in network.isolating(endpoint, direction)
        ),
        key=lambda one: one[0],
    )


class _Ports(NamedTuple):
    """Ports that all policies treat alike."""

    first: Port
    last: int

    def __str__(self) -> str:
        number = self.first.number
        return f"{number}" if number == self.last else f"{number}-{self.last}"


def _port_classes(before: Network, after: Network, members: Iterable[Member]) -> list[_Ports]:
    """Return all ports, divided where some policy or some pod tells one from the next."""
    told = [*_policy_ports(before), *_policy_ports(after)]
    for member in members:
        for endpoint in (member.before, member.after):
            told += [(named.protocol, named.number, named.number) for named in endpoint.ports]
    # Nobody speaks of SCTP who does not mean it.
    spoken = (*_PROTOCOLS, *({_SCTP} & {protocol for protocol, _, _ in told}))
    cuts = {protocol: {_FIRST_PORT, _PAST_PORTS} for protocol in spoken}
    for protocol, first, last in told:
        if protocol in cuts:
            cuts[protocol] |= {first, last + 1}
    return [
        _Ports(Port(first, protocol), past - 1)
        for protocol, numbers in cuts.items()
        for first, past in pairwise(sorted(numbers))
        if _FIRST_PORT <= first < _PAST_PORTS
    ]


def _policy_ports(network: Network) -> Iterator[tuple[str, int, int]]:
    """Yield the ranges of ports that policies name by number: protocol, first and last."""
    for policies in network.policies.values():
        for policy in policies:
            for section in ("ingress", "egress"):
                for rule in policy.object.place.at("spec", section).each():
                    for port in (rule / "ports").each():
                        first, last = (port / "port").value, (port / "endPort").value
                        if isinstance(first, int):
                            protocol = (port / "protocol").text or "TCP"
                            yield protocol, first, last if isinstance(last, int) else first


def _port_text(those: Sequence[_Ports], every: Sequence[_Ports]) -> str:
    """Return ``port 443/TCP``, ``every TCP port``, ``every TCP port but 22``."""
    texts = []
    for protocol in dict.fromkeys(one.first.protocol for one in every):
        own = [one for one in those if one.first.protocol == protocol]
        known = [one for one in every if one.first.protocol == protocol]
        if not own:
            continue
        missing = [one for one in known if one not in own]
        if not missing:
            texts.append(f"every {protocol} port")
        elif sum(one.last - one.first.number for one in own) > _PAST_PORTS // 2:
            texts.append(f"every {protocol} port but {', '.join(map(str, _joined(missing)))}")
        else:
            texts.append(f"port {', '.join(f'{one}/{protocol}' for one in _joined(own))}")
    if len(texts) == len({one.first.protocol for one in every}) and all(
        text.startswith("every") and "but" not in text for text in texts
    ):
        return "every port"
    return ", ".join(texts)


def _joined(those: Sequence[_Ports]) -> list[_Ports]:
    joined: list[_Ports] = []
    for one in those:
        if joined and joined[-1].last + 1 == one.first.number:
            joined[-1] = joined[-1]._replace(last=one.last)
        else:
            joined.append(one)
    return joined


def _named(addresses: Addresses) -> Iterator[tuple[str, Addresses]]:
    """Yield what these addresses are, as people say it, with those that are meant; nothing for none."""
    if addresses == _EVERY:
        yield _EVERYWHERE, addresses
        return
    left = addresses
    for name, known in (
        ("the internet", _INTERNET),
        (_PRIVATE, PRIVATE),
        ("the cloud's metadata service (169.254.169.254)", _METADATA),
        ("other link-local addresses", _LINK_LOCAL - _METADATA),
    ):
        for version, part in (("", known), (" (IPv4)", known & _IPV4), (" (IPv6)", known - _IPV4)):
            if part and not part - left:
                yield f"{name}{version}", part
                left -= part
    # What IANA keeps for other purposes is nowhere to be reached.
    left &= _INTERNET | PRIVATE | _LINK_LOCAL
    if left:
        blocks = str(left).split(", ")
        more = f" and {len(blocks) - _MOST_RANGES} more ranges" if len(blocks) > _MOST_RANGES else ""
        yield ", ".join(blocks[:_MOST_RANGES]) + more, left


def _strangers(before: Network, after: Network) -> list[Member]:
    """Return pods of other namespaces: one without labels, and one as each peer of a policy asks for."""
    unknown = {NAMESPACE_NAME: _ELSEWHERE}
    pod = Endpoint(PRIVATE, {}, _ELSEWHERE, unknown)
    strangers = {"pods of other namespaces": pod}
    for network in (before, after):
        for policies in network.policies.values():
            for policy in policies:
                for peer in _peers(policy.object.place):
                    spaces = string_map(peer.at("namespaceSelector", "matchLabels").value)
                    pods = string_map(peer.at("podSelector", "matchLabels").value)
                    if not (spaces or pods) or not (peer / "namespaceSelector").exists:
                        continue
                    labels = {**unknown, **spaces}
                    strangers.setdefault(
                        describe_peer(peer), Endpoint(PRIVATE, pods, labels[NAMESPACE_NAME], labels)
                    )
    return [Member(title, endpoint, endpoint) for title, endpoint in strangers.items()]


def _peers(policy: Place) -> Iterator[Place]:
    for section, key in (("ingress", "from"), ("egress", "to")):
        for rule in policy.at("spec", section).each():
            yield from (rule / key).each()


def describe_peer(peer: Place) -> str:
    """Return whom an entry of ``from`` or ``to`` means, as people say it."""
    block = peer / "ipBlock"
    if block.exists:
        excepted = " with exceptions" if (block / "except").items else ""
        return f"{(block / 'cidr').text}{excepted}"
    selector = peer / "namespaceSelector"
    spaces = string_map((selector / "matchLabels").value)
    pods = string_map(peer.at("podSelector", "matchLabels").value)
    who = f"pods with {_pairs(pods)}" if pods else "pods"
    if set(spaces) == {NAMESPACE_NAME}:
        return f"{who} in {spaces[NAMESPACE_NAME]}"
    if spaces:
        return f"{who} in namespaces with {_pairs(spaces)}"
    return f"{who} in any namespace" if selector.exists else who


def _pairs(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))
