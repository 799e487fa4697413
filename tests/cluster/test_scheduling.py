"""Placement: unit tests by operator, and the proof against a brute-force scheduler."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from validate.cluster.facts import read_facts
from validate.cluster.scheduling import (
    Node,
    Placement,
    Taint,
    admits,
    admitting_pools,
    counter_example,
    find_refusal,
    why_not,
)
from validate.cluster.selectors import Requirement

if TYPE_CHECKING:
    import pathlib

Spec = dict[str, Any]
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
USER = {"key": "hub.jupyter.org/dedicated", "operator": "Equal", "value": "user", "effect": "NoSchedule"}


def affinity(*terms: Spec) -> Spec:
    required = {"nodeSelectorTerms": list(terms)}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


def term(
    *expressions: tuple[str, str, list[str]], fields: tuple[tuple[str, str, list[str]], ...] = ()
) -> Spec:
    def as_yaml(entries: tuple[tuple[str, str, list[str]], ...]) -> list[Spec]:
        return [{"key": key, "operator": operator, "values": values} for key, operator, values in entries]

    return {"matchExpressions": as_yaml(expressions), "matchFields": as_yaml(fields)}


def place(spec: Spec | None = None, *, daemonset: bool = False) -> Placement:
    return Placement.of(spec or {}, daemonset=daemonset)


def tolerating(*tolerations: Spec) -> Placement:
    return place({"tolerations": list(tolerations)})


def labelled(**labels: str) -> Node:
    return Node(labels)


def tainted(*taints: str) -> Node:
    """Return a node with taints written as kubectl does."""
    parts = [(*taint.partition(":")[0].split("="), taint.partition(":")[2]) for taint in taints]
    return Node({}, tuple(Taint(part[0], part[1] if len(part) > 2 else "", part[-1]) for part in parts))


# --- Labels -----------------------------------------------------------------------------------------


def test_a_pod_without_demands_runs_on_a_node_without_labels() -> None:
    assert admits(place(), Node({}))


@pytest.mark.parametrize("labels", [{}, {"pool": "core"}, {"pool": "Builds"}, {"pool": ""}])
def test_a_node_selector_wants_the_very_value(labels: dict[str, str]) -> None:
    placement = place({"nodeSelector": {"pool": "builds"}})
    assert not admits(placement, Node(labels))
    assert admits(placement, Node({"pool": "builds", "zone": "a"}))


@pytest.mark.parametrize(
    ("operator", "values", "holding", "failing"),
    [
        ("In", ["a", "b"], ["a", "b"], ["c", None, ""]),
        ("NotIn", ["a", "b"], ["c", None, ""], ["a", "b"]),
        ("Exists", [], ["a", ""], [None]),
        ("DoesNotExist", [], [None], ["a", ""]),
        (
            "Gt",
            ["7"],
            ["8", "08", "700", "9223372036854775807"],
            ["7", "6", "x", "8x", None, "", "9223372036854775808"],
        ),
        ("Lt", ["7"], ["6", "0", "006"], ["7", "8", "x", "", None, "0x1", "1_0"]),
    ],
)
def test_each_operator_of_node_affinity_holds_and_fails_where_kubernetes_says(
    operator: str, values: list[str], holding: list[str | None], failing: list[str | None]
) -> None:
    placement = place(affinity(term(("k", operator, values))))
    for value, expected in [(value, True) for value in holding] + [(value, False) for value in failing]:
        node = Node({} if value is None else {"k": value})
        assert admits(placement, node) is expected, (operator, values, value)


def test_terms_are_alternatives_and_the_expressions_of_one_are_all_needed() -> None:
    placement = place(affinity(term(("a", "In", ["1"]), ("b", "In", ["1"])), term(("c", "Exists", []))))
    assert admits(placement, labelled(a="1", b="1"))
    assert admits(placement, labelled(c=""))
    assert not admits(placement, labelled(a="1"))


def test_an_empty_term_matches_nothing_and_spoils_no_other() -> None:
    assert not admits(place(affinity(term())), labelled(a="1"))
    assert admits(place(affinity(term(), term(("a", "Exists", [])))), labelled(a="1"))


def test_required_affinity_without_terms_matches_nothing_but_none_matches_everything() -> None:
    assert not admits(place(affinity()), Node({}))
    assert not admits(
        place({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}}}),
        Node({}),
    )
    assert admits(
        place({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": None}}}),
        Node({}),
    )
    assert admits(
        place({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}}),
        Node({}),
    )


@pytest.mark.parametrize(
    "malformed",
    [
        ("a", "In", []),
        ("a", "NotIn", []),
        ("a", "Exists", ["x"]),
        ("a", "Gt", ["one"]),
        ("a", "Gt", ["1", "2"]),
        ("a", "Gt", ["-1"]),
        ("a", "Matches", ["x"]),
        ("a", "NotIn", ["not a label value"]),
        ("not a key", "DoesNotExist", []),
    ],
)
def test_a_term_that_kubernetes_cannot_parse_matches_nothing(malformed: tuple[str, str, list[str]]) -> None:
    for labels in ({}, {"a": "2"}, {"a": "x"}):
        assert not admits(place(affinity(term(malformed))), Node(labels))
    assert admits(place(affinity(term(malformed), term(("a", "DoesNotExist", [])))), Node({}))


def test_node_selector_and_affinity_must_both_hold() -> None:
    placement = place({"nodeSelector": {"a": "1"}, **affinity(term(("b", "Exists", [])))})
    assert admits(placement, labelled(a="1", b=""))
    assert not admits(placement, labelled(a="1"))
    assert not admits(placement, labelled(b=""))


def test_match_fields_speak_of_the_name_and_not_of_a_label_of_that_key() -> None:
    placement = place(affinity(term(fields=(("metadata.name", "In", ["n1"]),))))
    assert admits(placement, Node({}, name="n1"))
    assert not admits(placement, Node({"metadata.name": "n1"}, name="n2"))
    assert not admits(placement, Node({}))
    assert admits(place(affinity(term(fields=(("metadata.name", "NotIn", ["n1"]),)))), Node({}, name="n2"))


def test_match_fields_take_one_value_only() -> None:
    assert not admits(
        place(affinity(term(fields=(("metadata.name", "In", ["n1", "n2"]),)))), Node({}, name="n1")
    )
    assert not admits(place(affinity(term(fields=(("metadata.name", "Exists", []),)))), Node({}, name="n1"))


# --- Taints -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toleration", "tolerated", "not_tolerated"),
    [
        (USER, ["hub.jupyter.org/dedicated=user:NoSchedule"],
         ["hub.jupyter.org/dedicated=user:NoExecute", "hub.jupyter.org/dedicated=core:NoSchedule",
          "hub.jupyter.org/dedicated:NoSchedule", "hub.jupyter.org_dedicated=user:NoSchedule"]),
        ({"key": "k", "operator": "Exists"}, ["k=1:NoSchedule", "k:NoExecute"], ["l=1:NoSchedule"]),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, ["k=1:NoExecute"], ["k=1:NoSchedule"]),
        ({"key": "k", "value": "v"}, ["k=v:NoSchedule", "k=v:NoExecute"], ["k=w:NoSchedule"]),
        ({"key": "k"}, ["k:NoSchedule"], ["k=v:NoSchedule"]),
        ({"operator": "Exists"}, ["k=v:NoSchedule", "l:NoExecute"], []),
        ({"operator": "Exists", "effect": "NoSchedule"}, ["k=v:NoSchedule"], ["k=v:NoExecute"]),
        ({"key": "k", "operator": "Gt", "value": "1"}, [], ["k=2:NoSchedule", "k=1:NoSchedule"]),
    ],
)  # fmt: skip
def test_a_toleration_matches_by_key_operator_value_and_effect(
    toleration: Spec, tolerated: list[str], not_tolerated: list[str]
) -> None:
    for taint in tolerated:
        assert admits(tolerating(toleration), tainted(taint)), taint
    for taint in not_tolerated:
        assert not admits(tolerating(toleration), tainted(taint)), taint


def test_every_taint_needs_a_toleration() -> None:
    assert not admits(
        tolerating(USER), tainted("hub.jupyter.org/dedicated=user:NoSchedule", "gpu:NoSchedule")
    )


def test_prefer_no_schedule_keeps_nobody_away() -> None:
    assert admits(place(), tainted("k=v:PreferNoSchedule"))


def test_every_pod_tolerates_a_node_that_is_not_ready_for_a_while() -> None:
    assert admits(place(), tainted("node.kubernetes.io/not-ready:NoExecute"))
    assert admits(place(), tainted("node.kubernetes.io/unreachable:NoExecute"))
    assert not admits(place(), tainted("node.kubernetes.io/not-ready:NoSchedule"))


def test_no_toleration_is_added_where_the_pod_has_one_of_that_key() -> None:
    own = {"key": "node.kubernetes.io/not-ready", "operator": "Equal", "value": "x", "effect": "NoExecute"}
    assert not admits(tolerating(own), tainted("node.kubernetes.io/not-ready:NoExecute"))
    assert admits(tolerating(own), tainted("node.kubernetes.io/unreachable:NoExecute"))


@pytest.mark.parametrize("condition", ["disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"])
def test_pods_of_a_daemon_set_stay_where_others_do_not(condition: str) -> None:
    node = tainted(f"node.kubernetes.io/{condition}:NoSchedule")
    assert admits(place(daemonset=True), node)
    assert not admits(place(), node)
    assert not admits(place(daemonset=True), tainted(f"node.kubernetes.io/{condition}:NoExecute"))


def test_only_a_daemon_set_on_the_host_network_stays_where_the_network_is_not_up() -> None:
    node = tainted("node.kubernetes.io/network-unavailable:NoSchedule")
    assert admits(place({"hostNetwork": True}, daemonset=True), node)
    assert not admits(place(daemonset=True), node)
    assert not admits(place({"hostNetwork": True}), node)


def test_a_pod_with_a_node_name_passes_the_scheduler_by_but_not_the_kubelet() -> None:
    placement = place({"nodeName": "n1", "nodeSelector": {"a": "1"}})
    taint = Taint("k", "", "NoSchedule")
    assert admits(placement, Node({"a": "1"}, (taint,), "n1"))
    assert not admits(placement, Node({"a": "1"}, (), "n2"))
    assert not admits(placement, Node({}, (), "n1"))
    assert not admits(placement, Node({"a": "1"}, (Taint("k", "", "NoExecute"),), "n1"))
    assert not admits(place({"nodeName": "n1"}, daemonset=True), Node({}, (taint,), "n1"))


# --- Why not ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "node", "sentence", "path"),
    [
        ({"nodeSelector": {"pool": "builds"}}, labelled(pool="core"),
         "its nodeSelector wants pool=builds, and the node has pool=core", "nodeSelector/pool"),
        ({"nodeSelector": {"pool": "builds"}}, Node({}),
         "its nodeSelector wants pool=builds, and the node has no label pool", "nodeSelector/pool"),
        ({"nodeName": "n1"}, Node({}, name="n2"), "nodeName pins it to the node n1", "nodeName"),
        (affinity(term(("pool", "In", ["a", "b"]))), labelled(pool="core"),
         "its node affinity wants pool In [a, b], and the node has pool=core", None),
        (affinity(term(("a", "Exists", [])), term(), term(("b", "Gt", ["x"]))), Node({}),
         ("no term of its node affinity holds: term 1 wants a Exists, and the node has no label a; "
          "term 2 is empty, which no node meets; "
          "term 3 cannot be parsed (Gt needs exactly one integer), so no node meets it"),
         None),
        (affinity(), Node({}), "its node affinity has no terms, which no node meets", None),
        (affinity(term(fields=(("metadata.name", "In", ["n1"]),))), Node({}),
         "its node affinity wants the node metadata.name=n1, and the node is called otherwise", None),
        ({"tolerations": [USER]}, tainted("gpu=1:NoSchedule"),
         "it does not tolerate the taint gpu=1:NoSchedule", "tolerations"),
    ],
)  # fmt: skip
def test_why_not_names_the_demand_and_what_the_node_has(
    spec: Spec, node: Node, sentence: str, path: str | None
) -> None:
    refusal = find_refusal(place(spec), node)
    assert refusal is not None
    assert refusal.sentence == sentence == why_not(place(spec), node)
    required = "affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution"
    assert "/".join(map(str, refusal.path)) == (path or required)


def test_there_is_no_why_not_where_the_node_admits_the_pod() -> None:
    assert why_not(place({"nodeSelector": {"a": "1"}}), labelled(a="1")) is None


# --- Counter-examples -------------------------------------------------------------------------------


def test_the_same_placement_has_no_counter_example() -> None:
    placement = place({"nodeSelector": {"a": "1"}, **affinity(term(("b", "Gt", ["3"])))})
    assert counter_example(placement, placement) is None


def test_a_demand_that_only_the_outer_pod_makes_is_escaped_by_a_node_without_labels() -> None:
    assert counter_example(place(), place({"nodeSelector": {"a": "1"}})) == Node({})


def test_a_tighter_build_pod_stays_within_a_wider_daemon_set() -> None:
    build = {"nodeSelector": {"pool": "builds", "kubernetes.io/os": "linux"}, "tolerations": [USER]}
    daemon = {"nodeSelector": {"kubernetes.io/os": "linux"}, "tolerations": [USER]}
    assert counter_example(place(build), place(daemon, daemonset=True)) is None
    assert counter_example(place(daemon, daemonset=True), place(build)) is not None


def test_a_hard_wired_toleration_that_the_daemon_set_lacks_is_the_counter_example() -> None:
    node = counter_example(tolerating(USER), place(daemonset=True))
    assert node == tainted("hub.jupyter.org/dedicated=user:NoSchedule")
    assert str(node) == "labels: none\ntaints:\n  hub.jupyter.org/dedicated=user:NoSchedule"


def test_the_counter_example_shows_the_labels_that_the_inner_pod_needs() -> None:
    node = counter_example(
        place({"nodeSelector": {"pool": "builds"}}), place({"nodeSelector": {"pool": "build"}})
    )
    assert node == labelled(pool="builds")
    assert str(node) == "labels:\n  pool: builds\ntaints: none"


def test_a_value_of_another_kind_is_readable() -> None:
    exists = place(affinity(term(("pool", "Exists", []))))
    assert counter_example(exists, place({"nodeSelector": {"pool": "a"}})) == labelled(pool="another-value")
    host = place(affinity(term(("kubernetes.io/hostname", "Exists", []))))
    outer = place({"nodeSelector": {"kubernetes.io/hostname": "n1"}})
    assert counter_example(host, outer) == Node({"kubernetes.io/hostname": "another-node"})


def test_a_value_that_occurs_in_the_placements_is_preferred() -> None:
    inner = place(
        affinity(term(("pool", "Exists", [])), term(("pool", "In", ["core"]), ("gpu", "Exists", [])))
    )
    assert counter_example(inner, place({"nodeSelector": {"pool": "builds"}})) == labelled(pool="core")


def test_what_is_known_of_every_node_bounds_the_proof() -> None:
    linux = place({"nodeSelector": {"kubernetes.io/os": "linux"}})
    known = Requirement("kubernetes.io/os", "In", ("linux", "windows"))
    assert counter_example(place(), linux) == Node({})
    assert counter_example(place(), linux, [known]) == Node({"kubernetes.io/os": "windows"})
    assert counter_example(place(), linux, [Requirement("kubernetes.io/os", "In", ("linux",))]) is None


def test_bounds_that_meet_leave_no_node_but_leading_zeros_do() -> None:
    seven = place(affinity(term(("k", "Gt", ["6"]), ("k", "Lt", ["8"]))))
    assert counter_example(seven, place(affinity(term(("k", "Gt", ["6"]))))) is None
    assert counter_example(seven, place(affinity(term(("k", "In", ["7"]))))) == labelled(k="07")
    assert counter_example(seven, place(affinity(term(("k", "In", ["7", "07"]))))) == labelled(k="007")


def test_greater_than_leaves_the_value_just_at_the_bound() -> None:
    inner = place(affinity(term(("k", "Gt", ["4"]))))
    assert counter_example(inner, place(affinity(term(("k", "Gt", ["5"]))))) == labelled(k="5")
    assert counter_example(inner, place(affinity(term(("k", "Gt", ["4"])), term(("k", "Lt", ["2"]))))) is None
    assert (
        counter_example(place(affinity(term(("k", "Gt", ["9223372036854775807"])))), place(affinity()))
        is None
    )
    assert counter_example(place(affinity(term(("k", "Lt", ["0"])))), place(affinity())) is None


def test_a_demand_for_an_impossible_label_is_met_by_no_node() -> None:
    impossible = place({"nodeSelector": {"a": "not a value"}})
    assert counter_example(impossible, place(affinity())) is None
    assert counter_example(place(), impossible) == Node({})
    assert counter_example(place({"nodeSelector": {"not a key": "1"}}), place(affinity())) is None


def test_a_name_is_part_of_the_counter_example_only_where_it_has_to_be() -> None:
    pinned = place(affinity(term(fields=(("metadata.name", "In", ["n1"]),))))
    spared = place(affinity(term(fields=(("metadata.name", "NotIn", ["n1"]),))))
    assert counter_example(place(), pinned) == Node({})
    assert counter_example(place(), spared) == Node({}, name="n1")
    assert counter_example(pinned, place({"nodeName": "n1"}, daemonset=True)) is None
    assert str(counter_example(place(), spared)) == "name: n1\nlabels: none\ntaints: none"


def test_a_taint_is_chosen_where_escaping_by_labels_costs_more() -> None:
    inner = tolerating({"operator": "Exists"})
    outer = place(
        affinity(
            *(term((key, "NotIn", ["x"]), (key, "Exists", [])) for key in "ab"),
            term(("c", "DoesNotExist", []), ("d", "DoesNotExist", [])),
        )
    )
    node = counter_example(inner, outer)
    assert node is not None
    assert node.size == 1


def test_of_alternatives_the_one_with_the_smallest_node_is_shown() -> None:
    inner = place(affinity(term(("a", "Exists", []), ("b", "Exists", [])), term(("c", "Exists", []))))
    assert counter_example(inner, place({"nodeSelector": {"d": "1"}})) == labelled(c="another-value")


def test_of_nodes_of_one_size_that_without_a_particular_name_is_shown() -> None:
    inner = place(affinity(term(fields=(("metadata.name", "In", ["n1"]),)), term(("a", "DoesNotExist", []))))
    assert counter_example(inner, place({"nodeSelector": {"d": "1"}})) == Node({})


def test_every_value_that_is_ruled_out_stays_ruled_out() -> None:
    inner = term(("k", "Gt", ["4"]), ("k", "Lt", ["7"]), ("k", "NotIn", ["5"]), ("k", "NotIn", ["6"]))
    assert counter_example(place(affinity(inner)), place(affinity())) == labelled(k="05")
    words = term(("k", "Exists", []), ("k", "NotIn", ["another-value"]), ("k", "NotIn", ["another-value-2"]))
    assert counter_example(place(affinity(words)), place(affinity())) == labelled(k="another-value-3")


def test_a_toleration_of_the_empty_value_leaves_all_other_values() -> None:
    inner = tolerating({"key": "k", "operator": "Exists"})
    assert counter_example(inner, tolerating({"key": "k"})) == tainted("k=another-value:NoSchedule")
    assert counter_example(inner, tolerating({"key": "k", "value": "v"})) == tainted("k:NoSchedule")


def test_many_terms_about_different_labels_are_searched_one_by_one() -> None:
    terms = [term(*((f"k{number}{letter}", "DoesNotExist", []) for letter in "abc")) for number in range(40)]
    node = counter_example(place(), place(affinity(*terms)))
    assert node is not None
    assert node.size == 40


def test_many_terms_that_each_share_a_label_with_the_next_are_searched_along_the_chain() -> None:
    terms = [
        term((f"k{number}", "DoesNotExist", []), (f"k{number + 1}", "DoesNotExist", []))
        for number in range(40)
    ]
    node = counter_example(place(), place(affinity(*terms)))
    assert node is not None
    assert node.size == 20


def test_pools_admit_by_labels_and_taints(tmp_path: pathlib.Path) -> None:
    (tmp_path / "cluster.yaml").write_text(
        "nodePools:\n"
        "- {name: core, labels: {pool: core}}\n"
        "- name: builds\n"
        "  labels: {pool: builds}\n"
        "  taints: [{key: hub.jupyter.org/dedicated, value: user, effect: NoSchedule}]\n"
    )
    pools = read_facts(tmp_path, "cluster.yaml").pools

    def names(spec: Spec) -> list[str]:
        return [pool.name for pool in admitting_pools(place(spec), pools)]

    assert names({}) == ["core"]
    assert names({"tolerations": [USER]}) == ["core", "builds"]
    assert names({"tolerations": [USER], "nodeSelector": {"pool": "builds"}}) == ["builds"]
    assert names({"nodeName": "core"}) == []


# --- Against brute force ----------------------------------------------------------------------------
#
# What the generated pods mention is known, so one closed universe of nodes tells all of them apart:
# each mentioned value, its integer written with a zero more, the integers beside it, and a fresh word.

KEYS = ("a", "b")
MENTIONED = ("x", "1", "2")
VALUES = (None, *MENTIONED, "01", "02", "0", "3", "fresh")
NAMES = ("", "n1", "n2")
GIVEN_TIME = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
TAINT_KEYS = ("t", *GIVEN_TIME, "fresh")
TAINT_VALUES = ("", "v", "fresh")
EFFECTS = ("NoSchedule", "NoExecute")
LABEL_SETS = [
    {key: value for key, value in zip(KEYS, values, strict=True) if value is not None}
    for values in product(VALUES, repeat=len(KEYS))
]
TAINTS = [Taint(*parts) for parts in product(TAINT_KEYS, TAINT_VALUES, EFFECTS)]


def expression_holds(expression: Spec, known: dict[str, str]) -> bool:
    """Judge one matchExpression the way the documentation words it."""
    key, operator, values = expression["key"], expression["operator"], expression["values"]
    if operator == "NotIn":
        return key not in known or known[key] not in values
    if operator == "DoesNotExist":
        return key not in known
    if key not in known:
        return False
    if operator == "Exists":
        return True
    if operator == "In":
        return known[key] in values
    if not known[key].isdigit():
        return False
    return int(known[key]) > int(values[0]) if operator == "Gt" else int(known[key]) < int(values[0])


def parses(expression: Spec) -> bool:
    operator, values = expression["operator"], expression["values"]
    if operator in ("Gt", "Lt"):
        return len(values) == 1 and values[0].isdigit()
    return bool(values) is (operator in ("In", "NotIn"))


def labels_fit(spec: Spec, labels: dict[str, str], name: str) -> bool:
    if spec.get("nodeName") and spec["nodeName"] != name:
        return False
    for key, value in spec.get("nodeSelector", {}).items():
        if labels.get(key) != value:
            return False
    if "affinity" not in spec:
        return True
    terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    for candidate in terms:
        expressions, fields = candidate["matchExpressions"], candidate["matchFields"]
        if not expressions and not fields:
            continue
        if not all(parses(expression) for expression in expressions):
            continue
        named = {"metadata.name": name} if name else {}
        if all(expression_holds(e, labels) for e in expressions) and all(
            expression_holds(f, named) for f in fields
        ):
            return True
    return False


def taint_fits(spec: Spec, taint: Taint) -> bool:
    if spec.get("nodeName") and taint.effect == "NoSchedule":
        return True
    written = spec.get("tolerations", [])
    own = [item for item in written if item.get("key", "") in ("", taint.key)]
    added = taint.key in GIVEN_TIME and all(item.get("effect") == "NoSchedule" for item in own)
    if added and taint.effect == "NoExecute":
        return True
    for toleration in written:
        if toleration.get("effect") and toleration["effect"] != taint.effect:
            continue
        if toleration.get("key") and toleration["key"] != taint.key:
            continue
        if toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.value:
            return True
    return False


values = st.lists(st.sampled_from(MENTIONED), max_size=2, unique=True)
expressions = st.one_of(
    st.tuples(
        st.sampled_from(KEYS),
        st.sampled_from(["In", "NotIn"]),
        st.lists(st.sampled_from(MENTIONED), min_size=1, max_size=3),
    ),
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["Exists", "DoesNotExist"]), st.just([])),
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["Gt", "Lt"]), st.sampled_from([["1"], ["2"]])),
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["In", "Exists", "Gt", "Lt"]), values),
)
fields = st.tuples(
    st.just("metadata.name"), st.sampled_from(["In", "NotIn"]), st.sampled_from([["n1"], ["n2"]])
)
terms = st.builds(
    lambda labels, names: term(*labels, fields=tuple(names)),
    st.lists(expressions, max_size=3),
    st.one_of(st.just([]), st.just([]), st.lists(fields, max_size=1)),
)
tolerations = st.fixed_dictionaries(
    {},
    optional={
        "key": st.sampled_from(["t", *GIVEN_TIME]),
        "operator": st.sampled_from(["Exists", "Equal", ""]),
        "value": st.just("v"),
        "effect": st.sampled_from(EFFECTS),
    },
)
pods = st.builds(
    lambda selector, required, tolerated, name: {
        "nodeSelector": selector,
        **(affinity(*required) if required is not None else {}),
        "tolerations": tolerated,
        **({"nodeName": name} if name else {}),
    },
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from(MENTIONED), max_size=2),
    st.none() | st.lists(terms, max_size=4),
    st.lists(tolerations, max_size=2),
    st.sampled_from(["", "", "", "", "n1"]),
)


@settings(max_examples=50, deadline=None)
@given(
    spec=pods,
    node=st.sampled_from(LABEL_SETS),
    name=st.sampled_from(NAMES),
    taints=st.lists(st.sampled_from(TAINTS), max_size=2),
)
def test_admits_agrees_with_a_naive_scheduler(
    spec: Spec, node: dict[str, str], name: str, taints: list[Taint]
) -> None:
    expected = labels_fit(spec, node, name) and all(taint_fits(spec, taint) for taint in taints)
    event(f"admitted: {expected}")
    assert admits(place(spec), Node(node, tuple(taints), name)) is expected
    assert (why_not(place(spec), Node(node, tuple(taints), name)) is None) is expected


@settings(max_examples=60, deadline=None)
@given(inner=pods, outer=pods)
def test_a_counter_example_is_found_where_brute_force_finds_one_and_is_as_small(
    inner: Spec, outer: Spec
) -> None:
    sizes = [
        len(labels) + len(taints)
        for labels, name in product(LABEL_SETS, NAMES)
        if labels_fit(inner, labels, name)
        for taints in ([], *([taint] for taint in TAINTS if taint_fits(inner, taint)))
        if not labels_fit(outer, labels, name) or not all(taint_fits(outer, taint) for taint in taints)
    ]
    node = counter_example(place(inner), place(outer))
    event(f"counter-example: {node.size if node else None}")
    assert (node.size if node else None) == min(sizes, default=None)
    if node:
        assert labels_fit(inner, dict(node.labels), node.name)
        assert all(taint_fits(inner, taint) for taint in node.taints)
        assert not (
            labels_fit(outer, dict(node.labels), node.name)
            and all(taint_fits(outer, taint) for taint in node.taints)
        )
        assert admits(place(inner), node)
        assert not admits(place(outer), node)
