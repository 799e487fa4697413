"""The line that made a difference is the line that was edited, whatever wrote it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.test_trace import FIXTURE, ROOT, edit, sample, traced
from validate.diff.causes import Causes, Side, changed_lines
from validate.diff.objects import object_change
from validate.diff.overlays import generated_renames
from validate.diff.pairing import pairs
from validate.kustomize.reach import reach

# Of each kind of writer, and in the fixture of each file; every one is a rendering.
SAMPLE = 2


def copied(root, files, to):
    for file in files:
        target = Path(os.path.normpath(to / file))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / file, target)
    return to


def side(root, overlay):
    return traced(root, overlay), Side(root, overlay, reach(root, overlay))


def changes(before, after):
    together = pairs(before[0].objects, after[0].objects)
    causes = Causes(before[1], after[1])
    told = [object_change(pair, causes, generated_renames(together)) for pair in together]
    return [one for one in told if one is not None]


def causes_of(told):
    for one in told:
        yield from (field.cause for field in one.fields)
        if one.cause is not None:
            yield one.cause


@pytest.mark.parametrize(
    ("root", "overlay"), [(FIXTURE, "overlay"), (ROOT, "overlays/eks"), (ROOT, "overlays/kind")]
)
def test_the_cause_of_every_difference_is_the_line_that_was_edited(root, overlay, tmp_path):
    before = side(root, overlay)
    chosen, seen = [], {}
    for entry in sample(before[0].objects, root):
        key = entry[3].writer
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= SAMPLE:
            chosen.append(entry)
    assert len(chosen) > SAMPLE
    for number, (item, path, scalar, origin) in enumerate(chosen):
        here = copied(root, before[0].reads, tmp_path / str(number) / "tree" / "tree")
        source = here / origin.file
        text = source.read_text(encoding="utf-8")
        source.write_text(edit(text, origin, scalar), encoding="utf-8")
        told = changes(before, side(here, overlay))
        assert told, (item.title, path, str(origin))
        # What is called something else now goes as well, by the line as it was.
        assert {str(cause.origin) for cause in causes_of(told)} == {str(origin)}, (item.title, path)


def test_a_file_that_comes_or_goes_is_told_by_the_line_that_names_it(tmp_path):
    overlay = "overlays/eks"
    files = traced(ROOT, overlay).reads
    here = copied(ROOT, files, tmp_path / "tree" / "tree")
    kustomization = here / overlay / "kustomization.yaml"
    text = kustomization.read_text(encoding="utf-8")
    line = next(n for n, one in enumerate(text.splitlines(), start=1) if "components/image-cleaner" in one)
    kustomization.write_text(text.replace("  - ../../components/image-cleaner\n", ""), encoding="utf-8")
    where = f"{overlay}/kustomization.yaml:{line}"
    one, other = side(ROOT, overlay), side(here, overlay)
    assert {(str(cause.origin), cause.gone) for cause in causes_of(changes(one, other))} == {(where, True)}
    assert {(str(cause.origin), cause.gone) for cause in causes_of(changes(other, one))} == {(where, False)}


@pytest.mark.parametrize(
    ("before", "after", "gone", "come"),
    [
        ("a b c", "a b c", "", ""),
        ("a b c", "a x c", "2", "2"),
        ("a b c", "a c", "2", ""),
        ("a c", "a b c", "", "2"),
        ("", "a b", "", "1 2"),
    ],
)
def test_the_lines_that_go_and_come_are_counted_from_one(before, after, gone, come):
    found = changed_lines(before.split(), after.split())
    assert found == tuple(frozenset(map(int, text.split())) for text in (gone, come))


def test_of_two_texts_that_are_long_and_nothing_alike_every_line_differs():
    before, after = [str(n) for n in range(3000)], [str(-n) for n in range(1, 3001)]
    gone, come = changed_lines(before, after)
    assert (len(gone), len(come)) == (3000, 3000)
