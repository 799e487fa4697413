"""What make bench measures is what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools.bench import (
    Command,
    ask_for,
    ask_in_base,
    commit_all,
    generate,
    generate_small,
    inlined,
    medians,
    memory,
    peak_memory,
    restore_all,
    run_image,
)
from validate.diff.compare import Request, compare
from validate.discover import open_checkout
from validate.engine import check
from validate.kustomize.render import find_kustomize

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
MEGABYTES = 64


def test_generated_overlays_render_and_no_two_alike(tmp_path: Path) -> None:
    overlays = len(list((ROOT / "overlays").glob("*/kustomization.yaml")))
    generate(tmp_path, overlays + 1)
    first, *_, last = sorted((tmp_path / "overlays").iterdir(), key=lambda path: path.name[-3:])
    kustomize = find_kustomize(ROOT)
    rendered = [kustomize.build(tmp_path, f"overlays/{overlay.name}") for overlay in (first, last)]
    assert rendered[0] != rendered[1]
    marks = ('example.org/copy: "0"', f'example.org/copy: "{overlays}"')
    assert rendered[0].replace(marks[0], "") == rendered[1].replace(marks[1], "")


def test_a_small_overlay_has_nine_objects_and_no_two_are_alike(tmp_path: Path) -> None:
    generate_small(tmp_path, 2)
    kustomize = find_kustomize(ROOT)
    first, second = (kustomize.build(tmp_path, f"overlays/small-00{number}") for number in range(2))
    kinds = [line for line in first.splitlines() if line.startswith("kind: ")]
    assert len(kinds) == 9
    assert first != second


@pytest.mark.parametrize("write", [generate, generate_small])
def test_no_rule_finds_anything_in_what_is_measured(
    tmp_path: Path, write: Callable[[Path, int], None]
) -> None:
    write(tmp_path, len(list((ROOT / "overlays").glob("*/kustomization.yaml"))))
    report = check(open_checkout(tmp_path), open_checkout(tmp_path).overlays)
    assert (report.findings, report.waived, report.exit_status) == ((), (), 0)


def test_what_is_compared_is_one_overlay_or_all(tmp_path: Path) -> None:
    generate_small(tmp_path, 2)
    commit_all(tmp_path)

    def differing() -> list[str]:
        found = [one.name for one in compare(Request(tmp_path, "HEAD")).differing]
        restore_all(tmp_path)
        return found

    one = tmp_path / "overlays" / "small-000"
    assert differing() == []
    ask_for(one, memory=999)
    assert differing() == ["overlays/small-000"]
    run_image(one, "1")
    assert differing() == ["overlays/small-000"]
    ask_in_base(tmp_path, memory=999)
    assert differing() == ["overlays/small-000", "overlays/small-001"]


def test_an_inlined_schema_means_the_same_but_for_prose_and_recursion() -> None:
    definitions = {
        "Leaf": {"type": "string", "description": "prose"},
        "Tree": {"properties": {"child": {"$ref": "#/$defs/Tree"}, "leaf": {"$ref": "#/$defs/Leaf"}}},
    }
    schema = {"description": "prose", "properties": {"description": {"$ref": "/api/x.json#/$defs/Tree"}}}
    assert inlined(schema, definitions, ()) == {
        "properties": {"description": {"properties": {"child": {}, "leaf": {"type": "string"}}}}
    }


def test_a_command_that_fails_ends_the_measuring() -> None:
    command = Command((sys.executable, "-c", "import sys; sys.exit('no overlay')"), accepted=(0,))
    with pytest.raises(SystemExit, match="ended with 1:\nno overlay"):
        medians([command], rounds=1)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="this kernel does not tell")
def test_memory_counts_the_children_of_children() -> None:
    hold = f"held = b'x' * {MEGABYTES << 20}; print('held', flush=True); input()"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}], check=True)"
    words = [sys.executable, "-c", nested]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        held = memory(process.pid)
        process.stdin.write("\n")
    assert MEGABYTES <= held < 2 * MEGABYTES
    assert memory(process.pid) == 0


def test_the_peak_of_a_command_that_holds_nothing_is_small() -> None:
    peak = peak_memory(Command((sys.executable, "-c", ""), accepted=(0,)))
    assert peak is None or peak < MEGABYTES
