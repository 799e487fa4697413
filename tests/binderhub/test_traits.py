"""What the schema knows: names and near misses, what traitlets refuses, what the API server refuses."""

from __future__ import annotations

from typing import Any

import pytest

from validate.binderhub.traits import TraitSchema

SCHEMA = TraitSchema.load()
EXECUTOR = "KubernetesBuildExecutor"


@pytest.mark.parametrize(
    "name",
    [
        "BinderHub",
        EXECUTOR,
        "GitHubRepoProvider",
        "HubOAuth",
        "Application",
        "LoggingConfigurable",
        "Configurable",
    ],
)
def test_a_class_that_may_be_configured_is_known(name: str) -> None:
    assert SCHEMA.find(name) is not None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("KubernetesBuildExecuter", EXECUTOR),
        ("kubernetesBuildExecutor", EXECUTOR),
        ("KubernetesExecutor", EXECUTOR),
        ("Binderhub", "BinderHub"),
        ("GithubRepoProvider", "GitHubRepoProvider"),
        ("Spaceship", None),
    ],
)
def test_a_misspelt_class_is_suggested(written: str, meant: str | None) -> None:
    assert SCHEMA.find(written) is None
    assert SCHEMA.suggest_class(written) == meant


@pytest.mark.parametrize(
    ("class_name", "written", "meant"),
    [
        (EXECUTOR, "nodeSelector", "node_selector"),
        (EXECUTOR, "node-selector", "node_selector"),
        (EXECUTOR, "extra_env", "extra_envs"),
        (EXECUTOR, "dockerHost", "docker_host"),
        (EXECUTOR, "zzz", None),
        ("BinderHub", "enable_api_only", "enable_api_only_mode"),
        ("BinderHub", "imagePrefix", "image_prefix"),
    ],
)
def test_a_misspelt_trait_is_suggested(class_name: str, written: str, meant: str | None) -> None:
    assert written not in SCHEMA.traits(class_name)
    assert SCHEMA.suggest_trait(class_name, written) == meant


@pytest.mark.parametrize(
    ("written", "sure"),
    [
        ("nodeSelector", "node_selector"),
        ("node-selector", "node_selector"),
        ("push_secert", "push_secret"),
        # Near to memory_limit and to memory_request, and to nothing by a slip.
        ("memory", None),
        ("memory_limits_of_builds", None),
        ("tolerations", None),
    ],
)
def test_only_what_nobody_can_doubt_is_surely_meant(written: str, sure: str | None) -> None:
    assert SCHEMA.surely_meant_trait(EXECUTOR, written) == sure


def test_a_trait_that_no_configuration_can_set_is_not_offered() -> None:
    assert "image_name" in SCHEMA.classes[EXECUTOR].traits
    assert "image_name" not in SCHEMA.traits(EXECUTOR)


def test_a_base_class_offers_the_traits_of_the_classes_below_it() -> None:
    assert "log_level" in SCHEMA.traits("Application")
    assert {"port", "docker_host", "max_age"} <= set(SCHEMA.traits("LoggingConfigurable"))
    assert "docker_host" not in SCHEMA.traits("Application")


def test_a_trait_written_under_another_class_is_found() -> None:
    assert SCHEMA.classes_with("docker_host") == (EXECUTOR,)
    assert SCHEMA.classes_with("total_quota") == ("LaunchQuota",)
    assert SCHEMA.classes_with("nonsense") == ()


def test_every_successor_of_a_deprecated_trait_exists() -> None:
    successors = {trait.successor for trait in SCHEMA.traits("BinderHub").values() if trait.successor}
    assert len(successors) == 12
    assert all(trait in SCHEMA.traits(name) for name, trait in successors)


