"""The command line: which words mean what, and what goes to which stream."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import validate
from validate.cli import main
from validate.rules import RULES

ROOT = Path(__file__).parent.parent
DEAD = "resources: [configmap.yaml]\nimages: [{name: nobody-runs-it, newTag: '1'}]\n"


@pytest.fixture
def run(repository, monkeypatch, capsys):
    """Return a function that runs ``validate`` in a repository: its status and both streams."""

    def call(*arguments, files=None):
        monkeypatch.chdir(repository(files or {}))
        return main(arguments), *capsys.readouterr()

    return call


def test_a_clean_repository_is_status_0_and_says_what_was_checked(run):
    status, output, errors = run()
    assert (status, errors) == (0, "")
    assert "overlays/kind " in output
    assert output.endswith("all that apply hold (exit status 0)\n")


def test_a_finding_is_status_1(run):
    status, output, errors = run(files={"overlays/kind/kustomization.yaml": DEAD})
    assert (status, errors) == (1, "")
    assert output.startswith("overlays/kind\n\nerror[dead-patch] overlays/kind/kustomization.yaml:2:")


def test_what_cannot_be_checked_is_status_2_and_a_sentence_on_standard_error(run):
    status, output, errors = run(files={"argocd/applicationset.yaml": "a: ["})
    assert status == 2
    assert errors.startswith("error: argocd/applicationset.yaml:")
    assert output.endswith("(exit status 2)\n")


def test_only_the_overlays_that_are_named_are_checked(run):
    files = {"overlays/eks/kustomization.yaml": "resources: []\n", "overlays/eks/x": ""}
    _, output, _ = run("kind", files=files)
    assert "overlays/kind " in output
    assert "overlays/eks" not in output


def test_the_root_can_be_named_from_elsewhere(repository, tmp_path, monkeypatch, capsys):
    root = repository({})
    monkeypatch.chdir(tmp_path)
    assert main(["--root", str(root), "kind"]) == 0
    assert main(["--root", str(root), "overlays/kind"]) == 0
    assert main([]) == 2
    assert "--root" in capsys.readouterr().err


def test_a_directory_without_kustomization_is_mentioned(run):
    status, output, _ = run(files={"overlays/half/cluster.yaml": "disposable: true\n"})
    assert status == 0
    assert "note: overlays/half has no kustomization.yaml and was not checked\n" in output


def test_a_kind_without_a_schema_is_mentioned_once(run):
    widget = "apiVersion: example.org/v1\nkind: Widget\nmetadata: {name: a}\nsize: big\n"
    here = {"kustomization.yaml": "resources: [widget.yaml]\n", "widget.yaml": widget}
    files = {f"overlays/{name}/{file}": text for name in ("aks", "eks") for file, text in here.items()}
    status, output, _ = run(files=files)
    assert status == 0
    said = "there is no schema of Widget (example.org/v1), so its fields were not checked"
    assert f"note: overlays/aks, overlays/eks: {said} " in " ".join(output.split())


def test_one_rule_is_judged_with_those_it_requires_and_no_other(run):
    _, output, _ = run("--rule", "idle-docker-api", "--verbose")
    required = {"idle-docker-api", "unschedulable-build-pod", "build-pod-without-docker-api"}
    assert {rule.id for rule in RULES if rule.id in output} == required


def test_an_unknown_rule_is_an_error(run):
    assert run("--rule", "no-such-rule") == (
        2,
        "",
        "error: there is no rule 'no-such-rule'; 'validate rules' lists them\n",
    )


def test_a_name_that_the_system_refuses_is_an_error_in_words(run):
    status, output, errors = run("--root", "x" * 5000)
    assert (status, output) == (2, "")
    assert errors.endswith("cannot be used (File name too long)\n")


def test_a_mistake_outside_any_rule_is_an_error_in_words(run, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("validate.engine.cores", lambda: "two")
    status, output, errors = run()
    assert (status, output) == (2, "")
    assert errors.startswith("error: checking failed on the repository (TypeError: ")
    assert "VALIDATE_DEBUG=1" in errors


def test_rules_are_listed_one_in_a_line(run):
    status, output, _ = run("rules")
    assert status == 0
    assert [line.split()[0] for line in output.splitlines()] == [rule.id for rule in RULES]
    by_id = {line.split()[0]: line for line in output.splitlines()}
    assert "error    repository  A patch, image" in by_id["dead-patch"]
    assert "warning  overlay " in by_id["idle-docker-api"]


def test_an_overlay_may_be_called_rules(run):
    files = {"overlays/rules/kustomization.yaml": "resources: []\n"}
    _, output, _ = run("overlays/rules", files=files)
    assert "overlays/rules " in output


@pytest.mark.parametrize("arguments", [["--no-such-option"], ["--jobs", "0"], ["--jobs", "many"], ["--ver"]])
def test_an_option_that_makes_no_sense_is_status_2(run, capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
    assert "usage: validate" in capsys.readouterr().err


def test_the_version_is_that_of_the_project(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"validate {validate.__version__}\n"
    assert f'\nversion = "{validate.__version__}"\n' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def on_a_terminal(root, **environment):
    """Return what a run writes to a terminal."""
    terminal, stream = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    command = [sys.executable, "-m", "validate", "--root", str(root)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=stream, env={**variables, **environment})
    os.close(stream)
    shown = b""
    try:
        while part := os.read(terminal, 65536):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    process.wait(timeout=60)
    return shown.decode()


def test_colours_are_for_terminals_that_want_them(repository):
    root = repository({"overlays/kind/kustomization.yaml": DEAD})
    assert "\x1b[1;31merror[dead-patch]\x1b[0m" in on_a_terminal(root)
    assert "\x1b" not in on_a_terminal(root, NO_COLOR="1")


def test_what_a_stream_cannot_encode_is_spelt_out(repository):
    root = repository(
        {"overlays/kind/kustomization.yaml": "resources: [configmap.yaml]\nimages: [{name: caf\u00e9}]\n"}
    )
    done = subprocess.run(
        [sys.executable, "-m", "validate", "--root", str(root)],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert b"caf\\xe9" in done.stdout
    assert (done.returncode, done.stderr) == (1, b"")


def test_modules_that_are_slow_to_import_are_left_alone_on_a_clean_run(repository):
    script = (
        "import sys; from validate.cli import main\n"
        f"status = main(['--root', {str(repository({}))!r}])\n"
        "slow = {'rich', 'jsonschema', 'kubernetes', 'kubernetes_validate', 'multiprocessing'}\n"
        "sys.exit(status or ', '.join(slow & sys.modules.keys()) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
