"""On which nodes a pod may run, and the proof that one pod only runs where another does.

Only what a node is decides here: its labels, its taints and its name. What changes from one minute
to the next (free resources, pods that keep away from each other, volumes) is left out, and so are
preferences. Facts from Kubernetes 1.34: ``component-helpers/scheduling/corev1/nodeaffinity``,
``api/core/v1/toleration.go``, ``pkg/controller/daemon/util/daemonset_util.go``,
``plugin/pkg/admission/defaulttolerationseconds`` and ``pkg/kubelet/lifecycle/predicate.go``.

Tolerations with the operators Lt and Gt tolerate nothing here: their feature gate
(TaintTolerationComparisonOperators) is alpha and off up to Kubernetes 1.37.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from msgspec import Struct

from validate.cluster.selectors import (
    Requirement,
    as_text,
    is_label_key,
    is_label_value,
    is_subdomain,
    parse_integer,
    read_requirements,
)
from validate.place import Path, lookup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from validate.cluster.facts import NodePool
    from validate.place import Json

_REQUIRED_AFFINITY: Path = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
_NODE_NAME = "metadata.name"
# PreferNoSchedule never keeps a pod away.
_REPELLING = ("NoSchedule", "NoExecute")


class Taint(NamedTuple):
    """What a node carries to keep pods away."""

    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        """Return it as kubectl writes it: ``key=value:NoSchedule``."""
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


class Node(Struct, frozen=True):
    """A node as the scheduler sees it.

    ``name`` is empty for a node whose name no pod mentions.
    """

    labels: Mapping[str, str]
    taints: tuple[Taint, ...] = ()
    name: str = ""

    @property
    def size(self) -> int:
        """How many labels and taints it has."""
        return len(self.labels) + len(self.taints)

    def __str__(self) -> str:
        """Return it as people read it, one label or taint to a line."""
        lines = [f"name: {self.name}"] if self.name else []
        for title, entries in (
            ("labels", [f"{key}: {value}".rstrip() for key, value in sorted(self.labels.items())]),
            ("taints", [str(taint) for taint in self.taints]),
        ):
            lines += [f"{title}:", *(f"  {entry}" for entry in entries)] if entries else [f"{title}: none"]
        return "\n".join(lines)


class Toleration(NamedTuple):
    """What lets a pod onto nodes with a taint."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""

    def tolerates(self, taint: Taint) -> bool:
        """Whether it matches: no key means every key, no effect every effect, no operator Equal."""
        if self.effect not in ("", taint.effect) or self.key not in ("", taint.key):
            return False
        return self.operator == "Exists" or (self.operator in ("", "Equal") and self.value == taint.value)


class Clause(NamedTuple):
    """A requirement of a node's labels or, where ``of_name``, of its name."""

    requirement: Requirement
    of_name: bool = False

    @property
    def subject(self) -> Subject:
        """What it speaks of."""
        return Subject(self.requirement.key, self.of_name)

    @property
    def malformed(self) -> str:
        """Why Kubernetes cannot parse it, the empty string where it can."""
        key, operator, values = self.requirement.key, self.requirement.operator, self.requirement.values
        if not self.of_name:
            return self.requirement.malformed
        if key == _NODE_NAME and operator in ("In", "NotIn") and len(values) == 1:
            return ""
        return f"matchFields knows {_NODE_NAME} with In or NotIn and one value"

    def holds(self, node: Node) -> bool:
        """Whether the node meets it."""
        if self.of_name:
            return self.requirement.holds({_NODE_NAME: node.name} if node.name else {})
        return self.requirement.holds(node.labels)


class Subject(NamedTuple):
    """What a clause speaks of: the label with that key, or the node's name."""

    key: str
    of_name: bool


Term: TypeAlias = tuple[Clause, ...]


class Refusal(NamedTuple):
    """Why a node does not admit a pod.

    ``path`` leads from the pod's ``spec`` to the field that asks for what the node has not.
    """

    path: Path
    sentence: str


