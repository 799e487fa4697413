"""A sync applies in waves and prunes last, as Argo CD does; the cluster is a recorder."""

from __future__ import annotations

import copy
from typing import NamedTuple

import pytest
from kubernetes import client
from kubernetes.client import ApiException

from tests.e2e.kube import NotReachedError
from tests.e2e.sync import Application, Identity, is_healthy

WAVE = "argocd.argoproj.io/sync-wave"
OPTIONS = "argocd.argoproj.io/sync-options"
TRACKING = "argocd.argoproj.io/tracking-id"
WORKLOADS = ("DaemonSet", "Deployment", "StatefulSet")


class Call(NamedTuple):
    """A call that changes something, or asks for the state of a workload."""

    verb: str
    kind: str
    name: str


class Recorder:
    """Keeps objects as an API server does, and every call.

    A workload is healthy when it is asked for again: at first its rollout goes on. What is in ``stuck`` never
    is, and what is in ``refused`` is refused.
    """

    def __init__(self):
        self.objects = {}
        self.calls = []
        self.managers = set()
        self.stuck = set()
        self.refused = set()

    def apply(self, value, *, manager):
        kind, name = value["kind"], value["metadata"]["name"]
        self.calls.append(Call("apply", kind, name))
        if name in self.refused:
            raise ApiException(status=422, reason="refused")
        self.managers.add(manager)
        stored = copy.deepcopy(value)
        stored["metadata"]["generation"] = self.generation(stored) + 1
        self.objects[self.key(stored)] = stored
        return stored

    def get(self, api_version, kind, name, namespace):
        self.calls.append(Call("get", kind, name))
        found = self.objects.get((api_version, kind, namespace, name))
        if found is None:
            return None
        answer = copy.deepcopy(found)
        if name not in self.stuck:
            generation = found["metadata"]["generation"]
            found["status"] = {
                "observedGeneration": generation, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1,
                "desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberAvailable": 1,
            }  # fmt: skip
        return answer

    def list_all(self, api_version, kind):
        return [copy.deepcopy(one) for key, one in self.objects.items() if key[:2] == (api_version, kind)]

    def delete(self, api_version, kind, name, namespace):
        self.calls.append(Call("delete", kind, name))
        del self.objects[api_version, kind, namespace, name]

    def pods(self, namespace, selector):
        del self
        state = client.V1ContainerState(waiting=client.V1ContainerStateWaiting(reason="ImagePullBackOff"))
        status = client.V1ContainerStatus(
            name=selector, state=state, image="", image_id="", ready=False, restart_count=0
        )
        return [
            client.V1Pod(
                metadata=client.V1ObjectMeta(name="docker-api-x", namespace=namespace),
                spec=client.V1PodSpec(containers=[], node_name="worker"),
                status=client.V1PodStatus(phase="Pending", container_statuses=[status]),
            )
        ]

    def generation(self, value):
        before = self.objects.get(self.key(value))
        return before["metadata"]["generation"] if before else 0

    @staticmethod
    def key(value):
        metadata = value["metadata"]
        return value["apiVersion"], value["kind"], metadata.get("namespace"), metadata["name"]

    def names(self):
        return {name for *_, name in self.objects}

    def done(self, *verbs):
        """The calls with these verbs, as ``kind name``."""
        return [f"{call.kind} {call.name}" for call in self.calls if call.verb in verbs]


@pytest.fixture
def cluster():
    return Recorder()


@pytest.fixture
def application(cluster):
    return Application("binderhub-kind", cluster)


def value(kind, name, *, wave=None, options=None, namespace="binderhub", **annotations):
    """An object as Kustomize renders it."""
    given = {WAVE: wave, OPTIONS: options, **annotations}
    found = {key: text for key, text in given.items() if text is not None}
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    spec = {"selector": {"matchLabels": {"app": name}}} if kind in WORKLOADS else {}
    group = "apps/v1" if kind in WORKLOADS else "v1"
    return {
        "apiVersion": group, "kind": kind, "spec": spec,
        "metadata": {**metadata, **({"annotations": found} if found else {})},
    }  # fmt: skip


def test_waves_are_applied_in_their_order_as_numbers(application, cluster):
    waves = ["10", "2", None, "-1", "-10", "0"]
    application.sync([value("ConfigMap", f"of-{wave}", wave=wave) for wave in waves])
    assert cluster.done("apply") == [
        "ConfigMap of--10", "ConfigMap of--1", "ConfigMap of-0", "ConfigMap of-None",
        "ConfigMap of-2", "ConfigMap of-10",
    ]  # fmt: skip


