"""The cache of the supply: what is in it is whole, and was made of what it is made of now."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.airgap.store import Store, default_directory
from tests.e2e.errors import CannotRunError

ROOT = Path(__file__).parents[3]
DAY = 24 * 3600


def kept(store: Store) -> list[str]:
    """What is in the cache, beside locks and logs."""
    there = sorted(path.name for path in store.directory.iterdir())
    return [name for name in there if not name.endswith((".lock", ".log"))]


def test_a_part_is_built_once(store, part, built):
    first, again = store.keep(part()), store.keep(part())
    assert first == again
    assert first.read_text() == "part"
    assert built == ["part"]
    assert kept(store) == [first.name]


def test_a_part_has_the_hash_of_what_it_is_made_of_in_its_name(store, part):
    one = part()
    assert store.keep(one).name == f"part-{one.key}"
    assert len(one.key) == 12


@pytest.fixture
def sources(tmp_path):
    """Files that a part is made of."""
    directory = tmp_path / "sources"
    (directory / "deep").mkdir(parents=True)
    (directory / "main.go").write_text("package main\n")
    (directory / "deep" / "tool").write_text("#!/bin/sh\n")
    return directory


CHANGES = {
    "a file has other content": lambda files: (files / "main.go").write_text("package other\n"),
    "a file has another name": lambda files: (files / "main.go").rename(files / "other.go"),
    "a file lies elsewhere": lambda files: (files / "deep" / "tool").rename(files / "tool"),
    "a file is new": lambda files: (files / "new").write_text(""),
    "a file is gone": lambda files: (files / "main.go").unlink(),
    "a file may be run": lambda files: (files / "deep" / "tool").chmod(0o755),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_key_changes_when_a_file_does(change, sources, part):
    before = part(inputs=(sources,)).key
    change(sources)
    assert part(inputs=(sources,)).key != before


NO_CHANGES = {
    "Python has compiled a module": lambda files: (files / "deep" / "tool.cpython-311.pyc").write_text("x"),
    "a file was touched": lambda files: os.utime(files / "main.go", (1, 1)),
    "somebody else may read it": lambda files: (files / "main.go").chmod(0o604),
}


@pytest.mark.parametrize("change", NO_CHANGES.values(), ids=NO_CHANGES)
def test_the_key_is_the_same_when_nothing_changes_that_counts(change, sources, part):
    before = part(inputs=(sources,)).key
    change(sources)
    assert part(inputs=(sources,)).key == before


def test_the_key_is_the_same_in_another_clone(sources, part, tmp_path):
    clone = shutil.copytree(sources, tmp_path / "clone" / "sources")
    assert part(inputs=(clone,)).key == part(inputs=(sources,)).key


def test_the_key_changes_with_text_and_with_what_is_needed(part):
    keys = [
        part().key,
        part("other").key,
        part(inputs=("flags",)).key,
        part(inputs=("fla", "gs")).key,
        part(inputs=("flags", "")).key,
        part("part", part("needed")).key,
        part("part", part("needed", inputs=("flags",))).key,
        part("part", part("needed", part("deeper"))).key,
    ]
    assert len(set(keys)) == len(keys)


def test_the_key_does_not_change_with_what_people_are_told(part):
    assert part(title="another", minutes=20.0).key == part().key


def test_a_builder_finds_what_it_needs(store, part):
    needed = part("needed")
    store.keep(needed)

    def build(bench):
        assert list(bench.scratch.iterdir()) == []
        bench.target.write_text(f"made of {bench.made['needed'].read_text()}, {bench.key}")

    whole = part("whole", needed, build=build)
    assert store.keep(whole).read_text() == f"made of needed, {whole.key}"
    assert kept(store) == sorted([store.path(needed).name, store.path(whole).name])


def test_a_builder_can_make_a_directory(store, part):
    def build(bench):
        bench.target.mkdir()
        (bench.target / "file").write_text("x")

    assert (store.keep(part(build=build)) / "file").read_text() == "x"


def test_the_output_of_a_command_can_be_read(store, part):
    def build(bench):
        bench.target.write_text(bench.output("printf", "one\\ntwo\\n"))

    assert store.keep(part(build=build)).read_text() == "one\ntwo\n"


def half(bench):
    """Write half of a part, beside the rest of a build."""
    bench.target.write_text("half")
    (bench.scratch / "deep").mkdir()
    (bench.scratch / "deep" / "object.o").write_text("x")


def test_an_interrupted_build_leaves_nothing_and_is_built_again(store, part):
    def interrupted(bench):
        half(bench)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.keep(part(build=interrupted))
    assert kept(store) == []
    assert store.keep(part()).read_text() == "part"


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.e2e.airgap.store import Part, Store

def build(bench):
    bench.target.write_text("half")
    (bench.scratch / "object.o").write_text("x")
    os.kill(os.getpid(), signal.SIGKILL)

Store(Path(sys.argv[1])).keep(Part("part", "the part", 1.0, build, ()))
"""