class Placement(Struct, frozen=True):
    """What a pod demands of a node, and what it tolerates.

    Attributes:
        node_selector: labels that the node must have.
        terms: required node affinity, of which one term must hold; None where there is none. A term
            is a conjunction; an empty one holds nowhere, and no term at all holds nowhere either.
        tolerations: its own, and those that Kubernetes adds.
        node_name: ``spec.nodeName``, which passes the scheduler by.
        repelled_by: the effects of taints that keep it away.
    """

    node_selector: Mapping[str, str]
    terms: tuple[Term, ...] | None = None
    tolerations: tuple[Toleration, ...] = ()
    node_name: str = ""
    repelled_by: tuple[str, ...] = _REPELLING

    @classmethod
    def of(cls, pod_spec: Mapping[str, Json], *, daemonset: bool) -> Placement:
        """Return the placement of a pod, with the tolerations that Kubernetes adds.

        A pod with ``nodeName`` never meets the scheduler, and the kubelet minds only NoExecute. The
        DaemonSet controller minds both effects before it makes a pod.
        """
        node_name = as_text(pod_spec.get("nodeName"))
        selector = pod_spec.get("nodeSelector")
        return cls(
            node_selector={
                key: as_text(value) for key, value in (selector if isinstance(selector, dict) else {}).items()
            },
            terms=_read_terms(lookup(dict(pod_spec), _REQUIRED_AFFINITY)),
            tolerations=_all_tolerations(pod_spec, daemonset=daemonset),
            node_name=node_name,
            repelled_by=("NoExecute",) if node_name and not daemonset else _REPELLING,
        )

    @property
    def always(self) -> Term:
        """What must hold whatever the node affinity says."""
        named = Clause(Requirement(_NODE_NAME, "In", (self.node_name,)), of_name=True)
        selected = (Clause(Requirement(key, "In", (value,))) for key, value in self.node_selector.items())
        return (*((named,) if self.node_name else ()), *selected)

    @property
    def possible_terms(self) -> tuple[Term, ...]:
        """The terms of the node affinity that can hold somewhere; an empty one where there is no affinity."""
        if self.terms is None:
            return ((),)
        return tuple(term for term in self.terms if term and not any(clause.malformed for clause in term))

    def tolerates(self, taint: Taint) -> bool:
        """Whether the taint does not keep it away."""
        return taint.effect not in self.repelled_by or any(
            toleration.tolerates(taint) for toleration in self.tolerations
        )


def admits(placement: Placement, node: Node) -> bool:
    """Whether the pod may run on the node, as far as labels, taints and the name decide."""
    return (
        all(clause.holds(node) for clause in placement.always)
        and any(all(clause.holds(node) for clause in term) for term in placement.possible_terms)
        and all(placement.tolerates(taint) for taint in node.taints)
    )


def admitting_pools(placement: Placement, pools: Iterable[NodePool]) -> tuple[NodePool, ...]:
    """Return the node pools whose nodes admit the pod, whatever those are called."""
    return tuple(pool for pool in pools if admits(placement, pool.node))


def why_not(placement: Placement, node: Node) -> str | None:
    """Return a clause that says why the node does not admit the pod, None where it does."""
    refusal = find_refusal(placement, node)
    return refusal.sentence if refusal else None


def find_refusal(placement: Placement, node: Node) -> Refusal | None:
    """Return the first demand that the node does not meet, in the order name, labels, affinity, taints."""
    for clause in placement.always:
        if not clause.holds(node):
            if clause.of_name:
                return Refusal(("nodeName",), f"nodeName pins it to the node {placement.node_name}")
            path: Path = ("nodeSelector", clause.requirement.key)
            return Refusal(path, f"its nodeSelector wants {_wants_but_has(clause, node)}")
    if not any(all(clause.holds(node) for clause in term) for term in placement.possible_terms):
        return Refusal(_REQUIRED_AFFINITY, _failed_affinity(placement.terms or (), node))
    for taint in node.taints:
        if not placement.tolerates(taint):
            return Refusal(("tolerations",), f"it does not tolerate the taint {taint}")
    return None


