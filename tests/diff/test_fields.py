"""Two objects, field by field, against what is left where the differences are undone."""

from __future__ import annotations

import copy
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from validate.cluster.objects import KubeObject
from validate.diff.fields import differences


def kube(value):
    return KubeObject(value, lambda _: ())


def told(before, after, renamed=None):
    pair = [
        kube({"apiVersion": "apps/v1", "kind": "Deployment", "spec": yaml.safe_load(side)})
        for side in (before, after)
    ]
    return [
        (
            one.shown.removeprefix("spec."),
            one.before.value,
            one.after.value,
            *([one.order] if one.order else []),
        )
        for one in differences(*pair, renamed or {})
    ]


def containers(*items):
    return f"{{template: {{spec: {{containers: [{', '.join(items)}]}}}}}}"


CONTAINERS = "template.spec.containers"


def test_a_container_is_known_by_its_name_wherever_it_stands():
    before = containers("{name: a, image: x}", "{name: b, image: y}")
    after = containers("{name: new, image: z}", "{name: a, image: x}", "{name: b, image: w}")
    assert told(before, after) == [
        (f"{CONTAINERS}[new]", None, {"name": "new", "image": "z"}),
        (f"{CONTAINERS}[b].image", "y", "w"),
    ]


def test_an_order_that_changes_is_a_change():
    before, after = containers("{name: a}", "{name: b}"), containers("{name: b}", "{name: a}")
    ((path, _, _, order),) = told(before, after)
    assert (path, order) == (CONTAINERS, ("b", "a"))


def test_a_word_that_goes_from_a_list_is_one_difference():
    before = containers("{name: a, args: [one, two, three]}")
    after = containers("{name: a, args: [one, three]}")
    assert told(before, after) == [(f"{CONTAINERS}[a].args[1]", "two", None)]


def test_a_word_that_is_another_one_is_told_with_both():
    before = containers("{name: a, args: [one, two, three]}")
    after = containers("{name: a, args: [one, 2, three]}")
    assert told(before, after) == [(f"{CONTAINERS}[a].args[1]", "two", 2)]


@pytest.mark.parametrize(
    ("before", "after"), [("1", "true"), ("1", "1.0"), ("''", "null"), ("'1'", "1"), ("0", "false")]
)
def test_what_is_equal_to_python_alone_differs(before, after):
    assert len(told(f"{{replicas: {before}}}", f"{{replicas: {after}}}")) == 1


def test_a_reference_that_follows_a_generated_name_is_no_difference():
    before = "{template: {spec: {volumes: [{name: v, configMap: {name: c-2222222222}}]}}}"
    after = before.replace("c-2222222222", "c-4444444444")
    assert told(before, after, {"c-2222222222": "c-4444444444"}) == []
    assert len(told(before, after)) == 1
    gone = before.replace("{name: c-2222222222}", "{}")
    assert len(told(before, gone, {"c-2222222222": "c-4444444444"})) == 1


def test_ports_are_told_apart_by_number_and_protocol():
    before = containers(
        "{name: a, ports: [{containerPort: 53, protocol: UDP}, {containerPort: 53, protocol: TCP}]}"
    )
    after = before.replace(
        "{containerPort: 53, protocol: TCP}", "{containerPort: 53, protocol: TCP, name: dns}"
    )
    assert told(before, after) == [(f"{CONTAINERS}[a].ports[53/TCP].name", None, "dns")]


SCALARS = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "b", "c"])
KEYS = st.sampled_from(["name", "key", "image", "a.b/c", "x"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(VALUES, VALUES)
def test_there_is_a_difference_exactly_where_two_objects_differ(before, after):
    found = list(differences(kube({"spec": before}), kube({"spec": after}), {}))
    same = json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)
    assert bool(found) == (not same)
    for one in found:
        assert one.order or not (
            one.before.exists
            and one.after.exists
            and json.dumps(one.before.value) == json.dumps(one.after.value)
        )


@given(VALUES, VALUES)
def test_each_difference_is_at_its_place_and_once(before, after):
    found = list(differences(kube({"spec": before}), kube({"spec": after}), {}))
    places = [
        (one.before.path if one.before.exists else None, one.after.path if one.after.exists else None)
        for one in found
    ]
    assert len(set(places)) == len(places)
    for one in found:
        for place, whole in ((one.before, before), (one.after, after)):
            if place.exists:
                value = copy.deepcopy({"spec": whole})
                for key in place.path:
                    value = value[key]
                assert json.dumps(value) == json.dumps(place.value)
