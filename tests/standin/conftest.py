"""The stand-in in this process, with a cluster and a registry that do what a test says."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from kubernetes import client
from tornado.netutil import bind_sockets

from binderhub.app import make_server, make_service
from binderhub.configuration import Configuration
from tests.e2e.streams import EventStream, build_url
from tests.standin.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tornado.httpserver import HTTPServer

    from binderhub.base import Service
    from tests.e2e.streams import Event

REPO = "git://git.binder.svc/demo.git"
REF = "5079765279f1581080fa21b695cd4ec7f835ebc3"
IMAGE = f"registry.binder.svc:5000/binder/r2d-git-3a-2f-2fgit-2ebinder-2esvc-2fdemo-2egit-5ad678:{REF}"
NAMESPACE = "binder"
WAITING = {"phase": "waiting", "message": "Waiting for build to start...\n"}
# That of the installation whose streams were recorded, as far as a stream depends on it.
CONFIG = {
    "BinderHub": {
        "enable_api_only_mode": True,
        "image_prefix": "registry.binder.svc:5000/binder/r2d-",
    },
    "GitRepoProvider": {"allowed_protocols": ["git"]},
    "RateLimiter": {"limit": 0},
}


def open_after(count: int) -> dict[str, Any]:
    """Return how to read a stream that stays open after so many events, and see that it does."""
    seen: list[Event] = []

    def is_last(event: Event) -> bool:
        seen.append(event)
        return len(seen) >= count

    return {"until": is_last, "linger": 0.3}


class Registry:
    """A registry with a password, that has what a test says.

    Attributes:
        asked: path and headers of each request.
        manifests: what there is, such as ``/v2/binder/x/manifests/1``.
        answer: what is answered instead: status, headers and body.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.manifests: dict[str, Any] = {}
        self.credentials = "binderhub:secret"
        self.answer: Callable[[str, dict[str, str]], tuple[int, dict[str, str], str]] = self._answer
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = {name.title(): value for name, value in self.headers.items()}
                registry.asked.append((self.path, headers))
                status, more, body = registry.answer(self.path, headers)
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def _answer(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        expected = f"Basic {base64.b64encode(self.credentials.encode()).decode()}"
        if headers.get("Authorization") != expected:
            return 401, {"WWW-Authenticate": 'Basic realm="registry"'}, "{}"
        manifest = self.manifests.get(path)
        return (404, {}, "{}") if manifest is None else (200, {}, json.dumps(manifest))

    @contextmanager
    def serving(self) -> Iterator[Registry]:
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            thread.join()
            self.server.server_close()


class Answer(NamedTuple):
    status: int
    headers: Any
    body: str


class StandIn:
    """One that serves, and the requests to it."""

    def __init__(
        self, url: str, service: Service | None = None, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self.url = url
        self.service = service
        self._loop = loop
        self._streams = ExitStack()

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Ask for something else."""
        request = urllib.request.Request(self.url + path, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return Answer(response.status, response.headers, response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read().decode())

    def build(
        self,
        repo: str = REPO,
        ref: str = REF,
        *,
        provider: str = "git",
        query: dict[str, str] | None = None,
        **options: Any,
    ) -> EventStream:
        """Ask for a build; whoever asks leaves when the test ends."""
        return self.ask(build_url("", provider, repo, ref, **(query or {})), **options)

    def ask(self, path: str, **options: Any) -> EventStream:
        """Ask for a build of whatever the path says; a test that expects no end says when it leaves."""
        url = self.url + path.lstrip("/")
        return self._streams.enter_context(EventStream(url, **{"limit": 60, "linger": 60, **options}))

    def comes_to_wait(self, stream: EventStream) -> None:
        """Read that a build is waited for, and let it be waited for."""
        assert next(iter(stream)).data == WAITING
        self.settle()

    def settle(self) -> None:
        """Let it come back from sending what was read. What goes wrong before that is not told."""

        async def turn() -> None:
            for _ in range(10):
                await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(turn(), self._loop).result()

    def close(self) -> None:
        self._streams.close()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster().serving() as server:
        yield server


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry().serving() as server:
        yield server


@pytest.fixture
def git_daemon() -> Iterator[Callable[[Path], str]]:
    """Return a function that serves the repositories in a directory and returns the URL of it."""
    with ExitStack() as stack:

        def start(directory: Path) -> str:
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            options = ["--export-all", f"--base-path={directory}", "--listen=127.0.0.1", f"--port={port}"]
            # Not ``git daemon``, which leaves its child behind.
            core = subprocess.run(["git", "--exec-path"], check=True, capture_output=True, text=True).stdout
            daemon = subprocess.Popen([f"{core.strip()}/git-daemon", *options])
            stack.callback(daemon.wait)
            stack.callback(daemon.terminate)
            for _ in range(200):
                with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    return f"git://127.0.0.1:{port}"
                time.sleep(0.05)
            raise AssertionError("git daemon does not listen")

        yield start


@pytest.fixture
def docker_config(tmp_path: Path, registry: Registry) -> Path:
    """The directory of a docker configuration with the registry's password."""
    auth = base64.b64encode(registry.credentials.encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.url: {"auth": auth}}}))
    return tmp_path


@pytest.fixture
def serve(cluster: Cluster, docker_config: Path) -> Iterator[Callable[..., StandIn]]:
    """Return a function that starts a stand-in with a configuration added to the usual one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    started = []

    def start(config: dict[str, dict[str, Any]] | None = None, **environment: str) -> StandIn:
        value = {
            name: {**CONFIG.get(name, {}), **(config or {}).get(name, {})}
            for name in {**CONFIG, **(config or {})}
        }
        known = {"BUILD_NAMESPACE": NAMESPACE, "DOCKER_CONFIG": str(docker_config)}
        configuration = Configuration(value, {**known, **environment})
        configuration.check()
        api = client.CoreV1Api(client.ApiClient(client.Configuration(host=cluster.url)))
        service = make_service(configuration, lambda: api)
        (bound,) = bind_sockets(0, "127.0.0.1")

        async def listen() -> HTTPServer:
            server = make_server(service)
            server.add_socket(bound)
            return server

        server = asyncio.run_coroutine_threadsafe(listen(), loop).result()
        url = f"http://127.0.0.1:{bound.getsockname()[1]}{configuration.base_url}"
        standin = StandIn(url, service, loop)
        started.append((service, server, standin))
        return standin

    yield start

    async def stop() -> None:
        for _, server, _ in started:
            server.stop()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _, server, _ in started:
            await server.close_all_connections()

    for service, _, standin in started:
        standin.close()
        cluster.end()
        service.builds.shutdown()
        service.calls.shutdown()
        service.api().api_client.rest_client.pool_manager.clear()
    asyncio.run_coroutine_threadsafe(stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def standin(serve: Callable[..., StandIn]) -> StandIn:
    """One with the usual configuration."""
    return serve()
