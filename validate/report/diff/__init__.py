"""Reports of what a change does, one module for each format."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from validate.diff.changes import Comparison
    from validate.report.view import View

FORMATS = {
    "text": "for people, in a terminal and in a log",
    "markdown": "for a comment on a pull request",
    "html": "for people: one page that needs nothing else, with a picture of each system",
    "json": "for programs, as validate/report/diff/diff.schema.json describes it",
}
WITH_PICTURES = frozenset({"html"})


class _Format(Protocol):
    render: Callable[[Comparison, View], str]


def render(name: str, comparison: Comparison, view: View) -> str:
    """Return the report in the format of that name, one of :data:`FORMATS`."""
    module = cast("_Format", import_module(f"validate.report.diff.{name}"))
    return module.render(comparison, view)
