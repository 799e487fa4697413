"""What a ServiceAccount may do, against a plain model of the authorizer."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validate.cluster.objects import KubeObject
from validate.cluster.rbac import BINDERHUB_NEEDS, Grants, excess, gained, subjects, unmet
from validate.source import compose

ROLE = """
    apiVersion: rbac.authorization.k8s.io/v1
    kind: Role
    metadata: {name: binderhub, namespace: binder}
    rules:
      - apiGroups: [""]
        resources: [pods]
        verbs: [create, list, watch, delete]
      - apiGroups: [""]
        resources: [pods/log]
        verbs: [get]
"""
BINDING = """
    apiVersion: rbac.authorization.k8s.io/v1
    kind: RoleBinding
    metadata: {name: binderhub, namespace: binder}
    roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: binderhub}
    subjects: [{kind: ServiceAccount, name: binderhub, namespace: binder}]
"""


def objects(*documents: str) -> tuple[KubeObject, ...]:
    text = "---\n".join(dedent(document) for document in documents)
    return tuple(KubeObject(field.plain(), field.writers_at) for field in compose(text, "rbac.yaml"))  # type: ignore[arg-type]


def granted(*documents: str) -> Grants:
    return Grants.of(objects(*documents), "binderhub", "binder")


def test_the_minimal_role_meets_every_need_and_grants_nothing_more() -> None:
    grants = granted(ROLE, BINDING)
    assert list(unmet(grants, "binder")) == []
    assert list(excess(grants, "binder")) == []


@pytest.mark.parametrize("verb", ["create", "list", "watch", "delete", "get"])
def test_a_missing_verb_is_the_one_unmet_need(verb: str) -> None:
    role = (
        ROLE.replace(f"{verb}, ", "")
        .replace(f", {verb}]", "]")
        .replace("[get]", "[list]" if verb == "get" else "[get]")
    )
    assert [need.verb for need in unmet(granted(role, BINDING), "binder")] == [verb]


def test_without_a_binding_every_need_is_unmet() -> None:
    assert list(unmet(granted(ROLE), "binder")) == list(BINDERHUB_NEEDS)


def test_a_role_of_the_same_name_in_another_namespace_grants_nothing() -> None:
    assert not granted(ROLE.replace("namespace: binder", "namespace: other"), BINDING).grants


def test_a_role_binding_grants_in_its_own_namespace_only() -> None:
    grants = granted(ROLE, BINDING)
    assert grants.allowed("list", "", "pods", "binder")
    assert not grants.allowed("list", "", "pods", "other")


def test_a_subject_of_another_namespace_is_another_account() -> None:
    assert not granted(
        ROLE, BINDING.replace("name: binderhub, namespace: binder}]", "name: binderhub, namespace: hub}]")
    ).grants


def test_a_subject_without_namespace_is_one_of_the_namespace_of_the_binding() -> None:
    assert granted(ROLE, BINDING.replace("name: binderhub, namespace: binder}]", "name: binderhub}]")).grants


@pytest.mark.parametrize(
    ("subject", "counts"),
    [
        ("{kind: Group, name: 'system:serviceaccounts'}", True),
        ("{kind: Group, name: 'system:serviceaccounts:binder'}", True),
        ("{kind: Group, name: 'system:serviceaccounts:other'}", False),
        ("{kind: Group, name: 'system:authenticated'}", True),
        ("{kind: Group, name: 'system:unauthenticated'}", False),
        ("{kind: User, name: 'system:serviceaccount:binder:binderhub'}", True),
        ("{kind: User, name: binderhub}", False),
    ],
)
def test_groups_and_user_names_of_service_accounts_count(subject: str, counts: bool) -> None:  # noqa: FBT001 - a table
    binding = BINDING.replace("{kind: ServiceAccount, name: binderhub, namespace: binder}", subject)
    assert bool(granted(ROLE, binding).grants) is counts


@pytest.mark.parametrize(
    ("resources", "pods", "log"),
    [
        ("pods", True, False),
        ("pods/log", False, True),
        ("'*/log'", False, True),
        ("'*'", True, True),
        ("pods/*", False, False),
        ("pod", False, False),
    ],
)
def test_a_resource_is_matched_as_the_authorizer_does(resources: str, pods: bool, log: bool) -> None:  # noqa: FBT001 - a table
    role = (
        ROLE.replace("[pods/log]", "[nothing]")
        .replace("[pods]", f"[{resources}]")
        .replace("create,", "get, create,")
    )
    grants = granted(role, BINDING)
    assert (grants.allowed("get", "", "pods", "binder"), grants.allowed("get", "", "pods/log", "binder")) == (
        pods,
        log,
    )


def test_another_api_group_does_not_count_and_the_wildcard_does() -> None:
    assert not granted(ROLE.replace('[""]', "[apps]"), BINDING).allowed("list", "", "pods", "binder")
    assert granted(ROLE.replace('[""]', "['*']"), BINDING).allowed("list", "", "pods", "binder")


def test_a_rule_for_named_pods_does_not_allow_a_list_of_all() -> None:
    role = ROLE.replace("resources: [pods]\n", "resources: [pods]\n        resourceNames: [one]\n")
    grants = granted(role, BINDING)
    assert not grants.allowed("list", "", "pods", "binder")
    assert grants.allowed("delete", "", "pods", "binder", "one")
    assert not grants.allowed("delete", "", "pods", "binder", "two")


CLUSTER_ROLE = ROLE.replace("kind: Role", "kind: ClusterRole").replace(", namespace: binder}", "}")


def test_a_cluster_role_through_a_role_binding_stays_in_the_namespace() -> None:
    grants = granted(CLUSTER_ROLE, BINDING.replace("kind: Role,", "kind: ClusterRole,"))
    assert list(unmet(grants, "binder")) == []
    assert not grants.allowed("list", "", "pods", "other")


def test_a_cluster_role_binding_holds_everywhere_and_that_is_excess() -> None:
    binding = BINDING.replace("kind: RoleBinding", "kind: ClusterRoleBinding").replace(
        "kind: Role,", "kind: ClusterRole,"
    )
    grants = granted(CLUSTER_ROLE, binding)
    assert grants.allowed("list", "", "pods", "other")
    assert {sentence for _, sentence in excess(grants, "binder")} == {
        "holds in every namespace, and is needed in binder only"
    }


def test_a_cluster_role_binding_cannot_bind_a_role() -> None:
    assert not granted(ROLE, BINDING.replace("kind: RoleBinding", "kind: ClusterRoleBinding")).grants


@pytest.mark.parametrize(
    ("name", "unmet_verbs"),
    [
        ("edit", []),
        ("admin", []),
        ("cluster-admin", []),
        ("view", ["create", "delete"]),
        ("viewer", ["list", "create", "watch", "delete", "get"]),
    ],
)
def test_the_roles_that_every_cluster_has_are_known(name: str, unmet_verbs: list[str]) -> None:
    binding = BINDING.replace("kind: Role, name: binderhub", f"kind: ClusterRole, name: {name}")
    assert [need.verb for need in unmet(granted(binding), "binder")] == unmet_verbs


AGGREGATED = """
    apiVersion: rbac.authorization.k8s.io/v1
    kind: ClusterRole
    metadata: {name: all, labels: {part: "yes"}}
    aggregationRule: {clusterRoleSelectors: [{matchLabels: {part: "yes"}}]}
    rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]
