"""Completion: what may follow, and what shells make of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from validate.commands import COMMANDS
from validate.commands.completion import SCRIPTS, candidates
from validate.commands.options import SHELLS
from validate.rules import RULES

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def here(repository, monkeypatch):
    monkeypatch.chdir(repository({"overlays/eks/kustomization.yaml": "resources: []\n"}))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["k"], ["kind"]),
        (["eks", "ki"], ["kind"]),
        (["--jobs", "2", ""], ["eks", "kind"]),
        (["b"], ["build-pod"]),
        (["build-pod", ""], ["eks", "kind"]),
        (["--fail-on", ""], ["error", "warning"]),
        (["--report", "m"], ["markdown"]),
        (["--ver"], ["--verbose", "--version"]),
        (["--rule", "idle"], ["idle-docker-api"]),
        (["--explain", "split"], ["split-namespace"]),
        (["--print-completion", ""], ["bash", "zsh", "fish"]),
        (["schema", ""], ["fragment", "cluster", "report", "diff"]),
        (["diff", "--report", ""], ["text", "markdown", "html", "json"]),
        (["waive", "secret"], ["secret-in-git"]),
        (["waive", "secret-in-git", ""], ["eks", "kind"]),
        (["waive", "secret-in-git", "--owner", "me", "ek"], ["eks"]),
        (["waive", "secret-in-git", "eks", ""], []),
        (["waive", "--o"], ["--owner"]),
        (["rules", ""], []),
        (["--root", ""], []),
        (["--root=x", "ki"], ["kind"]),
    ],
)
def test_what_may_follow_is_offered_and_nothing_else(words, expected):
    assert candidates(words) == expected


@pytest.mark.usefixtures("here")
def test_at_the_beginning_there_are_overlays_and_commands():
    assert candidates([""]) == ["eks", "kind", *COMMANDS]
    assert candidates([]) == ["eks", "kind", *COMMANDS]
    assert candidates(["--rule", ""]) == [rule.id for rule in RULES]


def test_outside_a_repository_there_are_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert candidates([""]) == list(COMMANDS)


def test_the_script_of_every_shell_is_printed(run):
    assert SCRIPTS.keys() == set(SHELLS)
    for shell in SHELLS:
        assert run("--print-completion", shell) == (0, SCRIPTS[shell], "")


def test_bash_completes_with_its_script(repository):
    root = repository({})
    script = f"""
    validate() {{ {sys.executable} -m validate "$@"; }}
    eval "$(validate --print-completion bash)"
    complete -p validate
    COMP_WORDS=(validate build-pod ki); COMP_CWORD=2
    _validate
    printf '%s\\n' "${{COMPREPLY[@]}}"
    COMP_WORDS=(validate --report ''); COMP_CWORD=2
    _validate
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n") == [
        "complete -o default -F _validate validate",
        "kind",
        *("text", "json", "sarif", "junit", "github", "markdown"),
        "",
    ]


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_completes_with_its_script(repository):
    lines = ["build-pod ki", "--report ", "--root over", "waive secret-in-git k"]
    script = "\n".join(
        [
            f"function validate; {sys.executable} -m validate $argv; end",
            "validate --print-completion fish | source",
            *(f"complete -C 'validate {line}'; echo ---" for line in lines),
        ]
    )
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        cwd=repository({}),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = [part.split() for part in done.stdout.split("---\n")[:-1]]
    # It sorts what it shows.
    formats = ["github", "json", "junit", "markdown", "sarif", "text"]
    assert found == [["kind"], formats, ["overlays/"], ["kind"]]


# What a person does: a shell on a terminal, and the Tab key. It waits for what the terminal shows.
ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1='%'; autoload -Uz compinit; compinit -u -d $1"
zpty -w shell "validate() { $2 -m validate \\"\\$@\\" }"
zpty -w shell "eval \\"\\$(validate --print-completion zsh)\\"; echo rea''dy"
zpty -r -m shell output '*ready*'
zpty -w -n shell $'validate build-pod ki\\t'
zpty -r -m shell output '*build-pod kind*' && echo kind
zpty -w -n shell $'\\x15validate --report m\\t'
zpty -r -m shell output '*--report markdown*' && echo markdown
zpty -w -n shell $'\\x15validate --report \\t\\t'
zpty -r -m shell output '*sarif*' && echo formats
zpty -w -n shell $'\\x15validate --root over\\t'
zpty -r -m shell output '*--root overlays/*' && echo files
zpty -d shell
"""


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_completes_with_its_script(repository, tmp_path):
    done = subprocess.run(
        ["zsh", "-f", "-c", ZSH, "zsh", str(tmp_path / "zcompdump"), sys.executable],
        cwd=repository({}),
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == ["kind", "markdown", "formats", "files"]
