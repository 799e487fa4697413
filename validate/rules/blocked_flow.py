"""blocked-flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from validate.binderhub.flows import INTERNET, System, needed_flows
from validate.cluster.addresses import Addresses
from validate.cluster.network import Direction
from validate.cluster.ports import admits
from validate.rules.rule import Breach, NotApplicable, OverlayRule
from validate.rules.subjects import the_binder, the_config, the_network

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from validate.binderhub.flows import Flow
    from validate.cluster.network import Decision, Miss, Network, Side
    from validate.overlay import Overlay
    from validate.place import Place


_IPV4 = Addresses.of("0.0.0.0/0")
_BY_IPV4 = INTERNET & _IPV4
_A_LOT, _NEARLY_ALL = 1 / 16, 0.9
# A rule of which more than one thing would have to change is not meant for the flow.
_FAR = 2


class BlockedFlow(OverlayRule):
    """Network policies deny a connection that the system needs.

    A pod that a network policy selects has only what policies allow, and everything else ends in a
    timeout that no log explains. BinderHub needs DNS, the API server, its registry and git hosts, by each
    protocol of `GitRepoProvider.allowed_protocols`; build pods need DNS and git hosts; docker-api needs
    DNS, the internet and the registry, because downloads and pushes leave from there. What reaches
    BinderHub (the hub, an ingress controller) has to be let in, and somebody has to be. A registry on a
    private address is the usual victim: policies that close private addresses close it as well
    (2i2c-org/binderhub-service turns its policies off in its own tests).

    Let each flow through by name, in a policy of its own as in `policies/network`. Name pods by
    their labels and not by address. Where an ingress controller has a namespace of its own, declare
    it under `namespaces` in `cluster.yaml`. Policies hold for the ports of pods, not of Services.
    What another namespace's policies say is not judged, unless they are in the tree.
    """

    id = "blocked-flow"
    requires = ("split-namespace", "misdirected-service", "port-mismatch")

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Ask the policies of both ends for every connection that the system needs."""
        network = the_network(overlay)
        if not network.policies:
            raise NotApplicable("nothing here has network policies, so everything is open")
        flows = [
            (flow, [network.decide(*route) for route in flow.routes])
            for flow in needed_flows(_system(overlay, network))
        ]
        open_flows = [each for each in flows if _is_open(each[1])]
        serving = {
            _key(opening.rule)
            for _, decisions in open_flows
            for decision in decisions
            for side in (decision.egress, decision.ingress)
            for opening in side.openings
        }
        blocked = [
            _blocked(flow, decisions, direction, serving)
            for flow, decisions in flows
            if not _is_open(decisions)
            for direction in sorted({side.direction for one in decisions for side in one.denying})
        ]
        for key in dict.fromkeys(_key(one.at) for one in blocked):
            yield _breach([one for one in blocked if _key(one.at) == key])
        yield from _partly_open([flow for flow, _ in open_flows], network)
        yield from _nobody_let_in(overlay, network)


def _partly_open(flows: Iterable[Flow], network: Network) -> Iterator[Breach]:
    """Yield the blocks that are meant as the internet and leave much of it out, or all of IPv4.

    A few blocks are an allowlist of somebody who knows the addresses; a large part is a wrong exception.
    """
    seen: set[tuple[object, ...]] = set()
    for flow in flows:
        for route in flow.routes:
            if route.destination.addresses != INTERNET:
                continue
            reached = network.reachable(route.source, _BY_IPV4, route.port)
            part = reached.size / _BY_IPV4.size
            if reached and not _A_LOT < part < _NEARLY_ALL:
                continue
            for opening in network.decide(*route).egress.openings[:1]:
                block = opening.peer / "ipBlock"
                at = block / "except" if (block / "except").exists and reached else block / "cidr"
                if at.exists and _key(at) not in seen:
                    seen.add(_key(at))
                    how = f"{part:.0%} of the IPv4 addresses" if reached else "no IPv4 address"
                    yield Breach(
                        at=at,
                        problem=f"{flow.source} reaches {flow.target} at {how}, so {flow.otherwise} "
                        "at the others",
                        fix=f"except private and metadata addresses alone in {at.origin.file}"
                        if reached
                        else f"allow 0.0.0.0/0 as well, but for private addresses, in {at.origin.file}",
                    )
        yield from _without_ipv4(flow, network, seen)


def _without_ipv4(flow: Flow, network: Network, seen: set[tuple[object, ...]]) -> Iterator[Breach]:
    """Yield the block of a flow to addresses of a cluster that is possible by IPv6 alone."""
    if any(one.destination.labels is not None for one in flow.routes):
        # A pod's addresses are those that its cluster gives it.
        return
    wanted = [(one, one.destination.addresses & _IPV4) for one in flow.routes]
    if any(not addresses or network.reachable(one.source, addresses, one.port) for one, addresses in wanted):
        return
    openings = (opening for one, _ in wanted for opening in network.decide(*one).egress.openings)
    for at in (opening.peer.at("ipBlock", "cidr") for opening in openings):
        if at.exists and _key(at) not in seen:
            seen.add(_key(at))
            yield Breach(
                at=at,
                problem=f"{flow.source} reaches {flow.target} by IPv6 alone, so {flow.otherwise} where "
                "the cluster has IPv4",
                fix=f"allow its IPv4 addresses as well in {at.origin.file}",
            )
            return