def test_within_a_wave_kinds_have_the_order_of_argo_cd_and_then_names(application, cluster):
    kinds = """
        ValidatingAdmissionPolicy Deployment Service Widget RoleBinding Role ConfigMap Secret ServiceAccount
        PodDisruptionBudget NetworkPolicy Namespace DaemonSet StatefulSet CronJob CustomResourceDefinition
    """.split()
    application.sync([value(kind, name) for kind in kinds for name in ("b", "a")])
    expected = """
        Namespace NetworkPolicy PodDisruptionBudget ServiceAccount Secret ConfigMap CustomResourceDefinition
        Role RoleBinding Service DaemonSet Deployment StatefulSet CronJob
    """.split()
    assert cluster.done("apply") == [
        *(f"{kind} {name}" for kind in expected for name in ("a", "b")),
        "ValidatingAdmissionPolicy a", "Widget a", "ValidatingAdmissionPolicy b", "Widget b",
    ]  # fmt: skip


def test_a_wave_waits_until_the_one_before_is_healthy(application, cluster):
    application.sync(
        [
            value("Deployment", "binderhub", wave="1"),
            value("ConfigMap", "config", wave="0"),
            value("DaemonSet", "docker-api", wave="0"),
        ]
    )
    assert cluster.calls == [
        ("apply", "ConfigMap", "config"),
        ("apply", "DaemonSet", "docker-api"),
        ("get", "DaemonSet", "docker-api"),
        ("get", "DaemonSet", "docker-api"),
        ("apply", "Deployment", "binderhub"),
        ("get", "Deployment", "binderhub"),
        ("get", "Deployment", "binderhub"),
    ]


def test_all_of_a_wave_is_applied_before_any_of_it_is_waited_for(application, cluster):
    application.sync([value("Deployment", "one"), value("Deployment", "two")])
    assert [call.verb for call in cluster.calls][:2] == ["apply", "apply"]


def test_after_a_wave_that_does_not_become_healthy_nothing_is_applied_and_nothing_pruned(
    application, cluster
):
    application.sync([value("ConfigMap", "old")])
    cluster.stuck.add("docker-api")
    with pytest.raises(NotReachedError) as caught:
        application.sync(
            [value("DaemonSet", "docker-api", wave="0"), value("Deployment", "binderhub", wave="1")],
            seconds=0,
        )
    assert str(caught.value) == (
        "not in 0 s: DaemonSet docker-api healthy; "
        "last seen: ['docker-api-x on worker: Pending app=docker-api ImagePullBackOff']"
    )
    assert "Deployment binderhub" not in cluster.done("apply")
    assert cluster.done("delete") == []
    assert "old" in cluster.names()


def test_after_a_refusal_nothing_is_applied_and_nothing_pruned(application, cluster):
    application.sync([value("ConfigMap", "old")])
    cluster.refused.add("b")
    with pytest.raises(ApiException):
        application.sync([value("ConfigMap", name) for name in ("a", "b", "c")])
    assert cluster.names() == {"old", "a"}


def test_what_is_not_wanted_any_more_is_pruned_after_everything_is_healthy(application, cluster):
    application.sync([value("ConfigMap", "config-old"), value("Deployment", "binderhub", wave="1")])
    cluster.calls.clear()
    gone = application.sync([value("ConfigMap", "config-new"), value("Deployment", "binderhub", wave="1")])
    assert gone == [Identity("v1", "ConfigMap", "binderhub", "config-old")]
    assert cluster.calls == [
        ("apply", "ConfigMap", "config-new"),
        ("apply", "Deployment", "binderhub"),
        ("get", "Deployment", "binderhub"),
        ("get", "Deployment", "binderhub"),
        ("delete", "ConfigMap", "config-old"),
    ]


def test_a_kind_that_is_not_wanted_any_more_is_pruned_too(application, cluster):
    application.sync([value("CronJob", "cleaner"), value("ConfigMap", "config")])
    assert application.sync([value("ConfigMap", "config")]) == [
        Identity("v1", "CronJob", "binderhub", "cleaner")
    ]
    assert cluster.names() == {"config"}


@pytest.mark.parametrize(
    "options", ["Prune=false", "Validate=false,Prune=false", "Validate=false, Prune=false"]
)
def test_what_is_not_to_be_pruned_stays(application, cluster, options):
    application.sync([value("Secret", "kept", options=options), value("Secret", "gone")])
    assert [one.name for one in application.sync([value("ConfigMap", "config")])] == ["gone"]
    assert cluster.names() == {"kept", "config"}


@pytest.mark.parametrize("options", ["Prune=true", "Prune=confirm", "PruneLast=true", "SkipPrune=false"])
def test_other_options_keep_nothing(application, options):
    application.sync([value("Secret", "gone", options=options)])
    assert [one.name for one in application.sync([])] == ["gone"]


