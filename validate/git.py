"""What a repository was at another revision: read from git, without touching what is checked out.

Files are written to a directory of the caller's, through an index of their own, as a checkout would write
them: no worktree is made, no index or reference of the repository changes, and no hook runs.
"""

from __future__ import annotations

import os
import re
import subprocess
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from validate.errors import CannotCheckError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_TIMEOUT_SECONDS = 300
# A hook sets these for the repository that it runs in, which need not be the one that is meant.
_FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")
_SUBMODULE = "160000"
_INDEX = ".git-index"
_MAIN = ("main", "origin/main")
_HEAD = "HEAD"
_RANGE = re.compile(r"(.*?)\.{2,3}(.*)")


class Revision(Struct, frozen=True):
    """A commit.

    Attributes:
        name: what somebody calls it.
        commit: its hash.
    """

    name: str
    commit: str

    def __str__(self) -> str:
        """Return the name, with the hash where that is not the name."""
        return self.name if self.commit.startswith(self.name) else f"{self.name} ({self.commit[:10]})"


class Git(Struct, frozen=True, dict=True):
    """The git repository around ``root``, which may be a directory in it."""

    root: Path
    directory: str
    prefix: str
    is_shallow: bool

    @classmethod
    def open(cls, root: Path) -> Git:
        """Return the repository around ``root``.

        Raises:
            CannotCheckError: git is not installed, there is no repository, or git refuses to read it.
        """
        words = ("rev-parse", "--absolute-git-dir", "--is-shallow-repository", "--show-prefix")
        done = _run(root, words)
        if done.returncode != 0:
            raise CannotCheckError(_refused(root, done))
        directory, shallow, *prefix = done.stdout.decode(errors="surrogateescape").split("\n")
        return cls(root, directory, prefix[0], shallow == "true")

    def resolve(self, name: str) -> Revision:
        """Return the commit of that name.

        Raises:
            CannotCheckError: there is none.
        """
        either = _RANGE.fullmatch(name)
        if either:
            words = " ".join(part for part in either.groups() if part)
            raise CannotCheckError(
                f"{name!r} is a range, and validate diff takes two revisions; write: diff {words}"
            )
        commit = self._commit(name)
        if commit:
            return Revision(name, commit)
        if name == _HEAD:
            raise CannotCheckError(
                f"{self.root} has no commit yet, so there is nothing to compare with; make one"
            )
        raise CannotCheckError(f"there is no revision {name!r}{self._elsewhere(name)}")

    def merge_base(self, head: Revision | None) -> Revision:
        """Return where ``head`` (None: what is checked out) left the branch ``main``.

        Raises:
            CannotCheckError: there is no ``main``, or it shares no commit with ``head``.
        """
        tip = head.commit if head else self.resolve(_HEAD).commit
        main = next((name for name in _MAIN if self._commit(name)), None)
        way_out = "name what to compare with: validate diff BASE"
        if main is None:
            shallow = f"; this clone is shallow: {_DEEPEN}" if self.is_shallow else ""
            raise CannotCheckError(f"there is no branch main; {way_out}{shallow}")
        done = _run(self.root, ("merge-base", main, tip))
        found = done.stdout.decode().strip()
        if done.returncode != 0 or not found:
            shallow = f", or {_DEEPEN}" if self.is_shallow else ""
            name = head.name if head else _HEAD
            raise CannotCheckError(f"{main} and {name} share no commit that is here; {way_out}{shallow}")
        return Revision(f"merge base with {main}", found)

    def changed(self, base: Revision, head: Revision | None) -> frozenset[str]:
        """Return the files that differ between the two, relative to ``root``.

        ``head`` None is what is checked out: with what is not committed and what is not tracked, without
        what is ignored. A renamed file is two: one that goes and one that comes.
        """
        sides = [base.commit, *([head.commit] if head else [])]
        words = ["diff", "--name-only", "--no-renames", "--no-ext-diff", "--relative", "-z"]
        found = self._names((*words, "--ignore-submodules=dirty", *sides, "--"))
        if head is None:
            found += self._names(("ls-files", "--others", "--exclude-standard", "-z"))
        return frozenset(found)

    def listing(self, revision: Revision) -> Listing:
        """Return the names of all files below ``root`` at that revision."""
        files: set[str] = set()
        submodules: set[str] = set()
        for line in self._names(("ls-tree", "-r", "-z", revision.commit)):
            facts, _, name = line.partition("\t")
            (submodules if facts.startswith(_SUBMODULE) else files).add(name)
        return Listing(frozenset(files), frozenset(submodules))

    def write(self, revision: Revision, files: Iterable[str], directory: Path) -> None:
        """Write these files, as they are at that revision, into ``directory``.

        Raises:
            CannotCheckError: git cannot read one of them, as in a clone that lacks objects.
        """
        index = directory.parent / f"{directory.name}{_INDEX}"
        place = {"GIT_DIR": self.directory, "GIT_WORK_TREE": str(directory), "GIT_INDEX_FILE": str(index)}
        directory.mkdir(exist_ok=True)
        if not index.exists():
            self._must(("read-tree", f"{revision.commit}:{self.prefix.rstrip('/')}"), directory, place)
        names = "".join(f"{file}\0" for file in files).encode(errors="surrogateescape")
        self._must(("checkout-index", "--quiet", "--force", "-z", "--stdin"), directory, place, names)

    @cached_property
    def _known(self) -> dict[str, str]:
        return {}

    def _commit(self, name: str) -> str:
        """Return the hash of a commit, the empty string where there is none of that name."""
        if name not in self._known:
            words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
            self._known[name] = _run(self.root, words).stdout.decode().strip()
        return self._known[name]

    def _elsewhere(self, name: str) -> str:
        """Return what may help where a revision is not found."""
        if self.is_shallow:
            return f" in this shallow clone; {_DEEPEN}"
        if self._commit(f"origin/{name}"):
            return f" (did you mean origin/{name}?)"
        return "; git log and git branch --all list those that there are"

    def _names(self, words: tuple[str, ...]) -> list[str]:
        text = self._must(words, self.root).decode(errors="surrogateescape")
        return [name for name in text.split("\0") if name]

    def _must(
        self,
        words: tuple[str, ...],
        directory: Path,
        place: Mapping[str, str] | None = None,
        text: bytes = b"",
    ) -> bytes:
        done = _run(directory, words, place, text)
        if done.returncode != 0:
            raise CannotCheckError(_refused(self.root, done))
        return done.stdout


