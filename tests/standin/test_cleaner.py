"""What becomes of build pods that nobody watches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from binderhub.build import KubernetesCleaner

LABELS = {"component": "binderhub-build"}


@pytest.fixture
def clean_up(serve):
    def run(config: dict[str, Any] | None = None, **environment: str) -> None:
        service = serve(config, **environment).service
        KubernetesCleaner(service.configuration, service.api()).clean_up()

    return run


def started(hours: float) -> dict[str, str]:
    return {"startTime": (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")}


def test_ended_builds_go_and_others_stay_until_they_are_old(cluster, clean_up) -> None:
    for name, phase, status in (
        ("succeeded", "Succeeded", started(0)),
        ("failed", "Failed", started(0)),
        ("young", "Running", started(3.9)),
        ("old", "Running", started(4.1)),
        ("not-accepted", "Pending", {}),
        ("pending-for-long", "Pending", started(5)),
    ):
        cluster.add("binder", name, LABELS).becomes(phase, **status)
    cluster.add("binder", "no-build", {}).becomes("Succeeded")
    clean_up()
    pods = "/api/v1/namespaces/binder/pods"
    assert sorted(name for _, name in cluster.pods) == ["no-build", "not-accepted", "young"]
    assert cluster.calls == [
        f"GET {pods}?labelSelector=component=binderhub-build",
        *(f"DELETE {pods}/{name}" for name in ("succeeded", "failed", "old", "pending-for-long")),
    ]
    assert cluster.bodies == [{"gracePeriodSeconds": 0}] * 4


@pytest.mark.parametrize(
    "config", [{"KubernetesCleaner": {"max_age": 60}}, {"BinderHub": {"build_max_age": 60}}]
)
def test_the_age_is_configured(cluster, clean_up, config) -> None:
    cluster.add("binder", "x", LABELS).becomes("Running", **started(0.1))
    clean_up(config)
    assert not cluster.pods


def test_without_an_age_nothing_is_too_old(cluster, clean_up) -> None:
    cluster.add("binder", "x", LABELS).becomes("Running", **started(1000))
    clean_up({"KubernetesCleaner": {"max_age": 0}})
    assert cluster.pods


@pytest.mark.parametrize(
    ("config", "environment", "namespace"),
    [
        ({}, {}, "binder"),
        ({"KubernetesBuildExecutor": {"namespace": "k"}}, {}, "binder"),
        ({"BinderHub": {"build_namespace": "b"}}, {"BUILD_NAMESPACE": "e"}, "b"),
    ],
)
def test_it_is_cleaned_up_in_the_namespace(cluster, clean_up, config, environment, namespace) -> None:
    clean_up(config, **environment)
    assert [call.split("/")[4] for call in cluster.calls] == [namespace]


def test_a_pod_that_is_gone_already_is_no_error(cluster, clean_up) -> None:
    cluster.refuses = {"delete pods": 404}
    cluster.add("binder", "x", LABELS).becomes("Failed")
    clean_up()
    assert cluster.calls[-1].startswith("DELETE")
