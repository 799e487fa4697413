"""Which port of a pod a number or a name stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from validate.cluster.objects import ContainerView, PodView
    from validate.place import Json, Place

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def port_number(port: Json, containers: Iterable[ContainerView]) -> int | None:
    """Return the number of a port of these containers; None for a name that none of them has."""
    if isinstance(port, int):
        return port
    for container in containers:
        for declared in container.ports:
            number = (declared / "containerPort").value
            if (declared / "name").value == port and isinstance(number, int):
                return number
    return None


def declared_ports(pod: PodView) -> set[int]:
    """Return the numbers that the containers of a pod declare."""
    numbers = (port / "containerPort" for container in pod.all_containers for port in container.ports)
    return {place.value for place in numbers if isinstance(place.value, int)}


def probe_ports(container: ContainerView) -> Iterator[Place]:
    """Yield the port of each probe that asks over the network."""
    for probe in PROBES:
        for handler in ("httpGet", "tcpSocket", "grpc"):
            port = container.place.at(probe, handler, "port")
            if port.exists:
                yield port


def admits(entry: Place, numbers: Collection[int], containers: Iterable[ContainerView]) -> bool:
    """Whether a port of a network policy (a name, a number, or a range up to ``endPort``) is one of these."""
    first = port_number((entry / "port").value, containers)
    last = (entry / "endPort").value
    if first is None:
        return False
    return any(first <= number <= (last if isinstance(last, int) else first) for number in numbers)
