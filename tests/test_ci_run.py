"""What continuous integration says last: how the test runners ended, and what failed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAKE = """
echo "make $1"
case "$1" in
test) echo "===== 7 passed in 1.50s =====" ;;
e2e) echo "== 1 failed, 3 passed in 501.52s (0:08:21) =="; echo "error: it is over" >&2 ;;
esac
[ "$1" != "$FAILING" ]
"""


@pytest.fixture
def run(tmp_path):
    """Return a function: runs it where nothing is to be installed and this target fails."""
    for name, script in {"make": MAKE, "docker": "", "go": "", "python3": ""}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    def call(failing=""):
        path = f"{tmp_path}:{os.environ['PATH']}"
        return subprocess.run(
            [ROOT / ".ci" / "run"], env={**os.environ, "PATH": path, "FAILING": failing},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    return call


LAST = (
    "\n== what the test runners said last\n"
    "make test  ===== 7 passed in 1.50s =====\n"
    "make e2e   == 1 failed, 3 passed in 501.52s (0:08:21) ==\n"
)


def test_the_closing_lines_of_the_test_runners_come_last(run):
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(LAST)
    assert "error: it is over\n" in done.stdout


@pytest.mark.parametrize("target", ["validate", "test", "e2e"])
def test_one_that_fails_keeps_no_other_from_running_and_is_named(run, target):
    done = run(failing=target)
    assert (done.returncode, done.stderr) == (1, f"failed: make {target}\n")
    ran = [line for line in done.stdout.splitlines() if line.startswith("make ") and "=" not in line]
    assert ran == ["make validate", "make check", "make docs", "make test", "make e2e"]
    assert done.stdout.endswith(LAST)
