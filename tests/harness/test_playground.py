"""``make up``, ``build``, ``down`` and ``clean-cache`` as a person meets them for whom something is wrong.

docker and kind are scripts here; tests/e2e has the real ones.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from kubernetes.client import ApiException

from tests.e2e import playground, preflight, supply
from tests.e2e.airgap.store import Part
from tests.e2e.kube import NotReachedError
from tests.e2e.streams import Event, read

ROOT = Path(__file__).parents[2]
STREAMS = ROOT / "tests" / "standin" / "streams"
GIB = 1024**3
# Has every image that is asked for.
DOCKER = 'case "$1" in version) echo 28.0.0 ;; image) : ;; info) ;; *) exit 125 ;; esac'
NO_ENGINE = 'echo "Cannot connect to the Docker daemon" >&2; exit 1'
NO_IMAGES = """
case "$1" in
version) echo 28.0.0 ;;
pull) echo "Error response from daemon: Get https://quay.io/v2/: no route to host" >&2; exit 1 ;;
*) exit 1 ;;
esac
"""
KIND = r"""
echo "$*" >>"$KIND_CALLS"
case "$1 $2" in
"get clusters") cat "$CLUSTERS" ;;
"create cluster")
  echo "$4" >>"$CLUSTERS"
  echo 'ERROR: failed to create cluster: command "docker run --name ..." failed: exit status 125' >&2
  echo 'Command Output: Error response from daemon: no such image' >&2
  exit 1 ;;
