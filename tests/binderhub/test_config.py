"""The effective configuration: what is mounted, which fragment wins, and which line decides."""

from __future__ import annotations

from typing import Any

import pytest

from tests.binderhub.pods import DIRECTORY, config_of, deployment, find, rendered
from validate.errors import SourceError
from validate.place import Place, Writer

BASE = """\
BinderHub:
  port: 8585
KubernetesBuildExecutor:
  docker_host: /run/docker.sock
  node_selector:
    kubernetes.io/os: linux
"""
SITE = """\
# What this cluster adds.
KubernetesBuildExecutor:
  node_selector:
    pool: builds
  docker_host: /run/site.sock
"""
LOADER = rendered("ConfigMap", "loader", data={"binderhub_config.py": "..."})


def lines(place: Place) -> list[str]:
    return [str(origin) for origin in place.writers]


def test_a_value_knows_the_fragment_that_wrote_it_and_those_before() -> None:
    config = config_of({"00-base.yaml": BASE, "50-site.yaml": SITE})
    host = config.trait("KubernetesBuildExecutor", "docker_host")
    assert (host.value, lines(host)) == ("/run/site.sock", ["config/50-site.yaml:5", "config/00-base.yaml:4"])
    assert host.origin.writer is Writer.FRAGMENT


def test_an_entry_of_a_merged_mapping_has_the_line_of_its_own_fragment() -> None:
    selector = config_of({"00-base.yaml": BASE, "50-site.yaml": SITE}).trait(
        "KubernetesBuildExecutor", "node_selector"
    )
    assert selector.value == {"kubernetes.io/os": "linux", "pool": "builds"}
    assert lines(selector) == ["config/50-site.yaml:3", "config/00-base.yaml:5"]
    assert lines(selector / "kubernetes.io/os") == ["config/00-base.yaml:6"]
    assert lines(selector / "pool") == ["config/50-site.yaml:4"]


def test_fragments_are_read_in_the_order_of_their_names() -> None:
    fragments = {"9.yaml": "BinderHub: {port: 9}", "10.yaml": "BinderHub: {port: 10}"}
    assert config_of(fragments).trait("BinderHub", "port").value == 9


def test_a_trait_that_nothing_sets_stands_where_it_would_be_added() -> None:
    config = config_of({"00-base.yaml": BASE})
    image = config.trait("KubernetesBuildExecutor", "build_image")
    assert (image.exists, str(image), lines(image)) == (
        False,
        "KubernetesBuildExecutor.build_image",
        ["config/00-base.yaml:3"],
    )
    assert config.effective("KubernetesBuildExecutor", "build_image") == (
        "quay.io/jupyterhub/repo2docker:2024.07.0"
    )


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [
        ("KubernetesBuildExecutor", "BuildExecutor"),
        ("BinderHub.BuildExecutor", "KubernetesBuildExecutor"),
        ("BinderHub.KubernetesBuildExecutor", "BinderHub.BuildExecutor"),
    ],
)
def test_sections_have_the_precedence_of_traitlets(stronger: str, weaker: str) -> None:
    def fragment(section: str, value: str) -> str:
        outer, _, inner = section.partition(".")
        return f"{outer}: {{{inner}: {{appendix: {value}}}}}" if inner else f"{outer}: {{appendix: {value}}}"

    # The weaker one in the later fragment: the name of the file does not decide here.
    config = config_of({"0.yaml": fragment(stronger, "wins"), "1.yaml": fragment(weaker, "loses")})
    setters = config.setters("KubernetesBuildExecutor", "appendix")
    assert [setter.value for setter in setters] == ["wins", "loses"]
    assert str(config.trait("KubernetesBuildExecutor", "appendix").origin) == "config/0.yaml:1"


def test_a_deprecated_trait_wins_over_the_one_that_succeeds_it() -> None:
    config = config_of(
        {"0.yaml": "BinderHub: {build_image: old}\nKubernetesBuildExecutor: {build_image: new}"}
    )
    assert str(config.trait("KubernetesBuildExecutor", "build_image")) == "BinderHub.build_image"


def test_a_deprecated_trait_with_its_default_does_not_count() -> None:
    config = config_of(
        {"0.yaml": "BinderHub: {log_tail_lines: 100}\nKubernetesBuildExecutor: {log_tail_lines: 5}"}
    )
    assert config.effective("KubernetesBuildExecutor", "log_tail_lines") == 5


