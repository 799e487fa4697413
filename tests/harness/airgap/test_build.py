"""The order in which the supply is built, and what a person sees of it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.airgap.build import build, missing_parts
from tests.e2e.errors import CannotRunError

ROOT = Path(__file__).parents[3]


def names(parts):
    return {part.name: {needed.name for needed in needs} for part, needs in parts.items()}


def test_everything_is_missing_in_the_beginning(store, part):
    root, program = part("root"), part("program")
    image = part("image", root, program)
    assert names(missing_parts(store, [image])) == {
        "image": {"root", "program"}, "root": set(), "program": set(),
    }  # fmt: skip


def test_what_is_there_is_not_built_again(store, part):
    root, program = part("root"), part("program")
    store.keep(root)
    missing = missing_parts(store, [part("image", root, program), root])
    assert names(missing) == {"image": {"program"}, "program": set()}


def test_what_a_part_is_made_of_is_not_built_where_the_part_is_there(store, part):
    root = part("root")
    image = part("image", root)
    store.keep(root)
    store.keep(image)
    store.path(root).unlink()
    assert missing_parts(store, [image]) == {}
    assert names(missing_parts(store, [image, part("other", root)])) == {"other": {"root"}, "root": set()}


def test_a_part_is_built_after_all_that_it_needs(store, part, built):
    root, program = part("root"), part("program", part("source"))
    archive = part("archive", root, program)
    build(store, [part("node", archive, root), archive])
    assert sorted(built) == ["archive", "node", "program", "root", "source"]
    order = {name: number for number, name in enumerate(built)}
    assert order["source"] < order["program"] < order["archive"] < order["node"]
    assert order["root"] < order["archive"]


def test_what_takes_longest_begins_first(store, part, built, monkeypatch):
    monkeypatch.setattr("tests.e2e.airgap.build._AT_ONCE", 1)
    build(store, [part(name, minutes=minutes) for name, minutes in (("b", 2.0), ("c", 0.1), ("a", 10.0))])
    assert built == ["a", "b", "c"]


def test_two_are_built_at_a_time(store, part):
    together = threading.Barrier(2)

    def meet(bench):
        together.wait(60)
        bench.target.write_text("met")

    build(store, [part(name, build=meet) for name in ("a", "b", "c", "d")])


def test_a_part_that_several_need_is_built_once(store, part, built):
    root = part("root")
    build(store, [part("a", root), part("b", root), part("c", root)])
    assert built.count("root") == 1


def test_a_person_sees_what_is_built_and_how_far_it_is(store, part, capsys):
    build(store, [part("image", part("root", minutes=1.4), minutes=0.2)])
    said = re.sub(r"\d+ s$", "N s", capsys.readouterr().err, flags=re.MULTILINE)
    assert said == (
        f"supply: 2 to build into {store.directory}, about 2 min on two cores\n"
        "  the root ...\n"
        "  [1/2] the root: N s\n"
        "  the image ...\n"
        "  [2/2] the image: N s\n"
    )


def test_a_person_sees_nothing_where_there_is_nothing_to_build(store, part, capsys):
    store.keep(part())
    build(store, [part()])
    assert capsys.readouterr() == ("", "")


def test_after_a_failure_nothing_new_begins_and_what_was_built_is_kept(store, part, built):
    done = part("done", minutes=10.0)

    def fail(bench):
        bench.run("false")

    failing = part("failing", done, build=fail)
    with pytest.raises(CannotRunError, match=r"^the failing: false failed \(exit status 1\); the log "):
        build(store, [part("last", failing)])
    assert built == ["done", "failing"]
    assert store.has(done)


def test_what_is_built_beside_a_failure_is_stopped(store, part, tmp_path):
    pid = tmp_path / "pid"

    def take_long(bench):
        bench.run("sh", "-c", 'echo $$ >"$0.new"; mv "$0.new" "$0"; exec sleep 600', pid)

    def fail(bench):
        while not pid.exists():
            time.sleep(0.01)
        bench.run("false")

    long = part("long", build=take_long, minutes=10.0)
    with pytest.raises(CannotRunError, match="the failing: false failed"):
        build(store, [long, part("failing", build=fail), part("waiting")])
    assert not Path("/proc", pid.read_text().strip()).exists()
    assert not store.has(long)


LONG = """
import sys
from pathlib import Path
from tests.e2e.airgap.build import build
from tests.e2e.airgap.store import Part, Store

def take_long(bench):
    bench.target.write_text("half")
    bench.run("sh", "-c", 'echo $$ >"$0.new"; mv "$0.new" "$0"; exec sleep 600', sys.argv[2])

parts = [Part(name, name, 1.0, take_long, ()) for name in ("one", "two", "three")]
build(Store(Path(sys.argv[1])), parts)
"""


def test_an_interrupted_supply_ends_what_it_has_begun_and_leaves_nothing(store, tmp_path):
    pid = tmp_path / "pid"
    process = subprocess.Popen(
        [sys.executable, "-c", LONG, store.directory, pid], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    while not pid.exists():
        time.sleep(0.05)
    # To it alone, as `kill` sends it; a terminal would tell the commands as well.
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]
    assert not Path("/proc", pid.read_text().strip()).exists()
    left = {path.suffix for path in store.directory.iterdir()}
    assert left == {".lock", ".log"}
