"""ValidatingAdmissionPolicies evaluated offline: small policies, then those of this repository."""

from __future__ import annotations

import copy
from pathlib import Path
from textwrap import dedent, indent
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from validate.cluster.admission import Verdict, created_pod, verdicts
from validate.cluster.objects import KubeObject
from validate.errors import CannotCheckError, SourceError
from validate.source import compose

if TYPE_CHECKING:
    from collections.abc import Iterable

POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: small}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
"""
BINDING = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: bound}
spec: {policyName: small, validationActions: [Deny]}
"""
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "binder", "labels": {"app": "a"}},
    "spec": {"containers": [{"name": "c", "image": "quay.io/x/y:1"}], "priority": 3},
}


def objects(*texts: str) -> list[KubeObject]:
    fields = compose("\n---\n".join(texts), "policies/small.yaml")
    return [KubeObject(field.plain(), field.writers_at) for field in fields]  # type: ignore[arg-type]


def judged(
    spec: str,
    *more: str,
    binding: str = BINDING,
    value: dict[str, Any] = POD,
    policy: str = POLICY,
    username: str = "jane",
) -> list[Verdict]:
    body = indent(dedent(spec).strip(), "  ")
    return verdicts(
        objects(f"{policy}{body}\n", binding, *more), value, namespace_labels={"team": "x"}, username=username
    )


def messages(spec: str, *more: str, **how: Any) -> list[str]:
    return [verdict.message for verdict in judged(spec, *more, **how)]


def changed(**spec: Any) -> dict[str, Any]:
    return {**POD, "spec": {**POD["spec"], **spec}}


NO_HOST_NETWORK = """
    validations:
      - {expression: "!has(object.spec.hostNetwork) || !object.spec.hostNetwork", message: no host network}
"""


def test_an_object_that_fails_a_validation_is_denied_with_its_message_at_its_line() -> None:
    (verdict,) = judged(NO_HOST_NETWORK, value=changed(hostNetwork=True))
    assert (verdict.policy, verdict.binding, verdict.action) == ("small", "bound", "Deny")
    assert verdict.message == "no host network"
    assert (verdict.place.origin.file, verdict.place.origin.line) == ("policies/small.yaml", 9)


@pytest.mark.parametrize("spec", [{}, {"hostNetwork": False}])
def test_an_object_that_passes_is_not_mentioned(spec: dict[str, Any]) -> None:
    assert judged(NO_HOST_NETWORK, value=changed(**spec)) == []


def test_without_a_message_the_expression_is_the_message() -> None:
    assert messages("validations: [{expression: object.spec.priority > 3}]") == [
        "failed expression: object.spec.priority > 3"
    ]


def test_every_action_of_the_binding_is_a_verdict() -> None:
    binding = BINDING.replace("[Deny]", "[Warn, Audit]")
    assert [item.action for item in judged("validations: [{expression: 'false'}]", binding=binding)] == [
        "Warn",
        "Audit",
    ]


def test_a_policy_without_a_binding_says_nothing() -> None:
    assert messages("validations: [{expression: 'false'}]", binding=BINDING.replace("small", "other")) == []


MESSAGE = "validations: [{expression: 'false', message: plain, messageExpression: COMPOSED}]"


@pytest.mark.parametrize(
    ("composed", "message"),
    [
        ("\"'pod ' + object.metadata.name\"", "pod p"),
        ("\"'two\\\\nlines'\"", "plain"),
        ("\"'  '\"", "plain"),
        ("object.spec.missing", "plain"),
        ("\"'image %s'.format([object.spec.containers[0].image])\"", "image quay.io/x/y:1"),
    ],
)
def test_a_message_expression_counts_where_it_yields_one_line(composed: str, message: str) -> None:
    assert messages(MESSAGE.replace("COMPOSED", composed)) == [message]


CONDITIONS = """
    matchConditions: [{name: a, expression: CONDITION}, {name: b, expression: 'true'}]
    validations: [{expression: 'false', message: reached}]
"""


