"""Where reports go: the files that somebody names, and standard output."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol, TypeVar

from validate.commands.options import Output
from validate.errors import CannotCheckError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence

    from validate.cache import Cache
    from validate.discover import Checkout
    from validate.report.view import View

# In CI a cache comes from elsewhere, and what is proved there has to be proved there.
_NO_CACHE = ("VALIDATE_NO_CACHE", "CI")


class Told(Protocol):
    """What a run has to say."""

    @property
    def exit_status(self) -> int:
        """0 where all is well."""

    @property
    def all_obstacles(self) -> Iterable[str]:
        """Sentences on what could not be done, for standard error."""


T = TypeVar("T", bound=Told)


def distinct(outputs: Sequence[Output] | None) -> Sequence[Output]:
    """Return the reports to write, text where none is asked for.

    Raises:
        CannotCheckError: two would go to the same place.
    """
    outputs = outputs or [Output("text")]
    files = [output.file and output.file.resolve() for output in outputs]
    for number, file in enumerate(files):
        if file in files[:number]:
            place = str(file) if file else "standard output"
            raise CannotCheckError(
                f"two reports would be written to {place}; name a file for each: FORMAT=FILE"
            )
    return outputs


def open_wanted_cache(options: argparse.Namespace, checkout: Checkout, rules: Iterable[str]) -> Cache | None:
    """Return the cache for runs with these rules, None where there shall be none or can be none."""
    wanted = options.cache
    if wanted is None:
        wanted = not any(os.environ.get(name) for name in _NO_CACHE)
    if not wanted:
        return None
    from validate.cache import UnusableCacheError, open_cache  # noqa: PLC0415 - commands need none

    try:
        return open_cache(checkout.root, rules)
    except UnusableCacheError as error:
        print(f"note: every overlay is checked anew: {error}", file=sys.stderr)  # noqa: T201 - a command line prints
        return None


def write_all(
    told: T, outputs: Iterable[Output], render: Callable[[str, T, View], str], *, verbose: bool
) -> int:
    """Write each report and say what stood in the way; return the exit status."""
    from validate.commands.files import write  # noqa: PLC0415 - after Kustomize has been started
    from validate.finding import NOT_CHECKED  # noqa: PLC0415 - likewise
    from validate.report.view import View  # noqa: PLC0415 - likewise

    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    status = told.exit_status
    sentences = []
    for name, file in outputs:
        text = render(name, told, View(verbose=verbose, colour=coloured and file is None))
        if file is None:
            sys.stdout.write(text)
            continue
        try:
            write(file, text)
        except CannotCheckError as error:
            sentences.append(str(error))
    for sentence in (*sentences, *told.all_obstacles):
        status = NOT_CHECKED
        print(f"error: {sentence}", file=sys.stderr)  # noqa: T201 - a command line prints
    return status
