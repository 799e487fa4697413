"""The tutorial asks for commands that there are; tests/e2e runs them on a cluster."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tools.steps import Action, steps

ROOT = Path(__file__).resolve().parent.parent.parent
STEPS = list(steps(ROOT / "docs" / "tutorials" / "build-an-image.md"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_tutorial_makes_a_cluster_builds_twice_and_removes_it():
    assert [step.text for step in STEPS] == ["make up\n", "make build\n", "make build\n", "make down\n"]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.text.strip())
def test_a_command_of_the_tutorial_is_a_target_of_make(step):
    assert step.action is Action.RUN
    command, target, *variables = shlex.split(step.text)
    assert command == "make"
    described = re.search(rf"^{target}:.* ## (.+)$", MAKEFILE, re.MULTILINE)
    assert described
    assert all(variable.partition("=")[0] in described[1] for variable in variables)