@pytest.mark.parametrize(
    ("condition", "reached"),
    [("object.metadata.name == 'p'", ["reached"]), ("object.metadata.name == 'q'", [])],
)
def test_match_conditions_must_all_hold(condition: str, reached: list[str]) -> None:
    assert messages(CONDITIONS.replace("CONDITION", f'"{condition}"')) == reached


def test_a_match_condition_that_fails_to_evaluate_denies_unless_another_one_is_false() -> None:
    broken = CONDITIONS.replace("CONDITION", "object.spec.missing")
    (message,) = messages(broken)
    assert message.startswith("expression 'object.spec.missing' resulted in error:")
    assert messages(broken.replace("'true'", "'false'")) == []


def test_failure_policy_ignore_admits_what_cannot_be_evaluated() -> None:
    spec = "validations: [{expression: object.spec.missing == 1}]"
    assert len(messages(spec)) == 1
    assert messages(f"failurePolicy: Ignore\n{spec}") == []
    assert len(messages("failurePolicy: Ignore\nvalidations: [{expression: 'false'}]")) == 1


VARIABLES = """
    variables:
      - {name: images, expression: "object.spec.containers.map(c, c.image)"}
      - {name: broken, expression: object.spec.missing}
      - {name: foreign, expression: "variables.images.filter(i, !i.startsWith('quay.io/'))"}
    validations:
      - {expression: "variables.foreign.size() == 0", message: foreign}
      - {expression: "variables.foreign.size() == 0 || variables.broken"}
"""


def test_variables_compose_and_one_that_is_not_read_may_be_broken() -> None:
    assert messages(VARIABLES) == []


def test_reading_a_broken_variable_is_an_error_that_names_the_cause() -> None:
    foreign, error = messages(VARIABLES, value=changed(containers=[{"image": "evil.example/x"}]))
    assert foreign == "foreign"
    assert 'Key not found in map : "missing"' in error