def test_what_a_killed_build_has_left_is_not_believed(store, part, built):
    done = subprocess.run([sys.executable, "-c", KILLED, store.directory], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert kept(store) == ["part.new", "part.scratch"]
    assert not store.has(part())
    assert store.keep(part()).read_text() == "part"
    assert built == ["part"]
    assert kept(store) == [store.path(part()).name]


def test_a_directory_in_the_place_of_a_file_is_not_in_the_way(store, part):
    (store.directory / "part.new" / "deep").mkdir(parents=True)
    store.directory.joinpath("part.scratch").write_text("a file")
    assert store.keep(part()).read_text() == "part"


def test_a_failing_command_gives_one_sentence_and_the_end_of_the_log(store, part):
    def build(bench):
        half(bench)
        bench.run("sh", "-c", "seq 1 20; echo no space >&2; exit 3")

    with pytest.raises(CannotRunError) as caught:
        store.keep(part(build=build))
    numbers = "".join(f"\n  {number}" for number in range(7, 21))
    assert str(caught.value) == (
        f"the part: sh failed (exit status 3); the log {store.directory}/part.log ends with"
        f"{numbers}\n  no space"
    )
    assert kept(store) == []


def test_the_log_says_what_was_run(store, part):
    store.keep(part(build=lambda bench: bench.run("cp", "/dev/null", bench.target)))
    log = (store.directory / "part.log").read_text()
    assert log == f"$ cp /dev/null {store.directory}/part.new\n"


def test_a_command_gets_the_environment_and_what_is_added(store, part, monkeypatch, tmp_path):
    monkeypatch.setenv("KEPT", "a")

    def build(bench):
        bench.run("sh", "-c", 'echo "$KEPT$ADDED $PWD" >"$0"', bench.target, cwd=tmp_path, env={"ADDED": "b"})

    assert store.keep(part(build=build)).read_text() == f"ab {tmp_path}\n"


def test_a_command_that_is_not_there_is_named(store, part):
    with pytest.raises(CannotRunError) as caught:
        store.keep(part(build=lambda bench: bench.run("no-such-command")))
    assert str(caught.value) == (
        "the part: no-such-command is not installed, and the air-gapped supply needs it; "
        "tests/e2e/airgap/README.md says what it needs; "
        f"the log {store.directory}/part.log ends with\n  $ no-such-command"
    )


def test_a_disk_that_is_full_is_one_sentence(store, part):
    def build(bench):
        half(bench)
        Path("/dev/full").write_text("x" * 100)

    with pytest.raises(CannotRunError) as caught:
        store.keep(part(build=build))
    assert str(caught.value) == (
        f"the part cannot be written into {store.directory} (No space left on device); "
        "make room there, or name another directory in BINDERHUB_SERVICE_CACHE"
    )
    assert kept(store) == []


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path, part):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotRunError) as caught:
        Store(tmp_path / "file" / "cache").keep(part())
    assert str(caught.value) == (
        f"the cache {tmp_path}/file/cache cannot be written (Not a directory); "
        "name another directory in BINDERHUB_SERVICE_CACHE"
    )


