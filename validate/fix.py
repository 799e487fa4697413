"""Fix: make the edits that findings carry, and keep those that make nothing worse.

Everything is tried on a copy of the repository and validated there, all overlays of it: an edit of a
base is an edit of whatever reads it. Nothing is written before all of it is known to be right.
"""

from __future__ import annotations

import posixpath
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from validate import engine
from validate.discover import open_checkout
from validate.edits import Edit, Remove
from validate.errors import SourceError
from validate.finding import Verdict
from validate.kustomize.files import FILE_NAMES, find_kustomization, join
from validate.rewrite import EditError, rewrite
from validate.source import compose

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from validate.discover import Checkout
    from validate.finding import Finding, Report
    from validate.place import Origin
    from validate.source import Field

# A patch goes that an edit leaves without effect, which may leave a patch of a base without effect ...
_ROUNDS = 4
_DEAD = "dead-patch"
_NEUTRAL = "."
_PATHS = ("resources", "components", "patchesStrategicMerge")
_WITH_PATH = ("patches", "patchesJson6902", "replacements")
_GENERATORS = ("configMapGenerator", "secretGenerator")
_SOURCES = ("files", "envs", "literals")


class Fix(Struct, frozen=True):
    """The edits that mend a finding; the same edits mend it wherever the files are read."""

    findings: tuple[Finding, ...]
    edits: tuple[Edit, ...]

    @property
    def finding(self) -> Finding:
        """The first of the findings, to stand for all."""
        return self.findings[0]

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What stays the same when other edits move its lines."""
        one = self.finding
        return one.rule, one.at.title, one.at.path, one.at.origin.file


class Mending(Struct, frozen=True):
    """What was tried.

    Attributes:
        before: the report of the repository as it is.
        after: the report with the changes.
        changes: per file, its text before and after; None where the file goes.
        made: the fixes behind the changes.
        left: the fixes that were not made, and why.
    """

    before: Report
    after: Report
    changes: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    made: tuple[Fix, ...] = ()
    left: tuple[tuple[Fix, str], ...] = ()


def mend(
    checkout: Checkout,
    overlays: Collection[str],
    *,
    rules: Collection[str] = (),
    processes: int | None = None,
) -> Mending:
    """Return what mends findings of ``overlays``, by ``rules`` (none: all); the checkout stays as it is.

    A fix is made where its findings are gone with it, and no other is new in any overlay of the
    repository.

    Raises:
        CannotCheckError: nothing can be checked, as for :func:`validate.engine.check`.
    """
    with TemporaryDirectory(prefix="validate-fix-") as scratch:
        work = _Work(checkout.root, Path(scratch).resolve(), _all(checkout, overlays), processes)
        before = report = work.check({})
        texts: _Texts = {}
        made: list[Fix] = []
        left: dict[tuple[str, str, str, str], tuple[Fix, str]] = {}
        while batch := _ready(
            [
                fix
                for fix in _fixes(_asked(report, overlays, rules))
                if fix.identity not in left and fix not in made
            ]
        ):
            attempt = work.attempt(texts, report, batch)
            while isinstance(attempt, str) and len(batch) > 1:
                batch = batch[: len(batch) // 2]
                attempt = work.attempt(texts, report, batch)
            if isinstance(attempt, str):
                left[batch[0].identity] = (batch[0], attempt)
            else:
                texts, report = attempt.texts, attempt.report
                made += attempt.made
                left.update({fix.identity: (fix, why) for fix, why in attempt.left})
        changes = {file: (work.original(file), text) for file, text in sorted(texts.items())}
        return Mending(before, report, changes, tuple(made), tuple(left.values()))


def of_overlays(report: Report, overlays: Collection[str]) -> Report:
    """Return the report without the overlays that nobody asked about."""
    return replace(report, overlays=tuple(part for part in report.overlays if part.name in overlays))


_Texts = dict[str, "str | None"]


class _Attempt(NamedTuple):
    """Edits that hold: the texts that they make, and the report of a repository with those."""

    texts: _Texts
    report: Report
    made: list[Fix]
    left: list[tuple[Fix, str]]


class _Work:
    """A snapshot of a repository, and copies of it with changes, each to be validated once.

    Files are read once per process, so each copy is a directory of its own.
    """

    def __init__(self, root: Path, scratch: Path, overlays: Sequence[str], processes: int | None) -> None:
        self.scratch = scratch
        self.overlays = overlays
        self.processes = processes
        self.copies = 0
        self.root = scratch / "snapshot"
        _copy(root, self.root)

    def check(self, texts: Mapping[str, str | None]) -> Report:
        """Return the report of the snapshot with these texts in it."""
        self.copies += 1
        root = self.scratch / str(self.copies)
        try:
            _copy(self.root, root)
            for file, text in texts.items():
                (root / file).unlink()
                if text is not None:
                    (root / file).write_bytes(text.encode())
            return engine.check(open_checkout(root), self.overlays, processes=self.processes)
        finally:
            shutil.rmtree(root, ignore_errors=True)

    def original(self, file: str) -> str:
        """Return the text of a file as it was found.

        Raises:
            EditError: it is no file of the repository, or no text.
        """
        path = self.root / file
        if not path.resolve().is_relative_to(self.root) or path.is_symlink():
            raise EditError("it does not stand in the repository itself")
        try:
            return path.read_bytes().decode()
        except (OSError, UnicodeDecodeError):
            raise EditError("the file cannot be read") from None

    def text(self, texts: Mapping[str, str | None], file: str) -> str:
        """Return the text of a file with the changes so far."""
        text = texts.get(file, "") if file in texts else self.original(file)
        if text is None:
            raise EditError("nothing is left of the file")
        return text

    def attempt(self, texts: _Texts, before: Report, batch: Sequence[Fix]) -> _Attempt | str:
        """Make the fixes, and drop patches that say nothing then; return why not where that is wrong."""
        try:
            texts, made, left = self.edited(texts, batch)
            if not made:
                return left[0][1] if len(batch) == 1 else "none of them can be made"
            report = self.check(texts)
            for _ in range(_ROUNDS):
                dead = {one.at.origin for one in _caused(before, report) if one.rule == _DEAD}
                if not dead:
                    break
                texts = self.without(texts, dead)
                report = self.check(texts)
        except EditError as error:
            return str(error)
        return _objection(before, report, made) or _Attempt(texts, report, made, left)

    def edited(self, texts: _Texts, batch: Sequence[Fix]) -> tuple[_Texts, list[Fix], list[tuple[Fix, str]]]:
        """Return the texts with every edit of every fix that can be made, those fixes, and the others."""
        made = list(batch)
        left: list[tuple[Fix, str]] = []
        while True:
            done = dict(texts)
            fix: Fix | None = None
            try:
                for edit in _from_below(edit for fix in made for edit in fix.edits):
                    fix = next(one for one in made if edit in one.edits)
                    self.make(done, edit)
            except EditError as error:
                assert fix is not None  # noqa: S101 - for the type checker: some edit failed
                made.remove(fix)
                left.append((fix, f"{fix.finding.at.origin.file}: {error}"))
            else:
                return done, made, left

    def make(self, texts: _Texts, edit: Edit) -> None:
        """Make one edit; a file that it leaves empty goes, with what names it."""
        file = edit.at.file
        text = rewrite(self.text(texts, file), edit)
        if text is None:
            self.forget(texts, file)
        texts[file] = text

    def forget(self, texts: _Texts, file: str) -> None:
        """Remove what names a file from every kustomization."""
        named = [one for one in self.mentions(texts) if one.file == file]
        if not named:
            raise EditError("nothing would be left of the file")
        for edit in _from_below(one.edit for one in named):
            self.make(texts, edit)

    def without(self, texts: _Texts, entries: Iterable[Origin]) -> _Texts:
        """Return the texts without these entries of kustomizations, and files that only they named."""
        done = dict(texts)
        before = {one.file for one in self.mentions(done)}
        for edit in _from_below(Remove(origin, None) for origin in entries):
            self.make(done, edit)
        for file in before - {one.file for one in self.mentions(done)}:
            if (self.root / file).is_file():
                self.original(file)
                done[file] = None
        return done

    def mentions(self, texts: _Texts) -> Iterator[_Mention]:
        """Yield what kustomizations of the repository say of files."""
        for path in sorted(path for name in FILE_NAMES for path in self.root.rglob(name)):
            file = path.relative_to(self.root).as_posix()
            if texts.get(file, "") is not None:
                # One that cannot be read is a finding of those that read it.
                with suppress(SourceError, EditError):
                    for document in compose(self.text(texts, file), file):
                        yield from _mentions(posixpath.dirname(file), document)


class _Mention(NamedTuple):
    """A file that a kustomization names, and the edit that removes it there."""

    file: str
    edit: Remove


def _mentions(directory: str, fields: Field) -> Iterator[_Mention]:
    def mention(path: str, at: Origin) -> _Mention:
        return _Mention(join(directory, path), Remove(at, None))

    for key in _PATHS:
        for entry in fields.sequence(key):
            yield mention(str(entry.value), entry.origin)
    for key in _WITH_PATH:
        for entry in fields.sequence(key):
            if entry.text("path"):
                yield mention(entry.text("path"), entry.origin)
    for key in _GENERATORS:
        for entry in fields.sequence(key):
            alone = sum(len(entry.sequence(source)) for source in _SOURCES) == 1
            for line in (*entry.sequence("files"), *entry.sequence("envs")):
                path = str(line.value).rpartition("=")[2]
                yield mention(path, entry.origin if alone else line.origin)


def _asked(report: Report, overlays: Collection[str], rules: Collection[str]) -> Iterator[Finding]:
    for finding in report.findings:
        if finding.overlay in ("", *overlays) and (not rules or finding.rule in rules):
            yield finding


def _fixes(findings: Iterable[Finding]) -> list[Fix]:
    """Return what mends the findings: once where several overlays have a finding in common."""
    found: list[Fix] = []
    for finding in findings:
        if not finding.edits:
            continue
        known = next((index for index, fix in enumerate(found) if fix.edits == finding.edits), None)
        if known is None:
            found.append(Fix((finding,), finding.edits))
        else:
            found[known] = Fix((*found[known].findings, finding), finding.edits)
    return found


def _ready(fixes: list[Fix]) -> list[Fix]:
    """Return those that no other one may spare: what a base is mended of, its patches need not be."""

    def files(fix: Fix) -> set[str]:
        return {edit.at.file for edit in fix.edits}

    def patched(fix: Fix) -> set[str]:
        return {writer.file for one in fix.findings for writer in one.at.writers} - files(fix)

    ready = [
        fix
        for fix in fixes
        if not any(patched(fix) & files(other) for other in fixes if other.finding.rule == fix.finding.rule)
    ]
    return ready or fixes


def _from_below(edits: Iterable[Edit]) -> list[Edit]:
    """Return each edit once, the last of a file first: an edit moves only what comes after it."""
    once: list[Edit] = []
    for edit in edits:
        if edit not in once:
            once.append(edit)
    return sorted(once, key=lambda edit: (edit.at.file, edit.at.line, edit.at.column), reverse=True)


def _objection(before: Report, after: Report, made: Iterable[Fix]) -> str:
    """Return what is worse than before, or not better; the empty string where all is well."""
    obstacle = next((one for one in after.all_obstacles if one not in set(before.all_obstacles)), None)
    if obstacle:
        return f"it would keep something from being checked: {obstacle}"
    then = {_key(finding) for finding in after.findings}
    unmended = next((one for fix in made for one in fix.findings if _key(one) in then), None)
    if unmended:
        return f"it would not mend {unmended.rule} in {unmended.overlay or 'the repository'}"
    caused = next(_caused(before, after), None)
    if caused:
        return f"it would break {caused.overlay or 'the repository'} ({caused.rule}: {caused.problem})"
    return ""


def _caused(before: Report, after: Report) -> Iterator[Finding]:
    """Yield what is found now and was not before, by rules that were judged before."""
    known = {(*_key(finding), finding.problem) for finding in before.findings}
    was = Counter((finding.overlay, finding.rule) for finding in before.findings)
    now = Counter((finding.overlay, finding.rule) for finding in after.findings)
    for finding in after.findings:
        more = now[finding.overlay, finding.rule] > was[finding.overlay, finding.rule]
        if more and (*_key(finding), finding.problem) not in known and _was_judged(finding, before):
            yield finding


def _was_judged(finding: Finding, before: Report) -> bool:
    """Whether the rule was judged: of what waited for another rule, nobody knows what it would have found."""
    parts = (part for part in before.parts if part.name in (finding.overlay, ""))
    outcomes = (part.outcomes[finding.rule] for part in parts if finding.rule in part.outcomes)
    return any(
        outcome.verdict is not Verdict.NOT_APPLICABLE or not outcome.reason.startswith("waits for ")
        for outcome in outcomes
    )


def _key(finding: Finding) -> tuple[str, str, str, str, str]:
    # The line moves with the edits; of an entry in a kustomization the problem tells which one it is.
    which = finding.problem if finding.rule == _DEAD else ""
    return finding.overlay, finding.rule, finding.at.title, finding.at.path, which


def _all(checkout: Checkout, overlays: Iterable[str]) -> list[str]:
    neutral = [_NEUTRAL] if find_kustomization(checkout.root, _NEUTRAL) else []
    return sorted({*checkout.overlays, *overlays, *neutral})


def _copy(root: Path, target: Path) -> None:
    """Copy a repository, without what no overlay reads: history, tools and environments."""

    def ignored(directory: str, names: list[str]) -> set[str]:
        here = Path(directory)
        unread = {name for name in names if name == "__pycache__" or (here / name / "pyvenv.cfg").exists()}
        return unread | {
            name for name in names if here == root and name.startswith(".") and (here / name).is_dir()
        }

    def copy(source: str, destination: str) -> None:
        # What cannot be read here cannot be read there: the check says so.
        with suppress(OSError):
            shutil.copy2(source, destination)

    shutil.copytree(root, target, symlinks=True, ignore=ignored, copy_function=copy)
    tools = root / ".tools"
    if tools.is_dir():
        (target / ".tools").symlink_to(tools.resolve(), target_is_directory=True)
