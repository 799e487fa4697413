"""The connections that the system lives on: who to whom, at which port, and what stops without them.

Addresses outside the cluster are not known here. A flow to a host that only has a name holds where any
address would do, so what is reported is blocked whatever the address is.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct

from validate.binderhub.registry import image_host
from validate.cluster.addresses import Addresses
from validate.cluster.exposure import ways_in
from validate.cluster.network import NAMESPACE_NAME, PRIVATE, ContainerPort, Endpoint, Port
from validate.cluster.objects import string_map
from validate.cluster.services import (
    ServiceName,
    find_service,
    read_service_name,
    selected_pods,
    target_ports,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from validate.binderhub.config import BinderHubConfig
    from validate.cluster.network import Network
    from validate.cluster.objects import ContainerView, KubeObject, PodView
    from validate.place import Place

# The addresses of hosts on the internet: without those that IANA keeps for other purposes, and without
# 168.63.129.16, which is Azure's own (learn.microsoft.com: What is IP address 168.63.129.16).
INTERNET = (
    Addresses.of("0.0.0.0/0", "2000::/3")
    - PRIVATE
    - Addresses.of(
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15"
    )
    - Addresses.of("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3", "2001:db8::/32", "168.63.129.16/32")
)
_LINK_LOCAL = Addresses.of("169.254.0.0/16")
_HTTPS, _API_SERVER = Port(443), Port(6443)
# What labels of nodes contain, and the port of the API server there: the clouds' own ones are at 443
# (docs.aws.amazon.com/eks/latest/userguide/network-reqs.html and their like), Magnum's at 6443.
_API_PORTS = {
    "eks.amazonaws.com/": _HTTPS,
    "cloud.google.com/gke-": _HTTPS,
    "kubernetes.azure.com/": _HTTPS,
    "magnum.openstack.org/": _API_SERVER,
}
# GitRepoProvider.allowed_protocols has these by default, and https.
_GIT_PORTS = {"http": Port(80), "ssh": Port(22), "git": Port(9418)}
_DNS_PORTS = (ContainerPort("dns", 53, "UDP"), ContainerPort("dns-tcp", 53, "TCP"))
# https://cloud.google.com/kubernetes-engine/docs/how-to/network-policy: the address that the pod asks for,
# and the one that it is led to where Calico looks.
_GOOGLE_METADATA = (("169.254.169.254", Port(80)), ("169.254.169.252", Port(988)))
# What Zero to JupyterHub calls its pods; the labels that Helm adds are not known.
_HUB_PORT = ContainerPort("http", 8081)
_HELM_LABELS = ("release", "chart", "heritage", "helm.sh/chart", "app.kubernetes.io/instance")


class Route(NamedTuple):
    """One way for a connection to go."""

    source: Endpoint
    destination: Endpoint
    port: Port


class Flow(Struct, frozen=True):
    """A connection that has to be possible.

    Attributes:
        source: who opens it, as people say it.
        target: to whom.
        otherwise: what happens where it is not possible, a clause.
        routes: the ways that it can go; one is enough.
    """

    source: str
    target: str
    otherwise: str
    routes: tuple[Route, ...]


class System(Struct, frozen=True, eq=False):
    """What takes part.

    Attributes:
        network: the policies.
        objects: everything that the overlay renders.
        config: what BinderHub runs with.
        binder: the pod of BinderHub, and the container that runs it.
        docker_api: the pod of docker-api, and the container that runs dockerd; None where there is none.
        build_pod: the pod of a build; None where there is none.
        outside: names of the namespaces that the cluster is said to have besides those of the tree.
        node_labels: the names of labels that its nodes are said to have.
    """

    network: Network
    objects: Sequence[KubeObject]
    config: BinderHubConfig
    binder: tuple[PodView, ContainerView]
    docker_api: tuple[PodView, ContainerView] | None
    build_pod: PodView | None
    outside: tuple[str, ...]
    node_labels: frozenset[str] = frozenset()


def needed_flows(system: System) -> Iterator[Flow]:
    """Yield the connections that have to be possible for this configuration to work."""
    pod, container = system.binder
    binder = system.network.pod(pod)
    yield from _dns("BinderHub", binder, system)
    yield from _api_server(system)
    if not _has_proxy(container):
        yield from _git_hosts("BinderHub", binder, "it resolves no branch to a commit", system)
    yield from _registry("BinderHub", binder, "it finds no image and builds every one again", system)
    yield from _google_metadata(binder, system)
    yield from _hub(binder, system)
    yield from _clients(binder, system)
    if system.build_pod is not None:
        build = system.network.pod(system.build_pod)
        yield from _dns("build pods", build, system)
        if not any(_has_proxy(one) for one in system.build_pod.containers):
            yield from _git_hosts("build pods", build, "nothing is cloned", system)
    if system.docker_api is not None:
        pod, container = system.docker_api
        daemon = system.network.pod(pod)
        yield from _dns("docker-api", daemon, system)
        if not _has_proxy(container):
            yield Flow(
                "docker-api",
                "the internet",
                "builds download nothing",
                (Route(daemon, Endpoint(INTERNET), _HTTPS),),
            )
        yield from _registry("docker-api", daemon, "no image is pushed", system)


def _dns(who: str, source: Endpoint, system: System) -> Iterator[Flow]:
    """Yield the flows to kube-dns, the one by TCP only where UDP comes through.

    Where nothing is written with it in mind, addresses of the node count as well: NodeLocal DNSCache
    answers at 169.254.20.10, Cloud DNS of GKE at 169.254.169.254.
    """
    server = system.network.endpoint({"k8s-app": "kube-dns"}, "kube-system", _DNS_PORTS)
    for protocol, title, otherwise in (
        ("UDP", "DNS (k8s-app: kube-dns in kube-system)", "no name is resolved"),
        ("TCP", "DNS over TCP", "an answer that is too long for UDP never arrives"),
    ):
        route = Route(source, server, Port(53, protocol))
        misses = system.network.decide(*route).egress.misses
        is_meant = any(not miss.is_port and "Selector" in str(miss.at) for miss in misses)
        node = () if is_meant else (Route(source, Endpoint(_LINK_LOCAL), Port(53, protocol)),)
        flow = Flow(who, title, otherwise, (route, *node))
        yield flow
        if not any(system.network.decide(*way).allowed for way in flow.routes):
            return


def _api_server(system: System) -> Iterator[Flow]:
    """Yield a flow for BinderHub, and for whatever else has an account with rights.

    Most API servers have a private address. The public one that a cloud may give counts where a policy
    names it by itself: the internet as a whole is open for other reasons. Labels of nodes tell whose cluster
    it is, and with that the port.
    """
    known = [
        port for prefix, port in _API_PORTS.items() if any(prefix in name for name in system.node_labels)
    ]
    ports = known[:1] or (_HTTPS, _API_SERVER)
    pod, _ = system.binder
    callers = {id(pod.owner): ("BinderHub", "it creates no build pod", pod)}
    bound = _bound_accounts(system.objects)
    for item in system.objects:
        other = item.pod
        if other is not None and item is not pod.owner:
            account = (other.spec / "serviceAccountName").text or "default"
            if (item.namespace, account) in bound:
                callers[id(item)] = (item.title, "it can do nothing that its role allows", other)
    named = Addresses.of(*_single_addresses(system.objects)) - _LINK_LOCAL
    for title, otherwise, caller in callers.values():
        source = system.network.pod(caller)
        yield Flow(
            title,
            "the API server (a private address, unless one is named)",
            otherwise,
            tuple(Route(source, Endpoint(PRIVATE | named), port) for port in ports),
        )


def _bound_accounts(objects: Sequence[KubeObject]) -> set[tuple[str, str]]:
    return {
        ((subject / "namespace").text or item.namespace, (subject / "name").text)
        for item in objects
        if item.kind in ("RoleBinding", "ClusterRoleBinding")
        for subject in (item.place / "subjects").each()
        if (subject / "kind").value == "ServiceAccount"
    }


def _single_addresses(objects: Sequence[KubeObject]) -> Iterator[str]:
    """Yield the blocks of one address that policies name."""
    for peer in _peers(objects, "egress", "to"):
        block = peer.at("ipBlock", "cidr").text
        if block.endswith("/128" if ":" in block else "/32"):
            yield block


def _git_hosts(who: str, source: Endpoint, otherwise: str, system: System) -> Iterator[Flow]:
    """Yield a flow for each protocol in which BinderHub takes the address of a repository."""
    hosts = Endpoint(INTERNET)
    yield Flow(who, "git hosts", otherwise, (Route(source, hosts, _HTTPS),))
    accepted = system.config.effective("GitRepoProvider", "allowed_protocols")
    for protocol, port in _GIT_PORTS.items():
        if protocol in (accepted if isinstance(accepted, list) else ()):
            without = f"a repository that is named by {protocol}:// is never built"
            yield Flow(who, f"git hosts by {protocol}", without, (Route(source, hosts, port),))


def _registry(who: str, source: Endpoint, otherwise: str, system: System) -> Iterator[Flow]:
    prefix = system.config.trait("BinderHub", "image_prefix")
    if not prefix.text or not system.config.effective("BinderHub", "use_registry"):
        return
    host = image_host(prefix.text)
    name, _, port = host.partition(":")
    number = int(port) if port.isdigit() else _HTTPS.number
    title = f"the registry {host}"
    service = _service_name(name, system)
    if service is None:
        where = Endpoint(_address(name) or PRIVATE | INTERNET)
        yield Flow(who, title, otherwise, (Route(source, where, Port(number)),))
    elif pods := tuple(_behind(service, number, system)):
        yield Flow(who, title, otherwise, tuple(Route(source, pod, where) for pod, where in pods))


def _google_metadata(binder: Endpoint, system: System) -> Iterator[Flow]:
    registry = system.config.trait("BinderHub", "registry_class").text
    if registry.rpartition(".")[2] == "GoogleArtifactRegistry":
        yield Flow(
            "BinderHub",
            "the metadata server",
            "it gets no token for the registry and finds no image",
            tuple(Route(binder, Endpoint(Addresses.of(address)), port) for address, port in _GOOGLE_METADATA),
        )


def _hub(binder: Endpoint, system: System) -> Iterator[Flow]:
    """Yield the flows between BinderHub and the hub that it asks who a request is from."""
    service, number = _hub_service(system)
    if service is None:
        return
    namespace, pod_of = service.namespace, system.network.endpoint
    pods = tuple(_behind(service, number, system)) or tuple(
        (pod_of(labels, namespace, (_HUB_PORT,)), Port(number)) for labels in _hub_labels("hub", system)
    )
    routes = tuple(Route(binder, endpoint, port) for endpoint, port in pods)
    yield Flow("BinderHub", "the hub", "it cannot ask the hub who a request is from", routes)
    for component, client, otherwise in (
        ("proxy", "the hub's proxy", "the requests of users end in a timeout"),
        ("hub", "the hub", "it takes its service for dead"),
    ):
        sources = (pod_of(labels, namespace) for labels in _hub_labels(component, system))
        routes = tuple(Route(source, binder, _own_port(system)) for source in sources)
        yield Flow(client, "BinderHub", otherwise, routes)


def _hub_labels(component: str, system: System) -> list[Mapping[str, str]]:
    """Return what labels such a pod can have, given that Helm's are as some policy asks."""
    own = {"app": "jupyterhub", "component": component}
    asked = [
        {key: value for key, value in labels.items() if key in _HELM_LABELS}
        for labels in _asked_labels(system, "podSelector")
    ]
    return [own, *({**labels, **own} for labels in asked if labels)]