class Listing(Struct, frozen=True):
    """The files of a revision, and the directories that are submodules: git keeps no content of those."""

    files: frozenset[str]
    submodules: frozenset[str]


_DEEPEN = "fetch the rest with: git fetch --unshallow (in a workflow, actions/checkout with fetch-depth: 0)"


def _run(
    directory: Path, words: Iterable[str], place: Mapping[str, str] | None = None, text: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    # English, since what git says is read here. No questions, since nobody answers. No optional locks, since
    # somebody may commit meanwhile.
    own = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    environment = {key: value for key, value in os.environ.items() if key not in _FOREIGN}
    try:
        # A sparse checkout leaves files out of every index that is read, this one as well.
        return subprocess.run(  # noqa: S603 - no shell
            ["git", "-c", "core.sparseCheckout=false", "-c", "core.quotePath=false", *words],  # noqa: S607 - the user's
            cwd=directory,
            env={**environment, **own, **(place or {})},
            input=text,
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise CannotCheckError("git is not installed, and validate diff reads both sides from it") from None
    except OSError as error:
        raise CannotCheckError(f"git cannot be run ({error.strerror})") from None
    except subprocess.TimeoutExpired:
        raise CannotCheckError(f"git is not done after {_TIMEOUT_SECONDS} s; try: git fsck") from None


def _refused(root: Path, done: subprocess.CompletedProcess[bytes]) -> str:
    """Return git's refusal as one sentence with the way out."""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    words = lines[0].removeprefix("fatal: ").removeprefix("error: ") if lines else f"status {done.returncode}"
    if words.startswith("not a git repository"):
        return f"{root} is in no git repository, so there is nothing to compare with; clone it with git"
    if "dubious ownership" in words:
        way_out = f"git config --global --add safe.directory {root}"
        return f"git refuses to read {root}, since it belongs to somebody else; if it may: {way_out}"
    return f"git cannot read {root} ({words}); git fsck says what is wrong with it"
