"""What is installed on the test cluster: the overlay as it stands, with what a test wants of it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.e2e.errors import CannotRunError
from tests.e2e.installation import Installation, effective_config, json_patch, kustomize, references
from validate.binderhub.buildpod import EXECUTOR

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "0123456789abcdef" * 4


def build_image(objects):
    return effective_config(objects).effective(EXECUTOR, "build_image")


@pytest.fixture(scope="module")
def rendered():
    return Installation().render()


@pytest.fixture
def fork(tmp_path):
    """A fork that has pinned its images."""
    for part in ("base", "components", "policies", "overlays"):
        shutil.copytree(ROOT / part, tmp_path / part)
    images = tmp_path / "base" / "images"
    for file, tag in (("kustomization.yaml", "newTag"), ("config/05-images.yaml", "build_image")):
        text = (images / file).read_text()
        (images / file).write_text(re.sub(rf"^( +{tag}: \S+)$", rf"\1@{DIGEST}", text, flags=re.MULTILINE))
    assert DIGEST in (images / "kustomization.yaml").read_text()
    return tmp_path


def test_a_fork_that_has_pinned_its_images_is_installed_by_tags(fork, rendered):
    objects = Installation(root=fork).render()
    assert references(objects) == references(rendered)
    assert build_image(objects) == build_image(rendered)
    assert DIGEST not in repr(objects)


def test_digests_that_are_no_pin_stay(tmp_path):
    (tmp_path / "kustomization.yaml").write_text("resources: [configmap.yaml]\n")
    (tmp_path / "configmap.yaml").write_text(
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata: {{a: '{DIGEST}', b: 'x@{DIGEST}'}}\n"
    )
    (configmap,) = kustomize(tmp_path)
    assert configmap["data"] == {"a": DIGEST, "b": f"x@{DIGEST}"}


def test_what_a_test_wants_of_the_configuration_comes_last(rendered):
    changed = Installation().but(config={"KubernetesBuildExecutor": {"push_secret": "another"}}).render()
    assert effective_config(changed).effective(EXECUTOR, "push_secret") == "another"
    assert effective_config(rendered).effective(EXECUTOR, "push_secret") != "another"


def test_what_a_test_patches_is_patched():
    patch = json_patch("Deployment", "binderhub", {"op": "replace", "path": "/spec/replicas", "value": 0})
    objects = Installation(patches=[patch]).render()
    assert [one["spec"]["replicas"] for one in objects if one["metadata"]["name"] == "binderhub"
            and one["kind"] == "Deployment"] == [0]  # fmt: skip


def test_a_build_that_needs_the_internet_for_nothing_asks_the_git_server(rendered):
    environment = effective_config(rendered).effective(EXECUTOR, "extra_envs")
    assert environment["R2D_DATAVERSE_INSTALLATIONS_URL"] == "http://git.e2e.svc/dataverse.json"


def test_an_overlay_that_does_not_render_is_said_in_the_words_of_kustomize(tmp_path):
    (tmp_path / "kustomization.yaml").write_text("resources: [gone.yaml]\n")
    with pytest.raises(CannotRunError, match=r"^kustomize build .*gone\.yaml"):
        kustomize(tmp_path)


def test_without_kustomize_one_sentence_says_what_installs_it(tmp_path, monkeypatch):
    monkeypatch.setenv("KUSTOMIZE", "/no/such/kustomize")
    with pytest.raises(CannotRunError) as caught:
        kustomize(tmp_path)
    assert str(caught.value) == "/no/such/kustomize is not there; run `make setup`, which installs it"
