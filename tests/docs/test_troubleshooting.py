"""The table of failures has every failure that the tests cause, in the words that their clients see."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt

from tests.e2e.streams import read
from validate.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "troubleshooting.md"
STREAMS = ROOT / "tests" / "standin" / "streams"
E2E = ROOT / "tests" / "e2e"
# Streams of builds that end well.
SUCCESSES = {"success", "already-built"}
PHASES = {"waiting", "failed", "ready"}
# Reasons that Kubernetes gives, a command, and where a disk is: nothing that a test waits for.
NAMES_OF_KUBERNETES = {"OOMKilled", "Forbidden", "kubectl describe", "/var/lib/binderhub"}


class Row(NamedTuple):
    """A failure on the page.

    Attributes:
        line: where it stands, 1-based.
        stream: the cell of what the client sees.
        cluster: the cell of what the cluster says.
        found: the cell of what finds it before a merge.
    """

    line: int
    stream: str
    cluster: str
    found: str

    @property
    def cases(self) -> set[str]:
        """The recordings and tests behind the first cell, where no reader sees them."""
        comment = re.search(r"<!-- (.+) -->", self.stream)
        return set(comment[1].split(", ")) if comment else set()

    @property
    def tests(self) -> set[str]:
        return {case for case in self.cases if case.startswith("test_")}

    @property
    def recordings(self) -> set[str]:
        return self.cases - self.tests


def rows() -> list[Row]:
    found = []
    tokens = MarkdownIt().enable("table").parse(PAGE.read_text(encoding="utf-8"))
    inside = False
    for index, token in enumerate(tokens):
        inside = (inside or token.type == "tbody_open") and token.type != "tbody_close"
        if inside and token.type == "tr_open":
            cells = [one.content for one in tokens[index : index + 13] if one.type == "inline"]
            stream, cluster, _, before = cells
            found.append(Row(token.map[0] + 1, stream, cluster, before))
    return found


ROWS = rows()


def functions(name: str) -> dict[str, str]:
    """The tests of a module, each with its parameters and the texts of the module that it names."""
    body = ast.parse((E2E / f"{name}.py").read_text(encoding="utf-8")).body
    texts = {
        node.targets[0].id: ast.unparse(node)
        for node in body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    found = {}
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            named = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
            parts = [
                *map(ast.unparse, [*node.decorator_list, node]),
                *(texts[one] for one in named & texts.keys()),
            ]
            # A quote within a quoted text.
            found[node.name] = "\n".join(parts).replace("\\'", "'")
    return found


FAILURES = functions("test_failures")
# Beside those, the page has what a client sees of a missing right.
KNOWN = FAILURES | functions("test_rights")


def said(case: str) -> str:
    """Everything that the client of a recording saw, phases included."""
    events = read(STREAMS / f"{case}.txt").events
    return "\n".join(f"{event.phase}\n{event.message}" for event in events)


def literals(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def ids(row: Row) -> str:
    return f"line {row.line}"


def test_every_recorded_failure_is_on_the_page():
    recorded = {file.stem for file in STREAMS.glob("*.txt")} - SUCCESSES
    assert set().union(*(row.recordings for row in ROWS)) == recorded


def test_every_failure_that_the_tests_cause_is_on_the_page():
    assert set().union(*(row.tests for row in ROWS)) >= FAILURES.keys()


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_a_row_is_a_failure_that_was_caused(row):
    assert row.tests, "no test causes it"
    assert row.tests <= KNOWN.keys()


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_what_the_client_sees_is_word_for_word(row):
    """From the recording, where there is one; else what the test looks for. A phase is a phase."""
    seen = "\n".join(map(said, row.recordings) if row.recordings else (KNOWN[name] for name in row.tests))
    assert [words for words in literals(row.stream) if words not in seen and words not in PHASES] == []


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_what_the_cluster_says_is_what_a_test_waits_for(row):
    waited = "\n".join(KNOWN[name] for name in row.tests)
    for words in literals(row.cluster):
        pattern = re.escape(words).replace(re.escape("..."), ".+")
        assert words in NAMES_OF_KUBERNETES or re.search(pattern, waited), words


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_a_row_names_the_rule_that_finds_it_or_says_why_none_can(row):
    rules = re.findall(r"\[([a-z-]+)\]\(\.\./reference/rules/\1\.md\)", row.found)
    assert set(rules) <= {rule.id for rule in RULES}
    assert rules or re.fullmatch(r"none: \S.+", row.found)