"delete cluster") grep -vxF "$4" "$CLUSTERS" >"$CLUSTERS.new"; mv "$CLUSTERS.new" "$CLUSTERS" ;;
esac
"""


@pytest.fixture(autouse=True)
def machine(tmp_path, command, monkeypatch):
    """A machine with room and an engine, and nothing else; all that is written goes to a directory."""
    command("docker", DOCKER)
    kind = command("kind", KIND)
    files = SimpleNamespace(clusters=tmp_path / "clusters", calls=tmp_path / "kind-calls")
    for file in vars(files).values():
        file.write_text("")
    state = tmp_path / "state"
    for variable, value in {
        "KIND": kind,
        "KIND_CALLS": files.calls,
        "CLUSTERS": files.clusters,
        "BINDERHUB_SERVICE_CACHE": tmp_path / "cache",
        "SUPPLY": "published",
        "DOCKER_HOST": "",
    }.items():
        monkeypatch.setenv(variable, str(value))
    for variable in (
        "DOCKER_HOST",
        "PORT",
        "REGISTRY_PORT",
        "NODE_IMAGE",
        "KUBERNETES_VERSION",
        "BINDERHUB_IMAGE",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tests.e2e.cluster._STATE", state)
    monkeypatch.setattr(playground, "_MEMORY", state / playground.NAME / "cluster.json")
    monkeypatch.setattr(preflight, "_available_memory", lambda: 100.0)
    monkeypatch.setattr(preflight, "_free_inotify_instances", lambda: 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100 * GIB, used=0, total=0))
    before = set(tmp_path.rglob("*"))
    files.left = lambda: sorted(
        path.relative_to(tmp_path).as_posix() for path in set(tmp_path.rglob("*")) - before
    )
    return files


@pytest.fixture
def run(capsys):
    """Return a function: runs a command, and returns its exit status and what it says on each stream."""

    def call(*words):
        status = playground.main(list(words))
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


@pytest.fixture
def refused(run, machine):
    """Return a function: runs what cannot be done, and returns the sentence; nothing is left of it."""

    def call(*words):
        status, out, err = run(*words)
        assert status == 2
        assert re.fullmatch(r"(  supply: \d+ s\n)?", out)
        assert err.startswith("error: ")
        assert err.endswith("\n")
        assert machine.left() == []
        assert machine.clusters.read_text() == ""
        return err.removeprefix("error: ").rstrip("\n")

    return call


COMMANDS = [("up",), ("down",)]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_docker_command(refused, command, monkeypatch, words):
    directory = command("docker", "").parent
    (directory / "docker").unlink()
    monkeypatch.setenv("PATH", str(directory))
    assert refused(*words) == (
        "the docker command is not installed; install Docker (https://docs.docker.com/engine/install/)"
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_engine_and_none_to_start(refused, command, monkeypatch, words):
    monkeypatch.setenv("PATH", f"{command('docker', NO_ENGINE).parent}:/nowhere")
    command("docker", "#" + NO_ENGINE + "\nexit 1")
    assert refused(*words) == (
        "no Docker engine answers, and there is none to start: start Docker, "
        "or on Debian run tests/e2e/airgap/install as root, and this starts one for itself"
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_engine_at_an_address_where_none_answers(refused, command, monkeypatch, words):
    command("docker", NO_ENGINE)
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    assert refused(*words) == (
        "no Docker engine answers at DOCKER_HOST=tcp://192.0.2.1:2375; start it, or unset DOCKER_HOST"
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_engine_that_this_user_may_not_use(refused, command, words):
    command(
        "docker", 'echo "permission denied while trying to connect to the Docker daemon socket" >&2; exit 1'
    )
    assert refused(*words) == (
        "there is a Docker engine, and this user may not use it; join the group docker "
        "(`sudo usermod --append --groups docker $USER`, then log in again), or run this as root"
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_engine_that_only_root_can_start(refused, command, monkeypatch, words):
    command("docker", NO_ENGINE)
    monkeypatch.setattr("tests.e2e.airgap.engine.which", lambda name: f"/usr/sbin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert refused(*words) == (
        "no Docker engine answers, and only root can start one: start Docker, or run this as root"
    )


def test_too_little_disk(refused, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 * GIB))
    assert refused("up") == (
        f"3.0 GiB are free at {tmp_path}, and the cluster and its images take 15; "
        "make room, or name another disk in BINDERHUB_SERVICE_CACHE"
    )


def test_too_little_memory(refused, monkeypatch):
    monkeypatch.setattr(preflight, "_available_memory", lambda: 2.0)
    assert refused("up") == (
        "2.0 GiB of memory are available, and the cluster takes 5; end something that takes much"
    )


@pytest.mark.parametrize("variable", ["PORT", "REGISTRY_PORT"])
def test_a_port_that_is_taken(refused, monkeypatch, variable):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv(variable, str(port))
        monkeypatch.setattr(preflight, "free_port", lambda: 40123)
        assert refused("up") == (
            f"port {port} cannot be had (Address already in use); {variable}=40123 would do"
        )


@pytest.mark.parametrize("text", ["http", "0", "-1", "65536", "80.5", " 80", "²", "9" * 5000])
@pytest.mark.parametrize("words", [("up",), ("build",)], ids=" ".join)
def test_a_port_that_is_none(refused, monkeypatch, words, text):
    monkeypatch.setenv("PORT", text)
    assert refused(*words) == f"PORT is {text!r}, which is no port; PORT=8585 is usual"


def test_one_port_for_both(refused, monkeypatch):
    monkeypatch.setenv("PORT", "5001")
    assert refused("up") == "PORT and REGISTRY_PORT are both 5001; they have to differ"


def test_a_supply_that_is_none(refused, monkeypatch):
    monkeypatch.setenv("SUPPLY", "offline")
    assert refused("up") == "SUPPLY is 'offline'; it may be auto, published, airgap"


def test_a_cluster_that_is_left_over(run, machine):
    machine.clusters.write_text("binderhub-service\n")
    status, out, err = run("up")
    assert (status, out) == (2, "")
    assert err == "error: the cluster binderhub-service is there already; `make down` removes it\n"
    assert machine.clusters.read_text() == "binderhub-service\n"
    assert machine.left() == []


def test_an_image_that_cannot_be_pulled(refused, command):
    command("docker", NO_IMAGES)
    assert refused("up").endswith(
        " cannot be pulled (Error response from daemon: Get https://quay.io/v2/: no route to host); "
        "SUPPLY=airgap builds what stands in for it"
    )


def test_a_binderhub_that_is_nowhere(refused, monkeypatch, command):
    monkeypatch.setenv("BINDERHUB_IMAGE", "localhost/mine:1")
    command("docker", 'case "$3" in localhost/mine:1) exit 1 ;; *) echo 28 ;; esac')
    assert refused("up") == (
        "BINDERHUB_IMAGE is localhost/mine:1, which is neither an image in the engine nor a file; "
        "pull or load it first, or name an archive of docker save"
    )


def test_a_version_that_is_none(refused, monkeypatch):
    monkeypatch.setenv("KUBERNETES_VERSION", "newest")
    assert refused("up").startswith("KUBERNETES_VERSION is 'newest', which is no release of Kubernetes")


def without(name, tmp_path):
    """A path with all commands of this machine but one."""
    directory = tmp_path / f"without-{name}"
    directory.mkdir()
    for found in os.environ["PATH"].split(":"):
        for file in Path(found).iterdir() if Path(found).is_dir() else ():
            link = directory / file.name
            if file.name != name and not link.is_symlink():
                link.symlink_to(file)
    return str(directory)


UP_WITH_ROOM = """
import sys
from tests.e2e import playground, world
world.require_room = lambda store: None
sys.argv[1:] = ["up"]
sys.exit(playground.run())
"""


def test_an_air_gapped_machine_without_go(command, tmp_path):
    """In a process of its own: which Go there is, is asked for once."""
    command("docker", NO_IMAGES)
    environment = {
        **os.environ,
        "BINDERHUB_SERVICE_CACHE": str(tmp_path / "cache"),
        "PATH": without("go", tmp_path),
        "SUPPLY": "airgap",
    }
    done = subprocess.run(
        [sys.executable, "-c", UP_WITH_ROOM],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: Go is not installed, and the air-gapped supply builds Kubernetes with it; "
        "install Go (https://go.dev/dl), or let this machine reach the published images\n"
    )


@pytest.fixture
def stand_in(monkeypatch, command):
    """Return a function: every image is built here, by this; the node image is there."""
    monkeypatch.setenv("SUPPLY", "airgap")
    monkeypatch.setenv("NODE_IMAGE", "localhost/node:1")
    command("docker", NO_IMAGES)

    def use(build):
        def part(reference):
            name = reference.rpartition("/")[2].partition(":")[0]
            return Part(f"{name}.image.tar", f"image {name}", 0.1, build, (reference,))

        monkeypatch.setattr(supply, "_STAND_INS", dict.fromkeys(supply._STAND_INS, part))  # noqa: SLF001

    return use


def test_a_supply_that_fails(run, machine, stand_in, tmp_path):
    stand_in(lambda bench: bench.run("sh", "-c", "echo no route to deb.debian.org >&2; exit 25"))
    status, _, err = run("up")
    assert status == 2
    sentence = err[err.index("error: ") :]
    name = sentence.removeprefix("error: image ").partition(":")[0]
    log = tmp_path / "cache" / "binderhub-service" / f"{name}.image.tar.log"
    assert sentence == (
        f"error: image {name}: sh failed (exit status 25); the log {log} ends with\n"
        "  $ sh -c echo no route to deb.debian.org >&2; exit 25\n"
        "  no route to deb.debian.org\n"
    )
    assert all(path.endswith((".log", ".lock")) for path in machine.left() if "image" in path)
    assert "create" not in machine.calls.read_text()


UP = """
import os, shutil, sys
from types import SimpleNamespace
from tests.e2e import playground, preflight, supply
from tests.e2e.airgap.store import Part