def counter_example(inner: Placement, outer: Placement, given: Iterable[Requirement] = ()) -> Node | None:
    """Return the smallest node that admits ``inner`` and not ``outer``, None as the proof that there is none.

    The proof is over all nodes that the API server would accept: any labels, any taints, any name.
    ``given`` are requirements of labels that are known to hold of every node. Smallest means fewest
    labels and taints; of equals, one without a particular name, then the first in the order in which
    the placements are written. Values come from the placements where they can.

    A node escapes ``outer`` by a taint, by a label of the nodeSelector, by its name, or by failing one
    clause of every term of the affinity. Labels are independent of one another, so each search keeps,
    per label, what it may still be (:class:`_Values`). In general the last way is as hard as
    satisfiability; the search forgets a label once no later term speaks of it, so its cost grows
    with how far terms entangle labels, not with how many there are.
    """
    common = (*inner.always, *(Clause(requirement) for requirement in given))
    taint = _escaping_taint(inner, outer)
    best: tuple[tuple[int, bool], _Nodes, tuple[Taint, ...]] | None = None
    for term in inner.possible_terms:
        nodes = _Nodes({}).meeting((*common, *term))
        if nodes is None:
            continue
        for escaping, taints in chain(
            ((each, ()) for each in _escaping_labels(nodes, outer)),
            [(nodes, (taint,))] if taint else [],
        ):
            size = (escaping.size + len(taints), escaping.named)
            if best is None or size < best[0]:
                best = size, escaping, taints
    if best is None:
        return None
    _, smallest, taints = best
    clauses = (*common, *chain.from_iterable((*inner.possible_terms, *outer.possible_terms)), *outer.always)
    return smallest.pick(taints, _mentioned(clauses))


class _Values(NamedTuple):
    """What one label of a node, or its name, may still be.

    It may be absent, where ``absent``. A value is one of ``only`` (None: any) and none of ``never``.
    A value that reads as an integer lies within ``low`` and ``high``; where ``numeric``, every value
    reads as one. For a name, absent stands for any that nothing mentions.
    """

    absent: bool = True
    only: frozenset[str] | None = None
    never: frozenset[str] = frozenset()
    numeric: bool = False
    # The API server accepts no sign in a label value, so integers begin at zero.
    low: int = 0
    high: int = 2**63 - 1

    def restrict(self, requirement: Requirement, *, holds: bool) -> _Values:
        """Return the values of which the requirement holds, or does not."""
        values = frozenset(requirement.values)
        match requirement.operator, holds:
            case ("In", True) | ("NotIn", False):
                return self._replace(absent=False, only=values if self.only is None else self.only & values)
            case ("In", False) | ("NotIn", True):
                return self._replace(never=self.never | values)
            case ("Exists", True) | ("DoesNotExist", False):
                return self._replace(absent=False)
            case ("Exists", False) | ("DoesNotExist", True):
                return self._replace(only=frozenset())
        bound = int(requirement.values[0])
        match requirement.operator, holds:
            case ("Gt", True):
                return self._replace(absent=False, numeric=True, low=max(self.low, bound + 1))
            case ("Gt", False):
                return self._replace(high=min(self.high, bound))
            case ("Lt", True):
                return self._replace(absent=False, numeric=True, high=min(self.high, bound - 1))
            case _:
                return self._replace(low=max(self.low, bound))

    def permits(self, value: str) -> bool:
        number = parse_integer(value)
        if value in self.never or (self.only is not None and value not in self.only):
            return False
        return not self.numeric if number is None else self.low <= number <= self.high

    def pick(self, subject: Subject, mentioned: Iterable[str] = ()) -> str | None:
        """Return a value, one of ``mentioned`` where that is possible; None where there is none."""
        valid = is_subdomain if subject.of_name else is_label_value
        if not subject.of_name and not is_label_key(subject.key):
            return None
        candidates: Iterable[str]
        if self.only is not None:
            candidates = sorted(self.only)
        else:
            candidates = chain(sorted(mentioned), self.integers() if self.numeric else self.fresh(subject))
        return next((value for value in candidates if valid(value) and self.permits(value)), None)

    def integers(self) -> Iterator[str]:
        """Yield enough integers to find one that is permitted: as labels, 7, 07 and 007 are three values."""
        last = min(self.high, self.low + len(self.never))
        for zeros in range(64):
            yield from ("0" * zeros + str(number) for number in range(self.low, last + 1))

    def fresh(self, subject: Subject) -> Iterator[str]:
        """Yield more readable values than are forbidden."""
        return _numbered(_FRESH.get(subject.key, "another-value"), len(self.never))


