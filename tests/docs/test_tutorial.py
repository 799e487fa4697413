"""The tutorial asks for commands that there are; tests/e2e runs them on a cluster."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reader import do, make_fork
from tools.steps import Action, steps

ROOT = Path(__file__).resolve().parent.parent.parent
STEPS = list(steps(ROOT / "docs" / "tutorials" / "build-an-image.md"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
COMMANDS = [step for step in STEPS if step.action is Action.RUN]


def test_the_tutorial_makes_a_cluster_builds_twice_breaks_an_overlay_and_removes_the_cluster():
    assert [step.text.strip() if step.action is Action.RUN else step.action for step in STEPS] == [
        "make up",
        "make build",
        "make build",
        "make validate",
        Action.EDIT,
        "git checkout overlays/eks",
        "make down",
    ]


@pytest.mark.parametrize(
    "step", [step for step in COMMANDS if step.text.startswith("make ")], ids=lambda step: step.text.strip()
)
def test_a_command_of_the_tutorial_is_a_target_of_make(step):
    command, target, *variables = shlex.split(step.text)
    assert command == "make"
    described = re.search(rf"^{target}:.* ## (.+)$", MAKEFILE, re.MULTILINE)
    assert described
    assert all(variable.partition("=")[0] in described[1] for variable in variables)


def validate(fork):
    """What validate says of the overlay that is broken, and its exit status."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "validate", "eks"],
        cwd=fork,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_what_is_broken_on_paper_is_found_and_taken_back(tmp_path):
    fork = tmp_path / "fork"
    make_fork(ROOT, fork)
    edit, back = (step for step in STEPS if step.action is Action.EDIT or "git" in step.text)
    before = validate(fork)
    assert before[0] == 0
    do(edit, fork)
    status, said = validate(fork)
    assert status == 1
    # It names the line, shows a node that has no daemon, and says where to mend it.
    assert "error[build-pod-without-docker-api] overlays/eks/daemonset.build-pool.yaml:10:38" in said
    assert "| this node admits the build pod and not docker-api:" in said
    assert "fix: make docker-api admit that node in overlays/eks/daemonset.build-pool.yaml" in said
    do(back, fork)
    assert validate(fork) == before
