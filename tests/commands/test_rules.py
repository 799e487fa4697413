"""The page of a rule in the terminal."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from validate.cli import main
from validate.rules import RULES

ROOT = Path(__file__).parent.parent.parent
PAGE = """\
idle-docker-api

docker-api runs on nodes that no build pod can reach.

{body}

Severity: warning. Judges each overlay. {waits}
"""
WAITS = "Waits for unschedulable-build-pod and build-pod-without-docker-api to hold."


def test_a_rule_is_explained_with_its_page_and_a_case(run):
    status, output, errors = run("--explain", "idle-docker-api", "--root", str(ROOT))
    rule = next(rule for rule in RULES if rule.id == "idle-docker-api")
    head, found, case = output.partition("\n\nFound: ")
    body = inspect.getdoc(rule).partition("\n")[2].strip()
    assert (status, errors) == (0, "")
    assert f"{head}\n" == PAGE.format(body=body, waits=WAITS)
    assert found
    why, _, report = case.partition("\n\n")
    written = (ROOT / "docs/reference/rules/idle-docker-api.md").read_text(encoding="utf-8")
    assert f"## Found: {why}\n" in written
    assert "\n".join(line.removeprefix("  ") for line in report.splitlines()) in written
    assert "  warning[idle-docker-api] " in report


def test_a_rule_is_explained_where_there_are_no_pages(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--explain", "idle-docker-api"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("idle-docker-api\n\ndocker-api runs on nodes that no build pod can reach.\n\n")
    assert "Found:" not in output


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "idle-dockerapi",
            "there is no rule 'idle-dockerapi' (did you mean idle-docker-api?); 'validate rules' lists them",
        ),
        ("xyzzy", "there is no rule 'xyzzy'; 'validate rules' lists them"),
    ],
)
def test_an_unknown_rule_is_a_sentence_with_the_nearest(run, name, sentence):
    assert run("--explain", name) == (2, "", f"error: {sentence}\n")
    assert run("--rule", name) == (2, "", f"error: {sentence}\n")


def test_a_command_after_an_option_is_a_sentence(run):
    sentence = "rules is a command, and no overlay; write it first: validate rules"
    assert run("--verbose", "rules") == (2, "", f"error: {sentence}\n")


def test_the_help_names_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for command in ("rules", "build-pod", "schema", "waive"):
        assert f"\n  validate {command} " in shown
