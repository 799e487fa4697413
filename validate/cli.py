"""The command line: words in, a report out, and the exit status.

0: clean, or warnings only. 1: errors were found. 2: not everything could be checked.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from validate.commands import COMMANDS, load
from validate.commands.options import check_parser, command_parser, open_named
from validate.commands.outputs import distinct, open_wanted_cache, write_all
from validate.errors import CannotCheckError
from validate.interrupts import postponed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from validate.cache import Cache
    from validate.discover import Checkout
    from validate.finding import Report
    from validate.kustomize.render import Build

# What the scripts of shells call: no command that somebody types, and no name of an overlay.
COMPLETE = "--complete"
_INTERRUPTED = 130
_CLOSED_PIPE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with ``arguments`` (None: those of the process) and return the exit status."""
    try:
        words = sys.argv[1:] if arguments is None else list(arguments)
        # What a file holds need not be in the encoding of whoever looks at it.
        for stream in (sys.stdout, sys.stderr):
            getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
        status = _do(words)
        sys.stdout.flush()
    except CannotCheckError as error:
        return _give_up(str(error))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read has enough; what is left in the buffer must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _CLOSED_PIPE
    except OSError as error:
        return _give_up(f"{error.filename} cannot be used ({error.strerror})")
    except Exception as error:  # noqa: BLE001 - a traceback helps nobody who did not ask for it
        from validate.judge import obstacle  # noqa: PLC0415 - likely it is loaded

        return _give_up(obstacle("checking", "", error))
    return status


def _give_up(sentence: str) -> int:
    # It imports the rules, and Kustomize has to be started before them.
    from validate.finding import NOT_CHECKED  # noqa: PLC0415

    print(f"error: {sentence}", file=sys.stderr)  # noqa: T201 - a command line prints
    return NOT_CHECKED


def _do(words: Sequence[str]) -> int:
    first = words[0] if words else ""
    if first in COMMANDS:
        return load(first).run(command_parser(first).parse_args(words[1:]))
    if first == COMPLETE:
        from validate.commands import completion  # noqa: PLC0415 - a run pays for what it does alone

        completion.complete(words[1:])
        return 0
    options = check_parser().parse_args(words)
    if options.explain:
        from validate.commands import rules  # noqa: PLC0415 - likewise

        return rules.explain(options)
    if options.print_completion:
        from validate.commands import completion  # noqa: PLC0415 - likewise

        completion.print_script(options.print_completion)
        return 0
    return _validate(options)


def _validate(options: argparse.Namespace) -> int:
    from validate.discover import select  # noqa: PLC0415 - commands need none
    from validate.kustomize.render import started  # noqa: PLC0415 - likewise
    from validate.workers import cores  # noqa: PLC0415 - likewise

    outputs = distinct(options.report)
    checkout = open_named(options)
    for word in options.overlays:
        if word in COMMANDS and f"overlays/{word}" not in checkout.overlays:
            raise CannotCheckError(f"{word} is a command, and no overlay; write it first: validate {word}")
    overlays = select(checkout, options.overlays, Path.cwd())
    cache = open_wanted_cache(options, checkout, options.rule)
    changed = cache.changed(overlays) if cache else overlays
    # Half of a small run is Kustomize, and a third is imports: they go side by side.
    with started(checkout.root, changed[: _early(len(changed), options.jobs or cores())]) as builds:
        report = _judge(options, checkout, overlays, builds, cache)
    from validate.report import render  # noqa: PLC0415 - likewise

    return write_all(report, outputs, render, verbose=options.verbose)


def _early(overlays: int, processes: int) -> int:
    """Return how many overlays to render before the rules are imported: this process judges all of them.

    More than its share would keep it from ending with the others, and more than one beyond the cores keeps
    it from importing.
    """
    share = -(-overlays // processes)
    return max(2, min(share, processes + 1))


def _judge(
    options: argparse.Namespace,
    checkout: Checkout,
    overlays: Sequence[str],
    builds: Sequence[Build],
    cache: Cache | None,
) -> Report:
    with postponed():
        from validate import engine  # noqa: PLC0415 - see above
        from validate.commands.rules import chosen  # noqa: PLC0415 - likewise
        from validate.rules.rule import Severity  # noqa: PLC0415 - likewise

    rules = chosen(options.rule)
    return engine.check(
        checkout,
        overlays,
        rules=rules,
        fail_on=Severity(options.fail_on),
        processes=options.jobs,
        started=builds,
        cache=cache,
    )
