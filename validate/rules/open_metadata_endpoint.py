"""open-metadata-endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from validate.cluster.addresses import Addresses
from validate.cluster.network import Direction, Endpoint, Port
from validate.rules.rule import Breach, NotApplicable, OverlayRule
from validate.rules.subjects import the_network

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validate.cluster.network import Network
    from validate.cluster.objects import KubeObject, PodView
    from validate.overlay import Overlay
    from validate.place import Place


class _Metadata(NamedTuple):
    """An address at which a cloud tells a node who it is, and a port that it answers at."""

    address: str
    port: Port
    whose: str


_METADATA = (
    # AWS, Google Cloud, Azure and OpenStack alike.
    _Metadata("169.254.169.254", Port(80), "the metadata service of the node"),
    # https://docs.aws.amazon.com/whitepapers/latest/ipv6-on-aws/supporting-amazon-vpc-services.html
    _Metadata("fd00:ec2::254", Port(80), "the metadata service of AWS by IPv6"),
    # https://cloud.google.com/compute/docs/metadata/querying-metadata
    _Metadata("fd20:ce::254", Port(80), "the metadata server of Google Cloud by IPv6"),
    # https://docs.openstack.org/nova/latest/admin/metadata-service.html
    _Metadata("fe80::a9fe:a9fe", Port(80), "the metadata service of OpenStack by IPv6"),
    # https://cloud.google.com/kubernetes-engine/docs/how-to/network-policy
    _Metadata("169.254.169.252", Port(988), "the metadata server of GKE, as Calico sees it"),
    # https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    _Metadata("168.63.129.16", Port(80), "the WireServer of Azure"),
    _Metadata("168.63.129.16", Port(32526), "the host agent of Azure"),
)


# Where clusters have their pods, nodes and API server, and owners of networks the rest.
_PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")
_BINDER = "BinderHub"
_DNS = 53


class _Open(NamedTuple):
    """What lets a pod reach one of them; the pod's labels where no policy isolates it."""

    who: str
    metadata: _Metadata
    at: Place
    is_isolated: bool


