"""What annotations and sync policies mean to Argo CD."""

from __future__ import annotations

import pytest

from validate.argocd.syncs import (
    application_options,
    awaits_pods,
    is_hook,
    latest_wave,
    object_options,
    prunes,
    wave,
)
from validate.cluster.objects import KubeObject
from validate.place import Origin, Writer


def an_object(kind="ConfigMap", **annotations):
    pairs = {f"argocd.argoproj.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    value = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "a", "annotations": pairs}}
    return KubeObject(value, lambda _: (Origin("a.yaml", 1, 1, Writer.RESOURCE),))


@pytest.mark.parametrize(("text", "number"), [("-2", -2), ("10", 10), ("first", 0), ("1.5", 0), ("", 0)])
def test_a_wave_is_a_number_or_else_zero(text, number):
    assert wave(an_object(sync_wave=text)) == number


def test_an_object_without_annotations_is_in_wave_zero_and_no_hook():
    assert wave(an_object()) == 0
    assert not is_hook(an_object())
    assert is_hook(an_object(hook="PreSync"))


def test_what_is_applied_first_by_its_kind_may_share_the_wave_of_pods():
    workload = an_object("Deployment", sync_wave="3")
    assert latest_wave(an_object("Secret"), workload) == 3
    assert latest_wave(an_object("ExternalSecret"), workload) == 2


@pytest.mark.parametrize(
    ("kind", "replicas", "expected"),
    [
        ("Deployment", None, True),
        ("StatefulSet", 2, True),
        ("Deployment", 0, False),
        ("Job", None, True),
        ("CronJob", None, False),
        ("ConfigMap", None, False),
    ],
)
def test_argo_cd_waits_for_what_has_pods_by_now(kind, replicas, expected):
    item = an_object(kind)
    if replicas is not None:
        item.value["spec"] = {"replicas": replicas}
    assert awaits_pods(item) is expected


def test_options_are_told_apart_by_commas_and_spaces_do_not_count():
    item = an_object(sync_options="ServerSideApply=true, Prune=false ,Delete=false")
    assert object_options(item) == {"ServerSideApply=true", "Prune=false", "Delete=false"}
    assert application_options({"syncPolicy": {"syncOptions": ["PruneLast=true"]}}) == {"PruneLast=true"}
    assert application_options({"syncPolicy": {"syncOptions": "PruneLast=true"}}) == frozenset()
    assert application_options(None) == frozenset()


@pytest.mark.parametrize(
    ("automated", "expected"),
    [
        ({"prune": True}, True),
        ({"prune": True, "enabled": True}, True),
        ({"prune": True, "enabled": False}, False),
        ({"prune": False}, False),
        ({}, False),
        (None, False),
        ({"prune": "true"}, False),
    ],
)
def test_an_application_prunes_where_it_is_told_to(automated, expected):
    assert prunes({"syncPolicy": {"automated": automated}}) is expected
