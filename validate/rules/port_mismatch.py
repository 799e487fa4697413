"""port-mismatch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.ports import admits, declared_ports, port_number, probe_ports
from validate.cluster.selectors import selects, selects_map
from validate.cluster.services import services_of
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_binder, the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay, Workload
    from validate.place import Place


# Annotations by which controllers change the path on the way.
_REWRITES = {
    "nginx.ingress.kubernetes.io/rewrite-target",
    "nginx.org/rewrites",
    "traefik.ingress.kubernetes.io/router.middlewares",
}


class PortMismatch(OverlayRule):
    """Something asks for BinderHub at a port, or below a path, where it does not listen.

    BinderHub listens at `BinderHub.port`, 8585 where it is not set. The port of the container is a
    name for that number, and Service, probes and network policies refer to the name or repeat the
    number. Where they disagree, the pod never becomes ready, the Service answers "connection
    refused" (502 behind an Ingress), or a network policy drops every request without a trace.

    An Ingress passes the path on as it is. One whose path has nothing of `base_url` below it answers 404, and
    so does one without paths.

    Use the name of the container's port everywhere, and the number in two places: `BinderHub.port`
    and `containerPort`. The port of a Service that an Ingress or a route names is judged by
    `dangling-reference`.
    """

    id = "port-mismatch"
    requires = ("wrong-config-type",)

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Follow each port that leads to BinderHub's pod down to a number."""
        config = the_config(overlay)
        binder = the_binder(overlay)
        port = config.trait("BinderHub", "port")
        number = config.effective("BinderHub", "port")
        assert isinstance(number, int)  # noqa: S101 - for the type checker: wrong-config-type holds
        own = [declared / "containerPort" for declared in binder.container.ports]
        if own and number not in [declared.value for declared in own]:
            yield Breach(
                at=own[0],
                problem=f"the container declares port {own[0].value}, and BinderHub listens at {number}: "
                "nobody reaches it",
                fix=f"write {number} in {own[0].origin.file}, or change BinderHub.port in {port.origin.file}",
                related=(port,),
            )
        listening = {number, *declared_ports(binder.pod)}
        astray = [
            (what, place)
            for what, place in _asked(overlay, binder)
            if port_number(place.value, binder.pod.all_containers) not in listening
        ]
        astray += [
            ("a network policy admits", entry / "port")
            for entry in _admitted(overlay, binder)
            if not admits(entry, listening, binder.pod.all_containers)
        ]
        for value in dict.fromkeys(place.value for _, place in astray):
            same = [(what, place) for what, place in astray if place.value == value]
            declared = next(binder.container.ports, None) if isinstance(value, str) else None
            seam = declared / "name" if declared is not None else port
            yield _breach(same[0][0], [place for _, place in same], seam, number)
        yield from _other_paths(overlay, binder, config.trait("BinderHub", "base_url"))


def _other_paths(overlay: Overlay, binder: Workload, base_url: Place) -> Iterator[Breach]:
    """Yield the paths of Ingresses to BinderHub below which it answers nothing."""
    services = {item.name for item in services_of(binder.pod, overlay.objects)}
    answered = f"/{base_url.text.strip('/')}/".replace("//", "/")
    for ingress in overlay.of_kind("Ingress"):
        if _REWRITES & ingress.annotations.keys():
            continue
        for rule in ingress.place.at("spec", "rules").each():
            if not rule.at("http", "paths").items and not ingress.place.at("spec", "defaultBackend").exists:
                host = (rule / "host").text or "any host"
                yield Breach(
                    at=rule,
                    problem=f"{ingress.title} leads nowhere for {host}: every request gets 404",
                    fix=f"add http.paths with a Service behind them in {rule.origin.file}",
                )
            for path in rule.at("http", "paths").each():
                asked = f"/{(path / 'path').text.strip('/')}/".replace("//", "/")
                known = (path / "pathType").text in ("Prefix", "Exact")
                apart = not answered.startswith(asked) and not asked.startswith(answered)
                if known and apart and path.at("backend", "service", "name").text in services:
                    yield Breach(
                        at=path / "path",
                        problem=f"{ingress.title} passes on what is below {asked}, and BinderHub answers "
                        f"below {answered}: every request gets 404",
                        fix=f"write / or {answered} in {path.origin.file}",
                        related=(base_url,) if base_url.exists else (),
                    )


def _asked(overlay: Overlay, binder: Workload) -> Iterator[tuple[str, Place]]:
    """Yield the ports at which Services and probes ask."""
    for service in overlay.of_kind("Service"):
        same = service.namespace == binder.object.namespace
        if same and selects_map(service.place.at("spec", "selector"), binder.pod.labels):
            for entry in service.place.at("spec", "ports").each():
                target = entry / "targetPort"
                yield "the Service asks at", target if target.exists else entry / "port"
    for place in probe_ports(binder.container):
        yield f"the {place.path[-3]} asks at", place


def _admitted(overlay: Overlay, binder: Workload) -> Iterator[Place]:
    """Yield the entries of ``ports`` in the network policies that are about BinderHub's pod."""
    for policy in overlay.of_kind("NetworkPolicy"):
        selector = policy.place.at("spec", "podSelector")
        same = policy.namespace == binder.object.namespace
        # An empty selector is about every pod, whatever it listens at.
        if same and selector.mapping and selects(selector, binder.pod.labels):
            for rule in policy.place.at("spec", "ingress").each():
                for entry in (rule / "ports").each():
                    if (entry / "port").exists:
                        yield entry


def _breach(what: str, places: list[Place], seam: Place, number: int) -> Breach:
    first, *others = places
    unknown = ", which no port of the container is called" if isinstance(first.value, str) else ""
    return Breach(
        at=first,
        problem=f"{what} port {first.value}{unknown}, and BinderHub listens at {number}: "
        "requests do not reach it",
        fix=f"write the name of the container's port in {first.origin.file}",
        related=(*others, seam),
    )
