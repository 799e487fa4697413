"""The pod that BinderHub would create, as YAML that others read as it was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from validate.cli import main
from validate.cluster.schemas import check_schema, supported_versions
from validate.commands.build_pod import as_yaml

ROOT = Path(__file__).parent.parent.parent
TREE = ROOT / "tests/rules/tree"
OVERLAYS = sorted(
    path.name for path in (ROOT / "overlays").iterdir() if (path / "kustomization.yaml").exists()
)
EXPECTED = Path(__file__).with_name("build-pod.yaml")
KUSTOMIZATION = """\
resources: [../../base]
configMapGenerator:
  - name: binderhub-config
    namespace: binder
    behavior: merge
    files: [50-case.yaml]
"""


@pytest.fixture
def pod_of(repository, capsys):
    """Return a function that prints the pod of the rules' test tree with one fragment more."""

    def call(fragment):
        files = {
            f"base/{path.relative_to(TREE)}": path.read_text(encoding="utf-8")
            for path in TREE.rglob("*")
            if path.is_file()
        }
        files |= {
            "overlays/kind/kustomization.yaml": KUSTOMIZATION,
            "overlays/kind/50-case.yaml": fragment,
        }
        root = repository(files)
        capsys.readouterr()
        return main(["build-pod", "kind", "--root", str(root)]), *capsys.readouterr()

    return call


def test_the_pod_is_word_for_word_what_it_was(pod_of, request):
    status, output, errors = pod_of("BinderHub: {image_prefix: registry.example.org/r2d-}\n")
    assert (status, errors) == (0, "")
    if request.config.getoption("--update-expected"):
        EXPECTED.write_text(output, encoding="utf-8")
    assert output == EXPECTED.read_text(encoding="utf-8")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_pod_of_each_overlay_is_one_that_every_kubernetes_knows(overlay, capsys):
    assert main(["build-pod", overlay, "--root", str(ROOT)]) == 0
    pod = yaml.safe_load(capsys.readouterr().out)
    assert (pod["apiVersion"], pod["kind"], pod["metadata"]["namespace"]) == ("v1", "Pod", "binderhub")
    assert check_schema(pod, supported_versions()).errors == ()


def test_credentials_are_not_printed(pod_of):
    fragment = "KubernetesBuildExecutor: {registry_credentials: {username: robot, password: hunter2}}\n"
    status, output, _ = pod_of(fragment)
    assert status == 0
    assert "hunter2" not in output
    assert {
        "name": "CONTAINER_ENGINE_REGISTRY_CREDENTIALS",
        "value": "not shown: it may hold a credential",
    } in yaml.safe_load(output)["spec"]["containers"][0]["env"]


@pytest.mark.parametrize(
    ("fragment", "reason"),
    [
        (
            "BinderHub: {port: many}\n",
            "TraitError: The 'port' trait of a BinderHub instance expected an int, not the str 'many'.",
        ),
        (
            "BinderHub: {build_class: binderhub.build_local.LocalRepo2dockerBuild}\n",
            "no build pod: BinderHub.build_class is binderhub.build_local.LocalRepo2dockerBuild",
        ),
    ],
)
def test_where_binderhub_creates_no_pod_there_is_a_sentence(pod_of, fragment, reason):
    sentence = f"BinderHub creates no build pod in overlays/kind ({reason}); validate overlays/kind"
    assert pod_of(fragment) == (2, "", f"error: {sentence}\n")


def test_where_there_is_no_binderhub_there_is_a_sentence(run):
    sentence = "overlays/kind deploys no BinderHub that reads a configuration, so nothing creates build pods"
    assert run("build-pod", "kind") == (2, "", f"error: {sentence}; include base/binderhub\n")


def test_an_overlay_that_cannot_be_rendered_is_a_sentence_with_its_line(run):
    sentence = "overlays/kind/configmap.yaml:2: is not YAML (did not find expected node content)"
    files = {"overlays/kind/configmap.yaml": "a:\n  [}"}
    assert run("build-pod", "kind", files=files) == (2, "", f"error: {sentence}\n")


# What a reader of YAML 1.1 or 1.2, PyYAML or kubectl's, takes for no string where it has no quotes.
ODD = [*"y N on 1e3 0o17 0x1f 1_000 1:30 null ~ .inf 2026-01-01".split(), "", " a"]


@given(st.one_of(st.sampled_from(ODD), st.text()), st.one_of(st.sampled_from(ODD), st.text(min_size=1)))
def test_strings_stay_strings_whoever_reads_them(value, key):
    text = as_yaml({key: [value, value], "number": 1, "none": None})
    assert yaml.safe_load(text) == {key: [value, value], "number": 1, "none": None}
    plain = {token.value for token in yaml.scan(text) if isinstance(token, yaml.ScalarToken) and token.plain}
    assert not plain & set(ODD) - {"null"}
