"""The wheel: what pipx and pre-commit install works away from this repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PARTS = ("argocd", "base", "components", "overlays", "policies")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The directory that the wheel is installed into; what it depends on comes from this environment."""
    source = tmp_path_factory.mktemp("source")
    # Built from a copy: setuptools leaves directories where it builds.
    shutil.copytree(ROOT / "validate", source / "validate", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    target = tmp_path_factory.mktemp("installed")
    pip("wheel", "--no-build-isolation", "--wheel-dir", str(source / "dist"), str(source))
    (wheel,) = (source / "dist").glob("*.whl")
    pip("install", "--target", str(target), str(wheel))
    return target


def pip(command: str, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", command, "--quiet", "--no-deps", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def run(installed: Path, tmp_path: Path):
    """Return a function that runs the console script in a fork that keeps no validator of its own."""
    fork = tmp_path / "fork"
    for part in PARTS:
        shutil.copytree(ROOT / part, fork / part)
    (script,) = PROJECT["scripts"]

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [installed / "bin" / script, *words],
            cwd=fork,
            env=os.environ | {"PYTHONPATH": str(installed), "KUSTOMIZE": str(ROOT / ".tools" / "kustomize")},
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def test_the_console_script_validates_a_fork(run):
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert "no finding in 5 overlays" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("rules",),
        ("--explain", "unpinned-image"),
        ("schema", "fragment"),
        ("schema", "cluster"),
        ("schema", "report"),
        ("build-pod", "eks"),
        ("--report", "sarif", "kind"),
    ],
    ids=" ".join,
)
def test_what_reads_a_data_file_finds_it_in_the_wheel(run, words):
    done = run(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_hook_for_other_repositories_runs_the_console_script():
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["entry"] in PROJECT["scripts"]
