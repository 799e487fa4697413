"""Reports, one module for each format."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from validate.finding import Report
    from validate.report.view import View

FORMATS = {
    "text": "for people, in a terminal and in a log",
    "json": "for programs, as validate/report/report.schema.json describes it",
    "sarif": "for code scanning: SARIF 2.1.0",
    "junit": "for the test tab of a pipeline: a test case for each overlay and rule",
    "github": "for a GitHub workflow: annotations of lines",
    "markdown": "for a comment on a pull request",
}


class _Format(Protocol):
    render: Callable[[Report, View], str]


def render(name: str, report: Report, view: View) -> str:
    """Return the report in the format of that name, one of :data:`FORMATS`."""
    # Only here: a run pays for the formats that it writes.
    module = cast("_Format", import_module(f"validate.report.{name}"))
    return module.render(report, view)
