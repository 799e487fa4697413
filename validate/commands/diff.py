"""``validate diff``: what a change does, before it is merged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.commands.options import add_outputs, add_root, add_run, open_named
from validate.commands.outputs import distinct, open_wanted_cache, write_all
from validate.report.diff import FORMATS, WITH_PICTURES, render

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Take two revisions, and how to report."""
    add = parser.add_argument
    add("base", nargs="?", metavar="BASE", help="a git revision; without, where HEAD left the branch main")
    add("head", nargs="?", metavar="HEAD", help="a git revision; without, what is checked out")
    add_outputs(parser, FORMATS)
    add_run(parser)
    add("--verbose", action="store_true", help="say what each file reaches, and what is as before")
    add_root(parser)


def run(options: argparse.Namespace) -> int:
    """Compare, write the reports, and return the exit status.

    Raises:
        CannotCheckError: a revision does not exist, git cannot be read, or there is no overlay.
    """
    outputs = distinct(options.report)
    checkout = open_named(options)
    from validate.diff.compare import Request, compare  # noqa: PLC0415 - help needs no rule
    from validate.rules.rule import Severity  # noqa: PLC0415 - likewise

    request = Request(
        checkout.root,
        options.base,
        options.head,
        processes=options.jobs,
        open_cache=lambda: open_wanted_cache(options, checkout, ()),
        fail_on=Severity(options.fail_on),
        pictures=any(output.format in WITH_PICTURES for output in outputs),
    )
    return write_all(compare(request), outputs, render, verbose=options.verbose)