def test_a_cache_of_somebody_else_does_as_well(store, part, monkeypatch):
    path = store.keep(part())

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert store.keep(part()) == path


def test_threads_that_want_one_part_build_it_once(store, part, built):
    start = threading.Barrier(8)

    def keep(_):
        start.wait()
        return store.keep(part())

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(keep, range(8)))) == 1
    assert built == ["part"]


COUNTING = """
import sys
from pathlib import Path
from tests.e2e.airgap.store import Part, Store

def build(bench):
    with open(sys.argv[2], "a") as count:
        count.write("built\\n")
    bench.target.write_text("part")

print(Store(Path(sys.argv[1])).keep(Part("part", "the part", 1.0, build, ())).read_text())
"""


def test_processes_that_want_one_part_build_it_once(store, tmp_path):
    count = tmp_path / "count"
    command = [sys.executable, "-c", COUNTING, store.directory, count]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[0] for process in running] == ["part\n"] * 4
    assert count.read_text() == "built\n"


def test_a_command_is_ended_when_nobody_waits_for_the_part_any_more(store, part, tmp_path):
    stopping = threading.Event()
    pid = tmp_path / "pid"

    def build(bench):
        half(bench)
        threading.Thread(target=stop_once_there, args=(pid, stopping)).start()
        bench.run("sh", "-c", 'echo $$ >"$0.new"; mv "$0.new" "$0"; exec sleep 600', pid)

    with pytest.raises(CannotRunError, match="interrupted"):
        store.keep(part(build=build), stopping)
    assert not Path("/proc", pid.read_text().strip()).exists()
    assert kept(store) == []


def stop_once_there(file, stopping):
    while not file.exists():
        time.sleep(0.01)
    stopping.set()


def test_whoever_waits_for_another_builder_can_be_interrupted(store, part):
    begun, end, stopping = threading.Event(), threading.Event(), threading.Event()

    def build(bench):
        begun.set()
        end.wait(60)
        bench.target.write_text("part")

    stopping.set()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(store.keep, part(build=build))
        assert begun.wait(60)
        with pytest.raises(CannotRunError, match="interrupted while another process builds part"):
            store.keep(part(), stopping)
        end.set()
        assert other.result().read_text() == "part"


def versions(store, part, ages):
    """Have versions of a part that were wanted so many days ago."""
    for number, days in enumerate(ages):
        path = store.keep(part(inputs=(str(number),)))
        then = time.time() - days * DAY
        os.utime(path, (then, then))
        yield path


def test_what_nobody_has_wanted_for_a_month_is_forgotten(store, part):
    old, recent = versions(store, part, [31, 29])
    new = store.keep(part())
    assert kept(store) == sorted([recent.name, new.name])
    assert not old.exists()


def test_what_is_wanted_again_is_not_forgotten(store, part):
    (old,) = versions(store, part, [31])
    assert store.has(part(inputs=("0",)))
    new = store.keep(part())
    assert kept(store) == sorted([old.name, new.name])


def test_of_many_versions_the_latest_four_are_kept(store, part):
    paths = list(versions(store, part, [5, 1, 4, 2, 3]))
    new = store.keep(part())
    assert kept(store) == sorted([paths[1].name, paths[3].name, paths[4].name, new.name])


def test_other_parts_are_not_forgotten(store, part):
    others = [store.keep(part(name)) for name in ("part-root", "par", "part.tar")]
    for path in others:
        os.utime(path, (0, 0))
    new = store.keep(part())
    assert kept(store) == sorted([*(path.name for path in others), new.name])


def test_the_cache_is_a_directory_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("BINDERHUB_SERVICE_CACHE", raising=False)
    assert default_directory() == tmp_path / "home" / ".cache" / "binderhub-service"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_directory() == tmp_path / "xdg" / "binderhub-service"
    monkeypatch.setenv("BINDERHUB_SERVICE_CACHE", str(tmp_path / "large"))
    assert default_directory() == tmp_path / "large" / "binderhub-service"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BINDERHUB_SERVICE_CACHE", "near")
    assert default_directory() == tmp_path / "near" / "binderhub-service"
