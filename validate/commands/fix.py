"""``validate fix``: the edits that mend findings, made where they are certain."""

from __future__ import annotations

import sys
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

from validate.commands.files import write
from validate.commands.options import add_root, open_named
from validate.commands.rules import find_rule
from validate.discover import select
from validate.errors import CannotCheckError
from validate.fix import mend, of_overlays

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from validate.fix import Fix, Mending

_NOWHERE = "/dev/null"


def configure(parser: argparse.ArgumentParser) -> None:
    """Take overlays, rules, and whether to write."""
    add = parser.add_argument
    add("overlays", nargs="*", metavar="overlay", help="name or path of an overlay; without any, all")
    add(
        "--rule",
        action="append",
        default=[],
        metavar="ID",
        help="mend findings of this rule only; repeatable",
    )
    add("--dry-run", action="store_true", help="print the changes as a diff, and write nothing")
    add_root(parser)


def run(options: argparse.Namespace) -> int:
    """Make the edits and say which; return the exit status that validate has afterwards.

    Raises:
        CannotCheckError: nothing can be checked; a file is not what it was when it was checked, or
            cannot be written.
    """
    checkout = open_named(options)
    overlays = select(checkout, options.overlays, Path.cwd())
    rules = {find_rule(name).id for name in options.rule}
    mending = mend(checkout, overlays, rules=rules)
    if options.dry_run:
        sys.stdout.writelines(diff(mending))
    else:
        _write(checkout.root, mending)
        sys.stdout.writelines(f"{line}\n" for line in _told(mending))
    report = of_overlays(mending.before if options.dry_run else mending.after, overlays)
    for line in _not_told(mending, len(report.findings)):
        print(line, file=sys.stderr)  # noqa: T201 - a command line prints
    for sentence in report.all_obstacles:
        print(f"error: {sentence}", file=sys.stderr)  # noqa: T201 - likewise
    return report.exit_status


def diff(mending: Mending) -> Iterator[str]:
    """Yield the lines of a unified diff, as ``git apply`` and ``patch -p1`` take it."""
    for file, (before, after) in mending.changes.items():
        target = _NOWHERE if after is None else f"b/{file}"
        for line in unified_diff(_lines(before), _lines(after or ""), f"a/{file}", target):
            yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(text: str) -> list[str]:
    """Return the lines with their line breaks, of which only a line feed is one for ``diff``."""
    *lines, last = text.split("\n")
    return [f"{line}\n" for line in lines] + ([last] if last else [])


def _write(root: Path, mending: Mending) -> None:
    for file, (before, _) in mending.changes.items():
        path = root / file
        if not path.resolve().is_relative_to(root) or path.read_bytes() != before.encode():
            raise CannotCheckError(f"{file} changed while it was being checked; run validate fix again")
    for file, (_, after) in mending.changes.items():
        if after is None:
            (root / file).unlink()
        else:
            write(root / file, after)


def _told(mending: Mending) -> Iterator[str]:
    for fix in mending.made:
        yield f"mended {_subject(fix)}"
    for file, (_, after) in mending.changes.items():
        if after is None:
            yield f"removed {file}, which would say nothing any more"


def _not_told(mending: Mending, findings: int) -> Iterator[str]:
    for fix, why in mending.left:
        yield f"not mended {_subject(fix)}; {why}"
    if findings:
        noun = "finding is" if findings == 1 else "findings are"
        yield f"{findings} {noun} left; validate shows what"


def _subject(fix: Fix) -> str:
    finding = fix.finding
    return f"{finding.at.origin.file}:{finding.at.origin.line} [{finding.rule}]: {finding.fix}"
