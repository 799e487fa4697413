"""misdirected-service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.selections import selections
from validate.cluster.selectors import selects
from validate.cluster.services import selected_pods
from validate.rules.rule import Breach, NotApplicable, OverlayRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validate.cluster.objects import KubeObject
    from validate.cluster.selections import Selection, Target
    from validate.overlay import Overlay
    from validate.place import Place

_WITHOUT_PODS = {
    "Service": "every request to it fails",
    "PodDisruptionBudget": "it protects nothing",
    "NetworkPolicy": "what it says holds for nobody",
    "PodMonitor": "nothing is scraped",
    "ServiceMonitor": "nothing is scraped",
}
# What network policies and monitors say may well be meant for several.
_FOR_SEVERAL = {
    "Service": "each request goes to one of them at random",
    "PodDisruptionBudget": "a pod of the one that is down keeps those of the other from being evicted",
}


class MisdirectedService(OverlayRule):
    """A Service selects the pods of more than one workload, or none.

    A Service sends requests to every pod that has its labels, whatever runs there. One that asks for
    too few labels also sends requests to docker-api, where nobody answers them, and users see 502 now
    and then (2i2c-org/infrastructure issue 7884, 2i2c-org/binderhub-service pull request 165). One
    that asks for a label too many has no pods at all. A disruption budget, a network policy or a
    monitor that selects nothing is silent about it, and does nothing.

    A Service whose pods are there and are none (`replicas: 0`), or have no port of the name that it asks
    for, answers nobody either. A budget that lets no pod go keeps its node from being drained for ever.

    Put `app.kubernetes.io/component` into every selector, with the value that the pods have. Build
    pods count as well: they are in the same namespace, labelled `component: binderhub-build`.
    """

    id = "misdirected-service"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Count the workloads that each selector is about."""
        build = overlay.build_pod.object if overlay.build_pod else None
        judged = tuple(selections(overlay.objects, build))
        if not judged:
            raise NotApplicable("nothing here selects pods")
        # Where BinderHub's configuration is wrong, nobody knows the build pods that policies are for.
        unknown = build is None and overlay.binder is not None
        for selection in judged:
            if not selection.selected:
                if not (unknown and selection.by.kind == "NetworkPolicy"):
                    yield self._nobody(selection)
            elif len(selection.selected) > 1 and selection.by.kind in _FOR_SEVERAL:
                yield self._several(selection)
            elif selection.by.kind == "Service":
                yield from _nowhere(selection.by, overlay)
            elif selection.by.kind == "PodDisruptionBudget":
                yield from _never(selection.by, overlay)

    def _nobody(self, selection: Selection) -> Breach:
        near = selection.nearest()
        missing = selection.missing_in(near)
        at = missing[0] if missing else selection.selector
        return Breach(
            at=at,
            problem=f"{selection.by.title} selects nothing, so {_WITHOUT_PODS[selection.by.kind]}: "
            f"{_why_nobody(selection, near)}",
            fix=_remedy(selection, near, at),
            related=_labels(near),
        )

    def _several(self, selection: Selection) -> Breach:
        at, selected = selection.selector, selection.selected
        return Breach(
            at=at,
            problem=f"{selection.by.title} selects pods of {' and '.join(one.title for one in selected)}: "
            f"{_FOR_SEVERAL[selection.by.kind]}",
            fix=f"add a label that only the right pods have to the selector in {at.origin.file}",
            evidence="\n".join(f"only {one.title} has {_tellings(selection, one)}" for one in selected),
            related=tuple(place for one in selected for place in _labels(one)),
        )


def _nowhere(service: KubeObject, overlay: Overlay) -> Iterator[Breach]:
    """Yield why no request arrives at the pods that a Service selects."""
    pods = tuple(selected_pods(service, overlay.objects))
    counts = [pod.owner.place.at("spec", "replicas") for pod in pods]
    if pods and all(count.value == 0 for count in counts):
        yield Breach(
            at=counts[0],
            problem=f"{service.title} selects pods of which there are none, so every request to it fails",
            fix=f"set replicas to 1 in {counts[0].origin.file}",
            related=(service.place.at("spec", "selector"),),
        )
    # Which ports lead to BinderHub is judged by port-mismatch.
    binder = overlay.binder
    if binder and any(pod.owner is binder.object for pod in pods):
        return
    for port in service.place.at("spec", "ports").each():
        target = port / "targetPort"
        names = {(declared / "name").text for pod in pods for one in pod.containers for declared in one.ports}
        if pods and target.text and target.text not in names:
            yield Breach(
                at=target,
                problem=f"{service.title} asks for the port {target.text}, and its pods have "
                f"{_listed(names) or 'no port with a name'}: every request to it fails",
                fix=f"name a port that the pods have in {target.origin.file}",
                related=tuple(pod.template.at("spec", "containers") for pod in pods),
            )


def _never(budget: KubeObject, overlay: Overlay) -> Iterator[Breach]:
    """Yield why a budget lets no pod go."""
    spec = budget.place / "spec"
    most, least = spec / "maxUnavailable", spec / "minAvailable"
    selector = spec / "selector"
    replicas = [
        count if isinstance(count := item.place.at("spec", "replicas").value, int) else 1
        for item in overlay.of_kind("Deployment", "StatefulSet")
        if item.namespace == budget.namespace and item.pod and selects(selector, item.pod.labels)
    ]
    closed = most.value in (0, "0", "0%") or least.value == "100%"
    closed = closed or (isinstance(least.value, int) and 0 < sum(replicas) <= least.value)
    if closed or not (most.exists or least.exists):
        at = least if least.exists else most
        yield Breach(
            at=at,
            problem=f"{budget.title} lets no pod go, so the node that has one is never drained",
            fix=f"set maxUnavailable to 1 in {at.origin.file}",
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(filter(None, names)))


def _labels(target: Target) -> tuple[Place, ...]:
    return (target.place,) if target.place is not None and target.place.exists else ()


def _remedy(selection: Selection, near: Target, at: Place) -> str:
    if not selection.missing_in(near) and near.namespace != selection.by.namespace:
        return f"bring both into one namespace; {selection.by.kind} comes from {at.origin.file}"
    return f"select the pods that it is for by labels that they have, in {at.origin.file}"


def _why_nobody(selection: Selection, near: Target) -> str:
    missing = selection.missing_in(near)
    if not selection.selector.mapping:
        return "it has no selector"
    if missing:
        key = str(missing[0].path[-1])
        has = f"{key}={near.labels[key]}" if key in near.labels else f"no label {key}"
        return f"it asks for {key}={missing[0].value}, and {near.title} has {has}"
    if near.namespace != selection.by.namespace:
        return f"what has these labels, {near.title}, is in another namespace"
    return f"what it asks for besides labels by value, {near.title} does not have"


def _tellings(selection: Selection, target: Target) -> str:
    labels = selection.telling_apart(target)
    return ", ".join(f"{key}={value}" for key, value in labels.items()) or "no label of its own"
