"""The strict schemas, with jsonschema and jsonschema-rs as the referees."""

from __future__ import annotations

import copy
import json
import os
from functools import cache
from pathlib import Path
from shutil import which
from textwrap import dedent
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
import referencing
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from validate.cluster.schema_bundle import BUNDLE, MODULES, bundle, data_directory, published
from validate.cluster.schemas import check_schema, supported_versions

DEPLOYMENT = """
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: binderhub, namespace: binder, labels: {a: b}}
    spec:
      replicas: 1
      selector: {matchLabels: {a: b}}
      strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: "0"}}
      template:
        metadata: {labels: {a: b}}
        spec:
          automountServiceAccountToken: true
          nodeSelector: {kubernetes.io/os: linux}
          tolerations: [{key: k, operator: Exists, effect: NoSchedule}]
          containers:
            - name: binderhub
              image: quay.io/jupyterhub/k8s-binderhub
              args: [--config, x]
              env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}]
              ports: [{name: http, containerPort: 8585}]
              readinessProbe: {httpGet: {path: /versions, port: http}, periodSeconds: 5}
              resources: {requests: {cpu: 100m, memory: 512}}
              volumeMounts: [{name: v, mountPath: /v}]
          volumes: [{name: v, configMap: {name: c, items: [{key: k, path: p}]}}]
"""
SERVICE = """
    apiVersion: v1
    kind: Service
    metadata: {name: binderhub}
    spec: {selector: {a: b}, ports: [{name: http, port: 80, targetPort: http}]}
"""
POLICY = """
    apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata: {name: p}
    spec:
      podSelector: {matchExpressions: [{key: a, operator: In, values: [b]}]}
      policyTypes: [Egress]
      egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}], ports: [{port: 53, protocol: UDP}]}]
"""
STORED = """
    apiVersion: v1
    kind: Secret
    metadata: {name: s}
    type: Opaque
    stringData: {config.json: "{}"}
"""
EXTERNAL = """
    apiVersion: external-secrets.io/v1
    kind: ExternalSecret
    metadata: {name: registry-credentials}
    spec:
      refreshInterval: 1h
      secretStoreRef: {kind: ClusterSecretStore, name: store}
      target: {name: registry-credentials, template: {data: {config.json: "{{ .password }}"}}}
      data: [{secretKey: password, remoteRef: {key: k}}]
"""


def parsed(text: str) -> dict[str, Any]:
    found = yaml.safe_load(dedent(text))
    assert isinstance(found, dict)
    return found


OBJECTS = [parsed(text) for text in (DEPLOYMENT, SERVICE, POLICY, STORED)]


def sentences(value: dict[str, Any], *versions: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(error.sentence, error.versions) for error in check_schema(value, versions or ("1.34",)).errors]


def edited(text: str, old: str, new: str) -> dict[str, Any]:
    assert old in text
    return parsed(text.replace(old, new))


