"""What must not get into the namespace, tried against the policies of this repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from validate.cluster.admission import Admission
from validate.cluster.intrusions import Household, _attempts, gaps
from validate.cluster.objects import KubeObject
from validate.source import load_rendered

POLICIES = Path(__file__).parents[2] / "policies"
FILES = (POLICIES / "pod-security" / "namespace.yaml", *sorted((POLICIES / "admission").glob("*.yaml")))
HOUSEHOLD = Household(
    namespace="binderhub",
    labels=(),
    binder="system:serviceaccount:binderhub:binderhub",
    daemon="docker-api",
    image="docker.io/library/docker:28.3.3-dind",
    build_labels=(("component", "binderhub-build"),),
    socket="/run/binderhub/binderhub/binderhub/docker-api.sock",
    directories=("/run/binderhub", "/var/lib/binderhub"),
)


def policies():
    values = [value for file in FILES for value in load_rendered(file.read_text("utf-8"))]
    return [KubeObject(value, lambda _: ()) for value in values if value["kind"] != "Kustomization"]


def test_the_policies_of_this_repository_refuse_every_attempt():
    assert [gap.what for gap in gaps(policies(), HOUSEHOLD)] == []


@pytest.mark.parametrize("attempt", list(_attempts(HOUSEHOLD)), ids=lambda attempt: attempt.what)
def test_each_attempt_is_refused_for_what_is_changed_in_it_alone(attempt):
    admission = Admission.of(policies())
    assert not list(admission.verdicts(attempt.control, namespace_labels={}, **attempt.sent))
    assert list(admission.verdicts(attempt.pod, namespace_labels={}, **attempt.sent))


def test_without_policies_everything_but_images_is_a_gap():
    found = [gap.what for gap in gaps([], HOUSEHOLD)]
    assert found == [attempt.what for attempt in _attempts(HOUSEHOLD) if not attempt.of_image]


def test_a_binding_that_needs_no_parameters_is_a_gap():
    changed = policies()
    name = "binderhub-images-from-declared-registries"
    policy, binding = (item for item in changed if item.name == name)
    policy.value["spec"]["paramKind"] = {"apiVersion": "v1", "kind": "ConfigMap"}
    binding.value["spec"]["paramRef"] = {"name": "some", "parameterNotFoundAction": "Allow"}
    parameters = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "some", "namespace": "binderhub"},
    }
    (gap,) = gaps([*changed, KubeObject(parameters, lambda _: ())], HOUSEHOLD)
    assert gap.why.endswith("admits it once the ConfigMap some is gone")
    assert gap.at.path == ("spec", "paramRef", "parameterNotFoundAction")


def test_a_declared_registry_without_a_name_is_a_gap():
    changed = policies()
    (namespace,) = (item for item in changed if item.kind == "Namespace")
    namespace.value["metadata"]["annotations"]["declared-registries/mine"] = ""
    (gap,) = gaps(changed, HOUSEHOLD)
    assert gap.what == "every image"
    assert (
        gap.why
        == "declared-registries/mine of Namespace binderhub is empty, and every image begins with that"
    )
    assert gap.at.path == ("metadata", "annotations", "declared-registries/mine")


def test_without_declared_registries_nothing_runs():
    changed = policies()
    (namespace,) = (item for item in changed if item.kind == "Namespace")
    del namespace.value["metadata"]["annotations"]
    admission = Admission.of(changed)
    said = {
        verdict.message
        for attempt in _attempts(HOUSEHOLD)
        for verdict in admission.verdicts(attempt.control, namespace_labels={}, **attempt.sent)
    }
    assert (
        "no annotation declared-registries/... of the namespace names the registry of a container's image"
        in said
    )


def test_a_policy_that_cannot_be_evaluated_here_is_left_to_whoever_evaluates_it():
    changed = policies()
    policy = next(item for item in changed if item.kind == "ValidatingAdmissionPolicy")
    policy.value["spec"]["validations"][0]["expression"] = "authorizer.path('/').check('get').allowed()"
    assert list(gaps(changed, HOUSEHOLD)) == []