class OpenMetadataEndpoint(OverlayRule):
    """Builds can reach the metadata endpoint of their node, or private addresses that one block forgot.

    A build runs whatever its repository says. At 169.254.169.254 and a few more addresses a cloud
    hands out the identity of the node to whoever asks from it, and with that anybody who may build
    acts as the node. The `RUN` steps of a build leave from the pod of docker-api, the clone from the
    build pod. The chart that this repository replaces closes private addresses and leaves these
    open (2i2c-org/binderhub-service pull request 157): link-local addresses are not private ones.

    BinderHub runs no such code, and it connects where a request says: to resolve a branch it asks the host
    in the URL, by http as well. Where it reads its registry with a token of the metadata server, a policy
    of its own lets it reach that one address.

    A block that excepts some private addresses, and forgot 10.0.0.0/8 or another part, leads to nodes,
    to the API server and to databases of others. One that excepts none of them is meant so. A rule with ports
    and without peers is for every address, which is seldom meant.

    Select the pods with a network policy for egress, and except 169.254.0.0/16, 168.63.129.16/32,
    fe80::/10, fd00:ec2::254/128 and fd20:ce::254/128 from every block that it allows. Port 53 may
    stay open: some clouds answer DNS there. A pod on the network of its node is beyond all policies.
    """

    id = "open-metadata-endpoint"
    requires = ("split-namespace", "misdirected-service")

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Ask the policies of the pods that builds leave from for each of the addresses."""
        network = the_network(overlay)
        builders = dict(_builders(overlay))
        if not builders:
            raise NotApplicable("nothing here builds")
        found = [one for who, pod in builders.items() for one in _open(who, pod, network)]
        for key in dict.fromkeys(_key(one) for one in found):
            yield _breach([one for one in found if _key(one) == key])
        selecting = (network.isolating(network.pod(pod), Direction.EGRESS) for pod in builders.values())
        policies = {id(one): one for policies in selecting for one in policies}.values()
        yield from _half_closed(policies)
        yield from _without_peers(policies)


def _builders(overlay: Overlay) -> Iterator[tuple[str, PodView]]:
    if overlay.docker_api is not None:
        yield "docker-api", overlay.docker_api.pod
    build = overlay.build_pod.object if overlay.build_pod else None
    if build is not None and build.pod is not None:
        yield "the build pod", build.pod
        if overlay.binder is not None:
            yield _BINDER, overlay.binder.pod


def _open(who: str, pod: PodView, network: Network) -> Iterator[_Open]:
    source = network.pod(pod)
    is_isolated = bool(network.isolating(source, Direction.EGRESS))
    host = pod.spec / "hostNetwork"
    at = host if host.value is True else pod.template.at("metadata", "labels")
    for metadata in _METADATA:
        decision = network.decide(source, Endpoint(Addresses.of(metadata.address)), metadata.port)
        if not is_isolated:
            yield _Open(who, metadata, at, is_isolated)
        for opening in decision.egress.openings:
            if not (who == _BINDER and _is_one_address(opening.peer)):
                yield _Open(who, metadata, _narrowest(opening.peer), is_isolated)


def _is_one_address(peer: Place) -> bool:
    return peer.at("ipBlock", "cidr").text.endswith(("/32", "/128"))


def _half_closed(policies: Iterable[KubeObject]) -> Iterator[Breach]:
    """Yield the blocks that except some of the private addresses, and not all."""
    for policy in policies:
        peers = (peer for rule in policy.place.at("spec", "egress").each() for peer in (rule / "to").each())
        for block in (peer / "ipBlock" for peer in peers if (peer / "ipBlock").exists):
            excepted = block / "except"
            try:
                whole = Addresses.of((block / "cidr").text)
                closed = Addresses.of(*map(str, excepted.items))
            except ValueError:
                # The API server refuses the policy, which invalid-object says.
                continue
            private = [Addresses.of(one) for one in _PRIVATE]
            left = [
                name
                for name, part in zip(_PRIVATE, private, strict=True)
                if part & whole == part and not part & closed
            ]
            if left and any(part & closed == part for part in private):
                names = _listed(left)
                yield Breach(
                    at=excepted,
                    problem=f"{policy.title} closes private addresses and forgot {names}: whoever builds "
                    "reaches what is there, nodes and the API server among it",
                    fix=f"except {names} there as well, in {excepted.origin.file}",
                )


def _without_peers(policies: Iterable[KubeObject]) -> Iterator[Breach]:
    """Yield the rules that name ports and nobody who has them: everybody is meant then.

    DNS is asked at many addresses, and a rule without ports opens the metadata addresses as well.
    """
    for policy in policies:
        for rule in policy.place.at("spec", "egress").each():
            numbers = [(port / "port").value for port in (rule / "ports").each()]
            # Those with a name are ports of pods which have one of that name.
            ports = [str(number) for number in numbers if isinstance(number, int) and number != _DNS]
            if ports and not (rule / "to").items:
                yield Breach(
                    at=rule / "to",
                    problem=f"{policy.title} names no peers for port {_listed(ports)}: "
                    "builds reach it at every private address, of nodes and of pods",
                    fix=f"name under to what is meant in {rule.origin.file}",
                )


def _narrowest(peer: Place) -> Place:
    """Return what to change in a peer: the exceptions of its block, or the block that has none."""
    block = peer / "ipBlock"
    if (block / "except").exists:
        return block / "except"
    return block / "cidr" if block.exists else peer


def _breach(together: list[_Open]) -> Breach:
    first = together[0]
    file = first.at.origin.file
    names = _listed(dict.fromkeys(one.who for one in together))
    addresses = _listed(dict.fromkeys(one.metadata.address for one in together))
    evidence = dict.fromkeys(
        f"{one.metadata.address} port {one.metadata.port.number}: {one.metadata.whose}" for one in together
    )
    others = {
        one.at.path: one.at
        for one in together
        if one.at.document is first.at.document and one.at.path != first.at.path
    }
    if first.is_isolated:
        problem = f"{first.at.document.title} lets {names} reach {addresses}"
        fix = f"except {addresses} there, or select fewer pods, in {file}"
    elif first.at.path[-1] == "hostNetwork":
        problem = (
            f"{names} is on the network of its node, where no network policy holds, and reaches {addresses}"
        )
        fix = f"remove hostNetwork from {file}"
    else:
        problem = f"no network policy for egress selects {names}, so builds reach {addresses}"
        fix = f"add a network policy with policyTypes: [Egress] for these labels, which stand in {file}"
    return Breach(
        at=first.at,
        problem=f"{problem}: {_loss(together)}",
        fix=fix,
        evidence="\n".join(evidence),
        related=tuple(others.values()),
    )


def _loss(together: list[_Open]) -> str:
    """Return what happens because of it."""
    if all(one.who == _BINDER for one in together):
        return "whoever asks for a build chooses where BinderHub connects, and it can ask as the node"
    return "whoever builds can act as the node"


def _key(one: _Open) -> tuple[object, ...]:
    return (id(one.at.document),) if one.is_isolated else (one.at.path[-1],)


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