def build(bench):
    bench.target.write_text("half")
    bench.run("sh", "-c", 'echo $$ >"$0.new"; mv "$0.new" "$0"; exec sleep 600', os.environ["PID"])

def part(reference):
    name = reference.rpartition("/")[2].partition(":")[0]
    return Part(f"{name}.image.tar", f"image {name}", 0.1, build, (reference,))

supply._STAND_INS = dict.fromkeys(supply._STAND_INS, part)
preflight._available_memory = lambda: 100.0
preflight._free_inotify_instances = lambda: 100
shutil.disk_usage = lambda _: SimpleNamespace(free=100 << 30)
sys.argv[1:] = ["up"]
sys.exit(playground.run())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_supply_that_is_interrupted(machine, command, tmp_path, number):
    command("docker", NO_IMAGES)
    pid = tmp_path / "pid"
    script = tmp_path / "up.py"
    script.write_text(UP)
    process = subprocess.Popen(
        [sys.executable, script],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "SUPPLY": "airgap", "NODE_IMAGE": "n:1", "PID": str(pid), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    while not pid.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.endswith("\ninterrupted\n")
    assert not Path("/proc", pid.read_text().strip()).exists()
    cache = tmp_path / "cache" / "binderhub-service"
    assert {path.suffix for path in cache.iterdir()} <= {".log", ".lock"}
    assert "create" not in machine.calls.read_text()


def test_a_cluster_that_cannot_be_made(refused, machine):
    assert refused("up") == "kind create cluster fails: Error response from daemon: no such image"
    calls = machine.calls.read_text().splitlines()
    assert [call.split(" --")[0] for call in calls][-2:] == ["create cluster", "delete cluster"]


def fails(error):
    def bring_up(*_, **__):
        raise error

    return bring_up


def test_an_overlay_that_does_not_come_up(refused, monkeypatch):
    error = NotReachedError("not in 180 s: Deployment binderhub healthy; last seen: ['binderhub-x: Pending']")
    monkeypatch.setattr("tests.e2e.world.bring_up", fails(error))
    assert refused("up") == (
        f"what overlays/kind installs does not come up, and the cluster is removed again: {error}; "
        "`make validate` may know why, and `make e2e ARGS=--keep-cluster` keeps it to be looked at"
    )


def test_an_overlay_that_the_api_server_refuses(refused, monkeypatch):
    error = ApiException(status=422, reason="Unprocessable Entity")
    error.body = '{"message": "Deployment.apps \\"binderhub\\" is invalid: spec.replicas"}'
    monkeypatch.setattr("tests.e2e.world.bring_up", fails(error))
    assert refused("up").startswith(
        "what overlays/kind installs does not come up, and the cluster is removed again: "
        'Deployment.apps "binderhub" is invalid: spec.replicas; '
    )


def test_a_cluster_whose_repository_cannot_be_made_is_removed(refused, monkeypatch):
    deleted = []

    def commit(*_):
        raise NotReachedError("not in 60 s: one ready pod with app=git in e2e")

    world = SimpleNamespace(
        cluster=SimpleNamespace(delete=lambda: deleted.append(True)),
        repositories=SimpleNamespace(commit=commit),
    )
    monkeypatch.setattr("tests.e2e.world.bring_up", lambda *_, **__: world)
    assert "one ready pod with app=git" in refused("up")
    assert deleted


def test_an_engine_that_was_started_for_it_is_stopped_when_it_fails(refused, monkeypatch):
    stopped = []
    own = SimpleNamespace(stop=lambda: stopped.append(True))
    monkeypatch.setattr(preflight, "find_engine", lambda _: own)
    refused("up")
    assert stopped


def test_who_comes_up_says_how_to_go_on(run, monkeypatch):
    sources = [
        supply.Source("a:1", None, "a:1"),
        supply.Source("b:1", Path("b.tar"), "b:1", is_stand_in=True),
    ]
    cluster = SimpleNamespace(kubeconfig_path="/state/kubeconfig", delete=None)
    world = SimpleNamespace(
        url="http://127.0.0.1:8585", sources=sources, cluster=cluster,
        repositories=SimpleNamespace(commit=lambda *_: None),
    )  # fmt: skip
    own = SimpleNamespace(host="unix:///run/own.sock", stop=None)
    monkeypatch.setattr("tests.e2e.world.bring_up", lambda *_, **__: world)
    monkeypatch.setattr(preflight, "find_engine", lambda _: own)
    status, out, err = run("up")
    assert (status, err) == (0, "")
    assert out == (
        "\nBinderHub answers at http://127.0.0.1:8585\n"
        "  a:1: published\n"
        "  b:1: stand-in\n"
        "\n"
        "  make build                        builds the demo repository, and shows how\n"
        "  make build REPO=URL REF=BRANCH    builds another one\n"
        "  make down                         removes it all\n"
        "\n"
        "  export KUBECONFIG=/state/kubeconfig\n"
        "  export DOCKER_HOST=unix:///run/own.sock\n"
    )


def test_down_twice(run, machine):
    machine.clusters.write_text("binderhub-service\n")
    assert run("down") == (0, "the cluster binderhub-service is removed\n", "")
    assert run("down") == (0, "there is no cluster binderhub-service\n", "")
    assert machine.clusters.read_text() == ""
    assert machine.left() == []


def test_down_takes_what_the_cluster_kept_beside_the_clone(run, machine, tmp_path):
    machine.clusters.write_text("binderhub-service\n")
    kept = tmp_path / "state" / "binderhub-service"
    kept.mkdir(parents=True)
    (kept / "kubeconfig").write_text("x")
    run("down")
    assert machine.left() == []


def test_down_leaves_other_clusters(run, machine):
    machine.clusters.write_text("somebody-s\nbinderhub-service-e2e\n")
    status, out, err = run("down", "--cluster", "binderhub-service-e2e")
    assert (status, err) == (0, "")
    assert out == (
        "the cluster binderhub-service-e2e is removed\n"
        "  still there: somebody-s; make down CLUSTER=NAME removes one of this project\n"
    )
    assert machine.clusters.read_text() == "somebody-s\n"


def test_build_with_nothing_up(refused, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("PORT", str(port))
    assert refused("build") == (
        f"no BinderHub answers at http://127.0.0.1:{port} ([Errno 111] Connection refused); "
        "`make up` starts one, and PORT names another port"
    )


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Return a function: answers requests with this, at the port that a cluster says that it has."""
    servers = []

    def start(content, *, status=200, kind="text/event-stream"):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(content.encode())

            def log_message(self, *_):
                pass

        asked = []
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        servers.append((server, thread))
        memory = tmp_path / "cluster.json"
        memory.write_text(f'{{"ports": [{server.server_port}, 1, 2], "loaded": []}}')
        monkeypatch.setattr(playground, "_MEMORY", memory)
        return SimpleNamespace(
            asked=asked, url=f"http://127.0.0.1:{server.server_port}", port=server.server_port
        )

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def recorded(case):
    """A recorded stream as BinderHub sends it."""
    lines = []
    for item in read(STREAMS / f"{case}.txt").items:
        text = f"data: {json.dumps(item.data)}" if isinstance(item, Event) else item.text
        lines.append(f"{text}\n\n")
    return "".join(lines)


def shown(out):
    """What a person sees, without the seconds."""
    return re.sub(r"^ *\d+\.\d ", "", out, flags=re.MULTILINE)


def test_a_build_that_ends_well_is_shown_as_it_goes(run, serve):
    served = serve(recorded("success"))
    status, out, err = run("build", "--repo", "https://git.example/a/b.git", "--ref", "v1")
    assert (status, err) == (0, "")
    lines = shown(out).splitlines()
    assert lines[0] == "waiting    Waiting for build to start..."
    assert "           Picked Git content provider." in lines
    assert 'building   #7 [2/4] RUN useradd --create-home --uid "1000" "jovyan"' in lines
    assert lines[-3:-1] == ["ready      Done! Image built", ""]
    assert lines[-1].startswith("registry.binder.svc:5000/binder/r2d-git-3a-2f-2fgit")
    assert not any(line.endswith(" ") for line in lines)
    assert served.asked == ["/build/git/https%3A%2F%2Fgit.example%2Fa%2Fb.git/v1?build_only=true"]


def test_a_build_of_nothing_in_particular_is_that_of_the_demo(run, serve):
    served = serve(recorded("already-built"))
    assert run("build")[0] == 0
    assert served.asked == ["/build/git/git%3A%2F%2Fgit.e2e.svc%2Fdemo.git/main?build_only=true"]


def test_a_build_that_fails_ends_with_status_1_and_says_where_to_read_on(run, serve):
    serve(recorded("run-step-fails"))
    status, out, err = run("build")
    assert (status, err) == (1, "")
    assert shown(out).endswith(
        " returned non-zero exit status 1.\n"
        "\nno image was built; docs/how-to/troubleshooting.md says what it can mean\n"
    )


def test_a_stream_that_ends_without_a_word_is_no_image(run, serve):
    serve('data: {"phase": "waiting", "message": "Waiting for build to start...\\n"}\n\n')
    status, out, _ = run("build")
    assert status == 1
    assert shown(out).startswith("waiting    Waiting for build to start...\n\nno image was built; ")


def test_who_waits_long_is_told_what_to_ask(run, serve):
    waiting = 'data: {"phase": "waiting", "message": "Waiting for build to start...\\n"}\n\n:keepalive\n\n'
    serve(waiting + 'data: {"phase": "building", "message": "#1\\n"}\n\n:keepalive\n\n')
    assert shown(run("build")[1]).splitlines()[:3] == [
        "waiting    Waiting for build to start...",
        "what for: kubectl -n binderhub describe pods -l component=binderhub-build",
        "building   #1",
    ]


def test_the_port_that_is_named_is_asked_before_the_one_that_the_cluster_has(run, serve, monkeypatch):
    named, kept = serve(recorded("already-built")), serve(recorded("already-built"))
    run("build")
    assert (len(named.asked), len(kept.asked)) == (0, 1)
    monkeypatch.setenv("PORT", str(named.port))
    run("build")
    assert (len(named.asked), len(kept.asked)) == (1, 1)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"ports": []}', '{"ports": [null]}'])
def test_a_cluster_that_does_not_say_its_port_has_the_usual_one(monkeypatch, tmp_path, text):
    memory = tmp_path / "cluster.json"
    memory.write_text(text)
    monkeypatch.setattr(playground, "_MEMORY", memory)
    assert playground._port_of_the_cluster() == 8585  # noqa: SLF001 - somebody may have a playground at that port


def test_something_else_at_the_port(run, serve):
    served = serve("<h1>Not Found</h1>", status=404, kind="text/html")
    status, out, err = run("build")
    assert (status, out) == (2, "")
    assert err == (
        f"error: what answers at {served.url} is no BinderHub (status 404, no events); "
        "`make up` starts one, and PORT names another port\n"
    )


def test_something_at_the_port_that_does_not_speak_http(run, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("PORT", str(server.getsockname()[1]))

        def answer():
            connection, _ = server.accept()
            connection.recv(1000)
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        status, out, err = run("build")
        thread.join()
    assert (status, out) == (2, "")
    assert err.startswith("error: no BinderHub answers at http://127.0.0.1:")
    assert err.count("\n") == 1


def build(served, **options):
    """Run ``make build``'s command as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.playground", "build"],
        cwd=ROOT, env={**os.environ, "PORT": str(served.port)}, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def test_a_reader_that_goes_away_is_no_error_of_ours(serve):
    reading, writing = os.pipe()
    os.close(reading)
    process = build(serve(recorded("success")), stdout=writing)
    os.close(writing)
    assert process.communicate()[1] == ""
    assert process.returncode == 1


def test_who_has_seen_enough_may_leave(serve):
    served = serve('data: {"phase": "waiting", "message": "x\\n"}\n\n' + ":keepalive\n" * 10**6)
    process = build(served, stdout=subprocess.PIPE)
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "interrupted\n")


def test_the_cache_is_removed(run, machine, tmp_path):
    (tmp_path / "cache" / "binderhub-service" / "engine").mkdir(parents=True)
    (tmp_path / "cache" / "binderhub-service" / "kubernetes-0123456789ab").write_text("x")
    (tmp_path / "cache" / "photographs").write_text("x")
    assert run("clean-cache") == (0, f"{tmp_path}/cache/binderhub-service is removed\n", "")
    assert machine.left() == ["cache", "cache/photographs"]
    assert run("clean-cache") == (0, f"there is no {tmp_path}/cache/binderhub-service\n", "")


def test_the_node_image_goes_with_the_cache_from_the_engine_of_the_machine(run, command, tmp_path):
    removed = tmp_path / "removed"
    command(
        "docker",
        f"""
case "$1 $2" in
"image ls") echo "$5:v1.34.4-0123456789ab" ;;
"image rm") echo "$3" >>{removed} ;;
version*) echo 28 ;;
esac""",
    )
    (tmp_path / "cache" / "binderhub-service").mkdir(parents=True)
    run("clean-cache")
    assert removed.read_text() == "localhost/binderhub-service-node:v1.34.4-0123456789ab\n"


def test_a_cache_whose_engine_runs_is_not_removed(run, tmp_path):
    engine = tmp_path / "cache" / "binderhub-service" / "engine"
    engine.mkdir(parents=True)
    pid_file = engine / "dockerd.pid"
    with subprocess.Popen(
        ["sh", "-c", "echo; read line", f"--pidfile={pid_file}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as dockerd:  # fmt: skip
        dockerd.stdout.readline()
        pid_file.write_text(str(dockerd.pid))
        status, out, err = run("clean-cache")
        assert (status, out) == (2, "")
        assert err == (
            f"error: the engine of the cache {engine.parent} runs, and may have a cluster; "
            "`make down` ends both\n"
        )
        assert engine.exists()
        assert dockerd.poll() is None


def test_a_cache_that_cannot_be_removed(run, monkeypatch, tmp_path):
    directory = tmp_path / "cache" / "binderhub-service"
    directory.mkdir(parents=True)

    def refuse(_):
        raise PermissionError(13, "Permission denied", str(directory / "engine"))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    status, out, err = run("clean-cache")
    assert (status, out) == (2, "")
    assert err == (
        f"error: {directory} cannot be removed whole ({directory}/engine: Permission denied); "
        "what is left belongs to somebody else, perhaps to root\n"
    )


def test_make_ends_with_the_status_of_a_bad_input():
    done = subprocess.run(
        ["make", "--no-print-directory", "build", "PORT=http"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "error: PORT is 'http', which is no port; PORT=8585 is usual"
