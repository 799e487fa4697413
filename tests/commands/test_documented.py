"""The reference names every word of the command line, and every format."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from validate.commands import COMMANDS
from validate.commands.options import check_parser, command_parser
from validate.report import FORMATS

DOCS = Path(__file__).parent.parent.parent / "docs" / "reference"


def test_the_reference_has_exactly_the_options_that_there_are():
    text = (DOCS / "command-line.md").read_text(encoding="utf-8")
    table = text.partition("\n## Commands")[0]
    documented = set(re.findall(r"--[a-z][a-z-]*", table))
    options = {option for action in check_parser()._actions for option in action.option_strings}  # noqa: SLF001
    assert documented == {option for option in options if option.startswith("--")} - {"--help"}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_reference_has_every_command(command):
    text = (DOCS / "command-line.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `validate {command}[ `]", text, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_reference_has_exactly_the_options_of_a_command(command):
    """In the section of the command, or on a page of its own; commands without options may have neither."""
    own = DOCS / f"{command}.md"
    whole = (DOCS / "command-line.md").read_text(encoding="utf-8")
    section = own.read_text(encoding="utf-8") if own.exists() else _section(whole, f"### validate {command}")
    rows = "\n".join(line for line in section.splitlines() if line.startswith("| `"))
    documented = set(re.findall(r"--[a-z][a-z-]*", rows))
    options = {option for action in command_parser(command)._actions for option in action.option_strings}  # noqa: SLF001
    assert documented == {option for option in options if option.startswith("--")} - {"--help"}


def _section(text: str, heading: str) -> str:
    _, _, after = text.partition(f"\n{heading}\n")
    return re.split(r"^#+ ", after, maxsplit=1, flags=re.MULTILINE)[0]


def test_the_reference_has_exactly_the_formats_that_there_are():
    text = (DOCS / "reports.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z]+)` \|", text, re.MULTILINE) == list(FORMATS)
