"""The schema of config fragments: what editors complete and check is what BinderHub has and accepts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from validate.binderhub import fragment_schema as module
from validate.binderhub.fragment_schema import fragment_schema
from validate.binderhub.traits import TraitSchema
from validate.cli import main

ROOT = Path(__file__).parent.parent.parent
WRITTEN = Path(module.__file__).with_name("fragment.schema.json")
RECORDED = json.loads(Path(module.__file__).with_name("traits.json").read_text("utf-8"))
FRAGMENTS = sorted(
    path
    for part in ("base/*/config", "components/*/config", "overlays/*/config", "config")
    for path in ROOT.glob(f"{part}/*.yaml")
)
CASES = ROOT / "tests/rules/cases"
SCHEMA = TraitSchema.load()
VALIDATOR = jsonschema.Draft7Validator(fragment_schema())


def relative(path):
    return str(path.relative_to(ROOT))


def cases(rule, kind):
    return sorted((CASES / rule).glob(f"{kind}-*/config/*.yaml"))


def refused(fragment):
    return sorted(f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors(fragment))


def errors(fragment):
    return VALIDATOR.iter_errors(fragment)


def test_the_schema_is_the_one_that_the_command_writes(capsys):
    VALIDATOR.check_schema(VALIDATOR.schema)
    assert main(["schema", "fragment"]) == 0
    assert capsys.readouterr().out == WRITTEN.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "file"), [("cluster", "cluster/cluster.schema.json"), ("report", "report/report.schema.json")]
)
def test_the_other_schemas_are_printed_as_they_are_published(capsys, name, file):
    assert main(["schema", name]) == 0
    assert capsys.readouterr().out == (ROOT / "validate" / file).read_text(encoding="utf-8")


def test_there_are_fragments():
    assert len(FRAGMENTS) >= 8


@pytest.mark.parametrize("path", FRAGMENTS, ids=relative)
def test_a_fragment_names_the_schema_in_its_first_line_and_is_as_it_says(path):
    text = path.read_text(encoding="utf-8")
    first, _, _ = text.partition("\n")
    assert first == f"# yaml-language-server: $schema={os.path.relpath(WRITTEN, path.parent)}"
    assert refused(yaml.safe_load(text)) == []


BAD = [path for rule in ("unknown-config-class", "unknown-config-trait") for path in cases(rule, "bad")]
GOOD = [
    path
    for rule in ("unknown-config-class", "unknown-config-trait", "wrong-config-type")
    for path in cases(rule, "good")
]


def test_there_are_cases():
    assert len(BAD) >= 6
    assert len(GOOD) >= 6


@pytest.mark.parametrize("path", BAD, ids=relative)
def test_what_a_rule_calls_unknown_is_refused(path):
    assert refused(yaml.safe_load(path.read_text(encoding="utf-8"))) != []


@pytest.mark.parametrize("path", GOOD, ids=relative)
def test_what_is_as_it_should_be_is_accepted(path):
    assert refused(yaml.safe_load(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("fragment", "place"),
    [
        ({}, ""),
        ([], ""),
        ({"BinderHub": None}, "BinderHub"),
        ({"BinderHub": {"port": "8585"}}, "BinderHub.port"),
        ({"KubernetesBuildExecutor": {"memory_limit": "512Mi"}}, "KubernetesBuildExecutor.memory_limit"),
        ({"KubernetesBuildExecutor": {"extra_envs": {"A": 1}}}, "KubernetesBuildExecutor.extra_envs.A"),
        ({"BinderHub": {"build_node_selector": {"a": 1}}}, "BinderHub.build_node_selector.a"),
        (
            {"KubernetesBuildExecutor": {"resources": {"limits": {"memory": "much"}}}},
            "KubernetesBuildExecutor.resources.limits.memory",
        ),
        ({"KubernetesBuildExecutor": {"resources": {"limit": {}}}}, "KubernetesBuildExecutor.resources"),
        ({"Launcher": {"pre_launch_hook": "a function"}}, "Launcher.pre_launch_hook"),
        ({"BinderHub": {"GitHubRepoProvider": {}}}, "BinderHub"),
        ({"BinderHub": {"build_class": "binderhub.build.KubernetesBuildExecutor"}, "Mine": {}}, ""),
    ],
)
def test_what_binderhub_or_the_api_server_refuses_is_refused_where_it_stands(fragment, place):
    assert any(found.startswith(f"{place}:") for found in refused(fragment))


@pytest.mark.parametrize(
    "fragment",
    [
        {"BinderHub": {"build_class": "our.Builder", "Builder": {"a": 1}}, "Builder": {"any": "thing"}},
        {"BinderHub": {"repo_providers": {"own": "our.Provider"}}, "Provider": {}},
        {"BinderHub": {"KubernetesBuildExecutor": {"memory_limit": "512M"}, "pod_quota": None}},
        {"KubernetesBuildExecutor": {"resources": {"limits": {"cpu": 0.5, "memory": "1.5Gi"}}}},
        {"HubAuth": {"a_trait_of_jupyterhub": 1}},
        {"RepoProvider": {"banned_specs": "one"}},
    ],
)
def test_what_they_accept_is_accepted(fragment):
    assert refused(fragment) == []


def test_every_trait_that_can_be_set_is_known_with_its_help_and_no_other():
    definitions = VALIDATOR.schema["definitions"]
    for name, recorded in RECORDED["classes"].items():
        traits = {trait: each for trait, each in recorded["traits"].items() if each["config"]}
        described = {
            trait: each["description"]
            for trait, each in definitions[name]["properties"].items()
            if not trait[:1].isupper()
        }
        assert described == {trait: each["help"] for trait, each in traits.items()}


def test_exactly_what_is_recorded_as_deprecated_or_removed_is_marked():
    for name, recorded in RECORDED["classes"].items():
        for trait, each in recorded["traits"].items():
            if each["config"]:
                marked = VALIDATOR.schema["definitions"][name]["properties"][trait].get("deprecated", False)
                assert marked == ("deprecated_for" in each or each["help"].startswith("Removed")), (
                    name,
                    trait,
                )


TRAITS = [
    (name, trait)
    for name in SCHEMA.class_names
    for trait in SCHEMA.traits(name)
    if not SCHEMA.classes.get(name, SCHEMA.find(name)).open
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from(
        [0.5, "", "a", "512M", "512Mi", "1.5G", "a.b", "binderhub.build.BuildExecutor", "20", "INFO"]
    ),
    st.sampled_from([[], ["a"], [1], {}, {"a": "b"}, {"a": 1}, {"limits": {"memory": "1Gi"}}]),
)


@given(st.sampled_from(TRAITS), VALUES)
def test_the_schema_refuses_nothing_that_the_rules_accept(trait_of, value):
    name, trait = trait_of
    accepted = SCHEMA.refuses(name, trait, value) is None
    accepted = accepted and not list(SCHEMA.problems_at_api_server(name, trait, value))
    # True is 1 for traitlets; whoever writes it did not mean a number.
    if accepted and not isinstance(value, bool):
        assert refused({name: {trait: value}}) == []
