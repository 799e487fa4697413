"""What a changed template does to the pods of each kind."""

from __future__ import annotations

import pytest
import yaml

from validate.cluster.objects import KubeObject
from validate.cluster.rollout import rollout

POD = "{spec: {containers: [{name: x, image: a}]}}"


@pytest.mark.parametrize(
    ("kind", "spec", "restarts", "how"),
    [
        ("Deployment", "{}", True, "replaces its pod as new ones become ready, and each has 30 s to end"),
        ("Deployment", "{replicas: 4}", True, "replaces its 4 pods, 25% at a time, and each has 30 s to end"),
        (
            "Deployment",
            "{replicas: 2, strategy: {type: Recreate}}",
            True,
            "stops its 2 pods before a new one starts (Recreate), and each has 30 s to end",
        ),
        ("Deployment", "{replicas: 0}", False, "has no pod (replicas: 0)"),
        ("Deployment", "{paused: true}", False, "is paused: it replaces nothing before somebody resumes it"),
        ("DaemonSet", "{}", True, "replaces its pod on each node, 1 at a time, and each has 30 s to end"),
        (
            "DaemonSet",
            "{updateStrategy: {rollingUpdate: {maxUnavailable: 10%}}}",
            True,
            "replaces its pod on each node, 10% at a time, and each has 30 s to end",
        ),
        (
            "DaemonSet",
            "{updateStrategy: {type: OnDelete}}",
            False,
            "changes a pod when somebody deletes it (OnDelete)",
        ),
        ("StatefulSet", "{}", True, "replaces its pods one after the other, and each has 30 s to end"),
        ("ReplicaSet", "{}", False, "keeps the pods that it has as they are"),
    ],
)
def test_a_changed_template_does_what_the_workload_says(kind, spec, restarts, how):
    value = {"kind": kind, "spec": {**yaml.safe_load(spec), "template": yaml.safe_load(POD)}}
    assert rollout(KubeObject(value, lambda _: ())) == (restarts, how)


def test_a_cron_job_restarts_nothing():
    value = {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": yaml.safe_load(POD)}}}}
    assert rollout(KubeObject(value, lambda _: ())) == (False, "has it in its next run")


def test_an_object_without_pods_has_no_rollout():
    assert rollout(KubeObject({"kind": "Service", "spec": {}}, lambda _: ())) is None