def test_the_deprecated_maximal_age_loses_against_the_new_one() -> None:
    old = "BinderHub: {build_max_age: 60}"
    assert config_of({"0.yaml": old}).effective("KubernetesCleaner", "max_age") == 60
    both = f"{old}\nKubernetesCleaner: {{max_age: 5}}"
    assert config_of({"0.yaml": both}).effective("KubernetesCleaner", "max_age") == 5


def test_a_nested_section_does_not_reach_repository_providers() -> None:
    config = config_of({"0.yaml": "BinderHub: {GitHubRepoProvider: {hostname: git.example}}"})
    assert not config.trait("GitHubRepoProvider", "hostname").exists


@pytest.mark.parametrize(
    ("fragment", "line"),
    [
        ("BinderHub:\n  port: 1\nKubernetesBuildExecutor:\n", 3),
        ("BinderHub:\n  port: 1\nport: 8585\n", 3),
        ("BinderHub:\n  port: 1\n  port: 2\n", 3),
        ("BinderHub:\n  tornado_settings:\n    8585: x\n", 3),
        ("BinderHub:\n  banner_message: 2026-01-01\n", 2),
        ("- BinderHub\n", 1),
        ("# nothing\n", 1),
    ],
)
def test_a_refused_fragment_is_reported_at_its_line(fragment: str, line: int) -> None:
    with pytest.raises(SourceError) as refusal:
        config_of({"00-base.yaml": BASE, "50-site.yaml": fragment})
    assert (refusal.value.file, refusal.value.line) == ("config/50-site.yaml", line)


def mounted(mounts: list[dict[str, Any]], volumes: list[dict[str, Any]], *objects: Any) -> Any:
    return find([deployment({"volumeMounts": mounts}, volumes), *objects])


FRAGMENTS = rendered("ConfigMap", "fragments", data={"00-base.yaml": BASE, "50-site.yaml": SITE})
FROM_CONFIG_MAP = {"name": "v", "configMap": {"name": "fragments"}}


@pytest.mark.parametrize(
    ("mounts", "volumes", "names"),
    [
        ([{"name": "v", "mountPath": DIRECTORY}], [FROM_CONFIG_MAP], ["00-base.yaml", "50-site.yaml"]),
        ([{"name": "v", "mountPath": f"{DIRECTORY}/"}], [FROM_CONFIG_MAP], ["00-base.yaml", "50-site.yaml"]),
        (
            [{"name": "v", "mountPath": f"{DIRECTORY}/1.yaml", "subPath": "50-site.yaml"}],
            [FROM_CONFIG_MAP],
            ["50-site.yaml"],
        ),
        (
            [{"name": "v", "mountPath": DIRECTORY}],
            [
                {
                    "name": "v",
                    "configMap": {"name": "fragments", "items": [{"key": "50-site.yaml", "path": "0.yaml"}]},
                }
            ],
            ["50-site.yaml"],
        ),
        (
            [{"name": "v", "mountPath": "/etc/binderhub"}],
            [
                {
                    "name": "v",
                    "projected": {
                        "sources": [
                            {
                                "configMap": {
                                    "name": "fragments",
                                    "items": [{"key": "00-base.yaml", "path": "config.d/0.yaml"}],
                                }
                            }
                        ]
                    },
                }
            ],
            ["00-base.yaml"],
        ),
        (
            [{"name": "v", "mountPath": DIRECTORY, "subPath": "d"}],
            [
                {
                    "name": "v",
                    "configMap": {
                        "name": "fragments",
                        "items": [{"key": "00-base.yaml", "path": "d/0.yaml"}],
                    },
                }
            ],
            ["00-base.yaml"],
        ),
    ],
)
def test_fragments_are_what_the_kubelet_mounts(mounts: Any, volumes: Any, names: list[str]) -> None:
    config = mounted(mounts, volumes, FRAGMENTS)
    assert config is not None
    assert [fragment.path[-1] for fragment in config.fragments] == names


@pytest.mark.parametrize(
    "mounts",
    [
        [],
        [{"name": "v", "mountPath": "/etc/binderhub/config"}],
        [{"name": "other", "mountPath": DIRECTORY}],
        # A deeper mount hides the shallower one.
        [{"name": "whole", "mountPath": "/etc/binderhub"}, {"name": "empty", "mountPath": DIRECTORY}],
    ],
)
def test_nothing_is_read_where_no_fragment_is_mounted(mounts: list[dict[str, Any]]) -> None:
    whole = {"name": "fragments", "items": [{"key": "00-base.yaml", "path": "config.d/0.yaml"}]}
    volumes = [FROM_CONFIG_MAP, {"name": "whole", "configMap": whole}, {"name": "empty", "emptyDir": {}}]
    assert mounted(mounts, volumes, FRAGMENTS) is None