@pytest.mark.parametrize("value", OBJECTS, ids=[value["kind"] for value in OBJECTS])
def test_a_good_object_is_good_in_every_version(value: dict[str, Any]) -> None:
    verdict = check_schema(value, supported_versions())
    assert (verdict.errors, verdict.unchecked) == ((), "")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "nodeSelector:",
            "node_selector:",
            "spec.template.spec.node_selector is not a field that exists; did you mean nodeSelector?",
        ),
        (
            "nodeSelector:",
            "nodeselector:",
            "spec.template.spec.nodeselector is not a field that exists; did you mean nodeSelector?",
        ),
        ("nodeSelector:", "zzz:", "spec.template.spec.zzz is not a field that exists"),
        ("replicas: 1", "replicas: '1'", "spec.replicas is the string '1', and must be an integer"),
        ("replicas: 1", "replicas: true", "spec.replicas is true, and must be an integer"),
        (
            "replicas: 1",
            "replicas: 3000000000",
            "spec.replicas is the number 3000000000, and must be at least -2147483648 and at most 2147483647",
        ),
        (
            'maxUnavailable: "0"',
            "maxUnavailable: {}",
            "spec.strategy.rollingUpdate.maxUnavailable is a mapping, and must be an integer or a string",
        ),
        (
            "name: binderhub\n",
            "stdin: true\n",
            "spec.template.spec.containers[0].name is missing, and is required",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_path_and_the_value_found(old: str, new: str, sentence: str) -> None:
    assert sentences(edited(DEPLOYMENT, old, new)) == [(sentence, ("1.34",))]


def test_the_path_of_an_unknown_field_is_the_field() -> None:
    (error,) = check_schema(edited(SERVICE, "ports:", "port:"), ["1.34"]).errors
    assert error.path == ("spec", "port")


def test_a_field_that_one_version_lacks_is_an_error_of_that_version_only() -> None:
    value = edited(DEPLOYMENT, "nodeSelector:", "hostnameOverride: host\n          nodeSelector:")
    assert [versions for _, versions in sentences(value, "1.32", "1.33", "1.34", "1.35")] == [
        ("1.32", "1.33")
    ]


def test_one_error_of_all_versions_is_said_once() -> None:
    assert len(sentences(edited(DEPLOYMENT, "replicas: 1", "replicas: x"), "1.25", "1.33", "1.37")) == 1


def test_an_api_version_that_is_gone_says_since_when_and_what_to_use() -> None:
    budget = {"apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget"}
    (error,) = check_schema(budget, ["1.33", "1.34"]).errors
    assert error.path == ("apiVersion",)
    assert error.versions == ("1.33", "1.34")
    assert error.sentence == (
        "apiVersion is policy/v1beta1, whose PodDisruptionBudget is gone since 1.25; use policy/v1"
    )


def test_an_api_version_is_an_error_only_from_the_version_that_removed_it() -> None:
    scaler = {"apiVersion": "autoscaling/v2beta2", "kind": "HorizontalPodAutoscaler"}
    ((sentence, versions),) = sentences(scaler, "1.25", "1.26")
    assert sentence.endswith("is gone since 1.26; use autoscaling/v1 or autoscaling/v2")
    assert versions == ("1.26",)


def test_a_kind_of_a_later_version_says_when_it_comes() -> None:
    policy = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy"}
    (said,) = sentences(policy, "1.29", "1.30")
    assert said[1] == ("1.29",)
    assert "ValidatingAdmissionPolicy is new in 1.30" in said[0]


def test_a_kind_that_kubernetes_does_not_have_is_refused() -> None:
    (said,) = sentences({"apiVersion": "apps/v1", "kind": "Deploymant"})
    assert said[0] == "apiVersion is apps/v1, which has no Deploymant in this version"


def test_a_custom_resource_without_a_schema_is_not_checked_and_says_so() -> None:
    verdict = check_schema(
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "x": 1}, ["1.34"]
    )
    assert (verdict.errors, verdict.unchecked) == (
        (),
        "no schema for monitoring.coreos.com/v1 ServiceMonitor",
    )


def test_a_custom_resource_with_a_schema_is_checked_strictly() -> None:
    assert check_schema(parsed(EXTERNAL), ["1.34"]).errors == ()
    (said,) = sentences(edited(EXTERNAL, "secretStoreRef", "storeRef"))
    assert said[0].startswith("spec.storeRef is not a field that exists")
    assert said[1][0].startswith("External Secrets v")


def test_an_enum_and_a_pattern_of_a_custom_resource_are_checked() -> None:
    kind = sentences(edited(EXTERNAL, "kind: ClusterSecretStore", "kind: Store"))
    assert [text for text, _ in kind] == [
        "spec.secretStoreRef.kind is the string 'Store', and must be one of SecretStore, ClusterSecretStore"
    ]
    name = sentences(edited(EXTERNAL, "name: store}", "name: Not_A_Name}"))
    assert len(name) == 1
    assert "must match" in name[0][0]


def test_a_version_of_a_custom_resource_that_is_not_served_names_the_one_that_is() -> None:
    (said,) = sentences(edited(EXTERNAL, "external-secrets.io/v1", "external-secrets.io/v1beta1"))
    assert (
        said[0]
        == "apiVersion is external-secrets.io/v1beta1, which is not served; use external-secrets.io/v1"
    )


def test_secret_data_must_be_base64_and_its_text_is_not_shown() -> None:
    value = edited(STORED, 'stringData: {config.json: "{}"}', "data: {config.json: 'pass word'}")
    ((sentence, _),) = sentences(value)
    assert sentence.startswith('data["config.json"] is not base64')
    assert "pass word" not in sentence
    assert sentences(edited(STORED, 'stringData: {config.json: "{}"}', "data: {config.json: e30=}")) == []


def test_null_is_taken_where_a_value_is_optional() -> None:
    assert sentences(edited(DEPLOYMENT, "replicas: 1", "replicas: null")) == []
    assert len(sentences(edited(DEPLOYMENT, "name: binderhub\n", "name: null\n"))) == 1


def test_an_unknown_version_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        check_schema(parsed(SERVICE), ["1.24"])


