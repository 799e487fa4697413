"""The client of the event streams, and what it makes of recorded ones."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.streams import Comment, Ending, Event, EventStream, build_url, normalise, parse, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECORDED = sorted((Path(__file__).parent / "streams").glob("*.txt"))
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WAITING = 'data: {"phase": "waiting", "message": "Waiting for build to start...\\n"}\n\n'
FAILED = 'data: {"phase": "failed"}\n\n'
READY = 'data: {"phase": "ready", "message": "Done! Image built\\n", "imageName": "r/p/x:1"}\n\n'


def chunk(text: str) -> str:
    return f"{len(text.encode()):x}\r\n{text}\r\n"


END = "0\r\n\r\n"


@pytest.fixture
def answer() -> Iterator[Callable[..., str]]:
    """Return a function that has a server say something, once, and then stay or go; it returns the URL."""
    gone = threading.Event()
    threads = []

    def start(text: str, *, stays: bool = False) -> str:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            with listener:
                connection, _ = listener.accept()
            with connection:
                heard = b""
                while b"\r\n\r\n" not in heard:
                    heard += connection.recv(65536)
                requests.append(heard.decode())
                connection.sendall(text.encode())
                if stays:
                    gone.wait()

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/build"

    requests: list[str] = []
    start.requests = requests  # type: ignore[attr-defined]
    yield start
    gone.set()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_a_kept_stream_is_written_as_it_was_read(file: Path) -> None:
    assert str(read(file)) == file.read_text("utf-8")


@pytest.mark.parametrize(
    ("case", "steps"),
    [
        ("already-built", ["ready: Done! Found built image, imageName", "EOF"]),
        ("build-pod-killed", ["waiting", "(no phase)", "fetching", "building", "failed", "open"]),
        (
            "docker-api-gone-and-back",
            ["waiting", "(no phase)", "fetching", "building", "ready: Done! Image built, imageName", "EOF"],
        ),
        (
            "dockerd-hung",
            ["waiting", "(no phase)", "fetching", "unknown", "failed: Error during build", "failed", "open"],
        ),
        ("no-docker-api-on-the-node", ["waiting", "open"]),
        ("no-node-for-the-build-pod-then-deleted", ["waiting", "failed", "open"]),
        ("push-secret-missing-then-deleted", ["waiting", "failed", "open"]),
        (
            "run-step-fails",
            ["waiting", "(no phase)", "fetching", "building", "failed: Error during build", "failed", "open"],
        ),
        (
            "success",
            ["waiting", "(no phase)", "fetching", "building", "ready: Done! Image built, imageName", "EOF"],
        ),
        (
            "wrong-password-private-base",
            ["waiting", "(no phase)", "fetching", "building", "failed: Error during build", "failed", "open"],
        ),
        (
            "wrong-password-push",
            ["waiting", "(no phase)", "fetching", "building", "failed: Error during build", "failed", "open"],
        ),
        (
            "wrong-secret-key",
            [
                *["waiting", "(no phase)", "fetching", "unknown", "building"],
                *["failed: Error during build", "failed", "open"],
            ],
        ),
    ],
)
def test_of_a_case_remains(case: str, steps: list[str]) -> None:
    said = {"waiting": "waiting: Waiting for build to start...", "open": "gave up, stream still open"}
    expected = ["HTTP 200 text/event-stream", *(said.get(step, step) for step in steps)]
    assert normalise(read(Path(__file__).parent / "streams" / f"{case}.txt")) == expected


def test_every_recorded_case_is_normalised_above() -> None:
    (parameters,) = (
        mark.args[1]
        for mark in test_of_a_case_remains.pytestmark  # type: ignore[attr-defined]
    )
    assert sorted(case for case, _ in parameters) == [file.stem for file in RECORDED]


@pytest.mark.parametrize("text", ["", "0.1 EOF", "0.1 HTTP 200 x\nnonsense\n0.2 EOF", "0.1 x 200 x\n0.2 EOF"])
def test_what_is_no_kept_stream_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(not a kept stream|.* is not a valid Ending)"):
        parse(text)


def test_a_stream_is_read_to_the_end_that_the_server_makes(answer: Callable[..., str]) -> None:
    with EventStream(answer(HEAD + chunk(WAITING) + chunk(":keepalive\n\n") + chunk(READY) + END)) as stream:
        assert (stream.status, stream.content_type) == (200, "text/event-stream")
        items = list(stream)
    kept = stream.transcript()
    assert [type(item) for item in items] == [Event, Comment, Event]
    assert [event.phase for event in kept.events] == ["waiting", "ready"]
    assert (kept.image, kept.ending) == ("r/p/x:1", Ending.CLOSED)
    assert parse(str(kept)).ending == Ending.CLOSED


def test_a_log_line_brings_its_own_newline(answer: Callable[..., str]) -> None:
    url = answer(HEAD + chunk('data: {"message": "Picked Git content provider.\\n"}\n\n\n') + END)
    (event,) = EventStream(url).transcript().events
    assert (event.phase, event.message) == ("", "Picked Git content provider.\n")


def test_an_event_in_two_chunks_is_one(answer: Callable[..., str]) -> None:
    url = answer(HEAD + chunk(READY[:20]) + chunk(READY[20:]) + END)
    assert EventStream(url).transcript().image == "r/p/x:1"


def test_a_client_leaves_a_stream_that_stays_open_after_a_failure(answer: Callable[..., str]) -> None:
    url = answer(HEAD + chunk(FAILED) + chunk(FAILED), stays=True)
    kept = EventStream(url, linger=0.2).transcript()
    assert [str(event.data) for event in kept.events] == ["{'phase': 'failed'}"] * 2
    assert kept.ending == Ending.LEFT


def test_a_client_leaves_at_its_limit(answer: Callable[..., str]) -> None:
    kept = EventStream(answer(HEAD + chunk(WAITING), stays=True), limit=0.2).transcript()
    assert ([event.phase for event in kept.events], kept.ending) == (["waiting"], Ending.LEFT)


def test_a_client_leaves_when_it_has_what_it_wants(answer: Callable[..., str]) -> None:
    url = answer(HEAD + chunk(WAITING) + chunk(WAITING), stays=True)
    kept = EventStream(url, linger=0, until=lambda event: event.phase == "waiting").transcript()
    assert (len(kept.events), kept.ending) == (1, Ending.LEFT)


def test_a_client_may_break_off(answer: Callable[..., str]) -> None:
    with EventStream(answer(HEAD + chunk(WAITING), stays=True)) as stream:
        for _ in stream:
            break
    assert stream.transcript().ending == Ending.LEFT


def test_a_lost_connection_is_no_end(answer: Callable[..., str]) -> None:
    kept = EventStream(answer(HEAD + chunk(WAITING))).transcript()
    assert ([event.phase for event in kept.events], kept.ending) == (["waiting"], Ending.BROKEN)


def test_an_answer_that_is_no_stream_has_no_events(answer: Callable[..., str]) -> None:
    page = "<html><title>404: Not Found</title></html>"
    url = answer(f"HTTP/1.1 404 Not Found\r\nContent-Length: {len(page)}\r\n\r\n{page}")
    kept = EventStream(url).transcript()
    assert (kept.status, kept.events, kept.ending) == (404, (), Ending.CLOSED)


def test_a_request_says_what_it_accepts(answer: Callable[..., str]) -> None:
    url = answer(HEAD + END)
    EventStream(f"{url}/git/x/y?build_only=true", headers={"X-Forwarded-For": "192.0.2.1"}).transcript()
    (request,) = answer.requests  # type: ignore[attr-defined]
    assert request.startswith("GET /build/git/x/y?build_only=true HTTP/1.1\r\n")
    assert "Accept: text/event-stream\r\nX-Forwarded-For: 192.0.2.1\r\n" in request


def test_a_server_that_is_not_there_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        EventStream(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        (
            ("git", "git://g.example/a b.git", "feature/x"),
            "/build/git/git%3A%2F%2Fg.example%2Fa%20b.git/feature%2Fx?build_only=true",
        ),
        (("gh", "user/repo", "feature/x"), "/build/gh/user/repo/feature/x?build_only=true"),
        (("gl", "group/project", "main"), "/build/gl/group%2Fproject/main?build_only=true"),
    ],
)
def test_the_url_of_a_build_is(arguments: tuple[str, str, str], url: str) -> None:
    assert build_url("http://h:1/base/", *arguments) == f"http://h:1/base{url}"


def test_a_query_may_ask_for_a_launch() -> None:
    assert build_url("http://h", "gh", "u/r", "main", build_only="").endswith("?build_only=")
