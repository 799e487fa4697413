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
    from validate.cluster.objects import PodView
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
    # https://cloud.google.com/kubernetes-engine/docs/how-to/network-policy
    _Metadata("169.254.169.252", Port(988), "the metadata server of GKE, as Calico sees it"),
    # https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    _Metadata("168.63.129.16", Port(80), "the WireServer of Azure"),
    _Metadata("168.63.129.16", Port(32526), "the host agent of Azure"),
)


class _Open(NamedTuple):
    """What lets a pod reach one of them; the pod's labels where no policy isolates it."""

    who: str
    metadata: _Metadata
    at: Place
    is_isolated: bool


class OpenMetadataEndpoint(OverlayRule):
    """Builds can reach the metadata endpoint of their node.

    A build runs whatever its repository says. At 169.254.169.254 and a few more addresses a cloud
    hands out the identity of the node to whoever asks from it, and with that anybody who may build
    acts as the node. The `RUN` steps of a build leave from the pod of docker-api, the clone from the
    build pod. The chart that this repository replaces closes private addresses and leaves these
    open (2i2c-org/binderhub-service pull request 157): link-local addresses are not private ones.

    Select both pods with a network policy for egress, and except 169.254.0.0/16, 168.63.129.16/32,
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


def _builders(overlay: Overlay) -> Iterator[tuple[str, PodView]]:
    if overlay.docker_api is not None:
        yield "docker-api", overlay.docker_api.pod
    build = overlay.build_pod.object if overlay.build_pod else None
    if build is not None and build.pod is not None:
        yield "the build pod", build.pod


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
            yield _Open(who, metadata, _narrowest(opening.peer), is_isolated)


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
        problem=f"{problem}: whoever builds can act as the node",
        fix=fix,
        evidence="\n".join(evidence),
        related=tuple(others.values()),
    )


def _key(one: _Open) -> tuple[object, ...]:
    return (id(one.at.document),) if one.is_isolated else (one.at.path[-1],)


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