# The referees read kubernetes-validate's own files.
REFEREED = (25, 33, 37)
ODD_VALUES = st.sampled_from([True, 0, 7, 1.5, "eA==", [], ["eA=="], {}, {"a": "eA=="}, [{}]])


@cache
def definitions(minor: int) -> Any:
    return json.loads((data_directory(minor) / "_definitions.json").read_text(encoding="utf-8"))


@cache
def schema(kind: str, group: str, minor: int) -> Any:
    return json.loads((data_directory(minor) / f"{kind}-{group}v1.json").read_text(encoding="utf-8"))


@cache
def referee(kind: str, group: str, minor: int) -> jsonschema_rs.Draft202012Validator:
    registry = jsonschema_rs.Registry([(definitions(minor)["$id"], definitions(minor))])
    return jsonschema_rs.Draft202012Validator(schema(kind, group, minor), registry=registry)


def group_of(value: dict[str, Any]) -> str:
    group = value["apiVersion"].rpartition("/")[0].partition(".")[0]
    return f"{group}-" if group else ""


def containers(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths of everything below the object that can be changed."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, below in pairs for found in ((*path, key), *containers(below, (*path, key)))]


@st.composite
def mutants(draw: st.DrawFn) -> dict[str, Any]:
    value = copy.deepcopy(draw(st.sampled_from(OBJECTS)))
    for _ in range(draw(st.integers(1, 3))):
        paths = [path for path in containers(value) if path[0] not in ("apiVersion", "kind")]
        assume(paths)
        path = draw(st.sampled_from(paths))
        parent = value
        for key in path[:-1]:
            parent = parent[key]  # type: ignore[index]
        match draw(st.sampled_from(["replace", "remove", "rename"])):
            case "replace":
                parent[path[-1]] = copy.deepcopy(draw(ODD_VALUES))  # type: ignore[index]
            case "remove":
                del parent[path[-1]]  # type: ignore[arg-type]
            case "rename" if isinstance(parent, dict):
                parent["renamed"] = parent.pop(path[-1])  # type: ignore[arg-type]
    return value


@settings(max_examples=60, deadline=None)
@given(value=mutants(), minor=st.sampled_from(REFEREED))
def test_the_verdict_on_a_mutant_is_that_of_the_referee(value: dict[str, Any], minor: int) -> None:
    judge = referee(value["kind"].lower(), group_of(value), minor)
    expected = {tuple(error.instance_path) for error in judge.iter_errors(value)}
    # The referee puts a missing or unknown field at its parent.
    found = set()
    for error in check_schema(value, [f"1.{minor}"]).errors:
        at_parent = error.sentence.endswith("is required") or "is not a field" in error.sentence
        found.add(error.path[:-1] if at_parent else error.path)
    assert found == expected


def test_the_referee_of_the_referee_agrees_on_one_object_of_each_verdict() -> None:
    resource = referencing.Resource.from_contents(definitions(34))
    registry: Any = referencing.Registry().with_resource(definitions(34)["$id"], resource).crawl()
    judge = jsonschema.Draft202012Validator(schema("deployment", "apps-", 34), registry=registry)
    good, bad = parsed(DEPLOYMENT), edited(DEPLOYMENT, "nodeSelector:", "nodeselector:")
    assert [judge.is_valid(good), judge.is_valid(bad)] == [True, False]
    assert [not check_schema(value, ["1.34"]).errors for value in (good, bad)] == [True, False]


def test_the_bundle_is_what_its_writer_writes() -> None:
    """The custom resources come last: without them, all other lines are the same."""
    header, *lines = BUNDLE.read_text(encoding="utf-8").split(",\n")
    again, *kubernetes = bundle([]).removesuffix("\n]\n").split(",\n")
    assert lines[: len(kubernetes)] == kubernetes
    written, rewritten = (json.loads(text.removeprefix("[\n")) for text in (header, again))
    assert written.pop("custom")
    assert rewritten.pop("custom") == {}
    assert written == rewritten


def modules_are_here() -> bool:
    home = os.environ.get("GOMODCACHE") or f"{os.environ.get('GOPATH') or Path.home() / 'go'}/pkg/mod"
    archives = (f"{home}/cache/download/{module.path}/@v/{module.version}.zip" for module in MODULES)
    return which("go") is not None and all(Path(archive).exists() for archive in archives)


@pytest.mark.skipif(not modules_are_here(), reason="the Go module cache lacks the custom resources")
def test_the_custom_resources_are_what_their_modules_publish() -> None:
    assert bundle(published()) == BUNDLE.read_text(encoding="utf-8")
