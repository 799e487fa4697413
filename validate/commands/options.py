"""The options of the command line, and what they mean."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import validate
from validate.commands import COMMANDS, load
from validate.report import FORMATS

if TYPE_CHECKING:
    from collections.abc import Collection

    from validate.discover import Checkout

SHELLS = ("bash", "zsh", "fish")
_STATUS = "exit status: 0 clean, 1 errors (and what --fail-on says), 2 not everything could be checked"


class Output(NamedTuple):
    """A report to write: in a format, to a file (None: standard output)."""

    format: str
    file: Path | None = None


class OutputOf:
    """Reads the word of a report in one of these formats: ``FORMAT`` or ``FORMAT=FILE``."""

    def __init__(self, formats: Collection[str]) -> None:
        self.formats = formats

    def __call__(self, text: str) -> Output:
        """Return the report that the word names.

        Raises:
            ArgumentTypeError: there is no such format, or no file after the equals sign.
        """
        name, equals, file = text.partition("=")
        if name not in self.formats:
            problem = f"there is no format {name!r}; name one of {', '.join(self.formats)}"
            raise argparse.ArgumentTypeError(problem)
        if equals and not file:
            problem = f"{text!r} names no file; write {name}=FILE, or {name} alone"
            raise argparse.ArgumentTypeError(problem)
        return Output(name, Path(file) if file not in {"", "-"} else None)


def check_parser() -> argparse.ArgumentParser:
    """Return the parser of what checks overlays: the command line without the name of a command."""
    commands = "".join(f"  validate {name:<10} {summary}\n" for name, summary in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="validate",
        description="Prove that overlays will work on their clusters.",
        epilog=f"commands, each with --help (an overlay of that name is written overlays/<name>):\n"
        f"{commands}\n{_STATUS}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "overlays",
        nargs="*",
        metavar="overlay",
        help="name or path of an overlay; without any, all are checked",
    )
    add_root(parser)
    add("--rule", action="append", default=[], metavar="ID", help="judge by this rule only; repeatable")
    add_outputs(parser, FORMATS)
    add_run(parser)
    add("--verbose", action="store_true", help="say why rules were not applicable")
    add("--explain", metavar="RULE", help="print the page of a rule")
    add(
        "--print-completion",
        choices=SHELLS,
        metavar="SHELL",
        help=f"print the completion of {', '.join(SHELLS)}",
    )
    add("--version", action="version", version=f"validate {validate.__version__}")
    return parser


def command_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of the command of that name."""
    summary = COMMANDS[name]
    parser = argparse.ArgumentParser(
        prog=f"validate {name}", description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
    )
    load(name).configure(parser)
    return parser


def add_root(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the repository."""
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="the repository, instead of the one around here"
    )


def add_outputs(parser: argparse.ArgumentParser, formats: Collection[str]) -> None:
    """Add the option that names the reports to write, in some of these formats."""
    parser.add_argument(
        "--report",
        action="append",
        type=OutputOf(formats),
        metavar="FORMAT[=FILE]",
        help=f"{', '.join(formats)}; to a file, or to standard output; repeatable; without, text",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to run, and when to fail."""
    add = parser.add_argument
    add("--jobs", type=_positive, metavar="N", help="processes at most; without, one for each core")
    add(
        "--fail-on",
        choices=("error", "warning"),
        default="error",
        help="the least severity that is exit status 1; without, error",
    )
    add(
        "--cache",
        action=argparse.BooleanOptionalAction,
        help="take what unchanged overlays gave from the last run; without, where CI is not set",
    )


def open_named(options: argparse.Namespace) -> Checkout:
    """Return the repository that the options name, or the one around the working directory.

    Raises:
        CannotCheckError: there is none.
    """
    from validate.discover import find_root, open_checkout  # noqa: PLC0415 - help needs none of it

    return open_checkout(options.root or find_root(Path.cwd()))


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number