"""


def test_an_aggregated_role_has_the_rules_of_the_roles_that_it_selects_and_none_of_its_own() -> None:
    binding = BINDING.replace("kind: Role, name: binderhub", "kind: ClusterRole, name: all")
    part = CLUSTER_ROLE.replace("{name: binderhub}", "{name: binderhub, labels: {part: 'yes'}}")
    grants = granted(AGGREGATED, part, binding)
    assert list(unmet(grants, "binder")) == []
    assert not grants.allowed("get", "", "secrets", "binder")
    assert not granted(AGGREGATED, CLUSTER_ROLE, binding).grants


def test_two_roles_that_aggregate_each_other_end() -> None:
    binding = BINDING.replace("kind: Role, name: binderhub", "kind: ClusterRole, name: all")
    assert not granted(AGGREGATED, AGGREGATED.replace("name: all", "name: more"), binding).grants


def test_excess_stands_at_the_verb_and_says_what_it_reaches() -> None:
    role = ROLE.replace("verbs: [get]", "verbs: [get, patch]").replace("[pods]", "[pods, secrets]")
    found = [(str(place), sentence) for place, sentence in excess(granted(role, BINDING), "binder")]
    assert ("rules[1].verbs[1]", "may patch pods/log, which nothing here calls for") in found
    assert ("rules[0].verbs[1]", "may list secrets, which nothing here calls for") in found
    assert len(found) == 5


def test_a_wildcard_is_excess_in_words() -> None:
    role = ROLE.replace("verbs: [get]", 'verbs: ["*"]').replace("[pods/log]", '["*"]')
    assert [sentence for _, sentence in excess(granted(role, BINDING), "binder")] == [
        "may do anything to every resource, which nothing here calls for"
    ]


WORDS = {
    "verbs": st.sampled_from(["get", "list", "*"]),
    "apiGroups": st.sampled_from(["", "apps", "*"]),
    "resources": st.sampled_from(["pods", "pods/log", "*/log", "*", "pods/*"]),
    "resourceNames": st.sampled_from(["one", "two"]),
}
RULES = st.lists(
    st.fixed_dictionaries({field: st.lists(word, max_size=2) for field, word in WORDS.items()}), max_size=3
)
CALLS = st.tuples(
    st.sampled_from(["get", "list"]),
    st.sampled_from(["", "apps"]),
    st.sampled_from(["pods", "pods/log", "secrets", "deployments/log"]),
    st.sampled_from(["", "one"]),
)


def model_allows(rules: list[dict[str, Any]], call: tuple[str, str, str, str]) -> bool:
    """The authorizer of Kubernetes, one condition after the other."""
    verb, group, resource, name = call
    for rule in rules:
        if not ({"*", verb} & set(rule["verbs"])):
            continue
        if not ({"*", group} & set(rule["apiGroups"])):
            continue
        wildcard = "*/" + resource.split("/")[1] if "/" in resource else resource
        if not ({"*", resource, wildcard} & set(rule["resources"])):
            continue
        if rule["resourceNames"] and name not in rule["resourceNames"]:
            continue
        return True
    return False


@settings(max_examples=60, deadline=None)
@given(rules=RULES, call=CALLS)
def test_a_call_is_allowed_exactly_where_the_model_of_the_authorizer_allows_it(
    rules: list[dict[str, Any]], call: tuple[str, str, str, str]
) -> None:
    (role, binding) = objects(ROLE, BINDING)
    written = KubeObject({**role.value, "rules": rules}, lambda _: ())  # type: ignore[dict-item]
    grants = Grants.of((written, binding), "binderhub", "binder")
    verb, group, resource, name = call
    assert grants.allowed(verb, group, resource, "binder", name) is model_allows(rules, call)


def test_what_is_gained_is_told_by_verbs_and_resources() -> None:
    more = ROLE.replace("[pods]", "[pods, secrets]")
    told = [clause for _, clause in gained(granted(ROLE, BINDING), granted(more, BINDING))]
    assert told == ["create, delete, list, watch secrets in binder"]
    assert not list(gained(granted(more, BINDING), granted(ROLE, BINDING)))


def test_a_wildcard_is_more_than_what_it_stands_for() -> None:
    wide = ROLE.replace("[pods/log]", '["*"]').replace("[get]", '["*"]')
    told = [clause for _, clause in gained(granted(ROLE, BINDING), granted(wide, BINDING))]
    assert told == ["do anything to every resource in binder"]


def test_a_name_less_is_more() -> None:
    named = ROLE.replace("resources: [pods/log]", "resources: [pods/log]\n        resourceNames: [one]")
    told = [clause for _, clause in gained(granted(named, BINDING), granted(ROLE, BINDING))]
    assert told == ["get pods/log in binder"]


def test_subjects_are_those_that_bindings_name_and_pods_run_as() -> None:
    user = BINDING.replace(
        "name: binderhub, namespace: binder}\n    roleRef", "name: u, namespace: binder}\n    roleRef"
    )
    user = user.replace(
        "[{kind: ServiceAccount, name: binderhub, namespace: binder}]", "[{kind: User, name: anna}]"
    )
    found = subjects(objects(ROLE, BINDING, user))
    assert [str(one) for one in found] == ["ServiceAccount binder/binderhub", "User anna"]
    assert [str(one.rule) for one in Grants.of_subject(objects(ROLE, user), found[1]).grants] == [
        "rules[0]",
        "rules[1]",
    ]
