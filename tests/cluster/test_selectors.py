"""Label selectors: each operator with its miss and its near miss."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validate.cluster.selectors import (
    Requirement,
    is_label_key,
    is_label_value,
    is_subdomain,
    parse_integer,
    read_requirements,
    selects,
    selects_map,
)


def expressions(*entries: tuple[str, str, list[str]]) -> dict[str, Any]:
    return {"matchExpressions": [{"key": k, "operator": o, "values": v} for k, o, v in entries]}


def test_an_empty_selector_selects_everything_and_a_missing_one_nothing() -> None:
    assert selects({}, {})
    assert selects({}, {"a": "1"})
    assert selects({"matchLabels": None, "matchExpressions": None}, {"a": "1"})
    assert not selects(None, {})
    assert not selects(None, {"a": "1"})


@pytest.mark.parametrize(
    ("selector", "selected", "others"),
    [
        (
            {"matchLabels": {"a": "1", "b": "2"}},
            [{"a": "1", "b": "2", "c": "3"}],
            [{"a": "1"}, {"a": "1", "b": "1"}],
        ),
        (expressions(("a", "In", ["1", "2"])), [{"a": "2"}], [{"a": "3"}, {}]),
        (expressions(("a", "NotIn", ["1"])), [{"a": "2"}, {}], [{"a": "1"}]),
        (expressions(("a", "Exists", [])), [{"a": ""}], [{"b": "1"}]),
        (expressions(("a", "DoesNotExist", [])), [{"b": "1"}], [{"a": ""}]),
        (
            expressions(("a", "Exists", []), ("b", "DoesNotExist", [])),
            [{"a": "1"}],
            [{"a": "1", "b": ""}, {}],
        ),
        (
            {"matchLabels": {"a": "1"}, **expressions(("b", "Exists", []))},
            [{"a": "1", "b": ""}],
            [{"a": "1"}],
        ),
    ],
)
def test_all_requirements_of_a_selector_must_hold(
    selector: dict[str, Any], selected: list[dict[str, str]], others: list[dict[str, str]]
) -> None:
    assert all(selects(selector, labels) for labels in selected)
    assert not any(selects(selector, labels) for labels in others)


@pytest.mark.parametrize(
    "malformed",
    [
        ("a", "Gt", ["1"]),
        ("a", "Lt", ["9"]),
        ("a", "In", []),
        ("a", "Exists", ["5"]),
        ("a", "exists", []),
        ("a", "NotIn", ["not valid"]),
    ],
)
def test_a_selector_that_the_api_server_refuses_selects_nothing(
    malformed: tuple[str, str, list[str]],
) -> None:
    assert not any(selects(expressions(malformed), labels) for labels in ({}, {"a": "5"}, {"b": "5"}))


def test_a_service_without_selector_selects_no_pods_while_an_empty_policy_selects_all() -> None:
    assert not selects_map(None, {"a": "1"})
    assert not selects_map({}, {"a": "1"})
    assert selects_map({"a": "1"}, {"a": "1", "b": "2"})
    assert not selects_map({"a": "1", "b": "2"}, {"a": "1"})


def test_a_requirement_reads_as_people_say_it() -> None:
    assert str(Requirement("a", "In", ("1",))) == "a=1"
    assert str(Requirement("a", "In", ("1", "2"))) == "a In [1, 2]"
    assert str(Requirement("a", "NotIn", ("1",))) == "a NotIn [1]"
    assert str(Requirement("a", "Exists")) == "a Exists"


def test_an_entry_that_is_no_mapping_is_a_malformed_requirement() -> None:
    (requirement,) = read_requirements([None])
    assert requirement.malformed == "'' is no label key"
    assert read_requirements(None) == ()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        ("007", 7),
        ("-7", -7),
        ("+7", 7),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None),
        ("-9223372036854775808", -(2**63)),
        ("", None),
        ("+", None),
        ("+-7", None),
        ("-+7", None),
        ("1_000", None),
        ("0x7", None),
        ("1.0", None),
        (" 7", None),
        ("\u0663", None),
        (None, None),
    ],
)
def test_integers_are_read_as_go_reads_them(text: str | None, number: int | None) -> None:
    assert parse_integer(text) == number


@pytest.mark.parametrize("text", ["", "a", "A.b_c-9", "x" * 63])
def test_a_label_may_have_that_value(text: str) -> None:
    assert is_label_value(text)


@pytest.mark.parametrize("text", ["-a", "a.", "a b", "a/b", "x" * 64, "\u00e9"])
def test_no_label_may_have_that_value(text: str) -> None:
    assert not is_label_value(text)


@pytest.mark.parametrize("text", ["a", "kubernetes.io/os", "hub.jupyter.org_dedicated", "a.b/C_d", "x" * 63])
def test_a_label_may_have_that_key(text: str) -> None:
    assert is_label_key(text)


@pytest.mark.parametrize(
    "text", ["", "/a", "a/", "a/b/c", "A.b/c", "a_b/c", "-a", "x" * 64, "y" * 254 + "/a"]
)
def test_no_label_may_have_that_key(text: str) -> None:
    assert not is_label_key(text)


def test_names_of_nodes_are_subdomains() -> None:
    assert is_subdomain("ip-10-0-0-1.eu-west-1.compute.internal")
    assert not is_subdomain("Node")
    assert not is_subdomain("a..b")


labels = st.dictionaries(st.sampled_from("ab"), st.sampled_from("12"), max_size=2)
operators = st.sampled_from(
    [("In", ["1"]), ("In", ["1", "2"]), ("NotIn", ["1"]), ("Exists", []), ("DoesNotExist", [])]
)
OPPOSITE = {"In": "NotIn", "NotIn": "In", "Exists": "DoesNotExist", "DoesNotExist": "Exists"}


@settings(max_examples=50)
@given(key=st.sampled_from("ab"), operation=operators, known=labels)
def test_an_operator_and_its_opposite_divide_all_labels(
    key: str, operation: tuple[str, list[str]], known: dict[str, str]
) -> None:
    operator, values = operation
    holds = selects(expressions((key, operator, values)), known)
    assert selects(expressions((key, OPPOSITE[operator], values)), known) is not holds
