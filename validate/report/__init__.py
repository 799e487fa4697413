"""Reports, one module for each format."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from validate.report import text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from validate.finding import Report
    from validate.report.view import View

Reporter: TypeAlias = "Callable[[Report, View], str]"

REPORTS: Mapping[str, Reporter] = {"text": text.render}
