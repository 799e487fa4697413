"""Would a LimitRange or a ResourceQuota refuse a pod, and what is a quantity.

Facts from Kubernetes 1.34: ``pkg/apis/core/v1/defaults.go``, ``plugin/pkg/admission/limitranger``,
``pkg/quota/v1/evaluator/core/pods.go`` and ``apiserver/pkg/admission/plugin/resourcequota``.
"""

from __future__ import annotations

import re
from functools import cache, total_ordering
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from msgspec import Struct

from validate.cluster.selectors import as_text
from validate.place import Json, Place, lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from validate.cluster.objects import KubeObject

_NANO = 10**9
# Kubernetes caps quantities there.
_LARGEST = (2**63 - 1) * _NANO
# Beyond these, every quantity is the largest or (in magnitude) the smallest.
_SENSIBLE_EXPONENT = 400
_SUFFIXES = {
    "n": 1,
    "u": 10**3,
    "m": 10**6,
    **{suffix: _NANO * 1000**power for power, suffix in enumerate(("", "k", "M", "G", "T", "P", "E"))},
    **{
        suffix: _NANO * 1024**power
        for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)
    },
}


@total_ordering
class Quantity(Struct, frozen=True, eq=False):
    """An amount of a resource: cores of CPU, bytes of memory, objects.

    Attributes:
        nano: the amount in thousand-millionths, the finest that Kubernetes keeps.
        text: how somebody wrote it, the empty string for a sum.
    """

    nano: int
    text: str = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.nano == other.nano

    def __lt__(self, other: Quantity) -> bool:
        return self.nano < other.nano

    def __hash__(self) -> int:
        return hash(self.nano)

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano + other.nano)

    def __str__(self) -> str:
        """Return it as it was written, a sum in the largest unit that is exact."""
        if self.text:
            return self.text
        if self.nano % _NANO:
            unit = next(unit for unit in ("m", "u", "n") if self.nano % _SUFFIXES[unit] == 0)
            return f"{self.nano // _SUFFIXES[unit]}{unit}"
        for unit in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
            if self.nano and self.nano % _SUFFIXES[unit] == 0:
                return f"{self.nano // _SUFFIXES[unit]}{unit}"
        return str(self.nano // _NANO)


def parse_quantity(value: Json) -> Quantity:
    """Return the quantity that Kubernetes reads in a string or number: ``500m``, ``1.5Gi``, ``1e3``.

    What is finer than a thousand-millionth is rounded up in magnitude, what exceeds 2^63-1 is cut to
    it (Kubernetes 1.34, ``apimachinery/pkg/api/resource/quantity.go``, ParseQuantity).

    Raises:
        ValueError: with a sentence that says what is wrong.
    """
    text = as_text(value)
    found = None if isinstance(value, (bool, list, dict)) else _quantity().fullmatch(text)
    if found is None or not found["whole"] + found["fraction"]:
        raise ValueError(f"{text!r} is not a number such as 2, 500m, 1.5Gi or 1e3")
    exponent, suffix = found["exponent"], found["suffix"] or ""
    if exponent is None and suffix not in _SUFFIXES:
        raise ValueError(f"{text!r} has the unit {suffix!r}, not one of n u m k M G T P E Ki Mi Gi Ti Pi Ei")
    digits, places = found["whole"] + found["fraction"], len(found["fraction"])
    scale = _SUFFIXES[suffix]
    if exponent is not None:
        power = max(-_SENSIBLE_EXPONENT, min(int(exponent), _SENSIBLE_EXPONENT))
        scale = _NANO * 10 ** max(power, 0)
        places += max(-power, 0)
    nano = min(-(-int(digits) * scale // 10**places), _LARGEST)
    return Quantity(-nano if found["sign"] == "-" else nano, text)


@cache
def _quantity() -> re.Pattern[str]:
    return re.compile(
        r"(?P<sign>[+-]?)(?P<whole>[0-9]*)\.?(?P<fraction>[0-9]*)"
        r"(?:[eE](?P<exponent>[+-]?[0-9]+)|(?P<suffix>[A-Za-z]*))"
    )


Amounts: TypeAlias = "dict[str, Quantity]"


class Refusal(NamedTuple):
    """Why a pod is refused: ``at`` is the field of the LimitRange or ResourceQuota that does it."""

    at: Place
    sentence: str


def refusals(
    pod_spec: Place | Mapping[str, Json], limit_ranges: Iterable[KubeObject], quotas: Iterable[KubeObject]
) -> list[Refusal]:
    """Return why the LimitRanges and ResourceQuotas of a namespace refuse a pod, nothing where they admit it.

    What the pod leaves out is first filled in as the API server does: requests from limits, then the
    defaults of each LimitRange, which may be less than what the container requests. A quota is judged
    as if the namespace were empty, so what it refuses it refuses always. Resources of the pod as a
    whole count, as they do since 1.34. Quantities that cannot be parsed count as left out: the schema
    check reports them.
    """
    limit_ranges, quotas = list(limit_ranges), list(quotas)
    pod = _Pod.read(pod_spec.mapping if isinstance(pod_spec, Place) else dict(pod_spec))
    found: list[Refusal] = []
    for limit_range in limit_ranges:
        found += [refusal for item in pod.containers for refusal in _default_too_low(limit_range, item)]
        pod = pod.filled(_defaults(limit_range))
    for limit in _limits(limit_ranges, "Container"):
        for container in pod.containers:
            found += _against_limit(limit, f"container {container.name}", container)
    whole = pod.whole()
    for limit in _limits(limit_ranges, "Pod"):
        found += _against_limit(limit, "the pod", whole)
    for quota in quotas:
        found += _against_quota(quota, pod, whole)
    return found


def pod_requests(spec: dict[str, Json]) -> Amounts:
    """Return what a pod takes of a node: what runs together, or more where an init container does."""
    return dict(_Pod.read(spec).whole().requests)


class _Consumer(NamedTuple):
    """A container, or the pod as a whole, with what it requests and is limited to."""

    name: str
    requests: Amounts
    limits: Amounts
    sidecar: bool = False

    @classmethod
    def read(cls, name: str, resources: Json, *, sidecar: bool = False) -> _Consumer:
        limits = _read_amounts(lookup(resources, ("limits",)))
        return cls(name, {**limits, **_read_amounts(lookup(resources, ("requests",)))}, limits, sidecar)

    def filled(self, default: _Consumer) -> _Consumer:
        """Return it with what it does not say itself taken from ``default``."""
        requests, limits = {**default.requests, **self.requests}, {**default.limits, **self.limits}
        return self._replace(requests=requests, limits=limits)


class _Pod(NamedTuple):
    main: tuple[_Consumer, ...]
    init: tuple[_Consumer, ...]
    own: _Consumer | None
    priority_class: str
    deadline: bool

    @classmethod
    def read(cls, spec: dict[str, Json]) -> _Pod:
        def read_containers(field_name: str) -> tuple[_Consumer, ...]:
            containers = spec.get(field_name)
            return tuple(
                _Consumer.read(
                    as_text(lookup(container, ("name",))) or str(index),
                    lookup(container, ("resources",)),
                    sidecar=field_name == "initContainers"
                    and lookup(container, ("restartPolicy",)) == "Always",
                )
                for index, container in enumerate(containers if isinstance(containers, list) else ())
            )

        own = _Consumer.read("the pod", spec.get("resources"))
        return cls(
            main=read_containers("containers"),
            init=read_containers("initContainers"),
            own=own if own.requests or own.limits else None,
            priority_class=as_text(spec.get("priorityClassName")),
            deadline=spec.get("activeDeadlineSeconds") is not None,
        )

    @property
    def containers(self) -> tuple[_Consumer, ...]:
        return (*self.main, *self.init)

    def filled(self, default: _Consumer) -> _Pod:
        """Return it with what its containers do not say taken from ``default``."""
        main, init = (tuple(item.filled(default) for item in group) for group in (self.main, self.init))
        return self._replace(main=main, init=init)

    @property
    def best_effort(self) -> bool:
        consumers = (*self.containers, *([self.own] if self.own else []))
        return not any(
            amounts[name].nano
            for consumer in consumers
            for amounts in (consumer.requests, consumer.limits)
            for name in amounts
            if name in ("cpu", "memory")
        )

    def whole(self) -> _Consumer:
        """Return what the pod takes: the sum of what runs together, or more where an init container does."""

        def total(pick: Callable[[_Consumer], Amounts]) -> Amounts:
            running: Amounts = {}
            beside: Amounts = {}
            peak: Amounts = {}
            for container in self.main:
                running = _add(running, pick(container))
            for container in self.init:
                if container.sidecar:
                    running, beside = _add(running, pick(container)), _add(beside, pick(container))
                    peak = _highest(peak, beside)
                else:
                    peak = _highest(peak, _add(pick(container), beside))
            set_for_all = {} if self.own is None else pick(self.own)
            return {
                **_highest(running, peak),
                **{name: set_for_all[name] for name in ("cpu", "memory") if name in set_for_all},
            }

        return _Consumer("the pod", total(lambda item: item.requests), total(lambda item: item.limits))


def _add(some: Amounts, more: Amounts) -> Amounts:
    return {**some, **{name: some[name] + more[name] if name in some else more[name] for name in more}}


def _highest(some: Amounts, others: Amounts) -> Amounts:
    return {**some, **{name: max(some.get(name, others[name]), others[name]) for name in others}}


def _read_amounts(value: Json) -> Amounts:
    amounts: Amounts = {}
    for name, text in value.items() if isinstance(value, dict) else ():
        try:
            amounts[name] = parse_quantity(text)
        except ValueError:
            continue
    return amounts


def _limits(limit_ranges: Iterable[KubeObject], kind: str) -> Iterator[Place]:
    for limit_range in limit_ranges:
        for limit in (limit_range.place / "spec" / "limits").each():
            if (limit / "type").value == kind:
                yield limit


def _defaults(limit_range: KubeObject) -> _Consumer:
    """Return what it gives to containers.

    A limit defaults to the maximum, a request to the limit and where there is none to the minimum.
    """
    all_requests: Amounts = {}
    all_limits: Amounts = {}
    for limit in _limits([limit_range], "Container"):
        given = {
            name: _read_amounts((limit / name).value) for name in ("min", "max", "default", "defaultRequest")
        }
        limits = {**given["max"], **given["default"]}
        all_limits |= limits
        all_requests |= {**given["min"], **limits, **given["defaultRequest"]}
    return _Consumer("the default", all_requests, all_limits)


def _default_too_low(limit_range: KubeObject, container: _Consumer) -> Iterator[Refusal]:
    """Yield where it limits a container, which sets no limit itself, to less than the container requests."""
    for name, limit in _defaults(limit_range).limits.items():
        request = container.requests.get(name, _NOTHING)
        if name not in container.limits and request > limit:
            sources = [
                item / field_name / name
                for item in _limits([limit_range], "Container")
                for field_name in ("max", "default")
            ]
            at = [source for source in sources if source.exists][-1]
            sentence = f"container {container.name} requests {request} of {name} and gets the limit {limit}"
            yield Refusal(at, sentence)


def _against_limit(limit: Place, who: str, consumer: _Consumer) -> Iterator[Refusal]:
    yield from _below_minimum(limit / "min", who, consumer)
    yield from _above_maximum(limit / "max", who, consumer)
    yield from _beyond_ratio(limit / "maxLimitRequestRatio", who, consumer)


def _below_minimum(place: Place, who: str, consumer: _Consumer) -> Iterator[Refusal]:
    requests, limits = consumer.requests, consumer.limits
    for name, least in _read_amounts(place.value).items():
        if name not in requests:
            yield Refusal(place / name, f"{who} requests no {name}, and the least is {least}")
        elif requests[name] < least:
            yield Refusal(
                place / name, f"{who} requests {requests[name]} of {name}, and the least is {least}"
            )
        elif name in limits and limits[name] < least:
            yield Refusal(
                place / name, f"{who} is limited to {limits[name]} of {name}, and the least is {least}"
            )


def _above_maximum(place: Place, who: str, consumer: _Consumer) -> Iterator[Refusal]:
    requests, limits = consumer.requests, consumer.limits
    for name, most in _read_amounts(place.value).items():
        if name not in limits:
            yield Refusal(place / name, f"{who} has no limit of {name}, and the most is {most}")
        elif limits[name] > most:
            yield Refusal(
                place / name, f"{who} is limited to {limits[name]} of {name}, and the most is {most}"
            )
        elif name in requests and requests[name] > most:
            yield Refusal(place / name, f"{who} requests {requests[name]} of {name}, and the most is {most}")


def _beyond_ratio(place: Place, who: str, consumer: _Consumer) -> Iterator[Refusal]:
    for name, ratio in _read_amounts(place.value).items():
        bound = f"the limit may be {ratio} times the request"
        request, limit = consumer.requests.get(name, _NOTHING), consumer.limits.get(name, _NOTHING)
        if not request.nano or not limit.nano:
            missing = "request" if not request.nano else "limit"
            yield Refusal(place / name, f"{who} has no {missing} of {name}, and {bound}")
        elif limit.nano * _NANO > ratio.nano * request.nano:
            found = f"requests {request} of {name} and is limited to {limit}"
            yield Refusal(place / name, f"{who} {found}, and {bound}")


_NOTHING = Quantity(0, "0")
# For these, and by a mistake that Kubernetes keeps for compatibility, a quota demands that every
# container says how much it takes (``validationSet`` in pods.go).
_DEMANDED = {
    **{
        name: ("requests", name.rpartition(".")[2])
        for name in ("cpu", "memory", "requests.cpu", "requests.memory")
    },
    **{f"limits.{name}": ("limits", name) for name in ("cpu", "memory")},
}


def _against_quota(quota: KubeObject, pod: _Pod, whole: _Consumer) -> Iterator[Refusal]:
    if not _in_scope(quota, pod):
        return
    hard = quota.place / "spec" / "hard"
    for name, most in _read_amounts(hard.value).items():
        silent = _silent_containers(name, pod)
        if silent:
            field_name, resource = _DEMANDED[name]
            sentence = f"the quota of {name} demands {field_name}.{resource}, which {silent} does not set"
            yield Refusal(hard / name, sentence)
            continue
        taken = _taken(name, whole)
        if taken > most:
            yield Refusal(hard / name, f"the pod takes {taken} of {name}, and the quota is {most}")


def _silent_containers(name: str, pod: _Pod) -> str:
    if name not in _DEMANDED or pod.own is not None:
        return ""
    field_name, resource = _DEMANDED[name]
    silent = [
        container.name
        for container in pod.containers
        if resource not in (container.requests if field_name == "requests" else container.limits)
    ]
    return f"container {', '.join(silent)}" if silent else ""


def _taken(name: str, whole: _Consumer) -> Quantity:
    """Return how much one pod takes of what a quota counts."""
    if name in ("pods", "count/pods"):
        return Quantity(_NANO)
    kind, dot, resource = name.partition(".")
    if dot and kind == "limits":
        return whole.limits.get(resource, _NOTHING)
    if dot and kind == "requests":
        return whole.requests.get(resource, _NOTHING)
    return whole.requests.get(name, _NOTHING)


def _in_scope(quota: KubeObject, pod: _Pod) -> bool:
    """Whether the quota counts this pod: all its scopes match, CrossNamespacePodAffinity never."""
    spec = quota.place / "spec"
    scopes: list[tuple[str, str, list[str]]] = [
        (as_text(scope), "Exists", []) for scope in (spec / "scopes").items
    ]
    for expression in (spec / "scopeSelector" / "matchExpressions").each():
        values = [as_text(value) for value in (expression / "values").items]
        scopes.append(((expression / "scopeName").text, (expression / "operator").text, values))
    return all(_scope_matches(*scope, pod) for scope in scopes)


def _scope_matches(scope: str, operator: str, values: list[str], pod: _Pod) -> bool:
    match scope:
        case "Terminating" | "NotTerminating":
            return pod.deadline is (scope == "Terminating")
        case "BestEffort" | "NotBestEffort":
            return pod.best_effort is (scope == "BestEffort")
        case "PriorityClass" if operator in ("In", "NotIn"):
            return (pod.priority_class in values) is (operator == "In")
        case "PriorityClass":
            return bool(pod.priority_class) is (operator == "Exists")
    return False
