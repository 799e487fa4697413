"""The command line: words in, a report out, and the exit status.

0: clean, or warnings only. 1: errors were found. 2: not everything could be checked.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import validate
from validate.errors import CannotCheckError
from validate.finding import CLEAN, NOT_CHECKED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from validate.discover import Checkout
    from validate.kustomize.render import Build
    from validate.rules.rule import Rule

_STARTED_EARLY = 2
_INTERRUPTED = 130
_CLOSED_PIPE = 141
_EPILOG = """\
commands:
  validate rules        list the rules (an overlay of that name is overlays/rules)

exit status: 0 clean or warnings only, 1 errors were found, 2 not everything could be checked
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with ``arguments`` (None: those of the process) and return the exit status."""
    try:
        options = _parser().parse_args(arguments)
        # What a file holds need not be in the encoding of whoever looks at it.
        for stream in (sys.stdout, sys.stderr):
            getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
        status = _list_rules() if options.overlays == ["rules"] else _validate(options)
        sys.stdout.flush()
    except CannotCheckError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command line prints
        return NOT_CHECKED
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read has enough; what is left in the buffer must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _CLOSED_PIPE
    except OSError as error:
        print(f"error: {error.filename} cannot be used ({error.strerror})", file=sys.stderr)  # noqa: T201
        return NOT_CHECKED
    except Exception as error:  # noqa: BLE001 - a traceback helps nobody who did not ask for it
        from validate.judge import obstacle  # noqa: PLC0415 - likely it is loaded

        print(f"error: {obstacle('checking', '', error)}", file=sys.stderr)  # noqa: T201
        return NOT_CHECKED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="validate",
        description="Prove that overlays will work on their clusters.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "overlays",
        nargs="*",
        metavar="overlay",
        help="name or path of an overlay; without any, all are checked",
    )
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="the repository, instead of the one around here"
    )
    parser.add_argument(
        "--rule", action="append", default=[], metavar="ID", help="judge by this rule only; repeatable"
    )
    parser.add_argument(
        "--jobs", type=_positive, metavar="N", help="processes at most; without, one for each core"
    )
    parser.add_argument("--verbose", action="store_true", help="say why rules were not applicable")
    parser.add_argument("--version", action="version", version=f"validate {validate.__version__}")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _validate(options: argparse.Namespace) -> int:
    from validate.discover import find_root, open_checkout, select  # noqa: PLC0415 - the rules list needs none
    from validate.kustomize.render import started  # noqa: PLC0415 - likewise

    here = Path.cwd()
    checkout = open_checkout(options.root or find_root(here))
    overlays = select(checkout, options.overlays, here)
    # Half of a small run is Kustomize, and a third is imports: they go side by side.
    with started(checkout.root, overlays[:_STARTED_EARLY]) as builds:
        return _judge(options, checkout, overlays, builds)


def _judge(
    options: argparse.Namespace, checkout: Checkout, overlays: Sequence[str], builds: Sequence[Build]
) -> int:
    from validate import engine  # noqa: PLC0415 - see above
    from validate.report import render  # noqa: PLC0415 - likewise
    from validate.report.view import View  # noqa: PLC0415 - likewise
    from validate.rules import RULES  # noqa: PLC0415 - likewise

    rules = _chosen(RULES, options.rule)
    report = engine.check(checkout, overlays, rules=rules, processes=options.jobs, started=builds)
    view = View(verbose=options.verbose, colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    sys.stdout.write(render("text", report, view))
    for sentence in report.all_obstacles:
        print(f"error: {sentence}", file=sys.stderr)  # noqa: T201 - a command line prints
    return report.exit_status


def _chosen(rules: Iterable[type[Rule]], names: Sequence[str]) -> tuple[type[Rule], ...]:
    """Return the rules of those names and all that they require; every rule where there are no names."""
    known = {rule.id: rule for rule in rules}
    wanted: set[str] = set()
    following = list(names or known)
    while following:
        name = following.pop()
        if name not in known:
            raise CannotCheckError(f"there is no rule {name!r}; 'validate rules' lists them")
        if name not in wanted:
            wanted.add(name)
            following += known[name].requires
    return tuple(rule for rule in known.values() if rule.id in wanted)


def _list_rules() -> int:
    from validate.rules import RULES  # noqa: PLC0415 - only here is nothing else needed
    from validate.rules.rule import OverlayRule  # noqa: PLC0415 - likewise

    width = max((len(rule.id) for rule in RULES), default=0)
    for rule in RULES:
        scope = "overlay" if issubclass(rule, OverlayRule) else "repository"
        print(f"{rule.id:<{width}}  {rule.severity:<7}  {scope:<10}  {rule.title()}")  # noqa: T201 - likewise
    return CLEAN
