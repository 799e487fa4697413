"""Which manifests are part of nothing."""

from __future__ import annotations

import pytest

from validate.kustomize.tree import read_tree
from validate.kustomize.unread import unread_files

START = {
    "kustomization.yaml": "resources: [base]\n",
    "base/kustomization.yaml": "resources: [a.yaml]\n",
    "base/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
    "overlays/kind/kustomization.yaml": "resources: [../../base]\n",
}


@pytest.fixture
def unread(tmp_path):
    def find(**files):
        for name, text in {**START, **{key.replace("__", "/"): text for key, text in files.items()}}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        reads = read_tree(tmp_path, "overlays/kind").reads
        return unread_files(tmp_path, ["overlays/kind"], reads)

    return find


def test_a_repository_of_which_everything_is_read_has_none(unread):
    assert unread() == ()


@pytest.mark.parametrize(
    "name",
    [
        "base/b.yaml",
        "base/config/daemon.json",
        "policies/p.yml",
        "overlays/kind/clean.sh",
        "components/x/files/tls.crt",
    ],
)
def test_a_manifest_that_nobody_names_is_one(name, unread):
    assert unread(**{name: "a: 1\n"}) == (name,)


@pytest.mark.parametrize(
    "name",
    [
        "base/README.md",
        "overlays/kind/cluster.yaml",
        "policies/waivers.yaml",
        "components/hub/values.yaml",
        "components/hub/values-hub.yaml",
        "components/hub/hub.values.yaml",
        "base/.hidden.yaml",
        "base/.cache/a.yaml",
        "base/picture.svg",
        "docs/a.yaml",
        "overlays/other/a.yaml",
    ],
)
def test_what_is_for_others_is_none(name, unread):
    assert unread(**{name: "a: 1\n"}) == ()


def test_a_component_is_one_and_its_files_go_with_it(unread):
    files = {
        "policies/x/kustomization.yaml": "resources: [r.yaml, sub]\n",
        "policies/x/r.yaml": "a: 1\n",
        "policies/x/sub/kustomization.yaml": "resources: [s.yaml]\n",
        "policies/x/sub/s.yaml": "a: 1\n",
        "policies/x/left.yaml": "a: 1\n",
    }
    assert unread(**files) == ("policies/x/kustomization.yaml", "policies/x/left.yaml")


@pytest.mark.parametrize(
    "entry",
    [
        "resources: [r.yaml]",
        "patches: [{path: r.yaml}]",
        "patchesStrategicMerge: [r.yaml]",
        "configMapGenerator: [{name: a, files: [r.yaml]}]",
        "configMapGenerator: [{name: a, files: [key.yaml=r.yaml]}]",
        "replacements: [{path: r.yaml}]",
        "openapi: {path: r.yaml}",
        "transformers: [r.yaml]",
    ],
)
def test_whatever_names_a_file_in_a_kustomization_that_no_overlay_uses_reads_it(entry, unread):
    files = {
        "policies/x/kustomization.yaml": f"{entry}\n",
        "policies/x/r.yaml": "a: 1\n",
    }
    assert unread(**files) == ("policies/x/kustomization.yaml",)


def test_a_component_is_on_offer_and_what_it_does_not_name_is_not(unread):
    files = {
        "components/x/kustomization.yaml": "kind: Component\nresources: [r.yaml]\n",
        "components/x/r.yaml": "a: 1\n",
        "components/x/left.yaml": "a: 1\n",
        "components/x/left/kustomization.yaml": "resources: []\n",
    }
    assert unread(**files) == ("components/x/left/kustomization.yaml", "components/x/left.yaml")


def test_the_neutral_install_reads_what_no_overlay_does(unread):
    files = {
        "kustomization.yaml": "resources: [base]\ncomponents: [components/x]\n",
        "components/x/kustomization.yaml": "kind: Component\nresources: [r.yaml]\n",
        "components/x/r.yaml": "a: 1\n",
    }
    assert unread(**files) == ()


def test_a_kustomization_that_is_no_yaml_names_nothing(unread):
    files = {"policies/x/kustomization.yaml": "a: [\n", "policies/x/r.yaml": "a: 1\n"}
    assert unread(**files) == ("policies/x/kustomization.yaml", "policies/x/r.yaml")


def test_a_path_that_leads_out_of_the_repository_names_nothing(unread):
    files = {"policies/x/kustomization.yaml": "resources: [../../../r.yaml, /etc/hosts]\n"}
    assert unread(**files) == ("policies/x/kustomization.yaml",)
