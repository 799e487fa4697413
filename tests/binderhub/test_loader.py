"""The loader in BinderHub's place: traitlets executes it as it executes any configuration file.

Whatever it accepts, :mod:`validate.binderhub.config` reads the same way; whatever it refuses, that refuses.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from traitlets import Dict, Integer, Unicode
from traitlets.config import Application, LoggingConfigurable

from tests.binderhub.pods import config_of
from validate.errors import SourceError

ROOT = Path(__file__).parents[2]
LOADER = ROOT / "base" / "binderhub" / "config" / "binderhub_config.py"


class BinderHub(Application):
    port = Integer(8585).tag(config=True)
    repo_providers = Dict().tag(config=True)


class KubernetesBuildExecutor(LoggingConfigurable):
    build_image = Unicode("default").tag(config=True)
    extra_envs = Dict().tag(config=True)


def write(directory: Path, fragments: dict[str, str]) -> None:
    for name, text in fragments.items():
        (directory / name).write_text(text, "utf-8")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty config.d that the loader reads."""
    monkeypatch.setenv("BINDERHUB_CONFIG_DIRECTORY", str(tmp_path))
    return tmp_path


def start(*, raises: bool = True) -> BinderHub:
    app = BinderHub(raise_config_file_errors=raises)
    app.load_config_file(str(LOADER))
    return app


def test_later_fragments_are_merged_into_earlier_ones(directory: Path) -> None:
    write(
        directory,
        {
            "00-base.yaml": "BinderHub: {port: 1}\nKubernetesBuildExecutor: {extra_envs: {A: '1', B: '1'}}",
            "50-site.yaml": "KubernetesBuildExecutor: {extra_envs: {B: '2'}, build_image: site}",
        },
    )
    app = start()
    executor = KubernetesBuildExecutor(parent=app)
    assert (app.port, executor.extra_envs, executor.build_image) == (1, {"A": "1", "B": "2"}, "site")


def test_lists_and_scalars_are_replaced(directory: Path) -> None:
    write(directory, {"0.yaml": "A: {a: [1], b: {c: 1}}", "1.yaml": "A: {a: [2], b: 3}"})
    assert start().config == {"A": {"a": [2], "b": 3}}


def test_a_nested_class_wins_as_traitlets_has_it(directory: Path) -> None:
    nested = "BinderHub: {KubernetesBuildExecutor: {build_image: nested}}"
    write(directory, {"0.yaml": f"KubernetesBuildExecutor: {{build_image: flat}}\n{nested}"})
    assert KubernetesBuildExecutor(parent=start()).build_image == "nested"


def test_an_anchor_does_not_tie_classes_together(directory: Path) -> None:
    write(directory, {"0.yaml": "A: &a {x: {y: 1}}\nB: *a", "1.yaml": "A: {x: {y: 2}}"})
    assert start().config == {"A": {"x": {"y": 2}}, "B": {"x": {"y": 1}}}


def test_merge_keys_are_merged(directory: Path) -> None:
    write(directory, {"0.yaml": "A: &a {x: 1}\nB: &b {<<: *a, x: 2}\nC: {<<: *b}"})
    assert start().config == {"A": {"x": 1}, "B": {"x": 2}, "C": {"x": 2}}


def test_the_directories_of_a_configmap_volume_are_no_fragments(directory: Path) -> None:
    data = directory / "..2026_01_01"
    data.mkdir()
    write(data, {"00-base.yaml": "BinderHub: {port: 7}"})
    (directory / "..data").symlink_to(data)
    (directory / "00-base.yaml").symlink_to(Path("..data") / "00-base.yaml")
    assert start().port == 7


