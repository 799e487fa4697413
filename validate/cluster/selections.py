"""Who selects whom by labels: Services, budgets, policies and monitors, and the pods they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from validate.cluster.selectors import as_text, selects, selects_map

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from validate.cluster.objects import KubeObject
    from validate.place import Json, Place


class Target(NamedTuple):
    """What can be selected: the pods of a workload or, for a ServiceMonitor, a Service.

    ``place`` has the labels, None for the build pod: BinderHub writes them.
    """

    title: str
    namespace: str
    labels: Mapping[str, str]
    place: Place | None


class Selection(Struct, frozen=True, eq=False):
    """What one object selects.

    Attributes:
        by: the object.
        selector: its selector, existing or not.
        asked: the labels that it asks for by value, each with its place.
        selected: what that selects.
        candidates: what there is to select: everything in the namespaces that it looks in and, where it
            selects nothing of that, what has the right labels in other namespaces.
    """

    by: KubeObject
    selector: Place
    asked: Mapping[str, Place]
    selected: tuple[Target, ...]
    candidates: Sequence[Target]

    def nearest(self) -> Target:
        """Return the candidate that is most likely meant.

        That is the one with the most of the labels that are asked for, of which those count most that few
        have, and else the likest ones.
        """
        from difflib import SequenceMatcher  # noqa: PLC0415 - 2 ms, and only where something is wrong

        def distance(target: Target) -> tuple[float, float]:
            missing = self.missing_in(target)
            shared = sum(1 / rivals for key, rivals in having.items() if self.asked[key] not in missing)
            wanted = " ".join(as_text(place.value) for place in missing)
            found = " ".join(target.labels.get(str(place.path[-1]), "") for place in missing)
            return -shared, -SequenceMatcher(None, wanted, found).ratio()

        lacking = [self.missing_in(target) for target in self.candidates]
        having = {
            key: sum(place not in missing for missing in lacking) or 1 for key, place in self.asked.items()
        }
        return min(self.candidates, key=distance)

    def missing_in(self, target: Target) -> list[Place]:
        """Return the labels that are asked for and that ``target`` does not have."""
        return [place for key, place in self.asked.items() if target.labels.get(key) != as_text(place.value)]

    def telling_apart(self, target: Target) -> dict[str, str]:
        """Return the labels of ``target`` that nothing else that is selected has."""
        others = [other.labels for other in self.selected if other is not target]
        return {
            key: value
            for key, value in target.labels.items()
            if all(labels.get(key) != value for labels in others)
        }


def selections(objects: Iterable[KubeObject], build_pod: KubeObject | None = None) -> Iterator[Selection]:
    """Yield what each object with a selector selects; the build pod is one more thing to select.

    Left out is what is meant for no pods of the tree: a Service without pods (ExternalName, or with an
    EndpointSlice), a policy for a whole namespace, an object in a namespace where nothing of the tree is.
    """
    together = tuple(objects)
    workloads = [
        Target(item.title, item.namespace, pod.labels, pod.template.at("metadata", "labels"))
        for item in together
        if (pod := item.pod) is not None
    ]
    if build_pod is not None:
        # Without its name, which is another one for each build.
        labels = {key: value for key, value in build_pod.labels.items() if key != "name"}
        workloads.append(Target("the build pod", build_pod.namespace, labels, None))
    services = [
        Target(item.title, item.namespace, item.labels, item.place.at("metadata", "labels"))
        for item in together
        if (item.group, item.kind) == ("", "Service")
    ]
    known = {True: _Targets(services), False: _Targets(workloads)}
    for item in together:
        row = _ROWS.get((item.group, item.kind))
        if row is not None and not _is_for_no_pods(item, together):
            selection = _selection(item, row, known[row.selects_services])
            if selection.candidates:
                yield selection


class _Targets:
    """What can be selected, by namespace and by label."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self.all = targets
        self._spaces: dict[str, list[Target]] = {}
        self._labelled: dict[tuple[str, str], list[Target]] = {}
        for target in targets:
            self._spaces.setdefault(target.namespace, []).append(target)
            for pair in target.labels.items():
                self._labelled.setdefault(pair, []).append(target)

    def inside(self, spaces: Collection[str]) -> Sequence[Target]:
        """Return those in namespaces."""
        if len(spaces) == 1:
            return self._spaces.get(next(iter(spaces)), ())
        return [target for target in self.all if target.namespace in spaces]

    def having(self, asked: Mapping[str, Place]) -> Sequence[Target]:
        """Return those with the first of the labels that are asked for, all where none is."""
        for key, place in asked.items():
            return self._labelled.get((key, as_text(place.value)), ())
        return self.all


class _Row(NamedTuple):
    field: str
    selects: Callable[[Json | Place, Mapping[str, str]], bool] = selects
    labels: str = "matchLabels"
    selects_services: bool = False


_ROWS = {
    ("", "Service"): _Row("selector", selects_map, labels=""),
    ("policy", "PodDisruptionBudget"): _Row("selector"),
    ("networking.k8s.io", "NetworkPolicy"): _Row("podSelector"),
    ("monitoring.coreos.com", "PodMonitor"): _Row("selector"),
    ("monitoring.coreos.com", "ServiceMonitor"): _Row("selector", selects_services=True),
}


def _selection(item: KubeObject, row: _Row, targets: _Targets) -> Selection:
    selector = item.place / "spec" / row.field
    asked = selector / row.labels if row.labels else selector
    labels, spaces = dict(asked.entries()), _spaces(item)
    right = [one for one in targets.having(labels) if row.selects(selector, one.labels)]
    selected = tuple(right if spaces is None else (one for one in right if one.namespace in spaces))
    here = targets.all if spaces is None else targets.inside(spaces)
    return Selection(item, selector, labels, selected, here if selected else (*here, *right))


def _spaces(item: KubeObject) -> Collection[str] | None:
    """Return the namespaces that an object looks in, None for all; monitors have a selector of names."""
    wider = item.place.at("spec", "namespaceSelector")
    if (wider / "any").value is True:
        return None
    return {str(name) for name in (wider / "matchNames").items} or {item.namespace}


def _is_for_no_pods(item: KubeObject, objects: Iterable[KubeObject]) -> bool:
    if item.kind == "NetworkPolicy":
        return not item.place.at("spec", "podSelector").mapping
    if item.kind != "Service" or item.place.at("spec", "selector").mapping:
        return False
    made = (other for other in objects if other.namespace == item.namespace)
    return item.place.at("spec", "type").value == "ExternalName" or any(
        (other.kind == "Endpoints" and other.name == item.name)
        or (other.kind == "EndpointSlice" and other.labels.get("kubernetes.io/service-name") == item.name)
        for other in made
    )