def _nobody_let_in(overlay: Overlay, network: Network) -> Iterator[Breach]:
    """Yield the policy that keeps everybody from BinderHub, where no other one lets anybody in."""
    binder = the_binder(overlay).pod
    policies = network.isolating(network.pod(binder), Direction.INGRESS)
    number = the_config(overlay).effective("BinderHub", "port")
    ports = {number} if isinstance(number, int) else set()
    rules = [rule for policy in policies for rule in policy.place.at("spec", "ingress").each()]
    if policies and not any(
        not (rule / "ports").items
        or any(admits(port, ports, binder.all_containers) for port in (rule / "ports").each())
        for rule in rules
    ):
        at = policies[0].place.at("spec", "podSelector")
        yield Breach(
            at=at,
            problem="no network policy lets anybody in to BinderHub, so nobody can ask for a build",
            fix=f"add a policy that admits its clients to those in {at.origin.file}",
            related=tuple(policy.place.at("spec", "podSelector") for policy in policies[1:]),
        )


class _Blocked(NamedTuple):
    """A flow, and what to change so that one of its ends lets it through.

    ``miss`` is what nearly lets it through, None where nothing is meant to. ``others`` are rules that
    nearly do and let through something else that is needed.
    """

    flow: Flow
    side: Side
    miss: Miss | None
    others: tuple[Place, ...]

    @property
    def at(self) -> Place:
        """What to change."""
        return _isolation(self.side) if self.miss is None else _precise(self.miss.at, self.flow)


def _system(overlay: Overlay, network: Network) -> System:
    """Return those that talk to each other."""
    binder, daemon = the_binder(overlay), overlay.docker_api
    build = overlay.build_pod.object if overlay.build_pod else None
    return System(
        network,
        overlay.objects,
        the_config(overlay),
        (binder.pod, binder.container),
        (daemon.pod, daemon.container) if daemon else None,
        build.pod if build else None,
        tuple(one.name for one in overlay.facts.namespaces),
        frozenset(label for pool in overlay.facts.pools for label in pool.labels),
    )


def _is_open(decisions: Sequence[Decision]) -> bool:
    return any(decision.allowed for decision in decisions)


def _blocked(
    flow: Flow, decisions: Sequence[Decision], direction: Direction, serving: set[tuple[object, ...]]
) -> _Blocked:
    """Look for the rule that is meant to let the flow through: the nearest that serves no other."""
    sides = [side for decision in decisions for side in decision.denying if side.direction == direction]
    near = sorted(
        (miss for side in sides for miss in side.misses if miss.distance < _FAR),
        key=lambda miss: miss.distance,
    )
    meant = [miss for miss in near if miss.is_port or _key(miss.rule) not in serving]
    if meant:
        return _Blocked(flow, sides[0], meant[0], ())
    others = tuple(_precise(miss.at, flow) for miss in sides[0].misses if miss.distance < _FAR)
    return _Blocked(flow, sides[0], None, others)


def _isolation(side: Side) -> Place:
    """Return what isolates: the policy that allows nothing at all, where there is one."""
    section = side.direction.lower()
    policy = min(side.isolating, key=lambda one: len(one.place.at("spec", section).items))
    types = policy.place.at("spec", "policyTypes")
    return types if types.exists else policy.place.at("spec", "podSelector")


def _precise(at: Place, flow: Flow) -> Place:
    """Return the one value in it, where there is but one that can be meant."""
    labels = [value for _, value in (at / "matchLabels").entries()]
    if len(labels) == 1 and not (at / "matchExpressions").exists:
        return labels[0]
    if (at / "cidr").exists and not (at / "except").exists:
        return at / "cidr"
    protocols = {route.port.protocol for route in flow.routes}
    entries = [port for port in at.each() if ((port / "protocol").text or "TCP") in protocols]
    ports = [port / "port" for port in entries or at.each()]
    return ports[0] if len(ports) == 1 and ports[0].exists else at


def _breach(together: Sequence[_Blocked]) -> Breach:
    first = together[0]
    return Breach(
        at=first.at,
        problem="; ".join(_sentences(together)),
        fix=_fix(together),
        evidence="\n".join(_evidence(together)),
        related=first.others,
    )


def _sentences(together: Sequence[_Blocked]) -> Iterator[str]:
    """Yield a clause for each target, with all that cannot reach it."""
    for target, otherwise in dict.fromkeys((one.flow.target, one.flow.otherwise) for one in together):
        sources = dict.fromkeys(
            one.flow.source
            for one in together
            if (one.flow.target, one.flow.otherwise) == (target, otherwise)
        )
        yield f"{_listed(sources)} cannot reach {target}, so {otherwise}"


def _fix(together: Sequence[_Blocked]) -> str:
    first = together[0]
    file = first.at.origin.file
    if first.miss is None:
        return f"add a network policy that lets it through, as {file} denies everything else"
    if first.miss.is_port:
        ports = dict.fromkeys(str(route.port) for one in together for route in one.flow.routes)
        return f"allow port {_listed(ports)} there, in {file}"
    side = first.side.direction
    ends = dict.fromkeys(one.flow.target if side == "Egress" else one.flow.source for one in together)
    return f"let it mean {_listed(ends)}, in {file}"


def _evidence(together: Sequence[_Blocked]) -> Iterator[str]:
    """Yield the flows, then the policies of which none lets them through."""
    for one in together:
        ports = _listed(dict.fromkeys(str(route.port) for route in one.flow.routes), "or")
        yield f"{one.flow.source} to {one.flow.target}, {ports}"
    for direction in dict.fromkeys(one.side.direction for one in together):
        sides = [one.side for one in together if one.side.direction == direction]
        yield f"none of these allows it for {direction}:"
        yield from dict.fromkeys(f"  {policy.title}" for side in sides for policy in side.isolating)


def _listed(words: Iterable[str], conjunction: str = "and") -> str:
    *most, last = words
    return f"{', '.join(most)} {conjunction} {last}" if most else last


def _key(place: Place) -> tuple[object, ...]:
    return (id(place.document), *place.path)
