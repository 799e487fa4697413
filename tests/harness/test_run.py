"""A run of the end-to-end tests that cannot begin: one sentence at its end, exit status 2, nothing left."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAME = "harness-cannot-begin"
DOCKER = """
[ "$1" = version ] && echo 28.0.0
"""


@pytest.fixture
def run(command, tmp_path, monkeypatch):
    """Return a function: runs the tests with this environment, and returns what is on stdout and stderr."""
    command("docker", DOCKER)
    command("kind", f'[ "$1 $2" != "get clusters" ] || echo "$CLUSTERS"; echo "$@" >>{tmp_path}/calls')
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    settings = {
        "BINDERHUB_SERVICE_CACHE": str(tmp_path / "cache"),
        "SUPPLY": "published",
        "KIND": str(tmp_path / "commands" / "kind"),
        "CLUSTERS": "",
    }

    def call(*words, **environment):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--cluster-name", NAME, "tests/e2e/test_builds.py", *words],
            cwd=ROOT, env={**os.environ, **settings, **environment},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        assert not (ROOT / ".pytest-kind" / NAME).exists()
        assert not (tmp_path / "cache").exists()
        calls = tmp_path / "calls"
        assert not calls.exists() or "create" not in calls.read_text()
        return done.stdout, done.stderr

    return call


def test_a_person_sees_one_sentence_and_no_test_has_run(run):
    out, err = run(SUPPLY="offline")
    assert err == "error: SUPPLY is 'offline'; it may be auto, published, airgap\n"
    assert "there is no cluster to run them on" in out
    assert "no tests ran in" in out.splitlines()[-1]


def test_no_engine(run, command):
    command("docker", "exit 1")
    _, err = run(DOCKER_HOST="unix:///no.sock")
    assert err == (
        "error: no Docker engine answers at DOCKER_HOST=unix:///no.sock; start it, or unset DOCKER_HOST\n"
    )


def test_a_cluster_that_is_left_over(run):
    _, err = run(CLUSTERS=NAME)
    assert err == (
        f"error: a cluster {NAME} is left over from an earlier run; `make down CLUSTER={NAME}` removes it\n"
    )


def test_a_kept_cluster_of_which_nothing_is_known(run, command):
    command("docker", 'case "$1" in version) echo 28.0.0 ;; esac')
    out, err = run("--keep-cluster", CLUSTERS=NAME)
    # What takes minutes is shown while it goes on.
    assert re.search(r"^  supply: \d+ s$", out, re.MULTILINE)
    sentence = f"a cluster {NAME} is there, and nothing is known of it; `make down CLUSTER={NAME}` removes it"
    assert err.endswith(f"error: {sentence}\n")
