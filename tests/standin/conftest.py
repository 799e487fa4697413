"""The stand-in in this process, with a cluster and a registry that do what a test says."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from binderhub.app import make_routes, make_service
from binderhub.configuration import Configuration
from tests.e2e.streams import EventStream, build_url
from tests.standin.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REPO = "git://git.binder.svc/demo.git"
REF = "5079765279f1581080fa21b695cd4ec7f835ebc3"
IMAGE = f"registry.binder.svc:5000/binder/r2d-git-3a-2f-2fgit-2ebinder-2esvc-2fdemo-2egit-5ad678:{REF}"
NAMESPACE = "binder"
# That of the installation whose streams were recorded, as far as a stream depends on it.
CONFIG = {
    "BinderHub": {
        "enable_api_only_mode": True,
        "image_prefix": "registry.binder.svc:5000/binder/r2d-",
    },
    "GitRepoProvider": {"allowed_protocols": ["git"]},
    "RateLimiter": {"limit": 0},
}


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


class StandIn:
    """One that serves, and the requests to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._streams = ExitStack()

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
        url = build_url(self.url, provider, repo, ref, **(query or {}))
        return self._streams.enter_context(EventStream(url, **{"limit": 20, "linger": 0.3, **options}))

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
def docker_config(tmp_path: Path, registry: Registry) -> Path:
    """The directory of a docker configuration with the registry's password."""
    auth = base64.b64encode(registry.credentials.encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.url: {"auth": auth}}}))
    return tmp_path


@pytest.fixture
def serve(cluster: Cluster, docker_config: Path) -> Iterator[Callable[..., StandIn]]:
    """Return a function that starts a stand-in with a configuration added to the usual one."""
    AsyncHTTPClient.configure("tornado.curl_httpclient.CurlAsyncHTTPClient")
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
            server = HTTPServer(make_routes(service), xheaders=True)
            server.add_socket(bound)
            return server

        server = asyncio.run_coroutine_threadsafe(listen(), loop).result()
        standin = StandIn(f"http://127.0.0.1:{bound.getsockname()[1]}{configuration.base_url}")
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