PARAMETERS = """
    paramKind: {apiVersion: v1, kind: ConfigMap}
    validations: [{expression: "object.spec.priority <= int(params.data.most)", message: too much}]
"""
CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: limits, namespace: NAMESPACE, labels: {l: m}}
data: {most: 'MOST'}
"""


def bound_to(reference: str) -> str:
    return BINDING.replace("[Deny]", f"[Deny], paramRef: {{{reference}}}")


def config(namespace: str, most: int) -> str:
    return CONFIG.replace("NAMESPACE", namespace).replace("MOST", str(most))


def test_parameters_come_from_the_namespace_of_the_object_unless_one_is_named() -> None:
    here, there = config("binder", 3), config("other", 2)
    own = bound_to("name: limits, parameterNotFoundAction: Deny")
    named = bound_to("name: limits, namespace: other, parameterNotFoundAction: Deny")
    assert messages(PARAMETERS, here, there, binding=own) == []
    assert messages(PARAMETERS, here, there, binding=named) == ["too much"]


def test_missing_parameters_deny_or_allow_as_the_binding_says() -> None:
    (message,) = messages(PARAMETERS, binding=bound_to("name: limits, parameterNotFoundAction: Deny"))
    assert message == "no params found for policy binding with `Deny` parameterNotFoundAction"
    assert messages(PARAMETERS, binding=bound_to("name: limits, parameterNotFoundAction: Allow")) == []


def test_a_selector_takes_every_parameter_that_it_selects() -> None:
    binding = bound_to("selector: {matchLabels: {l: m}}, parameterNotFoundAction: Deny")
    more = config("binder", 1).replace("name: limits", "name: more")
    assert messages(PARAMETERS, config("binder", 2), more, binding=binding) == ["too much", "too much"]


@pytest.mark.parametrize(
    ("selector", "asked"),
    [
        ("{matchLabels: {kubernetes.io/metadata.name: binder}}", True),
        ("{matchLabels: {kubernetes.io/metadata.name: other}}", False),
        ("{matchLabels: {team: x}}", True),
        ("{matchExpressions: [{key: team, operator: DoesNotExist}]}", False),
        ("{}", True),
    ],
)
def test_a_namespace_selector_of_the_binding_excludes_namespaces(selector: str, asked: bool) -> None:  # noqa: FBT001 - a table
    binding = BINDING.replace("[Deny]", f"[Deny], matchResources: {{namespaceSelector: {selector}}}")
    assert bool(messages("validations: [{expression: 'false'}]", binding=binding)) is asked


def test_an_object_selector_excludes_objects() -> None:
    binding = BINDING.replace("[Deny]", "[Deny], matchResources: {objectSelector: {matchLabels: {app: b}}}")
    assert messages("validations: [{expression: 'false'}]", binding=binding) == []


@pytest.mark.parametrize(
    ("old", "new", "asked"),
    [
        ("[pods]", "[pods/log]", False),
        ("[pods]", "['pods/*']", True),
        ("[pods]", "['*']", True),
        ("[pods]", "[services]", False),
        ("[CREATE]", "[UPDATE]", False),
        ("[CREATE]", "['*']", True),
        ('[""]', "[apps]", False),
        ("[CREATE], resources: [pods]}]", "[CREATE], resources: [pods]}]\n    matchPolicy: Exact", True),
        (
            "[v1], operations: [CREATE], resources: [pods]}]",
            "[v2], operations: [CREATE], resources: [pods]}]\n    matchPolicy: Exact",
            False,
        ),
        ("resources: [pods]", "resources: [pods], scope: Cluster", False),
        ("resources: [pods]", "resources: [pods], scope: Namespaced", True),
        ("resources: [pods]", "resources: [pods], resourceNames: [q]", False),
    ],
)
def test_the_rules_of_the_policy_choose_the_requests(old: str, new: str, asked: bool) -> None:  # noqa: FBT001 - a table
    found = messages("validations: [{expression: 'false'}]", policy=POLICY.replace(old, new))
    assert bool(found) is asked


def test_an_excluding_rule_wins() -> None:
    rule = "{apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: [pods]}"
    policy = POLICY.rstrip() + f"\n    excludeResourceRules: [{rule}]\n"
    assert messages("validations: [{expression: 'false'}]", policy=policy) == []


def test_a_policy_sees_the_request_and_the_namespace() -> None:
    expression = (
        "request.operation == 'CREATE' && request.resource.resource == 'pods' && oldObject == null && "
        "request.namespace == 'binder' && namespaceObject.metadata.labels['team'] == 'x' && "
        "request.userInfo.username == 'jane' && 'system:authenticated' in request.userInfo.groups"
    )
    assert messages(f'validations: [{{expression: "{expression}"}}]') == []
    assert len(messages(f'validations: [{{expression: "{expression}"}}]', username="joe")) == 1


def test_a_pod_has_its_default_service_account() -> None:
    assert messages("validations: [{expression: \"object.spec.serviceAccountName == 'default'\"}]") == []


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        (
            "object.spec.(",
            "policies/small.yaml:8: has an expression that the API server refuses (line 1, column 13: ",
        ),
        ("nothing == 1", "(line 1, column 1: undeclared reference to 'nothing'"),
        ("params == null", "undeclared reference to 'params'"),
    ],
)
def test_an_expression_that_does_not_compile_is_named_with_file_and_line(
    expression: str, sentence: str
) -> None:
    with pytest.raises(SourceError) as raised:
        judged(f'validations: [{{expression: "{expression}"}}]')
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("quantity('1Gi').isGreaterThan(quantity('1'))", "quantity"),
        ("authorizer.path('/x').check('get').allowed()", "authorizer"),
        ("object.spec.containers.map(c, c.name).isSorted()", "isSorted"),
    ],
)
def test_what_only_an_api_server_can_evaluate_is_not_judged(expression: str, name: str) -> None:
    with pytest.raises(CannotCheckError, match=rf"^policies/small.yaml:8: the expression uses {name},"):
        judged(f'validations: [{{expression: "{expression}"}}]')


def test_a_user_name_that_is_not_known_is_not_guessed() -> None:
    with pytest.raises(CannotCheckError, match=r"request\.userInfo"):
        judged("validations: [{expression: request.userInfo.username != 'jane'}]", username="")


@pytest.mark.parametrize(
    "expression",
    [
        "'a1b2'.find('[0-9]') == '1'",
        "'a1b2'.findAll('[0-9]') == ['1', '2']",
        "'a1b2'.findAll('[0-9]', 1) == ['1']",
        "sets.contains([1, 2], [2]) && !sets.contains([1], [1, 2])",
        "sets.intersects([1, 2], [2, 3]) && !sets.intersects([1], [2])",
        "sets.equivalent([1, 2], [2, 1, 1]) && !sets.equivalent([1], [1, 2])",
        "object.spec.?missing.orValue('none') == 'none'",
        "'A'.lowerAscii() == 'a' && ['a', 'b'].join(',') == 'a,b'",
    ],
)
def test_the_libraries_of_kubernetes_that_are_here_agree_with_its_documentation(expression: str) -> None:
    assert messages(f'validations: [{{expression: "{expression}"}}]') == []


def test_the_pod_of_a_workload_is_created_by_its_controller() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": POD["spec"]}
    daemon_set = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "docker-api", "namespace": "binder"},
        "spec": {"template": template},
    }
    made = created_pod(daemon_set)
    assert made is not None
    assert made.username == "system:serviceaccount:kube-system:daemon-set-controller"
    assert made.value["metadata"] == {
        "labels": {"a": "b"},
        "generateName": "docker-api-",
        "namespace": "binder",
    }
    assert made.value["spec"] == POD["spec"]
    assert created_pod(POD) is None
    assert created_pod({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}) is None


ROOT = Path(__file__).parents[2]
BINDER = "system:serviceaccount:binderhub:binderhub"
BUILD_POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "build-x",
        "namespace": "binderhub",
        "labels": {"component": "binderhub-build", "name": "x"},
    },
    "spec": {
        "containers": [{"name": "builder", "image": "quay.io/jupyterhub/repo2docker:2025.08.0"}],
        "volumes": [
            {
                "name": "s",
                "hostPath": {"path": "/run/binderhub/binderhub/binderhub/docker-api.sock", "type": "Socket"},
            }
        ],
    },
}


def ours(value: dict[str, Any], username: str) -> list[str]:
    return [item.message for item in verdicts(policies(), value, namespace_labels={}, username=username)]


def policies() -> Iterable[KubeObject]:
    # The Namespace declares the registries.
    namespace = ROOT / "policies" / "pod-security" / "namespace.yaml"
    for file in (namespace, *sorted((ROOT / "policies" / "admission").glob("*.yaml"))):
        for field in compose(file.read_text(encoding="utf-8"), file.name):
            value: dict[str, Any] = copy.deepcopy(field.plain())  # type: ignore[assignment]
            yield KubeObject(value, field.writers_at)


def build_pod(edit: str) -> dict[str, Any]:
    value = copy.deepcopy(BUILD_POD)
    spec: dict[str, Any] = yaml.safe_load(edit)
    value["spec"]["volumes"] += spec.pop("volumes", [])
    value["spec"] |= spec
    return value


def test_our_policies_admit_the_build_pod() -> None:
    assert ours(BUILD_POD, BINDER) == []


@pytest.mark.parametrize(
    "edit",
    [
        "volumes: [{name: more, hostPath: {path: /run/binderhub/binderhub/other.sock, type: Socket}}]",
        "containers: [{name: b, image: quay.io/jupyterhub/r2d:1, securityContext: {privileged: true}}]",
        "containers: [{name: builder, image: example.org/repo2docker:1}]",
        "hostNetwork: true",
        "serviceAccountName: docker-api",
    ],
)
def test_our_policies_refuse_a_build_pod_that_reaches_further(edit: str) -> None:
    assert ours(build_pod(edit), BINDER)


def test_our_policies_have_nothing_to_say_of_another_namespace() -> None:
    value = build_pod("hostNetwork: true")
    value["metadata"]["namespace"] = "other"
    assert ours(value, BINDER) == []
