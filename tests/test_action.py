"""action.yml, its steps run as a runner of GitHub Actions runs them: bash, a workspace, files for output."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
PARTS = ("argocd", "base", "components", "overlays", "policies")


class Ran(NamedTuple):
    status: int
    log: str
    outputs: dict[str, str]
    summary: str


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A checkout of another repository, with a package in it that is called as ours is."""
    workspace = tmp_path / "workspace"
    for part in PARTS:
        shutil.copytree(ROOT / part, workspace / part)
    (workspace / "validate").mkdir()
    (workspace / "validate" / "__init__.py").write_text("raise SystemExit('the wrong package')\n")
    return workspace


@pytest.fixture
def run(workspace: Path, tmp_path: Path):
    """Return a function that runs the steps with inputs."""

    def call(**inputs: str) -> Ran:
        given = {name: spec["default"] for name, spec in ACTION["inputs"].items()}
        given |= {name.replace("_", "-"): value for name, value in inputs.items()}
        files = {"GITHUB_OUTPUT": tmp_path / "output", "GITHUB_STEP_SUMMARY": tmp_path / "summary"}
        for file in files.values():
            file.write_text("")
        environment = {
            **{name: str(file) for name, file in files.items()},
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_WORKSPACE": str(workspace),
            "RUNNER_TEMP": str(tmp_path),
        }
        log = ""
        status = 0
        for step in ACTION["runs"]["steps"]:
            if not runs(step, given, failed=bool(status)):
                continue
            given_to_step = {name: filled(text, given) for name, text in step.get("env", {}).items()}
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=workspace,
                env=os.environ | environment | given_to_step,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            log += done.stdout
            status = status or done.returncode
        outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        return Ran(status, log, outputs, files["GITHUB_STEP_SUMMARY"].read_text())

    return call


def runs(step: dict[str, str], inputs: dict[str, str], *, failed: bool) -> bool:
    """Whether a runner would run the step, for the two conditions that there are."""
    match step.get("if"):
        case None:
            return not failed
        case "${{ !cancelled() && inputs.base != '' }}":
            return inputs["base"] != ""
    raise NotImplementedError(step["if"])


def filled(text: str, inputs: dict[str, str]) -> str:
    return re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda found: inputs[found[1]], text)


def break_placement(workspace: Path) -> None:
    patch = workspace / "overlays" / "eks" / "daemonset.build-pool.yaml"
    patch.write_text(patch.read_text().replace(": builds\n", ": build\n"))


def test_what_is_right_passes_and_is_summed_up(run):
    ran = run(overlays="eks gke")
    assert (ran.status, ran.outputs) == (0, {"status": "0"}), ran.log
    assert "no finding in 2 overlays" in ran.log
    assert "::error" not in ran.log
    assert "overlays/eks" in ran.summary
    assert "overlays/kind" not in ran.summary


def test_what_is_wrong_fails_with_an_annotation_of_its_line_and_a_sarif_report(run, workspace):
    break_placement(workspace)
    ran = run(sarif="report/validate.sarif")
    assert (ran.status, ran.outputs) == (1, {"status": "1"}), ran.log
    assert "::error file=overlays/eks/daemonset.build-pool.yaml,line=10," in ran.log
    assert "build-pod-without-docker-api" in ran.summary
    results = json.loads((workspace / "report" / "validate.sarif").read_text())["runs"][0]["results"]
    assert "build-pod-without-docker-api" in {result["ruleId"] for result in results}


def test_an_overlay_that_is_not_there_is_one_sentence(run):
    ran = run(overlays="aws")
    assert (ran.status, ran.outputs) == (2, {"status": "2"})
    assert ran.log.strip().endswith("name one of aks, eks, gke, kind, openstack")


def test_a_warning_fails_where_that_is_asked_for(run, workspace):
    (workspace / "overlays" / "kind" / "unread.yaml").write_text("a: b\n")
    assert run().status == 0
    assert run(fail_on="warning").status == 1


def commit(workspace: Path) -> None:
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "x")):
        subprocess.run(["git", *words], cwd=workspace, check=True)


def test_what_a_change_does_is_written_for_a_comment_and_for_the_summary(run, workspace):
    commit(workspace)
    break_placement(workspace)
    ran = run(base="main", diff="report/diff.md")
    assert (ran.status, ran.outputs) == (1, {"status": "1"}), ran.log
    comment = (workspace / "report" / "diff.md").read_text()
    assert comment.startswith("<!-- validate diff -->\n")
    assert "build-pod-without-docker-api" in comment
    assert ran.summary.endswith(comment)


def test_a_base_that_is_not_there_fails_nothing_that_is_right(run, workspace):
    commit(workspace)
    ran = run(base="origin/main")
    assert ran.status == 0
    assert "error: there is no revision 'origin/main'" in ran.log
