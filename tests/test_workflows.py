"""The comment of the workflow validate, with a gh that writes down what it is asked for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "validate.yaml").read_text(encoding="utf-8"))
COMMENT = next(
    step for step in WORKFLOW["jobs"]["report"]["steps"] if step.get("name") == "say what the change does"
)
# Answers a list of comments with what $FOUND says, as --jq would have left it over.
GH = """\
#!/bin/sh
printf '%s\\n' "$*" >> "$CALLS"
case "$*" in *--paginate*) printf '%s' "$FOUND" ;; esac
"""


@pytest.fixture
def run(tmp_path):
    """Return a function: runs the step where these comments are found, returns the calls of gh after that."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "gh").write_text(GH)
    (tools / "gh").chmod(0o755)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "diff.md").write_text("<!-- validate diff -->\n")

    def call(found: str) -> list[str]:
        calls = tmp_path / "calls"
        done = subprocess.run(
            ["bash", "-e", "-c", COMMENT["run"]],
            cwd=tmp_path,
            env={
                "PATH": f"{tools}:{os.environ['PATH']}",
                "COMMENTS": "repos/platform/builds/issues/7/comments",
                "CALLS": str(calls),
                "FOUND": found,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        asked = calls.read_text().split("\napi ") if calls.exists() else []
        return [line.removeprefix("api ").strip() for line in asked[1:]]

    return call


def test_the_first_time_a_comment_is_made(run):
    assert run("") == [
        "--silent --method POST repos/platform/builds/issues/7/comments --field body=@report/diff.md"
    ]


def test_afterwards_the_first_one_is_written_anew(run):
    assert run("41\n52\n") == [
        "--silent --method PATCH repos/platform/builds/issues/comments/41 --field body=@report/diff.md"
    ]


def test_where_nothing_was_compared_nothing_is_said(run, tmp_path):
    (tmp_path / "report" / "diff.md").unlink()
    assert run("41\n") == []


def test_the_job_that_may_write_runs_nothing_of_the_pull_request():
    """It has a checkout for the paths in the report, and runs the one script that the workflow has."""
    jobs = WORKFLOW["jobs"]
    writes = {name for name, job in jobs.items() if "write" in job["permissions"].values()}
    assert writes == {"report"}
    scripts = [step["run"] for step in jobs["report"]["steps"] if "run" in step]
    assert scripts == [COMMENT["run"]]
    assert not any(step.get("uses", "").startswith(("./", "$/")) for step in jobs["report"]["steps"])