def test_repository_providers_become_classes(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("providers_of_this_test")
    module.Git = type("Git", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    write(directory, {"0.yaml": "BinderHub: {repo_providers: {git: providers_of_this_test.Git}}"})
    assert start().repo_providers == {"git": module.Git}


def test_the_base_fragment_of_this_repository_is_accepted(directory: Path) -> None:
    write(directory, {"00-base.yaml": (LOADER.parent / "00-base.yaml").read_text("utf-8")})
    assert start().config["BinderHub"]["enable_api_only_mode"] is True


ODD = {
    "not YAML": "A: {",
    "empty": "",
    "only a comment": "# nothing",
    "null": "null",
    "a list": "- A",
    "a string": "A",
    "no class": "{}",
    "a class without traits": "A:",
    "a class with a list": "A: [1]",
    "a trait in place of a class": "port: {a: 1}",
    "a key twice": "A: {x: 1, x: 2}",
    "a class twice": "A: {x: 1}\nA: {x: 2}",
    "a key that is a number": "A: {8585: x}",
    "a key that is a boolean": "A: {env: {on: x}}",
    "a key that is null": "A: {~: x}",
    "a key that is a list": "A: {[a]: x}",
    "a date": "A: {x: 2026-01-01}",
    "bytes": "A: {x: !!binary aGk=}",
    "a Python object": "A: {x: !!python/name:os.system }",
    "two documents": "A: {x: 1}\n---\nB: {x: 1}",
    "a tab": "A:\n\tx: 1",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
@pytest.mark.parametrize("raises", [True, False])
def test_binderhub_does_not_start_with_a_fragment_that_is(
    directory: Path, text: str, *, raises: bool
) -> None:
    write(directory, {"00-base.yaml": "BinderHub: {port: 1}", "50-odd.yaml": text})
    with pytest.raises(SystemExit, match="configuration cannot be read"):
        start(raises=raises)


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_validate_refuses_a_fragment_that_is(text: str) -> None:
    with pytest.raises(SourceError) as refusal:
        config_of({"00-base.yaml": "BinderHub: {port: 1}", "50-odd.yaml": text})
    assert refusal.value.file == "config/50-odd.yaml"


def test_binderhub_does_not_start_without_fragments(directory: Path) -> None:
    assert list(directory.iterdir()) == []
    with pytest.raises(SystemExit, match="no fragment"):
        start(raises=False)


@pytest.mark.parametrize("name", ["50-site.yml", "README.md", "50-site.yaml~"])
def test_a_file_that_is_no_fragment_is_refused(directory: Path, name: str) -> None:
    fragments = {"00-base.yaml": "BinderHub: {port: 1}", name: "BinderHub: {port: 2}"}
    write(directory, fragments)
    with pytest.raises(SystemExit, match=r"is not a \.yaml file"):
        start(raises=False)
    with pytest.raises(SourceError, match=r"accepts \.yaml files only"):
        config_of(fragments)


def test_a_provider_that_cannot_be_imported_is_refused(directory: Path) -> None:
    write(directory, {"0.yaml": "BinderHub: {repo_providers: {git: no.such.Provider}}"})
    with pytest.raises(SystemExit, match="No module named"):
        start(raises=False)


@pytest.mark.parametrize(
    "scalar",
    [
        "yes",
        "Off",
        "n",
        "~",
        "null",
        "1:30",
        "017",
        "0o17",
        "0x1F",
        "12_000",
        "1e3",
        "1.5e+3",
        "+1",
        "!!str 1",
    ],
)
def test_validate_reads_a_plain_scalar_as_the_loader_does(directory: Path, scalar: str) -> None:
    texts = {"0.yaml": f"A: {{x: {scalar}}}"}
    write(directory, texts)
    assert repr(dict(start().config["A"])) == repr(config_of(texts).value["A"])


names = st.sampled_from(["a", "b", "C"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["yes", "1:30", "1e3", "~", "a: b", "é\n"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)
fragments = st.dictionaries(
    st.sampled_from(["A", "B"]), st.dictionaries(names, values, max_size=2), min_size=1, max_size=2
)


@given(st.lists(fragments, min_size=1, max_size=3), st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_validate_reads_what_the_loader_reads(
    directory: Path,
    contents: list[dict[str, Any]],
    flow: bool,  # noqa: FBT001
) -> None:
    texts = {
        f"{number}.yaml": yaml.safe_dump(content, default_flow_style=flow)
        for number, content in enumerate(contents)
    }
    for old in directory.iterdir():
        old.unlink()
    write(directory, texts)
    assert json.dumps(start().config) == json.dumps(config_of(texts).value)
