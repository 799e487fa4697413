"""Whom Services, budgets, policies and monitors select."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from validate.cluster.objects import KubeObject
from validate.cluster.selections import selections

LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=3)


def made(value):
    return KubeObject(value, lambda _: ())


def workload(name, labels, namespace="one"):
    spec = {"template": {"metadata": {"labels": labels}, "spec": {"containers": []}}}
    return made({"kind": "Deployment", "metadata": {"name": name, "namespace": namespace}, "spec": spec})


def service(selector, **spec):
    metadata = {"name": "service", "namespace": "one"}
    return made(
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": selector, **spec}}
    )


def parsed(text):
    return [made(value) for value in yaml.safe_load_all(text)]


def names(selection):
    return [target.title.rpartition("/")[2] for target in selection.selected]


@given(LABELS.filter(bool), st.lists(st.tuples(LABELS, st.sampled_from(["one", "two"])), max_size=4))
def test_a_service_selects_what_has_its_labels_in_its_namespace(selector, pods):
    objects = [workload(str(index), labels, namespace) for index, (labels, namespace) in enumerate(pods)]
    expected = [
        str(index)
        for index, (labels, namespace) in enumerate(pods)
        if namespace == "one" and selector.items() <= labels.items()
    ]
    found = [names(selection) for selection in selections([service(selector), *objects])]
    # Without anything that it could be about there is no selection at all.
    assert found in ([expected], [] if not expected else [expected])


def test_the_nearest_lacks_the_fewest_labels_and_of_two_it_is_the_likest():
    pods = [workload("far", {}), workload("like", {"a": "binderhub"}), workload("unlike", {"a": "registry"})]
    (selection,) = selections([*pods, service({"a": "binder-hub"})])
    assert selection.nearest().title == "Deployment one/like"
    assert [str(place) for place in selection.missing_in(selection.nearest())] == ["spec.selector.a"]


def test_labels_that_only_one_of_the_selected_has_tell_it_apart():
    pods = [workload("one", {"a": "x", "b": "x"}), workload("two", {"a": "x", "b": "y", "c": "x"})]
    (selection,) = selections([*pods, service({"a": "x"})])
    assert [selection.telling_apart(target) for target in selection.selected] == [
        {"b": "x"},
        {"b": "y", "c": "x"},
    ]


def test_what_has_the_labels_in_another_namespace_is_a_candidate_and_is_not_selected():
    (selection,) = selections([workload("hub", {"a": "x"}, "two"), service({"a": "x"})])
    assert (names(selection), selection.nearest().namespace) == ([], "two")


def test_in_a_namespace_of_strangers_nothing_can_be_said():
    assert not list(selections([workload("hub", {"a": "y"}, "two"), service({"a": "x"})]))


@pytest.mark.parametrize(
    "more",
    [
        {"kind": "Endpoints", "metadata": {"name": "service", "namespace": "one"}},
        {
            "kind": "EndpointSlice",
            "metadata": {
                "name": "some",
                "namespace": "one",
                "labels": {"kubernetes.io/service-name": "service"},
            },
        },
    ],
)
def test_a_service_without_selector_is_left_out_where_somebody_gives_it_addresses(more):
    pod = workload("pod", {"a": "x"})
    assert len(list(selections([pod, service({})]))) == 1
    assert not list(selections([pod, service({}), made(more)]))
    other = {**more, "metadata": {**more["metadata"], "namespace": "two"}}
    assert len(list(selections([pod, service({}), made(other)]))) == 1


def test_a_service_that_is_a_name_is_left_out():
    assert not list(selections([workload("pod", {"a": "x"}), service(None, type="ExternalName")]))


def test_a_policy_for_the_whole_namespace_is_left_out_and_a_budget_for_it_is_not():
    empty = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: all, namespace: one}
spec: {podSelector: {}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: all, namespace: one}
spec: {selector: {}}
"""
    pods = [workload("a", {"a": "x"}), workload("b", {})]
    (selection,) = selections([*parsed(empty), *pods])
    assert (selection.by.kind, names(selection)) == ("PodDisruptionBudget", ["a", "b"])


@pytest.mark.parametrize(
    ("where", "selected"),
    [
        ("{}", []),
        ("{any: true}", ["service"]),
        ("{matchNames: [one]}", ["service"]),
        ("{matchNames: [two]}", []),
    ],
)
def test_a_monitor_selects_services_by_their_own_labels_where_it_looks(where, selected):
    monitor = f"""
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {{name: monitor, namespace: monitoring}}
spec: {{namespaceSelector: {where}, selector: {{matchLabels: {{a: x}}}}}}
"""
    target = service({"b": "y"})
    target.value["metadata"]["labels"] = {"a": "x"}
    found = selections([*parsed(monitor), workload("pod", {"b": "y"}), target])
    (selection,) = (selection for selection in found if selection.by.kind == "ServiceMonitor")
    assert names(selection) == selected


def test_the_build_pod_is_selected_by_every_label_but_its_name():
    labels = {"component": "binderhub-build", "name": "build-of-today"}
    build = made({"kind": "Pod", "metadata": {"namespace": "one", "labels": labels}, "spec": {}})
    (selection,) = selections([service({"component": "binderhub-build"})], build)
    assert [target.title for target in selection.selected] == ["the build pod"]
    assert selection.telling_apart(selection.selected[0]) == {"component": "binderhub-build"}
