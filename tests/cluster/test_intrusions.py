"""What must not get into the namespace, tried against the policies of this repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from validate.cluster.admission import Admission
from validate.cluster.intrusions import Household, _attempts, gaps
from validate.cluster.objects import KubeObject
from validate.source import load_rendered

POLICIES = Path(__file__).parents[2] / "policies" / "admission"
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
    values = [
        value for file in sorted(POLICIES.glob("*.yaml")) for value in load_rendered(file.read_text("utf-8"))
    ]
    items = [KubeObject(value, lambda _: ()) for value in values if value["kind"] != "Kustomization"]
    for item in items:
        if item.kind == "ConfigMap":
            item.value["metadata"]["namespace"] = "binderhub"
    return items


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
    binding = next(item for item in changed if item.place.at("spec", "paramRef").exists)
    binding.value["spec"]["paramRef"]["parameterNotFoundAction"] = "Allow"
    (gap,) = gaps(changed, HOUSEHOLD)
    assert gap.why.endswith("admits it once the ConfigMap declared-registries is gone")
    assert gap.at.path == ("spec", "paramRef", "parameterNotFoundAction")


def test_a_policy_that_cannot_be_evaluated_here_is_left_to_whoever_evaluates_it():
    changed = policies()
    policy = next(item for item in changed if item.kind == "ValidatingAdmissionPolicy")
    policy.value["spec"]["validations"][0]["expression"] = "authorizer.path('/').check('get').allowed()"
    assert list(gaps(changed, HOUSEHOLD)) == []