def _clients(binder: Endpoint, system: System) -> Iterator[Flow]:
    """Yield a flow for each Ingress or route that leads to BinderHub."""
    pod, _ = system.binder
    routes = (item for item, _ in ways_in(pod, system.objects) if item.kind != "Service")
    for item in dict.fromkeys(routes):
        yield Flow(
            f"the controller of {item.title}",
            "BinderHub",
            "every request from outside ends in a timeout",
            tuple(Route(client, binder, _own_port(system)) for client in _controllers(system)),
        )


def _controllers(system: System) -> Iterator[Endpoint]:
    """Yield what an ingress controller can be: a pod of another namespace, or an address.

    Its labels are not known, so they are as some policy asks. Neither is its namespace, unless the
    facts about the cluster name those that there are.
    """
    network, own = system.network, system.binder[0].owner.namespace
    yield Endpoint(PRIVATE | INTERNET)
    hub, _ = _hub_service(system)
    others = {own, hub.namespace if hub else own}
    spaces = [labels for name, labels in network.namespaces.items() if name not in others]
    if not set(system.outside) - others:
        spaces += [
            labels
            for labels in _asked_labels(system, "namespaceSelector")
            if labels.get(NAMESPACE_NAME) not in others
        ]
    for space in spaces:
        for labels in ({}, *_asked_labels(system, "podSelector")):
            yield Endpoint(PRIVATE, labels, space.get(NAMESPACE_NAME, ""), space)


