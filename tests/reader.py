"""A reader of the documentation: somebody with a fork, who does what a page asks for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from tools.steps import Action, Step, steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

# What a reader may edit; the rest of the repository is the same one.
_COPIED = (
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
_LINKED = (".tools", ".venv", "pyproject.toml", "requirements", "tools", "validate")
_STARTS_FROM = re.compile(r"^This starts where \[[^]]+\]\(([a-z-]+\.md)\) ends\.", re.MULTILINE)


def make_fork(root: Path, fork: Path, *, also: Iterable[str] = ()) -> None:
    """Make a fork of the repository at ``root``, with more of it copied where ``also`` says so."""
    fork.mkdir()
    for name in (*_COPIED, *also):
        copy = shutil.copytree if (root / name).is_dir() else shutil.copy2
        copy(root / name, fork / name)
    for name in _LINKED:
        (fork / name).symlink_to(root / name)
    git(fork, "init", "--quiet")
    git(fork, "add", "--all")


def git(fork: Path, *words: str, given: str | None = None) -> None:
    """Run git there.

    Raises:
        AssertionError: it fails; the message is its own.
    """
    done = subprocess.run(["git", *words], cwd=fork, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"


def follow(page: Path, fork: Path) -> None:
    """Do what the page asks for, after what it says that it starts from.

    Raises:
        AssertionError: something cannot be done as it stands there.
    """
    before = _STARTS_FROM.search(page.read_text(encoding="utf-8"))
    if before:
        follow(page.with_name(before[1]), fork)
    for step in steps(page):
        do(step, fork)


def do(step: Step, fork: Path, variables: Mapping[str, str] | None = None) -> str:
    """Do one step, and return what it prints.

    Raises:
        AssertionError: it cannot be done as it stands there.
    """
    match step.action:
        case Action.RUN:
            return _shell(step, fork, variables or {})
        case Action.EDIT:
            git(fork, "apply", "-", given=step.text)
        case Action.WRITE:
            assert f"`{step.file}`" in step.before, f"line {step.line}: nothing names {step.file}"
            (fork / step.file).parent.mkdir(parents=True, exist_ok=True)
            (fork / step.file).write_text(step.text, encoding="utf-8")
    return ""


def _shell(step: Step, fork: Path, variables: Mapping[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euc", step.text],
        cwd=fork,
        env={**os.environ, "KUSTOMIZE": "", "NO_COLOR": "1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"line {step.line}: {step.text}\n{done.stdout}"
    return done.stdout
