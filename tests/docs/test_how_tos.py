"""The how-to guides, done as they stand: files written, edits applied, commands run, and validate holds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.steps import Action, Step, steps

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
COPIED = (
    "Makefile",
    "argocd",
    "base",
    "cluster.yaml",
    "components",
    "config",
    "kustomization.yaml",
    "overlays",
    "policies",
)
LINKED = (".tools", ".venv", "requirements", "tools", "validate")
_DIGEST = "sha256:" + "0123456789abcdef" * 4
_STARTS_FROM = re.compile(r"^This starts where \[[^]]+\]\(([a-z-]+\.md)\) ends\.", re.MULTILINE)


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    """A fork of which the images are pinned, as docs/how-to/pin-images.md asks for."""
    fork = tmp_path / "fork"
    fork.mkdir()
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, fork / name)
    for name in LINKED:
        (fork / name).symlink_to(ROOT / name)
    images = fork / "base" / "images"
    for file, tag in (
        (images / "kustomization.yaml", "newTag"),
        (images / "config" / "05-images.yaml", "build_image"),
    ):
        pinned = re.sub(rf"^( +{tag}: \S+)$", rf"\1@{_DIGEST}", file.read_text(), flags=re.MULTILINE)
        file.write_text(pinned)
    (fork / "policies" / "waivers.yaml").write_text("[]\n")
    git(fork, "init", "--quiet")
    return fork


def git(fork: Path, *words: str, given: str | None = None) -> None:
    done = subprocess.run(["git", *words], cwd=fork, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"


def follow(page: Path, fork: Path) -> None:
    """Do what the page asks for, after what it says that it starts from."""
    before = _STARTS_FROM.search(page.read_text(encoding="utf-8"))
    if before:
        follow(HOW_TO / before[1], fork)
    for step in steps(page):
        match step.action:
            case Action.RUN:
                shell(step, fork)
            case Action.EDIT:
                git(fork, "apply", "-", given=step.text)
            case Action.WRITE:
                assert f"`{step.file}`" in step.before, f"{page}:{step.line}: nothing names {step.file}"
                (fork / step.file).parent.mkdir(parents=True, exist_ok=True)
                (fork / step.file).write_text(step.text)


def shell(step: Step, directory: Path) -> None:
    done = subprocess.run(
        ["bash", "-euc", step.text],
        cwd=directory,
        env={**os.environ, "KUSTOMIZE": "", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"line {step.line}: {step.text}\n{done.stdout}"


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