_FRESH = {
    "kubernetes.io/arch": "arm64",
    "kubernetes.io/hostname": "another-node",
    "kubernetes.io/os": "windows",
    "topology.kubernetes.io/region": "another-region",
    "topology.kubernetes.io/zone": "another-zone",
}


class _Nodes:
    """The nodes whose labels and name are within given values; a subject without any may be anything."""

    def __init__(self, values: Mapping[Subject, _Values]) -> None:
        self.values = values
        self.size = sum(not item.absent for subject, item in values.items() if not subject.of_name)
        self.named = any(not item.absent for subject, item in values.items() if subject.of_name)

    def restrict(self, clause: Clause, *, holds: bool) -> _Nodes | None:
        """Return those of which the clause holds (or does not), None where there is no such node."""
        subject = clause.subject
        before = self.values.get(subject, _Values())
        after = before.restrict(clause.requirement, holds=holds)
        if after == before:
            return self
        if not after.absent and after.pick(subject) is None:
            return None
        return _Nodes({**self.values, subject: after})

    def meeting(self, clauses: Iterable[Clause]) -> _Nodes | None:
        """Return those of which all clauses hold, None where there is no such node."""
        nodes: _Nodes | None = self
        for clause in clauses:
            nodes = nodes and nodes.restrict(clause, holds=True)
        return nodes

    def pick(self, taints: tuple[Taint, ...], mentioned: Mapping[Subject, set[str]]) -> Node:
        """Return the smallest of them."""
        picked = {
            subject: values.pick(subject, mentioned.get(subject, ())) or ""
            for subject, values in self.values.items()
            if not values.absent
        }
        labels = {subject.key: value for subject, value in sorted(picked.items()) if not subject.of_name}
        name = next((value for subject, value in picked.items() if subject.of_name), "")
        return Node(labels, taints, name)


def _escaping_labels(nodes: _Nodes, outer: Placement) -> Iterator[_Nodes]:
    """Yield, per demand of ``outer`` that can fail, those of ``nodes`` on whose labels or name it does."""
    for clause in outer.always:
        escaped = nodes.restrict(clause, holds=False)
        if escaped is not None:
            yield escaped
    if outer.terms is not None:
        yield from _failing_every(nodes, outer.possible_terms)


def _failing_every(nodes: _Nodes, terms: tuple[Term, ...]) -> Iterator[_Nodes]:
    """Yield the smallest of ``nodes`` on which no term holds.

    Of searches that agree on all labels that later terms speak of, only the smallest goes on.
    """
    frontier = [nodes]
    for done, term in enumerate(terms, start=1):
        later = {clause.subject for term in terms[done:] for clause in term}
        smallest: dict[frozenset[tuple[Subject, _Values]], _Nodes] = {}
        for reached in frontier:
            failing = [failed for clause in term if (failed := reached.restrict(clause, holds=False))]
            # Where a clause fails already, any other choice only asks for more.
            for failed in [reached] if reached in failing else failing:
                entangled = frozenset(item for item in failed.values.items() if item[0] in later)
                known = smallest.get(entangled)
                if known is None or (failed.size, failed.named) < (known.size, known.named):
                    smallest[entangled] = failed
        frontier = list(smallest.values())
    yield from frontier


def _escaping_taint(inner: Placement, outer: Placement) -> Taint | None:
    """Return a taint that keeps ``outer`` away and not ``inner``.

    A toleration tells keys and values apart only by those that some toleration mentions, so it is
    enough to try those and one more of each.
    """
    tolerations = (*inner.tolerations, *outer.tolerations)
    keys = dict.fromkeys(item.key for item in tolerations if is_label_key(item.key))
    values = dict.fromkeys(item.value for item in tolerations if is_label_value(item.value))
    for key in (*keys, _unlike("another-key", keys)):
        own = dict.fromkeys(
            item.value for item in inner.tolerations if item.key == key and item.value in values
        )
        for value in (*own, "", *values, _unlike("another-value", values)):
            for effect in outer.repelled_by:
                taint = Taint(key, value, effect)
                if inner.tolerates(taint) and not outer.tolerates(taint):
                    return taint
    return None


