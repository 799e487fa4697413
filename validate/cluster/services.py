"""Where the name of a Service leads: to which pods, and to which of their ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from validate.cluster.index import index_of
from validate.cluster.network import Port, named_ports
from validate.cluster.selectors import as_text, selects_map

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from validate.cluster.objects import KubeObject, PodView


class ServiceName(NamedTuple):
    """A Service, as a host name in the cluster names it."""

    name: str
    namespace: str


def read_service_name(host: str, namespace: str, namespaces: Collection[str]) -> ServiceName | None:
    """Return the Service that ``host`` names for a pod of ``namespace``, None for a host outside.

    Read as the search domains of a pod have it: ``registry``, ``registry.binder``, ``registry.binder.svc``,
    ``registry.binder.svc.cluster.local``. ``registry.binder`` is a host outside where ``namespaces``, those
    that are known, has no ``binder``.
    """
    match host.split("."):
        case [name] if name and name != "localhost":
            return ServiceName(name, namespace)
        case [name, space] if space in namespaces:
            return ServiceName(name, space)
        case [name, space, "svc", *_]:
            return ServiceName(name, space)
    return None


def find_service(name: ServiceName, objects: Sequence[KubeObject]) -> KubeObject | None:
    """Return the Service of that name, None where the tree has none."""
    return index_of(tuple(objects)).get("Service", *name)


def services_of(pod: PodView, objects: Sequence[KubeObject]) -> Iterator[KubeObject]:
    """Yield the Services that select a pod."""
    for item in index_of(tuple(objects)).of_kind("Service"):
        if item.namespace == pod.owner.namespace and selects_map(
            item.place.at("spec", "selector"), pod.labels
        ):
            yield item


def selected_pods(service: KubeObject, objects: Sequence[KubeObject]) -> Iterator[PodView]:
    """Yield the pods that a Service selects."""
    selector = service.place.at("spec", "selector")
    index = index_of(tuple(objects))
    # One of the labels narrows it down; without any, a Service selects nothing.
    for key, value in list(selector.mapping.items())[:1]:
        for pod in index.pods(service.namespace, key, as_text(value)):
            if selects_map(selector, pod.labels):
                yield pod


def target_ports(service: KubeObject, number: int, pod: PodView) -> Iterator[Port]:
    """Yield the ports of ``pod`` that port ``number`` of ``service`` leads to, one for each protocol."""
    for port in service.place.at("spec", "ports").each():
        if (port / "port").value != number:
            continue
        protocol = (port / "protocol").text or "TCP"
        target = (port / "targetPort").value or number
        if isinstance(target, int):
            yield Port(target, protocol)
        for named in named_ports(pod):
            if (named.name, named.protocol) == (target, protocol):
                yield Port(named.number, protocol)