def test_what_is_not_its_own_is_not_pruned(application, cluster):
    others = [
        value("ConfigMap", "untracked"),
        value("ConfigMap", "of-another", **{TRACKING: "binderhub-kind-two:/ConfigMap:binderhub/of-another"}),
        value("ConfigMap", "of-a-shorter", **{TRACKING: "binderhub:/ConfigMap:binderhub/of-a-shorter"}),
    ]
    for one in others:
        cluster.apply(one, manager="somebody")
    assert application.sync([value("ConfigMap", "own")]) == []
    assert application.sync([]) == [Identity("v1", "ConfigMap", "binderhub", "own")]
    assert cluster.names() == {"untracked", "of-another", "of-a-shorter"}


def test_an_object_that_moves_to_another_namespace_is_pruned_where_it_was(application, cluster):
    application.sync([value("ConfigMap", "config", namespace="one")])
    gone = application.sync([value("ConfigMap", "config", namespace="two")])
    assert gone == [Identity("v1", "ConfigMap", "one", "config")]
    assert [key[2] for key in cluster.objects] == ["two"]


def test_objects_say_whose_they_are_and_keep_what_they_say_else(application, cluster):
    application.sync([value("Deployment", "binderhub", note="kept"), value("ConfigMap", "config")])
    found = {name: one["metadata"] for (*_, name), one in cluster.objects.items()}
    assert found["binderhub"]["annotations"] == {
        "note": "kept", TRACKING: "binderhub-kind:apps/Deployment:binderhub/binderhub",
    }  # fmt: skip
    assert found["config"]["annotations"] == {TRACKING: "binderhub-kind:/ConfigMap:binderhub/config"}
    assert cluster.managers == {"argocd-controller"}


@pytest.mark.parametrize(
    "kind", ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "Namespace"]
)
def test_what_is_the_cluster_s_has_no_namespace_although_kustomize_writes_one(application, cluster, kind):
    application.sync([value(kind, "policy", namespace="binderhub")])
    (stored,) = cluster.objects.values()
    assert "namespace" not in stored["metadata"]
    assert stored["metadata"]["annotations"] == {TRACKING: f"binderhub-kind:/{kind}:/policy"}


def test_what_was_rendered_is_not_changed(application):
    rendered = [value("Namespace", "binderhub"), value("Deployment", "binderhub", wave="1")]
    before = copy.deepcopy(rendered)
    application.sync(rendered)
    assert rendered == before


def test_all_is_deleted_with_the_last_wave_first(application, cluster):
    kept = value("ConfigMap", "of-another", **{TRACKING: "another:/ConfigMap:binderhub/of-another"})
    cluster.apply(kept, manager="somebody")
    application.sync([value("ConfigMap", f"of-{wave}", wave=wave) for wave in ("-1", "0", "1")])
    application.delete()
    assert cluster.done("delete") == ["ConfigMap of-1", "ConfigMap of-0", "ConfigMap of--1"]
    assert cluster.names() == {"of-another"}


def workload(kind, *, generation=2, wanted=None, **status):
    spec = {} if wanted is None else {"replicas": wanted}
    return {"kind": kind, "metadata": {"generation": generation}, "spec": spec, "status": status}


ROLLED_OUT = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
EVERYWHERE = {
    "observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("found", "healthy"),
    [
        (workload("Deployment", wanted=2, **ROLLED_OUT), True),
        (workload("StatefulSet", wanted=2, **ROLLED_OUT), True),
        (workload("Deployment", wanted=2, **ROLLED_OUT | {"observedGeneration": 1}), False),
        (workload("Deployment", wanted=2, **ROLLED_OUT | {"updatedReplicas": 1}), False),
        (workload("Deployment", wanted=2, **ROLLED_OUT | {"availableReplicas": 1}), False),
        # The old one is still there.
        (workload("Deployment", wanted=2, **ROLLED_OUT | {"replicas": 3}), False),
        (workload("Deployment", wanted=0, observedGeneration=2), True),
        (workload("Deployment", observedGeneration=2), False),
        (workload("Deployment", **dict.fromkeys(ROLLED_OUT, 2) | {"replicas": 1}), True),
        (workload("DaemonSet", **EVERYWHERE), True),
        (workload("DaemonSet", **EVERYWHERE | {"observedGeneration": 1}), False),
        (workload("DaemonSet", **EVERYWHERE | {"updatedNumberScheduled": 2}), False),
        (workload("DaemonSet", **EVERYWHERE | {"numberAvailable": 2}), False),
        # No node is for it.
        (workload("DaemonSet", observedGeneration=2), True),
        ({"kind": "DaemonSet", "metadata": {"generation": 1}, "spec": {}}, False),
    ],
)
def test_a_workload_is_healthy_once_its_rollout_is_through(found, healthy):
    assert is_healthy(found) == healthy
