"""What overlays gave when they were last checked, for as long as nothing that decided it has changed.

An entry holds for the content of every file that the overlay reads, for those that it would read if
they were there, and for one edition of validate, its libraries, Python and Kustomize. Nothing else
goes into what one overlay gives: rules are pure, and a tree that fetches from elsewhere is not kept.
What an entry may be trusted for is in ``docs/decisions/0005-keep-what-unchanged-overlays-gave.md``.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from validate.kustomize.files import FILE_NAMES
from validate.kustomize.render import locate_kustomize

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validate.judge import Checked

# Of 30 KB or so each: 300 overlays in three work trees.
_MOST_ENTRIES = 1000
_SUFFIX = ".entry"
_LIBRARIES = ("yaml", "cel_expr_python")
_CODE = (".py", ".json")
_FACTS = "cluster.yaml"
_ABANDONED_SECONDS = 3600
# Clocks of file systems stand still for a tick of the kernel (10 ms); some have whole seconds, FAT two.
_TICK_NS = 50_000_000
_WHOLE_SECONDS_NS = 2_000_000_000
_SECOND_NS = 1_000_000_000


class UnusableCacheError(Exception):
    """There is no directory for entries that is writable for us and for nobody else."""


def open_cache(root: Path, rules: Iterable[str]) -> Cache:
    """Return the cache of a repository, for runs with the rules of these ids (none: every rule).

    Raises:
        UnusableCacheError: with the directory and why.
    """
    chosen = sorted(set(rules))
    edition = [str(root), sys.version, _code(), *_libraries(), *_identity(locate_kustomize(root)), *chosen]
    return Cache(root, _private(_directory()), _digest(*edition), " ".join((str(root), *chosen)))


class Cache:
    """The entries of one repository, in ``directory``.

    ``edition`` stands for everything but files that decides what an overlay gives; ``series`` for
    what may stay beside one another: other repositories, and other choices of rules.
    """

    def __init__(self, root: Path, directory: Path, edition: str, series: str) -> None:
        self.opened = time.time_ns()
        self._root = root
        self._directory = directory
        self._edition = edition
        self._series = series
        self._states: dict[str, str] = {}
        self._texts: dict[str, str | None] = {}

    def changed(self, overlays: Iterable[str]) -> tuple[str, ...]:
        """Return those of ``overlays`` that have no entry, or none that still holds."""
        for name in overlays:
            if name not in self._texts:
                self._texts[name] = self._look_up(name)
        return tuple(name for name in overlays if self._texts[name] is None)

    def restore(self, overlays: Iterable[str]) -> dict[str, Checked]:
        """Return what those of ``overlays`` gave that have an entry that holds."""
        self.changed(overlays)
        restored = {name: _checked(name, self._texts[name]) for name in overlays}
        return {name: checked for name, checked in restored.items() if checked is not None}

    def keep(self, checked: Checked) -> None:
        """Write an entry of what an overlay gave, unless something may have changed since it was read."""
        from validate import records  # noqa: PLC0415 - an unchanged run dumps nothing

        if not _lasts(checked):
            return
        files = sorted(set(_decisive(checked)))
        states = [(file, self._state(file)) for file in files]
        if any(self._is_young(file) for file in files):
            return
        text = f"{json.dumps(states)}\n{records.dump(checked)}"
        path = self._path(checked.report.name)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        # A disk that is full is no reason not to report what was found.
        with suppress(OSError):
            _write(part, f"{self._seal(checked.report.name, text)}\n{text}")
            part.replace(path)

    def prune(self) -> None:
        """Remove the entries that were not used for longest, and what interrupted runs left behind."""
        with suppress(OSError):
            entries = sorted(_entries(self._directory), key=lambda one: one.used, reverse=True)
            whole = [one.path for one in entries if one.path.endswith(_SUFFIX)]
            old = time.time() - _ABANDONED_SECONDS
            parts = [one.path for one in entries if not one.path.endswith(_SUFFIX) and one.used < old]
            for path in (*whole[_MOST_ENTRIES:], *parts):
                with suppress(FileNotFoundError):
                    os.unlink(path)  # noqa: PTH108 - of a scan

    def _look_up(self, overlay: str) -> str | None:
        """Return the record of an entry that is whole and of which nothing has changed."""
        path = self._path(overlay)
        try:
            seal, text = _read(path).decode("ascii").split("\n", 1)
            if seal != self._seal(overlay, text):
                return None
            states, record = text.split("\n", 1)
            if any(self._state(file) != state for file, state in json.loads(states)):
                return None
            os.utime(path)
        except (OSError, ValueError, TypeError):
            return None
        return record

    def _path(self, overlay: str) -> Path:
        return self._directory / f"{_digest(self._series, overlay)[:32]}{_SUFFIX}"

    def _seal(self, overlay: str, text: str) -> str:
        return _digest(self._edition, overlay, text)

    def _state(self, file: str) -> str:
        """Return what stands for a file's content, and for where links lead to it; empty without a file."""
        if file not in self._states:
            self._states[file] = _state(self._root / file)
        return self._states[file]

    def _is_young(self, file: str) -> bool:
        """Whether a file came, went or changed since the run began, as far as one can tell."""
        path = self._root / file
        try:
            seen = [path.lstat(), path.stat()] if self._state(file) else [path.parent.stat()]
        except OSError:
            return True
        return any(_changed_after(self.opened, one.st_ctime_ns) for one in seen)


