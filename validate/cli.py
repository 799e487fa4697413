"""The command line: words in, a report out, and the exit status.

0: clean, or warnings only. 1: errors were found. 2: not everything could be checked.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from validate.commands import COMMANDS, load
from validate.commands.options import Output, check_parser, command_parser, open_named
from validate.errors import CannotCheckError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from validate.cache import Cache
    from validate.discover import Checkout
    from validate.finding import Report
    from validate.kustomize.render import Build

# What the scripts of shells call: no command that somebody types, and no name of an overlay.
COMPLETE = "--complete"
_STARTED_EARLY = 2
# In CI a cache comes from elsewhere, and what is proved there has to be proved there.
_NO_CACHE = ("VALIDATE_NO_CACHE", "CI")
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

    outputs = _distinct(options.report or [Output("text")])
    checkout = open_named(options)
    for word in options.overlays:
        if word in COMMANDS and f"overlays/{word}" not in checkout.overlays:
            raise CannotCheckError(f"{word} is a command, and no overlay; write it first: validate {word}")
    overlays = select(checkout, options.overlays, Path.cwd())
    cache = _open_cache(options, checkout)
    changed = cache.changed(overlays) if cache else overlays
    # Half of a small run is Kustomize, and a third is imports: they go side by side.
    with started(checkout.root, changed[:_STARTED_EARLY]) as builds:
        report = _judge(options, checkout, overlays, builds, cache)
    return _write(report, outputs, verbose=options.verbose)


def _distinct(outputs: Sequence[Output]) -> Sequence[Output]:
    files = [output.file and output.file.resolve() for output in outputs]
    for number, file in enumerate(files):
        if file in files[:number]:
            place = str(file) if file else "standard output"
            raise CannotCheckError(
                f"two reports would be written to {place}; name a file for each: FORMAT=FILE"
            )
    return outputs


def _open_cache(options: argparse.Namespace, checkout: Checkout) -> Cache | None:
    """Return the cache, None where there shall be none or can be none."""
    wanted = options.cache
    if wanted is None:
        wanted = not any(os.environ.get(name) for name in _NO_CACHE)
    if not wanted:
        return None
    from validate.cache import UnusableCacheError, open_cache  # noqa: PLC0415 - commands need none

    try:
        return open_cache(checkout.root, options.rule)
    except UnusableCacheError as error:
        print(f"note: every overlay is checked anew: {error}", file=sys.stderr)  # noqa: T201 - a command line prints
        return None


def _judge(
    options: argparse.Namespace,
    checkout: Checkout,
    overlays: Sequence[str],
    builds: Sequence[Build],
    cache: Cache | None,
) -> Report:
    from validate import engine  # noqa: PLC0415 - see above
    from validate.commands.rules import chosen  # noqa: PLC0415 - likewise
    from validate.rules.rule import Severity  # noqa: PLC0415 - likewise

    rules = chosen(options.rule)
    report = engine.check(
        checkout, overlays, rules=rules, processes=options.jobs, started=builds, cache=cache
    )
    return replace(report, fail_on=Severity(options.fail_on))


def _write(report: Report, outputs: Iterable[Output], *, verbose: bool) -> int:
    from validate.commands.files import write  # noqa: PLC0415 - likewise
    from validate.report import render  # noqa: PLC0415 - likewise
    from validate.report.view import View  # noqa: PLC0415 - likewise

    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    status = report.exit_status
    for name, file in outputs:
        text = render(name, report, View(verbose=verbose, colour=coloured and file is None))
        if file is None:
            sys.stdout.write(text)
            continue
        try:
            write(file, text)
        except CannotCheckError as error:
            status = _give_up(str(error))
    for sentence in report.all_obstacles:
        status = _give_up(sentence)
    return status