@pytest.mark.parametrize(
    ("class_name", "trait", "value", "why"),
    [
        (EXECUTOR, "node_selector", ["a"], "expected a dict, not the list ['a']"),
        (EXECUTOR, "push_secret", None, "expected a unicode string, not the NoneType None"),
        (EXECUTOR, "docker_host", None, None),
        (EXECUTOR, "memory_limit", "512Mi", "512Mi is not a valid memory specification"),
        (EXECUTOR, "memory_limit", "512M", None),
        (
            EXECUTOR,
            "repo2docker_extra_args",
            [5],
            "contains an Unicode of a List which expected",
        ),
        (EXECUTOR, "repo2docker_extra_args", "--debug", None),
        ("BuildExecutor", "appendix", 5, "'appendix' trait of a BuildExecutor instance"),
        ("LoggingConfigurable", "port", "8585", "'port' trait of a BinderHub instance expected an int"),
        ("BinderHub", "port", "8585", "expected an int, not the str '8585'"),
        ("BinderHub", "port", True, None),
        ("BinderHub", "enable_api_only_mode", "true", "expected a boolean"),
        ("BinderHub", "enable_api_only_mode", 1, None),
        ("BinderHub", "build_docker_host", "/dep.sock", "Only unix domain sockets"),
        ("BinderHub", "build_docker_host", "unix:///dep.sock", None),
        # The default is never looked at, and would be refused.
        ("BinderHub", "build_docker_host", "/var/run/docker.sock", None),
        ("BinderHub", "ban_networks", {"10.0.0.1/8": "x"}, "has host bits set"),
        ("BinderHub", "ban_networks", {"10.0.0.0/8": "x"}, None),
        ("BinderHub", "build_token_secret", "not hex", "Error: "),
        ("BinderHub", "build_token_secret", "00ff", None),
        ("BinderHub", "log_level", "LOUD", "expected any of [0, 10"),
        ("BinderHub", "log_level", "DEBUG", None),
        ("BinderHub", "badge_base_url", 5, "expected a unicode string or a callable"),
        ("BinderHub", "registry_class", "binderhub.registry.NoSuch", "which BinderHub does not have"),
        ("BinderHub", "registry_class", EXECUTOR, "not the dotted name of a class"),
        ("BinderHub", "registry_class", "binderhub.build.FakeBuild", "not a DockerRegistry"),
        ("BinderHub", "registry_class", "binderhub.registry.FakeRegistry", None),
        ("BinderHub", "registry_class", "our.own.Registry", None),
        ("BinderHub", "build_class", "binderhub.build.FakeBuild", None),
        ("BinderHub", "launch_quota_class", "binderhub.quota.LaunchQuota", None),
        ("BinderHub", "health_handler_class", "binderhub.health.HealthHandler", None),
        ("BinderHub", "build_cleaner_class", None, None),
        ("BinderHub", "repo_providers", {}, "at least one repo provider"),
        ("BinderHub", "repo_providers", {"gh": "binderhub.registry.FakeRegistry"}, "not a RepoProvider"),
        ("BinderHub", "repo_providers", {"gh": "binderhub.repoproviders.GitHubRepoProvider"}, None),
        ("GitRepoProvider", "allowed_protocols", ["https"], None),
        ("GitRepoProvider", "allowed_protocols", {"https": 1}, "expected a set"),
        ("HubOAuth", "api_token", 5, None),
        ("NoSuchClass", "x", 5, None),
        (EXECUTOR, "no_such_trait", 5, None),
    ],
)
def test_a_value_is_refused_or_not(class_name: str, trait: str, value: Any, why: str | None) -> None:
    refusal = SCHEMA.refuses(class_name, trait, value)
    assert (refusal is None) if why is None else (refusal is not None and why in refusal), refusal


@pytest.mark.parametrize(
    ("class_name", "trait", "value", "where"),
    [
        (EXECUTOR, "extra_envs", {"A": "1", "N": 5, "T": True}, [("N",), ("T",)]),
        (EXECUTOR, "extra_envs", {"A": "5"}, []),
        (EXECUTOR, "node_selector", {"pool": True}, [("pool",)]),
        ("BinderHub", "build_node_selector", {"pool": 1}, [("pool",)]),
        (EXECUTOR, "image_pull_secrets", ["a", {"name": "b"}], [(1,)]),
        (EXECUTOR, "resources", {"limits": {"memory": "512Mib"}}, [("limits", "memory")]),
        (EXECUTOR, "resources", {"limits": {"memory": "512Mi", "cpu": 0.5}, "requests": {"cpu": "1e3"}}, []),
        (EXECUTOR, "resources", {"limit": {}}, [("limit",)]),
        (EXECUTOR, "resources", {"limits": "1Gi"}, [("limits",)]),
        ("BinderHub", "template_variables", {"n": 5}, []),
        ("FakeBuild", "memory_limit", 5, []),
    ],
)
def test_the_api_server_refuses_what_traitlets_let_through(
    class_name: str, trait: str, value: Any, where: list[tuple[str, ...]]
) -> None:
    assert [path for path, _ in SCHEMA.problems_at_api_server(class_name, trait, value)] == where
