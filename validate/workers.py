"""Worker processes: each takes whole items, hands every result back at once, and keeps nothing.

``multiprocessing`` and ``concurrent.futures`` do the same and take 30 to 50 ms to import, which is
a tenth of what a run may take.
"""

from __future__ import annotations

import gc
import os
import pickle
import selectors
import signal
import struct
from contextlib import closing
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

from validate.errors import CannotCheckError
from validate.interrupts import INTERRUPTING, postponed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from types import FrameType

T = TypeVar("T")
R = TypeVar("R")

_LENGTH = struct.Struct(">Q")
_INTERRUPTED = 130


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers(Generic[T, R]):
    """Forked processes that run ``task`` over their shares of ``items``; iterate to have the results.

    ``task`` yields one result for each item. Without processes it runs in this one. Results come in
    the order in which they are done. An exception of a worker is raised here.
    """

    def __init__(
        self, task: Callable[[Sequence[T]], Generator[R, None, None]], items: Sequence[T], processes: int
    ) -> None:
        self._task = task
        self._items = items
        self._processes = processes
        self._pids: dict[int, int] = {}

    def __enter__(self) -> Workers[T, R]:
        """Start them."""
        with postponed():
            for number in range(self._processes):
                self._start(self._items[number :: self._processes])
        return self

    def __exit__(self, *_: object) -> None:
        """Stop those that still work, and wait for all."""
        for stream, pid in self._pids.items():
            os.close(stream)
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)

    def __iter__(self) -> Iterator[R]:
        """Yield the results.

        Raises:
            CannotCheckError: a worker died without a word, of a signal for example.
        """
        return self._receive() if self._pids else self._task(self._items)

    def _start(self, share: Sequence[T]) -> None:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _work(self._task, share, writing)
        os.close(writing)
        self._pids[reading] = pid

    def _receive(self) -> Iterator[R]:
        with selectors.DefaultSelector() as selector:
            for stream in self._pids:
                selector.register(stream, selectors.EVENT_READ)
            while self._pids:
                for key, _ in selector.select():
                    message = _read_message(key.fd)
                    if message is None:
                        selector.unregister(key.fd)
                        self._ended(key.fd)
                        continue
                    result = pickle.loads(message)  # noqa: S301 - written by this very program
                    if isinstance(result, BaseException):
                        raise result
                    yield result

    def _ended(self, stream: int) -> None:
        os.close(stream)
        _, status = os.waitpid(self._pids.pop(stream), 0)
        code = os.waitstatus_to_exitcode(status)
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        if code != 0:
            how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
            raise CannotCheckError(f"a worker process {how}; try again with --jobs 1")


def _work(
    task: Callable[[Sequence[T]], Generator[R, None, None]], share: Sequence[T], stream: int
) -> NoReturn:
    """Be a worker; never return into what the parent was doing."""
    status = 1
    # Overlays go as their last reference goes; looking for cycles takes a tenth of the time and finds none.
    gc.disable()
    try:
        for number in INTERRUPTING:
            signal.signal(number, _interrupt)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTING)
        with closing(task(share)) as results:
            for result in results:
                _write_message(stream, pickle.dumps(result, pickle.HIGHEST_PROTOCOL))
        status = 0
    except KeyboardInterrupt:
        status = _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - it is raised again where somebody reads it
        _write_message(stream, _pickled(error))
        status = 0
    finally:
        os._exit(status)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """Let a worker clean up on its way out, once: who interrupts all of us interrupts the parent too."""
    for number in INTERRUPTING:
        # Not SIG_IGN: Python complains of a signal that came before and is ignored since.
        signal.signal(number, lambda *_: None)
    raise KeyboardInterrupt


def _pickled(error: Exception) -> bytes:
    if isinstance(error, CannotCheckError):
        return pickle.dumps(error)
    # Exceptions with parameters of their own cannot always be read back.
    return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))


def _write_message(stream: int, message: bytes) -> None:
    rest = memoryview(_LENGTH.pack(len(message)) + message)
    while rest:
        rest = rest[os.write(stream, rest) :]


def _read_message(stream: int) -> bytes | None:
    """Return the next message, None where the worker has ended."""
    header = _read(stream, _LENGTH.size)
    if len(header) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(header)
    message = _read(stream, length)
    return message if len(message) == length else None


def _read(stream: int, length: int) -> bytes:
    parts = []
    while length and (part := os.read(stream, length)):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
