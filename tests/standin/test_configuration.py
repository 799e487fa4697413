"""How the configuration is read, and where the process ends over it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from binderhub.app import StandIn
from binderhub.configuration import Configuration
from binderhub.repoproviders import GitRepoProvider

ROOT = Path(__file__).parents[2]
LOADER = ROOT / "base/binderhub/config/binderhub_config.py"


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Return a function that loads fragments through the repository's own loader."""
    monkeypatch.setenv("BINDERHUB_CONFIG_DIRECTORY", str(tmp_path))

    def start(*fragments: str) -> StandIn:
        for number, text in enumerate(fragments):
            (tmp_path / f"{number}.yaml").write_text(text)
        app = StandIn(raise_config_file_errors=True)
        app.initialize(["--config", str(LOADER)])
        return app

    return start


def test_fragments_are_read_and_values_are_those_that_count(load) -> None:
    app = load(
        "BinderHub: {port: 1234, build_image: old, push_secret: ''}\n"
        "KubernetesBuildExecutor: {build_image: new}",
        "BinderHub: {base_url: x}\nKubernetesBuildExecutor: {push_secret: s}",
    )
    configuration = app.configuration
    assert (configuration.app("port"), configuration.base_url) == (1234, "/x/")
    # A deprecated trait is copied over its successor, and loses where that is a base class's.
    executor = [configuration.get("KubernetesBuildExecutor", name) for name in ("build_image", "push_secret")]
    assert executor == ["old", "s"]


def test_classes_may_be_named(load) -> None:
    names = "{git: binderhub.repoproviders.GitRepoProvider, zenodo: binderhub.repoproviders.ZenodoProvider}"
    app = load(f"BinderHub: {{repo_providers: {names}}}")
    assert app.configuration.app("repo_providers") == {
        "git": "binderhub.repoproviders.GitRepoProvider",
        "zenodo": "binderhub.repoproviders.ZenodoProvider",
    }


def test_the_default_providers_are_all_here(load) -> None:
    configured = load("BinderHub: {port: 1}").configuration.app("repo_providers")
    module = __import__("binderhub.repoproviders", fromlist=["x"])
    assert [path for path in configured.values() if not hasattr(module, path.rpartition(".")[2])] == []


def test_unknown_options_are_warned_of(load, caplog) -> None:
    load(
        "BinderHub: {prot: 1, KubernetesBuildExecutor: {nodeselector: {}}}\n"
        "RateLimiter: {lim: 2, qqq: 3}\nNoClass: {x: 1}\nGitRepoProvider: {x: 1}"
    )
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "Config option `prot` not recognized by `BinderHub`.  Did you mean `port`?",
        (
            "Config option `nodeselector` not recognized by `KubernetesBuildExecutor`.  "
            "Did you mean `node_selector`?"
        ),
        "Config option `lim` not recognized by `RateLimiter`.  Did you mean `limit`?",
        "Config option `qqq` not recognized by `RateLimiter`.",
    ]


@pytest.mark.parametrize(
    ("fragment", "said"),
    [
        (
            "BinderHub: {port: x}",
            "The 'port' trait of a BinderHub instance expected an int, not the str 'x'.",
        ),
        (
            "RateLimiter: {limit: none}",
            "The 'limit' trait of a RateLimiter instance expected an int, not the str 'none'.",
        ),
        (
            "BinderHub: {KubernetesBuildExecutor: {extra_envs: []}}",
            "The 'extra_envs' trait of a KubernetesBuildExecutor instance expected a dict, not the list [].",
        ),
        (
            "BinderHub: {push_secret: null}",
            (
                "The 'push_secret' trait of a KubernetesBuildExecutor instance expected a unicode string, "
                "not the NoneType None."
            ),
        ),
        (
            "BinderHub: {registry_class: binderhub.registry.GoogleArtifactRegistry}",
            (
                "The stand-in has no binderhub.registry.GoogleArtifactRegistry for 'registry_class': it has "
                "binderhub.registry.DockerRegistry and binderhub.registry.FakeRegistry."
            ),
        ),
        (
            "BinderHub: {build_class: binderhub.build_local.LocalRepo2dockerBuild}",
            (
                "The stand-in has no binderhub.build_local.LocalRepo2dockerBuild for 'build_class': it has "
                "binderhub.build.KubernetesBuildExecutor."
            ),
        ),
        (
            "BinderHub: {auth_enabled: true}",
            "The stand-in has no hub to ask for users: 'auth_enabled' must be false.",
        ),
    ],
)
def test_what_binderhub_would_not_start_with_ends_the_process(load, fragment, said, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        load(fragment)
    assert ended.value.code == 1
    assert f"Bad config encountered during initialization: {said}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "fragment",
    ["[]", "a: {}", "A: {b: 1, b: 2}", "BinderHub: {repo_providers: {git: binderhub.repoproviders.X}}"],
)
def test_what_the_loader_refuses_ends_the_process(load, fragment) -> None:
    with pytest.raises(SystemExit, match=r"^BinderHub's configuration cannot be read: "):
        load(fragment)


def test_an_error_in_the_file_ends_the_process_if_that_is_asked_for(tmp_path) -> None:
    file = tmp_path / "binderhub_config.py"
    file.write_text("1 / 0\n")
    environment = {
        "PYTHONPATH": f"{ROOT / 'tests/e2e/airgap/standin'}:{ROOT}",
        "TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR": "1",
    }
    command = [sys.executable, "-m", "binderhub", "--config", str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_otherwise_an_error_in_the_file_drops_all_of_it(tmp_path) -> None:
    """The trap that the base keeps out of."""
    file = tmp_path / "binderhub_config.py"
    file.write_text("c.BinderHub.enable_api_only_mode = True\n1 / 0\n")
    app = StandIn(raise_config_file_errors=False)
    app.initialize(["-f", str(file)])
    assert app.configuration.app("enable_api_only_mode") is False


def test_a_file_that_is_not_there_is_not_missed(tmp_path) -> None:
    app = StandIn()
    app.initialize(["--config", str(tmp_path / "gone.py")])
    assert app.configuration.app("enable_api_only_mode") is False


def test_json_is_read_too_and_wins(tmp_path) -> None:
    (tmp_path / "x.py").write_text("c.BinderHub.port = 1\nc.BinderHub.image_prefix = 'a'\n")
    (tmp_path / "x.json").write_text('{"BinderHub": {"port": 2}}')
    app = StandIn()
    app.initialize(["--config", str(tmp_path / "x.py")])
    assert (app.configuration.app("port"), app.configuration.app("image_prefix")) == (2, "a")


def test_values_of_python_stand_as_those_of_json() -> None:
    value: dict[str, Any] = {
        "BinderHub": {"repo_providers": {"git": GitRepoProvider}},
        "GitRepoProvider": {"allowed_protocols": {"http", "git"}, "banned_specs": ("x",)},
    }
    assert Configuration(value, os.environ).value == {
        "BinderHub": {"repo_providers": {"git": "binderhub.repoproviders.GitRepoProvider"}},
        "GitRepoProvider": {"allowed_protocols": ["git", "http"], "banned_specs": ["x"]},
    }