def _unlike(word: str, taken: Mapping[str, None]) -> str:
    return next(name for name in _numbered(word, len(taken)) if name not in taken)


def _numbered(word: str, taken: int) -> Iterator[str]:
    """Yield ``word``, ``word-2`` and so on: one more than are ``taken``."""
    yield word
    yield from (f"{word}-{count}" for count in range(2, taken + 2))


def _mentioned(clauses: Iterable[Clause]) -> dict[Subject, set[str]]:
    values: dict[Subject, set[str]] = {}
    for clause in clauses:
        values.setdefault(clause.subject, set()).update(clause.requirement.values)
    return values


def _read_terms(required: Json) -> tuple[Term, ...] | None:
    if not isinstance(required, dict):
        return None
    terms = required.get("nodeSelectorTerms")
    return tuple(
        (
            *map(Clause, read_requirements(term.get("matchExpressions"))),
            *(Clause(item, of_name=True) for item in read_requirements(term.get("matchFields"))),
        )
        for entry in (terms if isinstance(terms, list) else ())
        for term in (entry if isinstance(entry, dict) else {},)
    )


# The DaemonSet controller gives these to its pods, so that they outlive what befalls a node.
_DAEMON_TOLERATIONS = (
    *(
        Toleration(f"node.kubernetes.io/{condition}", "Exists", effect="NoExecute")
        for condition in ("not-ready", "unreachable")
    ),
    *(
        Toleration(f"node.kubernetes.io/{condition}", "Exists", effect="NoSchedule")
        for condition in ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")
    ),
)
_HOST_NETWORK_DAEMON_TOLERATION = Toleration(
    "node.kubernetes.io/network-unavailable", "Exists", effect="NoSchedule"
)


def _all_tolerations(pod_spec: Mapping[str, Json], *, daemonset: bool) -> tuple[Toleration, ...]:
    written = pod_spec.get("tolerations")
    tolerations = [
        Toleration(*(as_text(entry.get(field)) for field in ("key", "operator", "value", "effect")))
        for entry in (written if isinstance(written, list) else ())
        if isinstance(entry, dict)
    ]
    if daemonset:
        tolerations += _DAEMON_TOLERATIONS
        tolerations += [_HOST_NETWORK_DAEMON_TOLERATION] if pod_spec.get("hostNetwork") is True else []
    # The admission plugin DefaultTolerationSeconds (300 s each) looks at key and effect only.
    for added in _DAEMON_TOLERATIONS[:2]:
        if not any(item.key in ("", added.key) and item.effect in ("", added.effect) for item in tolerations):
            tolerations.append(added)
    return tuple(tolerations)


def _wants_but_has(clause: Clause, node: Node) -> str:
    wanted = f"{'the node ' if clause.of_name else ''}{clause.requirement}"
    if clause.of_name:
        return f"{wanted}, and the node is called {node.name or 'otherwise'}"
    key = clause.requirement.key
    if key in node.labels:
        return f"{wanted}, and the node has {key}={node.labels[key]}"
    return f"{wanted}, and the node has no label {key}"


def _failed_affinity(terms: tuple[Term, ...], node: Node) -> str:
    failures = [_failed_term(term, node) for term in terms]
    match failures:
        case []:
            return "its node affinity has no terms, which no node meets"
        case [failure]:
            return f"its node affinity {failure}"
    listed = "; ".join(f"term {number} {failure}" for number, failure in enumerate(failures, start=1))
    return f"no term of its node affinity holds: {listed}"


def _failed_term(term: Term, node: Node) -> str:
    if not term:
        return "is empty, which no node meets"
    malformed = next((clause.malformed for clause in term if clause.malformed), "")
    if malformed:
        return f"cannot be parsed ({malformed}), so no node meets it"
    return f"wants {_wants_but_has(next(clause for clause in term if not clause.holds(node)), node)}"
