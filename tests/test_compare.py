"""What make compare says of a tool is what the tool's output says."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from tools.compare import EDITS, SOURCES, Entry, edited_lines, read_validate, validate, verdict

ROOT = Path(__file__).resolve().parent.parent
FILE = "base/service.yaml"


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.title)
def test_each_edit_still_fits_the_file_that_it_names(edit, tmp_path):
    for name in SOURCES:
        shutil.copytree(ROOT / name, tmp_path / name)
    assert edit.make(tmp_path)
    assert (tmp_path / edit.file).read_text() != (ROOT / edit.file).read_text()


@pytest.mark.parametrize(
    ("after", "lines"),
    [
        ("a:\n  b: 1\n  c: 3\nd:\n", {3}),
        ("a:\n  b: 1\n  c: 2\n  e: 4\nd:\n", {4}),
        ("a:\n  b: 1\nd:\n", {1}),
        ("a:\n  b: 1\n  c: 2\n", {1}),
        ("a:\n  b: 1\n  c: 2\nd:\n", set()),
    ],
    ids=["changed", "added", "removed", "removed at the top", "the same"],
)
def test_the_place_of_an_edit_is_its_new_lines_or_what_the_removed_ones_stood_under(after, lines):
    assert edited_lines("a:\n  b: 1\n  c: 2\nd:\n", after) == lines


def test_what_is_removed_from_a_list_item_stood_under_the_item_and_not_under_a_comment():
    before = "list:\n  - name: a\n    # why\n    probe:\n      x: 1\n"
    assert edited_lines(before, "list:\n  - name: a\n    # why\n") == {2}


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ([], "not reported"),
        ([Entry(("old",), "old")], "not reported"),
        ([Entry(("new",), "new", FILE, 3)], "at its line: new"),
        ([Entry(("new",), "new", FILE, 4)], "elsewhere: new"),
        ([Entry(("new",), "new", "service.yaml", 3)], "elsewhere: new"),
        ([Entry(("new",), "new", waived=True)], "not reported: a waiver covers it"),
        ([Entry(("old",), "old", FILE, 3), Entry(("new",), "new")], "elsewhere: new"),
    ],
)
def test_a_tool_reports_an_edit_only_where_it_says_something_new(after, said):
    assert verdict(Counter([Entry(("old",), "old")]), Counter(after), FILE, {3}) == said


def test_the_same_once_more_is_new():
    old = Entry(("same",), "same")
    assert verdict(Counter([old]), Counter([old, old]), FILE, {3}) == "elsewhere: same"


def test_the_unedited_overlays_have_no_error_and_their_waivers_are_read():
    entries = validate().entries(ROOT)
    assert any(entry.waived for entry in entries)
    assert all(entry.file and entry.line for entry in entries)
    assert list(read_validate('{"findings": [], "waived": []}')) == []
