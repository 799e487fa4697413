"""Event streams of BinderHub: ask for one, keep it, read a kept one, and compare two.

Standard library only: ``make build`` prints a stream with it before anything else is installed.

A stream is kept as text, one line per line received: seconds since the request, then what came (the
event as JSON, or a comment such as ``:keepalive``). The first line is the answer's status and content
type, the last one says how it ended.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

ACCEPT = "text/event-stream"
# ``failure`` is what older versions of repo2docker say.
TERMINAL = frozenset({"ready", "failed", "failure"})
# What repo2docker does. How many lines it takes, and in which order two of its streams mix, is chance.
_PROGRESS = frozenset({"fetching", "building", "pushing", "unknown"})


class Ending(StrEnum):
    """How a stream ended, in the words of the last line of a kept one."""

    CLOSED = "EOF"
    BROKEN = "connection lost"
    LEFT = "gave up, stream still open"


class Event(NamedTuple):
    """One event: when it came, in seconds since the request, and what it says."""

    seconds: float
    data: Mapping[str, Any]

    @property
    def phase(self) -> str:
        """The phase, empty for a log line that names none."""
        return str(self.data.get("phase", ""))

    @property
    def message(self) -> str:
        """The message, empty where there is none."""
        return str(self.data.get("message", ""))

    @property
    def is_terminal(self) -> bool:
        """Whether the build has ended. The server may keep the stream open, and say ``failed`` again."""
        return self.phase in TERMINAL

    def __str__(self) -> str:
        return _line(self.seconds, json.dumps(self.data))


class Comment(NamedTuple):
    """A line for proxies, that clients pass over: ``:keepalive``."""

    seconds: float
    text: str

    def __str__(self) -> str:
        return _line(self.seconds, self.text)


@dataclass(frozen=True)
class Transcript:
    """A stream as it was received.

    Attributes:
        status: of the HTTP answer.
        content_type: likewise.
        answered: seconds from the request to the answer's first line.
        items: events and comments, in order.
        ending: how it ended.
        ended: when, in seconds since the request.
    """

    status: int
    content_type: str
    answered: float
    items: tuple[Event | Comment, ...]
    ending: Ending
    ended: float

    @property
    def events(self) -> tuple[Event, ...]:
        """The events, without comments."""
        return tuple(item for item in self.items if isinstance(item, Event))

    @property
    def image(self) -> str:
        """The image that is ready, empty where none is."""
        return next((str(event.data["imageName"]) for event in self.events if event.phase == "ready"), "")

    def __str__(self) -> str:
        """Return the text to keep; :func:`parse` reads it."""
        head = _line(self.answered, f"HTTP {self.status} {self.content_type}")
        return "\n".join([head, *map(str, self.items), _line(self.ended, self.ending)]) + "\n"


def parse(text: str) -> Transcript:
    """Read a kept stream.

    Raises:
        ValueError: it is none.
    """
    lines = [re.fullmatch(r" *(\d+\.\d+) (.*)", line) for line in text.splitlines()]
    if len(lines) < 2 or None in lines:
        raise ValueError("not a kept stream: a line does not begin with seconds")
    (answered, head), *between, (ended, ending) = [
        (float(line[1]), line[2]) for line in lines if line is not None
    ]
    protocol, status, content_type = head.split(" ", 2)
    if protocol != "HTTP":
        raise ValueError(f"not a kept stream: its first line is {head!r}")
    items = tuple(
        Comment(seconds, said) if said.startswith(":") else Event(seconds, json.loads(said))
        for seconds, said in between
    )
    return Transcript(int(status), content_type, answered, items, Ending(ending), ended)


def read(file: Path) -> Transcript:
    """Read a kept stream from its file."""
    return parse(file.read_text("utf-8"))


def normalise(transcript: Transcript) -> list[str]:
    """Return what two streams of the same case have in common, a line for each step.

    Times, comments, names, and how often something is said are left out. repo2docker's progress becomes
    one line for each phase in it, in the order of their first lines; what it says after BinderHub has
    given the build up is chance as well. Of other messages the first clause is kept::

        HTTP 200 text/event-stream
        waiting: Waiting for build to start...
        (no phase)
        fetching
        building
        ready: Done! Image built, imageName
        EOF
    """
    steps = [f"HTTP {transcript.status} {transcript.content_type}"]
    progress: list[str] = []
    is_given_up = False
    for event in transcript.events:
        step = _step(event)
        if event.phase in _PROGRESS or not event.phase:
            if step not in progress and not is_given_up:
                progress.append(step)
            continue
        # repo2docker says why; BinderHub does not.
        is_given_up = is_given_up or (event.is_terminal and not event.message)
        steps += progress
        progress = []
        if steps[-1] != step:
            steps.append(step)
    return [*steps, *progress, transcript.ending]


def _step(event: Event) -> str:
    if not event.phase:
        return "(no phase)"
    if event.phase in _PROGRESS:
        return event.phase
    details = [re.split(r"[:\n]", event.message)[0].strip()] if event.message else []
    if "status_code" in event.data:
        details.append(f"status_code {event.data['status_code']}")
    if "imageName" in event.data:
        details.append("imageName")
    return f"{event.phase}: {', '.join(details)}" if details else event.phase


def build_url(base: str, provider: str, repo: str, ref: str, **query: str) -> str:
    """Return the URL that asks for a build, without a launch unless ``query`` says otherwise.

    ``repo`` is a URL for ``git``, ``user/repo`` for ``gh``, ``group/project`` for ``gl``.
    """
    # Whatever BinderHub would take for a slash of its own is escaped; of ``gh`` the slashes are its own.
    kept = "/" if provider == "gh" else ""
    spec = f"{quote(repo, safe=kept)}/{quote(ref, safe=kept)}"
    return f"{base.rstrip('/')}/build/{provider}/{spec}?{urlencode({'build_only': 'true', **query})}"


class EventStream:
    """One request for a build, and what comes of it.

    Iterating yields events and comments as they come, until the server closes the stream, the connection
    is lost, or the client gives up: ``linger`` seconds after the first event for which ``until`` holds
    (BinderHub keeps the stream of a failed build open), and after ``limit`` seconds in any case. Never ask
    again by yourself: each request may start a build.

    >>> url = build_url("http://127.0.0.1:8585", "git", "https://git.example/r.git", "main")
    >>> with EventStream(url) as stream:
    ...     for item in stream:
    ...         print(item)

    Raises:
        OSError: nobody answers.
        http.client.HTTPException: what answers does not speak HTTP.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        limit: float = 300,
        linger: float = 4,
        until: Callable[[Event], bool] = lambda event: event.is_terminal,
    ) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._started = time.monotonic()
        self._deadline = self._started + limit
        self._linger = linger
        self._until = until
        self._received = b""
        self._items: list[Event | Comment] = []
        self.ending: Ending | None = None
        self.ended = 0.0
        self._connection = connect(parts.hostname or "", parts.port, timeout=limit)
        try:
            self._connection.connect()
            # http.client lets go of it where the answer has no end of its own.
            self._socket = self._connection.sock
            path = parts._replace(scheme="", netloc="").geturl()
            self._connection.request("GET", path, headers={"Accept": ACCEPT, **(headers or {})})
            self._response = self._connection.getresponse()
        except BaseException:
            self._connection.close()
            raise
        self.answered = self.seconds
        self.status = self._response.status
        self.headers = self._response.headers

    @property
    def seconds(self) -> float:
        """Seconds since the request."""
        return time.monotonic() - self._started

    @property
    def events(self) -> tuple[Event, ...]:
        """The events so far."""
        return tuple(item for item in self._items if isinstance(item, Event))

    @property
    def content_type(self) -> str:
        """The content type of the answer."""
        return str(self.headers.get("Content-Type", ""))

    def __iter__(self) -> Iterator[Event | Comment]:
        while self.ending is None:
            item = self._next()
            if item is None:
                continue
            self._items.append(item)
            if isinstance(item, Event) and self._until(item):
                self._deadline = min(self._deadline, time.monotonic() + self._linger)
            yield item

    def _next(self) -> Event | Comment | None:
        """Return what the next line says, None where it says nothing, or is not there yet."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            self._end(Ending.LEFT)
            return None
        line, newline, rest = self._received.partition(b"\n")
        if not newline:
            self._receive(left)
            return None
        self._received = rest
        text = line.decode()
        if text.startswith(":"):
            return Comment(self.seconds, text)
        if text.startswith("data:"):
            return Event(self.seconds, json.loads(text.removeprefix("data:")))
        return None

    def _receive(self, left: float) -> None:
        try:
            self._socket.settimeout(left)
            # Not ``readline``, for which a lost connection is an end like any other.
            received = self._response.read1(65536)
        except TimeoutError:
            self._end(Ending.LEFT)
        except (OSError, http.client.HTTPException):
            self._end(Ending.BROKEN)
        else:
            self._received += received
            if not received:
                self._end(Ending.CLOSED)

    def _end(self, ending: Ending) -> None:
        self.ending = ending
        self.ended = self.seconds
        self.close()

    def transcript(self) -> Transcript:
        """Return all that came and will come: reads to the end first."""
        for _ in self:
            pass
        assert self.ending is not None
        return Transcript(
            self.status, self.content_type, self.answered, tuple(self._items), self.ending, self.ended
        )

    def close(self) -> None:
        """Leave. The build goes on without this client."""
        if self.ending is None:
            self.ending = Ending.LEFT
            self.ended = self.seconds
        with suppress(OSError):
            self._response.close()
        self._connection.close()

    def __enter__(self) -> EventStream:  # noqa: PYI034 - Self is typing's from 3.11 on, and one class is enough
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _line(seconds: float, text: str) -> str:
    return f"{seconds:7.2f} {text}"
