"""The engine that is started where none answers, with commands that play docker and dockerd."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.airgap import engine
from tests.e2e.airgap.engine import Engine, engine_answers, engine_is_forbidden, may_give
from tests.e2e.errors import CannotRunError

# Answers as docker does while dockerd has its file.
DOCKER = '[ -e "$ANSWERS" ] && echo 20.10.24 || { echo "Cannot connect to the Docker daemon" >&2; exit 1; }'
DOCKERD = """
echo "$0 $*" >>"$CALLS"
for word; do case "$word" in --pidfile=*) echo $$ >"${word#--pidfile=}" ;; esac; done
trap 'rm -f "$ANSWERS"; exit' TERM
: >"$ANSWERS"
while :; do sleep 0.05; done
"""
CAP_SYS_RESOURCE = 24


@pytest.fixture
def own(tmp_path, command, monkeypatch):
    """An engine that can be started."""
    monkeypatch.setenv("ANSWERS", str(tmp_path / "answers"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    command("docker", DOCKER)
    command("dockerd", DOCKERD)
    own = Engine(tmp_path / "cache" / "engine", runtimes=tmp_path / "run")
    yield own
    own.stop()


def options(tmp_path):
    """What dockerd was called with, once."""
    (call,) = (tmp_path / "calls").read_text().splitlines()
    return call.split()[1:]


def test_an_engine_is_started_once_and_stopped(own, tmp_path):
    assert not own.runs
    assert not engine_answers(own.host)
    own.start()
    own.start()
    assert own.runs
    assert engine_answers(own.host) == "20.10.24"
    assert len((tmp_path / "calls").read_text().splitlines()) == 1
    own.stop()
    assert not own.runs
    assert not (tmp_path / "answers").exists()
    assert list((tmp_path / "run").iterdir()) == []


def test_engines_with_other_data_have_other_sockets(own):
    other = Engine(own.directory.with_name("other"), runtimes=own.runtimes)
    own.start()
    other.stop()
    assert own.runtime != other.runtime
    assert own.runtime.parent == other.runtime.parent
    assert own.runtime.is_dir()


def test_stopping_what_does_not_run_is_fine(own):
    own.stop()
    own.start()
    own.stop()
    own.stop()


@pytest.mark.parametrize("may", [True, False])
def test_runc_is_wrapped_only_where_it_cannot_give_the_capability(own, tmp_path, monkeypatch, may):
    monkeypatch.setattr(engine, "may_give", lambda capability: {CAP_SYS_RESOURCE: may}[capability])
    own.start()
    wrapper = Path(engine.__file__).parent / "engine" / "runc-without-sys-resource"
    assert wrapper.is_file()
    assert os.access(wrapper, os.X_OK)
    wrapped = [
        f"--add-runtime=without-sys-resource={wrapper}",
        "--default-runtime=without-sys-resource",
    ]
    assert options(tmp_path) == [
        f"--host=unix://{own.runtime}/engine.sock",
        f"--data-root={tmp_path}/cache/engine/data",
        f"--exec-root={own.runtime}/engine",
        f"--pidfile={tmp_path}/cache/engine/dockerd.pid",
        *([] if may else wrapped),
    ]


def test_what_this_machine_may_give_is_what_the_kernel_says():
    prctl, read_bounding_set = ctypes.CDLL(None).prctl, 23
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        assert may_give(capability) == bool(prctl(read_bounding_set, capability, 0, 0, 0))


def test_the_socket_of_the_usual_engine_has_a_path_that_a_socket_may_have(tmp_path):
    assert len(Engine(tmp_path / ("x" * 200)).host.removeprefix("unix://")) < 107


def test_an_engine_that_does_not_come_up_says_its_last_words(own, command):
    command("dockerd", 'echo "starting" ; echo "failed to start daemon: no iptables" ; echo; exit 1')
    with pytest.raises(CannotRunError) as caught:
        own.start()
    assert str(caught.value) == (
        f"the Docker engine does not come up; the log {own.directory}/dockerd.log ends with: "
        "failed to start daemon: no iptables"
    )


def test_an_engine_that_never_answers_is_stopped(own, command, monkeypatch, tmp_path):
    monkeypatch.setattr(engine, "_START_SECONDS", 0.5)
    command("dockerd", f"echo $$ >{tmp_path}/pid; exec sleep 600")
    with pytest.raises(CannotRunError, match="ends with: nothing"):
        own.start()
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_an_interrupted_start_leaves_no_engine(own, command, monkeypatch):
    command("docker", "exit 1")

    sleep = engine.time.sleep

    def interrupt(_):
        monkeypatch.setattr(engine.time, "sleep", sleep)
        raise KeyboardInterrupt

    monkeypatch.setattr(engine.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        own.start()
    assert not own.runs


def test_without_dockerd_one_sentence_says_what_to_start(own, command, monkeypatch):
    monkeypatch.setenv("PATH", str(command("dockerd", "").parent))
    command("dockerd", "").unlink()
    with pytest.raises(CannotRunError) as caught:
        own.start()
    assert str(caught.value) == (
        "no Docker engine answers, and there is none to start: start Docker, "
        "or on Debian run tests/e2e/airgap/install as root, and this starts one for itself"
    )


def test_nobody_but_root_starts_an_engine(own, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CannotRunError) as caught:
        own.start()
    assert str(caught.value) == (
        "no Docker engine answers, and only root can start one: start Docker, or run this as root"
    )
    assert not own.directory.exists()


def test_a_cache_that_cannot_be_written_is_one_sentence(own, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(CannotRunError) as caught:
        own.start()
    assert str(caught.value) == (
        f"the Docker engine cannot be started: {tmp_path}/cache/engine: Not a directory"
    )


def test_a_process_that_has_the_number_of_an_engine_is_left_alone(own):
    own.directory.mkdir(parents=True)
    with subprocess.Popen(["sleep", "600"]) as other:
        (own.directory / "dockerd.pid").write_text(str(other.pid))
        assert not own.runs
        own.stop()
        assert other.poll() is None
        other.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("text", ["", "x", "999999999"])
def test_a_pid_file_that_means_nothing_is_passed_over(own, text):
    own.directory.mkdir(parents=True)
    (own.directory / "dockerd.pid").write_text(text)
    own.stop()


def test_an_engine_that_does_not_stop_is_named(own, command, monkeypatch):
    command("dockerd", re.sub(r"trap .*", "trap '' TERM", DOCKERD))
    own.start()
    pid = int((own.directory / "dockerd.pid").read_text())
    monkeypatch.setattr(engine, "_STOP_SECONDS", 0.2)
    with pytest.raises(CannotRunError) as caught:
        own.stop()
    assert str(caught.value) == (
        f"the Docker engine (process {pid}) does not stop; its log is {own.directory}/dockerd.log"
    )
    os.kill(pid, signal.SIGKILL)
    monkeypatch.undo()


def test_an_engine_that_hangs_does_not_answer(command, monkeypatch):
    monkeypatch.setattr(engine, "_ANSWER_SECONDS", 0.2)
    command("docker", "exec sleep 600")
    assert engine_answers() == ""


def test_without_docker_nothing_answers(command, monkeypatch):
    monkeypatch.setenv("PATH", str(command("unused", "").parent))
    assert engine_answers() == ""
    assert not engine_is_forbidden()


def test_the_engine_that_is_asked_is_the_one_that_is_named(command, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///one")
    command("docker", 'echo "$DOCKER_HOST"')
    assert engine_answers() == "unix:///one"
    assert engine_answers("unix:///two") == "unix:///two"


@pytest.mark.parametrize(
    ("said", "forbidden"),
    [
        ("permission denied while trying to connect to the Docker daemon socket at unix:///x", True),
        ("Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?", False),
    ],
)
def test_an_engine_that_may_not_be_used_is_told_from_one_that_is_not_there(command, said, forbidden):
    command("docker", f"echo '{said}' >&2; exit 1")
    assert engine_is_forbidden() == forbidden
    assert engine_answers() == ""