def _lasts(checked: Checked) -> bool:
    """Whether checking again would give the same: not where something outside the overlay was in the way."""
    from validate.finding import Verdict  # noqa: PLC0415 - imports every rule

    report = checked.report
    failed = report.obstacle or checked.unrenderable or report.rules(Verdict.NOT_CHECKED)
    return checked.complete and not failed


def _decisive(checked: Checked) -> Iterator[str]:
    """Yield the files that decide what an overlay gave; some would, if they were there."""
    yield from checked.reads
    yield os.path.normpath(f"{checked.report.name}/{_FACTS}")
    for file in checked.reads:
        directory, name = os.path.split(file)
        if name in FILE_NAMES:
            # Kustomize refuses a directory that has two of them.
            yield from (f"{directory}/{other}" if directory else other for other in FILE_NAMES)
    for finding in checked.report.findings:
        yield from (location.origin.file for location in (finding.at, *finding.related))


def _checked(name: str, text: str | None) -> Checked | None:
    """Return what was dumped, None where it cannot be read back as what one overlay gave."""
    from validate import judge, records  # noqa: PLC0415 - imports every rule, which takes as long as Kustomize

    if text is None:
        return None
    try:
        found = records.load(text)
    except ValueError:
        return None
    fits = isinstance(found, judge.Checked) and found.report.name == name
    return found if fits else None


def _state(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return "no file"
        place = os.path.realpath(path) if path.is_symlink() else f"{_real(path.parent)}/{path.name}"
        return _digest(place, path.read_bytes())
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"cannot be read: {error.errno}"


@cache
def _real(directory: Path) -> str:
    """Return where a directory really is: Kustomize refuses what links bring in from elsewhere."""
    return os.path.realpath(directory)


def _changed_after(moment: int, changed: int) -> bool:
    margin = _TICK_NS if changed % _SECOND_NS else _WHOLE_SECONDS_NS
    return changed + margin > moment


def _digest(*parts: str | bytes) -> str:
    """Return a digest of the parts, each as it is: no part can pass for two."""
    digest = blake2b(digest_size=32)
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape")
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.hexdigest()


def _code() -> str:
    """Return a digest of this package: modification times say nothing after a checkout."""
    parts: list[str | bytes] = []
    for directory, below, names in os.walk(Path(__file__).parent):
        below[:] = sorted(name for name in below if name != "__pycache__")
        for name in sorted(names):
            if name.endswith(_CODE):
                path = Path(directory, name)
                parts += [str(path), path.read_bytes()]
    return _digest(*parts)


def _libraries() -> Iterator[str]:
    """Yield where the libraries are and what is installed there: the names of metadata have versions."""
    for name in _LIBRARIES:
        spec = find_spec(name)
        place = Path(spec.origin).parent.parent if spec and spec.origin else None
        yield str(place)
        if place:
            yield from sorted(one for one in os.listdir(place) if one.endswith((".dist-info", ".egg-info")))  # noqa: PTH208 - names


def _identity(kustomize: str | None) -> Iterator[str]:
    """Yield which Kustomize this is; it does not change without one of these, and asking it takes 20 ms."""
    if kustomize is None:
        return
    path = os.path.realpath(kustomize)
    with suppress(OSError):
        found = os.stat(path)  # noqa: PTH116 - of a path as text
        yield from (kustomize, path, str(found.st_ino), str(found.st_size))
        yield from (str(found.st_mtime_ns), str(found.st_ctime_ns))


def _directory() -> Path:
    """Return where the entries are, by the XDG Base Directory Specification: relative paths do not count."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    home = given if os.path.isabs(given) else os.path.expanduser("~/.cache")  # noqa: PTH111, PTH117 - Path raises
    return Path(home) / "binderhub-service-validate"


def _private(directory: Path) -> Path:
    """Return the directory, made where it is not there; what others can write to is not believed."""
    if not directory.is_absolute():
        raise UnusableCacheError("there is no home directory for it")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.stat()
    except OSError as error:
        raise UnusableCacheError(f"{directory} cannot be made ({error.strerror})") from None
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnusableCacheError(f"others can write to {directory}")
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise UnusableCacheError(f"{directory} cannot be written")
    return directory


def _read(path: Path) -> bytes:
    """Return the content of a plain file of ours, and wait for nothing else that stands there.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not one.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:  # noqa: PTH123 - of a descriptor
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise ValueError("is no entry of ours")
        return stream.read()


def _write(path: Path, text: str) -> None:
    # It may hold what stands in Secrets, for rules that compare overlays.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="ascii") as stream:  # noqa: PTH123 - of a descriptor
        stream.write(text)


class _Entry(NamedTuple):
    path: str
    used: float


def _entries(directory: Path) -> Iterator[_Entry]:
    for found in os.scandir(directory):
        with suppress(FileNotFoundError):
            if found.is_file(follow_symlinks=False):
                yield _Entry(found.path, found.stat(follow_symlinks=False).st_mtime)
