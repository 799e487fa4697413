"""The how-to guides, done as they stand: files written, edits applied, commands run, and validate holds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reader import follow, make_fork
from tools.steps import steps

ROOT = Path(__file__).resolve().parent.parent.parent
HOW_TO = ROOT / "docs" / "how-to"
PAGES = sorted(page for page in HOW_TO.glob("*.md") if page.name != "index.md")
WITH_STEPS = [page for page in PAGES if list(steps(page))]
# What they ask for needs a cluster, another repository or a registry.
TO_READ = {
    "migrate-from-the-helm-chart",
    "debug-a-stuck-build",
    "pin-images",
    "rotate-credentials",
    "upgrade-binderhub",
    "use-quay",
    "validate-elsewhere",
}
# They need a cluster, and tests/e2e makes one.
ON_A_CLUSTER = {"air-gapped", "playground", "troubleshooting"}
_DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    """A fork of which the images are pinned, as docs/how-to/pin-images.md asks for."""
    fork = tmp_path / "fork"
    make_fork(ROOT, fork)
    images = fork / "base" / "images"
    for file, tag in (
        (images / "kustomization.yaml", "newTag"),
        (images / "config" / "05-images.yaml", "build_image"),
    ):
        pinned = re.sub(rf"^( +{tag}: \S+)$", rf"\1@{_DIGEST}", file.read_text(), flags=re.MULTILINE)
        file.write_text(pinned)
    (fork / "policies" / "waivers.yaml").write_text("[]\n")
    return fork


@pytest.mark.parametrize("page", WITH_STEPS, ids=lambda page: page.stem)
def test_a_fork_that_follows_the_page_is_valid(page, fork):
    follow(page, fork)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "validate"],
        cwd=fork,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_every_page_is_done_or_said_to_be_for_reading():
    assert {page.stem for page in PAGES} - {page.stem for page in WITH_STEPS} - ON_A_CLUSTER == TO_READ
