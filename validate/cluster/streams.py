"""What stands between an event stream and its reader: proxies that hold it back, or cut it.

Defaults as documented by each controller: F5's NGINX buffers responses unless told otherwise, ingress-nginx
does not; both wait 60 seconds for the next byte. Google's load balancer ends a response after 30
seconds in all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from validate.cluster.objects import KubeObject
    from validate.place import Place

_COMMUNITY, _F5 = "nginx.ingress.kubernetes.io", "nginx.org"
_GOOGLE_CLASSES = frozenset({"gce", "gce-internal"})
_BACKEND_CONFIG = "cloud.google.com/backend-config"
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "": 1}


class Obstacle(NamedTuple):
    """What holds a stream back or cuts it, a clause, and what to write at ``place`` instead."""

    place: Place
    problem: str
    remedy: str


def obstacles(
    way: KubeObject,
    services: Sequence[KubeObject],
    objects: Sequence[KubeObject],
    *,
    silence: int,
    length: int,
) -> Iterator[Obstacle]:
    """Yield what an Ingress or HTTPRoute does to a stream.

    ``silence`` is the longest pause between two events, ``length`` how long a stream may take, in
    seconds.
    """
    if way.kind == "HTTPRoute":
        yield from _of_route(way, length)
    if way.kind == "Ingress":
        if not _class_of(way):
            place = way.place.at("spec", "ingressClassName")
            yield Obstacle(place, "no class says which controller serves it", "the class of that controller")
        yield from _of_nginx(way, objects, silence)
        if _class_of(way) in _GOOGLE_CLASSES:
            yield from _of_google(services)


def seconds(text: str) -> float | None:
    """Return the seconds of ``90``, ``60s``, ``1h30m`` or ``1h 30m``, None for anything else."""
    parts = re.findall(r"(\d+)\s*(ms|[smhd]?)", text)
    if not parts or re.sub(r"(\d+)\s*(ms|[smhd]?)\s*", "", text).strip():
        return None
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


def _of_nginx(way: KubeObject, objects: Sequence[KubeObject], silence: int) -> Iterator[Obstacle]:
    annotations = way.place.at("metadata", "annotations")
    buffering = annotations / f"{_COMMUNITY}/proxy-buffering"
    if buffering.text == "on":
        yield Obstacle(buffering, "nginx buffers the stream", '"off"')
    buffering = annotations / f"{_F5}/proxy-buffering"
    if _is_f5(way, objects) and buffering.text.lower() != "false":
        yield Obstacle(buffering, "NGINX buffers the stream unless it is told not to", '"false"')
    for prefix in (_COMMUNITY, _F5):
        timeout = annotations / f"{prefix}/proxy-read-timeout"
        limit = seconds(timeout.text)
        if limit is not None and limit <= silence:
            yield Obstacle(timeout, f"a stream ends after {limit:g} s of silence", '"3600"')


def _is_f5(way: KubeObject, objects: Sequence[KubeObject]) -> bool:
    controllers = [
        item.place.at("spec", "controller").text
        for item in objects
        if item.kind == "IngressClass" and item.name == _class_of(way)
    ]
    if controllers:
        return controllers[0] == "nginx.org/ingress-controller"
    return any(name.startswith(f"{_F5}/") for name in way.annotations)


def _class_of(way: KubeObject) -> str:
    return way.place.at("spec", "ingressClassName").text or way.annotations.get(
        "kubernetes.io/ingress.class", ""
    )


def _of_google(services: Sequence[KubeObject]) -> Iterator[Obstacle]:
    for service in services:
        annotation = service.place.at("metadata", "annotations", _BACKEND_CONFIG)
        if not annotation.exists:
            yield Obstacle(
                annotation,
                "Google's load balancer ends a stream after 30 s",
                "a BackendConfig with timeoutSec",
            )


def _of_route(way: KubeObject, length: int) -> Iterator[Obstacle]:
    for rule in way.place.at("spec", "rules").each():
        for name in ("request", "backendRequest"):
            timeout = rule.at("timeouts", name)
            limit = seconds(timeout.text)
            # 0s is no limit at all.
            if limit and limit < length:
                yield Obstacle(timeout, f"a stream ends after {timeout.text}", "0s")
