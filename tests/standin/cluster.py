"""An API server that knows pods, and does with them what a test says."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PODS = "/api/v1/namespaces/{}/pods"


class Log:
    """The log of a pod, for as many as read it."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._is_closed = False
        self._change = threading.Condition()

    def write(self, *lines: str) -> None:
        with self._change:
            self._lines += lines
            self._change.notify_all()

    def close(self) -> None:
        with self._change:
            self._is_closed = True
            self._change.notify_all()

    def follow(self, tail: int) -> Iterator[str]:
        """Yield the last lines, and each that is written from now on."""
        with self._change:
            position = max(0, len(self._lines) - tail)
        while True:
            with self._change:
                while not self._is_closed and position == len(self._lines):
                    self._change.wait()
                lines = self._lines[position:]
            if not lines:
                return
            yield from lines
            position += len(lines)


class Pod:
    """A pod of the cluster; each method is something that happens to it."""

    def __init__(self, cluster: Cluster, namespace: str, body: dict[str, Any]) -> None:
        self._cluster = cluster
        cluster.made.append(self)
        self.namespace = namespace
        self.body = {**body, "status": {"phase": "Pending"}}
        self.log = Log()
        self.watched = threading.Event()
        self._gone = False

    @property
    def name(self) -> str:
        return self.body["metadata"]["name"]

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or is gone."""
        return self._gone or self.body["status"]["phase"] in {"Succeeded", "Failed"}

    @property
    def labels(self) -> dict[str, str]:
        return self.body["metadata"].get("labels", {})

    def matches(self, namespace: str, selector: str) -> bool:
        """Whether a selector of labels, ``a=b,c=d``, finds it there."""
        wanted = dict(part.split("=") for part in selector.split(","))
        return self.namespace == namespace and wanted.items() <= self.labels.items()

    def becomes(self, phase: str, **status: Any) -> None:
        """Enter a phase."""
        self.body = {**self.body, "status": {"phase": phase, **status}}
        self._cluster.tell("MODIFIED", self)

    def says(self, *lines: str) -> None:
        """Write to the log."""
        self.log.write(*lines)

    def ends(self, phase: str) -> None:
        """End its log, and itself."""
        self.log.close()
        self.becomes(phase)

    def goes(self) -> None:
        """Be gone."""
        self._gone = True
        self.log.close()
        self._cluster.pods.pop((self.namespace, self.name), None)
        self._cluster.tell("DELETED", self)


class Cluster:
    """The API server.

    Attributes:
        calls: each call that came, as ``GET /api/v1/...?labelSelector=...``, and the body where there is one.
        pods: by namespace and name.
        refuses: status by verb and resource, such as ``{"create pods": 403}``.
        watch_seconds: after how long a watch ends, whatever it was asked for.
        keeps: whether a deletion is accepted and not carried out: the test does that.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.bodies: list[Any] = []
        self.pods: dict[tuple[str, str], Pod] = {}
        self.refuses: dict[str, int] = {}
        self._held: dict[str, threading.Event] = {}
        self.watch_seconds = 30.0
        self.keeps = False
        self._created: Queue[Pod] = Queue()
        self.made: list[Pod] = []
        self._watchers: list[tuple[str, str, Queue[str | None]]] = []
        self._lock = threading.Lock()
        self._asked = threading.Condition()
        handler = type("Handler", (_Handler,), {"cluster": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator[Cluster]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self.end()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def end(self) -> None:
        """Say nothing more to anybody."""
        self.release()
        self.refuses = dict.fromkeys(("list pods", "create pods", "watch pods", "get pods/log"), 503)
        self.break_off()
        for pod in self.made:
            pod.log.close()

    def hold(self, what: str) -> None:
        """Answer such calls when the test says so: of what goes wrong too soon BinderHub does not tell."""
        self._held[what] = threading.Event()

    def wait_for_release(self, what: str) -> None:
        if gate := self._held.get(what):
            gate.wait(20)

    def release(self) -> None:
        """Answer."""
        for gate in self._held.values():
            gate.set()

    def created(self) -> Pod:
        """Wait for the next pod that somebody makes, and watches."""
        pod = self._created.get(timeout=20)
        assert pod.watched.wait(20), f"nobody watches {pod.name}"
        return pod

    def is_asked(self, method: str, times: int = 1) -> None:
        """Wait for so many calls with that method."""
        with self._asked:
            assert self._asked.wait_for(
                lambda: sum(call.startswith(method) for call in self.calls) >= times, 20
            )

    def note(self, call: str) -> None:
        with self._asked:
            self.calls.append(call)
            self._asked.notify_all()

    def add(self, namespace: str, name: str, labels: dict[str, str], **more: Any) -> Pod:
        """Have a pod that was there before."""
        pod = Pod(self, namespace, {"metadata": {"name": name, "labels": labels}, **more})
        self.pods[namespace, name] = pod
        return pod

    def create(self, namespace: str, body: dict[str, Any]) -> bool:
        with self._lock:
            name = body["metadata"]["name"]
            if (namespace, name) in self.pods:
                return False
            pod = self.pods[namespace, name] = Pod(self, namespace, body)
        self.tell("ADDED", pod)
        self._created.put(pod)
        return True

    def matching(self, namespace: str, selector: str) -> list[Pod]:
        return [pod for pod in list(self.pods.values()) if pod.matches(namespace, selector)]

    def tell(self, kind: str, pod: Pod) -> None:
        event = json.dumps({"type": kind, "object": {"kind": "Pod", "apiVersion": "v1", **pod.body}})
        with self._lock:
            for namespace, selector, events in self._watchers:
                if pod.matches(namespace, selector):
                    events.put(event + "\n")

    @contextmanager
    def watcher(self, namespace: str, selector: str) -> Iterator[Queue[str | None]]:
        events: Queue[str | None] = Queue()
        entry = (namespace, selector, events)
        with self._lock:
            self._watchers.append(entry)
            for pod in self.matching(namespace, selector):
                events.put(json.dumps({"type": "ADDED", "object": pod.body}) + "\n")
                pod.watched.set()
        try:
            yield events
        finally:
            with self._lock:
                self._watchers.remove(entry)

    def break_off(self) -> None:
        """End every watch."""
        with self._lock:
            for _, _, events in self._watchers:
                events.put(None)


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Say nothing: clients come and go."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: Cluster

    def do_GET(self) -> None:
        self._note()
        path, query = self._target()
        if path.endswith("/log"):
            self._unless_refused("get pods/log", lambda: self._log(path, query))
        elif query.get("watch"):
            self._unless_refused("watch pods", lambda: self._watch(path, query))
        else:
            self._unless_refused("list pods", lambda: self._list(path, query))

    def do_POST(self) -> None:
        self._note()
        body = self._body()
        path, _ = self._target()
        self._unless_refused("create pods", lambda: self._create(path, body))

    def do_DELETE(self) -> None:
        self._note()
        self._body()
        path, _ = self._target()
        self._unless_refused("delete pods", lambda: self._delete(path))

    def _create(self, path: str, body: dict[str, Any]) -> None:
        if self.cluster.create(self._namespace(path), body):
            self._answer(201, body)
        else:
            self._answer(409, {"kind": "Status", "code": 409, "reason": "AlreadyExists"})

    def _delete(self, path: str) -> None:
        pod = self.cluster.pods.get((self._namespace(path), path.rsplit("/", 1)[1]))
        if pod is None:
            self._answer(404, {"kind": "Status", "code": 404})
            return
        if not self.cluster.keeps:
            pod.goes()
        self._answer(200, pod.body)

    def _list(self, path: str, query: dict[str, str]) -> None:
        pods = self.cluster.matching(self._namespace(path), query.get("labelSelector", ""))
        self._answer(200, {"kind": "PodList", "apiVersion": "v1", "items": [pod.body for pod in pods]})

    def _watch(self, path: str, query: dict[str, str]) -> None:
        seconds = min(float(query["timeoutSeconds"]), self.cluster.watch_seconds)
        with self.cluster.watcher(self._namespace(path), query["labelSelector"]) as events, suppress(Empty):
            self._stream(iter(lambda: events.get(timeout=seconds), None))

    def _log(self, path: str, query: dict[str, str]) -> None:
        pod = self.cluster.pods[self._namespace(path), path.split("/")[-2]]
        self._stream(pod.log.follow(int(query["tailLines"])))

    def _stream(self, lines: Iterator[str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for line in lines:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line.encode()), line.encode()))
        finally:
            self.wfile.write(b"0\r\n\r\n")

    def _unless_refused(self, what: str, do: Callable[[], None]) -> None:
        self.cluster.wait_for_release(what)
        status = self.cluster.refuses.get(what)
        if status is None:
            with suppress(ConnectionError):
                do()
        else:
            self._answer(status, {"kind": "Status", "code": status, "message": f"{what} is refused"})

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _note(self) -> None:
        self.cluster.note(f"{self.command} {unquote_plus(self.path)}")

    def _body(self) -> Any:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null")
        self.cluster.bodies.append(body)
        return body

    def _target(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        return parts.path, {key: values[0] for key, values in parse_qs(parts.query).items()}

    @staticmethod
    def _namespace(path: str) -> str:
        return path.split("/")[4]

    def log_message(self, *_: Any) -> None:
        """Say nothing: the calls are kept."""
