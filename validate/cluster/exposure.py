"""How requests from outside the cluster come to a pod: Ingresses, routes, and Services with an outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.selectors import selects
from validate.cluster.services import services_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validate.cluster.objects import KubeObject, PodView
    from validate.place import Place

_ROUTES = frozenset({"HTTPRoute", "TLSRoute", "TCPRoute"})
_OUTSIDE = frozenset({"LoadBalancer", "NodePort"})
# Labels that Zero to JupyterHub gives to the hub, to its proxy, and to the servers of users.
_HUB = {"app": "jupyterhub", "component": "hub"}
_PROXY = {"app": "jupyterhub", "component": "proxy"}
_USER = {"app": "jupyterhub", "component": "singleuser-server"}
EVERYWHERE = frozenset({"0.0.0.0/0", "::/0"})


def ways_in(pod: PodView, objects: Iterable[KubeObject]) -> Iterator[tuple[KubeObject, Place]]:
    """Yield each way in with the place that opens it: where it names the Service, or a Service's type."""
    together = tuple(objects)
    services = {item.name: item for item in services_of(pod, together)}
    for item in together:
        if item.kind in _ROUTES or item.kind == "Ingress":
            for backend in _backends(item):
                if backend.text in services and item.namespace == pod.owner.namespace:
                    yield item, backend
    for item in services.values():
        if item.place.at("spec", "type").value in _OUTSIDE:
            yield item, item.place.at("spec", "type")


def is_restricted(pod: PodView, objects: Iterable[KubeObject]) -> bool:
    """Whether network policies select the pod and none of them admits every address."""
    policies = list(_policies(pod, objects))
    rules = [rule for policy in policies for rule in (policy / "ingress").each()]
    return bool(policies) and not any(_admits_everybody(rule) for rule in rules)


def lets_addresses_in(pod: PodView, objects: Iterable[KubeObject]) -> bool:
    """Whether requests from addresses, and not from pods alone, reach the pod."""
    policies = list(_policies(pod, objects))
    rules = [rule for policy in policies for rule in (policy / "ingress").each()]
    blocks = (peer.at("ipBlock") for rule in rules for peer in (rule / "from").each())
    return not policies or any(map(_admits_everybody, rules)) or any(block.exists for block in blocks)


def admitted_hub(pod: PodView, objects: Iterable[KubeObject]) -> Iterator[Place]:
    """Yield where a network policy admits to the pod a JupyterHub's own pod, and not those of its users."""
    return _admitted(_HUB, pod, objects)


def admitted_proxy(pod: PodView, objects: Iterable[KubeObject]) -> Iterator[Place]:
    """Yield where it admits the proxy of a JupyterHub, which passes on whatever comes from outside."""
    return _admitted(_PROXY, pod, objects)


def _admitted(labels: dict[str, str], pod: PodView, objects: Iterable[KubeObject]) -> Iterator[Place]:
    for policy in _policies(pod, objects):
        for rule in (policy / "ingress").each():
            for peer in (rule / "from").each():
                selector = peer / "podSelector"
                if selects(selector, labels) and not selects(selector, _USER):
                    yield selector


def _policies(pod: PodView, objects: Iterable[KubeObject]) -> Iterator[Place]:
    """Yield the ``spec`` of each network policy that is about what reaches the pod."""
    for item in objects:
        spec = item.place / "spec"
        same = item.kind == "NetworkPolicy" and item.namespace == pod.owner.namespace
        types = (spec / "policyTypes").items or ["Ingress"]
        if same and "Ingress" in types and selects(spec / "podSelector", pod.labels):
            yield spec


def _admits_everybody(rule: Place) -> bool:
    peers = rule / "from"
    return not peers.items or any(peer.at("ipBlock", "cidr").value in EVERYWHERE for peer in peers.each())


def _backends(item: KubeObject) -> Iterator[Place]:
    spec = item.place / "spec"
    if item.kind == "Ingress":
        yield spec.at("defaultBackend", "service", "name")
        for rule in (spec / "rules").each():
            for path in rule.at("http", "paths").each():
                yield path.at("backend", "service", "name")
        return
    for rule in (spec / "rules").each():
        for backend in (rule / "backendRefs").each():
            yield backend / "name"
