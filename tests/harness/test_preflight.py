"""What stands in the way of a cluster is said in one sentence, before anything is made."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.e2e import preflight
from tests.e2e.airgap.store import Store
from tests.e2e.errors import CannotRunError
from tests.e2e.preflight import engine, find_engine, free_port, require_port, require_room

GIB = 1024**3
REFUSED = 'echo "Cannot connect to the Docker daemon at $DOCKER_HOST." >&2; exit 1'
FORBIDDEN = 'echo "permission denied while trying to connect to the Docker daemon socket at x" >&2; exit 1'


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "cache")


@pytest.fixture
def machine(monkeypatch, command, tmp_path):
    """A machine with this much room; the engine keeps its data elsewhere."""
    data = tmp_path / "engine-data"
    data.mkdir()
    command("docker", f'[ "$1" != info ] || echo {data}')

    def make(*, disk=100.0, engine=100.0, memory=100.0, instances=100):
        def usage(path):
            free = engine if Path(path) == data else disk
            return SimpleNamespace(total=0, used=0, free=int(free * GIB))

        monkeypatch.setattr(shutil, "disk_usage", usage)
        monkeypatch.setattr(preflight, "_available_memory", lambda: memory)
        monkeypatch.setattr(preflight, "_free_inotify_instances", lambda: instances)
        return data

    return make


def test_a_machine_with_room_will_do(machine, store):
    machine(disk=15.1, engine=15.1, memory=5.1)
    require_room(store)


def test_too_little_disk_for_the_cache_is_one_sentence(machine, store, tmp_path):
    machine(disk=14.9)
    with pytest.raises(CannotRunError) as caught:
        require_room(store)
    assert str(caught.value) == (
        f"14.9 GiB are free at {tmp_path}, and the cluster and its images take 15; "
        "make room, or name another disk in BINDERHUB_SERVICE_CACHE"
    )


def test_too_little_disk_for_the_engine_is_one_sentence(machine, store):
    data = machine(engine=3)
    with pytest.raises(CannotRunError) as caught:
        require_room(store)
    assert str(caught.value) == (
        f"3.0 GiB are free at {data}, and the cluster and its images take 15; "
        "make room; `docker system prune` removes what the engine does not use"
    )


@pytest.mark.parametrize("script", ["exit 1", "echo /no/such/directory/on/this/machine"])
def test_an_engine_whose_data_are_elsewhere_is_not_asked_for_room(machine, store, command, script):
    machine(engine=0)
    command("docker", script)
    require_room(store)


def test_nodes_that_could_not_watch_their_files_are_one_sentence(machine, store):
    machine(instances=59)
    with pytest.raises(CannotRunError) as caught:
        require_room(store)
    assert str(caught.value) == (
        "59 inotify instances are left to root, and the nodes take 75 "
        "(https://kind.sigs.k8s.io/docs/user/known-issues/#pod-errors-due-to-too-many-open-files); "
        "end another cluster, or `sysctl fs.inotify.max_user_instances=512`"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="not applicable: others do not see what root has")
def test_the_inotify_instances_that_are_left_are_what_the_kernel_gives():
    left = preflight._free_inotify_instances()  # noqa: SLF001
    libc, taken = ctypes.CDLL(None), []
    try:
        while len(taken) < left + 20 and (one := libc.inotify_init()) >= 0:
            taken.append(one)
    finally:
        for one in taken:
            os.close(one)
    # Other processes come and go meanwhile.
    assert abs(len(taken) - left) < 20


@pytest.mark.parametrize("there", [True, False])
def test_where_nobody_may_count_inotify_instances_none_are_asked_for(monkeypatch, tmp_path, there):
    if there:
        (tmp_path / "sys" / "fs" / "inotify").mkdir(parents=True)
        (tmp_path / "sys" / "fs" / "inotify" / "max_user_instances").write_text("1\n")
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(preflight, "_PROC", tmp_path)
    assert preflight._free_inotify_instances() is None  # noqa: SLF001


def test_too_little_memory_is_one_sentence(machine, store):
    machine(memory=4.2)
    with pytest.raises(CannotRunError) as caught:
        require_room(store)
    assert str(caught.value) == (
        "4.2 GiB of memory are available, and the cluster takes 5; end something that takes much"
    )


def test_a_machine_that_does_not_say_how_much_memory_it_has_will_do(machine, store):
    machine(memory=None)
    require_room(store)


def test_this_machine_says_how_much_memory_it_has():
    available = preflight._available_memory()  # noqa: SLF001 - the sentence rounds it
    assert available is None or 0 < available < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB


def test_a_port_that_is_free_can_be_had():
    require_port(free_port(), "PORT")


def test_a_port_that_is_taken_is_one_sentence_and_another_is_named(monkeypatch):
    monkeypatch.setattr(preflight, "free_port", lambda: 40123)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(CannotRunError) as caught:
            require_port(port, "PORT")
    assert str(caught.value) == f"port {port} cannot be had (Address already in use); PORT=40123 would do"


def test_a_port_that_something_listens_on_everywhere_is_taken_too():
    with socket.create_server(("0.0.0.0", 0)) as server, pytest.raises(CannotRunError):  # noqa: S104
        require_port(server.getsockname()[1], "PORT")


def test_without_docker_one_sentence_says_where_to_get_it(store, command, monkeypatch):
    monkeypatch.setenv("PATH", str(command("unused", "").parent))
    with pytest.raises(CannotRunError) as caught:
        find_engine(store)
    assert str(caught.value) == (
        "the docker command is not installed; install Docker (https://docs.docker.com/engine/install/)"
    )
    assert not store.directory.exists()


def test_the_engine_that_answers_is_used(store, command, monkeypatch):
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    command("docker", "echo 28.0.0")
    assert find_engine(store) is None
    assert "DOCKER_HOST" not in os.environ
    assert not store.directory.exists()


def test_an_engine_that_is_named_and_does_not_answer_is_one_sentence(store, command, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    command("docker", REFUSED)
    with pytest.raises(CannotRunError) as caught:
        find_engine(store)
    assert str(caught.value) == (
        "no Docker engine answers at DOCKER_HOST=tcp://192.0.2.1:2375; start it, or unset DOCKER_HOST"
    )
    assert not store.directory.exists()


def test_an_engine_that_this_user_may_not_use_is_one_sentence(store, command, monkeypatch):
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    command("docker", FORBIDDEN)
    with pytest.raises(CannotRunError) as caught:
        find_engine(store)
    assert str(caught.value) == (
        "there is a Docker engine, and this user may not use it; join the group docker "
        "(`sudo usermod --append --groups docker $USER`, then log in again), or run this as root"
    )
    assert not store.directory.exists()


class Own:
    """An engine of our own, which notes what becomes of it."""

    host = "unix:///run/own.sock"

    def __init__(self):
        self.calls = []

    def start(self):
        self.calls.append("start")

    def stop(self):
        self.calls.append("stop")


@pytest.fixture
def own(monkeypatch, command):
    """No engine answers, but for our own once it is started."""
    one = Own()
    monkeypatch.setattr(preflight, "Engine", lambda _: one)
    monkeypatch.setattr(
        preflight, "engine_answers", lambda host=None: "1" if host == one.host and one.calls else ""
    )
    command("docker", REFUSED)
    # Set and taken away again: then it is taken away in the end as well.
    monkeypatch.setenv("DOCKER_HOST", "")
    monkeypatch.delenv("DOCKER_HOST")
    return one


@pytest.mark.parametrize("named", [None, "", Own.host])
def test_where_none_answers_one_is_started_and_found_by_docker(store, own, monkeypatch, named):
    if named is not None:
        monkeypatch.setenv("DOCKER_HOST", named)
    assert find_engine(store) is own
    assert own.calls == ["start"]
    assert os.environ["DOCKER_HOST"] == own.host


def test_an_engine_that_was_started_is_stopped_in_the_end(store, own):
    with engine(store):
        assert own.calls == ["start"]
        assert os.environ["DOCKER_HOST"] == own.host
    assert own.calls == ["start", "stop"]
    assert "DOCKER_HOST" not in os.environ


def test_it_is_stopped_after_a_failure_too(store, own):
    with pytest.raises(RuntimeError), engine(store):
        raise RuntimeError
    assert own.calls == ["start", "stop"]


def test_it_stays_where_it_is_to_be_kept(store, own):
    with engine(store, keep=True):
        pass
    assert own.calls == ["start"]


def test_one_that_was_there_before_stays(store, own):
    own.calls.append("started by make up")
    with engine(store):
        pass
    assert "stop" not in own.calls
