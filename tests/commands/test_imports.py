"""What is imported before Kustomize is at work: its time is the time of the imports that follow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    "script",
    [
        "import validate.cli, validate.discover, validate.kustomize.render",
        "from validate.commands.options import check_parser; check_parser().format_help()",
        "from validate.commands.completion import candidates; candidates([''])",
    ],
)
def test_the_rules_are_imported_for_what_needs_them_alone(script):
    program = f"import sys; {script}\nsys.exit('validate.rules' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
