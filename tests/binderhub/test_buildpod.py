"""The build pod of an overlay: each field knows the line of the configuration that decides it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.binderhub.pods import config_of
from validate.binderhub.buildpod import BuildInputs, BuildPodError, predict, predict_build_pod, rank_nodes

BASE = """\
BinderHub:
  image_prefix: registry.example/p/r2d-
KubernetesBuildExecutor:
  docker_host: unix:///run/docker.sock
  push_secret: registry-credentials
  node_selector:
    kubernetes.io/os: linux
  build_image: quay.io/jupyterhub/repo2docker:1
  image_pull_secrets: [a]
  repo2docker_extra_args:
    - --debug
  extra_envs:
    A: "1"
  resources:
    limits: {memory: 1Gi}
"""
SITE = """\
BinderHub:
  KubernetesBuildExecutor:
    node_selector:
      pool: builds
"""
CONTAINER = ("spec", "containers", 0)


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("spec", "volumes", 0, "hostPath", "path"), "/run/docker.sock", "00-base.yaml:4"),
        ((*CONTAINER, "volumeMounts", 0), None, "00-base.yaml:4"),
        (("spec", "volumes", 1, "secret", "secretName"), "registry-credentials", "00-base.yaml:5"),
        ((*CONTAINER, "volumeMounts", 1, "subPath"), "config.json", "00-base.yaml:5"),
        # The nested section replaces the flat one: only its own entry is left.
        (("spec", "nodeSelector"), {"pool": "builds"}, "50-site.yaml:3"),
        (("spec", "nodeSelector", "pool"), "builds", "50-site.yaml:4"),
        ((*CONTAINER, "image"), "quay.io/jupyterhub/repo2docker:1", "00-base.yaml:8"),
        (("spec", "imagePullSecrets", 0, "name"), "a", "00-base.yaml:9"),
        ((*CONTAINER, "args", 8), "--push", "00-base.yaml:5"),
        ((*CONTAINER, "args", 9), "--debug", "00-base.yaml:10"),
        ((*CONTAINER, "env", 0, "value"), "1", "00-base.yaml:13"),
        ((*CONTAINER, "resources", "limits", "memory"), "1Gi", "00-base.yaml:15"),
        (("spec", "tolerations"), None, "00-base.yaml:1"),
        (("spec", "hostNetwork"), None, "00-base.yaml:1"),
        # Decided by no setting: where one would be added.
        (("spec", "affinity"), None, "00-base.yaml:3"),
    ],
)
def test_a_field_of_the_build_pod_is_decided_at(
    path: tuple[str | int, ...], value: object, line: str
) -> None:
    build = predict_build_pod(config_of({"00-base.yaml": BASE, "50-site.yaml": SITE}))
    assert build.object is not None
    place = build.object.place.at(*path)
    assert str(place.origin) == f"config/{line}"
    assert value is None or place.value == value


def test_the_build_pod_is_an_object_like_any_other() -> None:
    build = predict_build_pod(config_of({"0.yaml": BASE}, {"BUILD_NAMESPACE": "builds"}))
    pod = build.object
    assert pod is not None
    assert (pod.kind, pod.api_version, pod.namespace, pod.title) == ("Pod", "v1", "builds", "build pod")
    assert pod.pod is not None
    assert pod.pod.labels["component"] == "binderhub-build"
    assert (build.namespace, build.socket_path, build.push_secret, build.error) == (
        "builds",
        "/run/docker.sock",
        "registry-credentials",
        None,
    )


def test_the_namespace_is_decided_by_the_environment_or_by_the_trait() -> None:
    env = {"BUILD_NAMESPACE": "builds"}
    by_env = predict_build_pod(config_of({"0.yaml": BASE}, env)).object
    by_trait = predict_build_pod(config_of({"0.yaml": "BinderHub: {build_namespace: b}"}, env)).object
    assert by_env is not None
    assert by_trait is not None
    assert by_env.place.at("metadata", "namespace").origin.file == "deployment.yaml"
    assert str(by_trait.place.at("metadata", "namespace").origin) == "config/0.yaml:1"


@pytest.mark.parametrize(
    ("fragment", "secret"),
    [
        ("KubernetesBuildExecutor: {push_secret: s}", "s"),
        ("KubernetesBuildExecutor: {push_secret: ''}", ""),
        ("BinderHub: {push_secret: s}", "s"),
        ("BinderHub: {use_registry: false}", ""),
        # Credentials in the environment take the place of the Secret.
        ("KubernetesBuildExecutor: {registry_credentials: {username: u}}", ""),
        ("BinderHub: {registry_class: binderhub.registry.ExternalRegistryHelper}", ""),
        ("BinderHub: {port: 1}", "binder-build-docker-config"),
    ],
)
def test_the_push_secret_is_the_one_that_is_mounted(fragment: str, secret: str) -> None:
    assert predict_build_pod(config_of({"0.yaml": fragment})).push_secret == secret


def test_no_socket_is_mounted_where_there_is_no_docker_host() -> None:
    build = predict_build_pod(config_of({"0.yaml": "KubernetesBuildExecutor: {docker_host: null}"}))
    assert build.socket_path is None


def test_a_configuration_that_binderhub_does_not_start_with_gives_an_error_and_no_pod() -> None:
    build = predict_build_pod(config_of({"0.yaml": "BinderHub: {port: a}"}))
    assert build.object is None
    assert str(build.error) == (
        "TraitError: The 'port' trait of a BinderHub instance expected an int, not the str 'a'."
    )


@pytest.mark.parametrize(("name", "has_pod"), [("FakeBuild", False), ("KubernetesBuildExecutor", True)])
def test_only_the_kubernetes_executor_makes_pods(name: str, has_pod: bool) -> None:  # noqa: FBT001
    build = predict_build_pod(config_of({"0.yaml": f"BinderHub: {{build_class: binderhub.build.{name}}}"}))
    assert (build.object is not None) is has_pod
    assert (build.error is None) is has_pod


def test_sticky_builds_do_not_hide_the_build_pod() -> None:
    build = predict_build_pod(config_of({"0.yaml": "KubernetesBuildExecutor: {sticky_builds: true}"}))
    assert build.object is not None
    assert "nodeAffinity" in build.object.place.at("spec", "affinity").mapping


def test_a_section_that_is_no_mapping_is_what_ends_binderhub() -> None:
    inputs = BuildInputs("n", "r", "1", "i")
    with pytest.raises(BuildPodError, match=r"^AttributeError: 'str' object has no attribute 'items'$"):
        predict({"BinderHub": {"BuildExecutor": "x"}}, environment={}, inputs=inputs)


nodes = st.lists(st.sampled_from(["n1", "n2", "n3", "n4"]), min_size=1)


@given(nodes, st.text())
def test_the_first_node_stays_the_first_when_others_leave(names: list[str], repo: str) -> None:
    def first(*remaining: str) -> str:
        return rank_nodes(repo, [{"spec": {"nodeName": name}} for name in remaining])[0]

    best = first(*names)
    assert all(first(best, other) == best for other in names)
    assert first(*reversed(names)) == best