def test_the_deeper_mount_hides_the_shallower_one_in_any_order() -> None:
    whole = {"name": "fragments", "items": [{"key": "00-base.yaml", "path": "config.d/0.yaml"}]}
    volumes = [FROM_CONFIG_MAP, {"name": "whole", "configMap": whole}]
    mounts = [{"name": "v", "mountPath": DIRECTORY}, {"name": "whole", "mountPath": "/etc/binderhub"}]
    assert len(mounted(mounts, volumes, FRAGMENTS).fragments) == 2
    assert len(mounted(mounts[::-1], volumes, FRAGMENTS).fragments) == 2


def test_a_config_map_of_another_namespace_is_not_mounted() -> None:
    elsewhere = rendered("ConfigMap", "fragments", "elsewhere", data={"00-base.yaml": BASE})
    assert mounted([{"name": "v", "mountPath": DIRECTORY}], [FROM_CONFIG_MAP], elsewhere) is None


def test_a_secret_may_hold_a_fragment() -> None:
    secret = rendered("Secret", "s", stringData={"0.yaml": "BinderHub: {port: 5}"})
    config = mounted(
        [{"name": "v", "mountPath": DIRECTORY}], [{"name": "v", "secret": {"secretName": "s"}}], secret
    )
    assert config.trait("BinderHub", "port").value == 5


def started(**container: Any) -> Any:
    mounts = [{"name": "v", "mountPath": DIRECTORY}, {"name": "l", "mountPath": "/etc/binderhub/loader"}]
    volumes = [FROM_CONFIG_MAP, {"name": "l", "configMap": {"name": "loader"}}]
    return find([deployment({"volumeMounts": mounts, **container}, volumes), FRAGMENTS, LOADER])


@pytest.mark.parametrize(
    ("container", "path", "is_mounted"),
    [
        ({"args": ["--config", "/etc/binderhub/loader/binderhub_config.py"]}, None, True),
        ({"args": ["--config=/etc/binderhub/loader/binderhub_config.py"]}, None, True),
        (
            {"command": ["python", "-m", "binderhub", "-f", "/etc/binderhub/loader/binderhub_config.py"]},
            None,
            True,
        ),
        # traitlets tries the name with .py and .json, whatever the suffix.
        ({"args": ["--config=/etc/binderhub/loader/binderhub_config"]}, "binderhub_config", True),
        ({"args": ["--config=/etc/binderhub/loader/config.py"]}, "config.py", False),
        ({"args": ["--config=/etc/binderhub/binderhub_config.py"]}, "binderhub_config.py", False),
        ({"args": ["--config=binderhub_config.py"]}, "binderhub_config.py", False),
        ({"args": ["--config=binderhub_config.py"], "workingDir": "/etc/binderhub/loader"}, None, True),
        ({}, "binderhub_config.py", False),
    ],
)
def test_binderhub_is_started_with_a_file_that_is_mounted_or_not(
    container: dict[str, Any],
    path: str | None,
    is_mounted: bool,  # noqa: FBT001
) -> None:
    config = started(**container)
    assert config.config_path.endswith(path or "/etc/binderhub/loader/binderhub_config.py")
    assert config.config_file_mounted is is_mounted
    assert (config.config_file is None) is (container == {})


@pytest.mark.parametrize(("value", "raises"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_an_error_in_the_file_ends_binderhub_only_if_told_to(value: str, raises: bool) -> None:  # noqa: FBT001
    name = "TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR"
    assert started(env=[{"name": name, "value": value}]).raises_on_error is raises
    assert started().raises_on_error is False


def test_the_build_namespace_is_that_of_the_deployment_where_the_environment_says_so() -> None:
    reference = {"fieldRef": {"fieldPath": "metadata.namespace"}}
    config = started(env=[{"name": "BUILD_NAMESPACE", "valueFrom": reference}])
    assert config.namespaces == ("binder", "binder", "binder")
    assert config.build_namespace_env is not None
    assert started().namespaces == ("default", "default", "default")


def test_the_environment_may_come_from_a_config_map() -> None:
    variables = rendered("ConfigMap", "env", data={"BUILD_NAMESPACE": "builds"})
    container = {
        "volumeMounts": [{"name": "v", "mountPath": DIRECTORY}],
        "envFrom": [{"configMapRef": {"name": "env"}}],
    }
    config = find([deployment(container, [FROM_CONFIG_MAP]), FRAGMENTS, variables])
    assert config is not None
    assert config.namespaces.builder == "builds"