def _own_port(system: System) -> Port:
    number = system.config.effective("BinderHub", "port")
    return Port(number if isinstance(number, int) else 8585)


def _hub_service(system: System) -> tuple[ServiceName | None, int]:
    entry = system.binder[1].env("JUPYTERHUB_API_URL")
    variable = (entry / "value").text if entry is not None else ""
    url = urlsplit(system.config.trait("HubOAuth", "api_url").text or variable)
    return _service_name(url.hostname or "", system), url.port or 80


def _service_name(host: str, system: System) -> ServiceName | None:
    return read_service_name(host, system.binder[0].owner.namespace, system.network.namespaces)


def _behind(name: ServiceName, number: int, system: System) -> Iterator[tuple[Endpoint, Port]]:
    """Yield the pods behind a Service of the tree, each with the port that policies see."""
    service = find_service(name, system.objects)
    for pod in selected_pods(service, system.objects) if service else ():
        for port in target_ports(service, number, pod) if service else ():
            yield system.network.pod(pod), port


def _address(host: str) -> Addresses | None:
    try:
        return Addresses.of(str(ip_address(host)))
    except ValueError:
        return None


def _has_proxy(container: ContainerView) -> bool:
    return any(container.env(name) is not None for name in ("HTTPS_PROXY", "https_proxy"))


def _asked_labels(system: System, selector: str) -> list[Mapping[str, str]]:
    """Return the labels that peers of other namespaces ask of pods, or of those namespaces."""
    asked = (
        string_map(peer.at(selector, "matchLabels").value)
        for section, key in (("ingress", "from"), ("egress", "to"))
        for peer in _peers(system.objects, section, key)
        if (peer / "namespaceSelector").exists
    )
    return list({tuple(sorted(labels.items())): labels for labels in asked if labels}.values())


def _peers(objects: Sequence[KubeObject], section: str, key: str) -> Iterator[Place]:
    for item in objects:
        if item.kind == "NetworkPolicy":
            for rule in item.place.at("spec", section).each():
                yield from (rule / key).each()
