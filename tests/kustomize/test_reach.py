"""Which files may matter to an overlay: all that it reads, and the lines that bring them in."""

from __future__ import annotations

from pathlib import Path

import pytest

from validate.kustomize.reach import reach
from validate.kustomize.tree import read_tree

ROOT = Path(__file__).parent.parent.parent
OVERLAYS = sorted(path.parent.name for path in (ROOT / "overlays").glob("*/kustomization.yaml"))


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_reaches_every_file_that_it_reads(name):
    overlay = f"overlays/{name}"
    found = reach(ROOT, overlay)
    assert read_tree(ROOT, overlay).reads <= found.paths
    assert not found.opaque


def test_an_overlay_does_not_reach_another_one():
    assert not [path for path in reach(ROOT, "overlays/eks").paths if path.startswith("overlays/gke")]


def test_the_lines_that_bring_a_file_in_lead_up_to_the_overlay():
    lines = reach(ROOT, "overlays/eks").way_to("components/credentials-aws/restart/cronjob.yaml")
    files = [line.file for line in lines]
    assert files == [
        "components/credentials-aws/restart/kustomization.yaml",
        "components/credentials-aws/kustomization.yaml",
        "overlays/eks/kustomization.yaml",
    ]


def test_a_second_kustomization_and_a_link_are_reached(repository):
    root = repository({"base/kustomization.yaml": "resources: []\n", "real/x.yaml": "x: 1\n"})
    (root / "overlays/kind/link.yaml").symlink_to("../../real/x.yaml")
    (root / "overlays/kind/kustomization.yaml").write_text("resources: [../../base, link.yaml]\n")
    paths = reach(root, "overlays/kind").paths
    assert {"base/kustomization.yml", "base/Kustomization", "real/x.yaml"} <= paths


@pytest.mark.parametrize(
    "field", ["helmCharts: [{name: x}]", "generators: [plugin.yaml]", "openapi: {path: x}"]
)
def test_what_names_files_elsewhere_is_opaque(repository, field):
    root = repository({"overlays/kind/kustomization.yaml": f"{field}\n"})
    found = reach(root, "overlays/kind")
    assert found.opaque
    assert found.meets(["any/file"])


def test_a_kustomization_that_cannot_be_read_is_reached_all_the_same(repository):
    root = repository(
        {"overlays/kind/kustomization.yaml": "resources: [../../base]\n", "base/kustomization.yaml": "[\n"}
    )
    assert "base/kustomization.yaml" in reach(root, "overlays/kind").paths
