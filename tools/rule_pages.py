"""Writes a page for each rule to docs/reference/rules: ``make pages``.

A page is the rule's docstring, followed by the reports of its bad cases. Nothing is written by
hand there, so nothing can say otherwise than the code.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from validate.rules import RULES
from validate.rules.rule import OverlayRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.rules.rule import Rule

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference" / "rules"
CASES = ROOT / "tests" / "rules" / "cases"
NOTICE = "<!-- Written by tools/rule_pages.py from the docstring of the rule and its cases: make pages -->"


def pages() -> dict[str, str]:
    """Return the text of each page by its file name, the index among them."""
    return {"index.md": _index(), **{f"{rule.id}.md": "\n".join(_page(rule)) for rule in RULES}}


def _page(rule: type[Rule]) -> Iterator[str]:
    _, _, body = (inspect.getdoc(rule) or "").partition("\n")
    yield NOTICE
    yield f"# {rule.id}\n"
    yield f"**{rule.title()}.**\n"
    yield from [f"{body.strip()}\n"] if body.strip() else []
    yield f"Severity: {rule.severity.value}. Judges {_scope(rule)}.{_waits(rule)}\n"
    for case in sorted((CASES / rule.id).glob("bad-*/expected.txt")):
        why = case.parent.name.removeprefix("bad-").replace("-", " ")
        yield f"## Found: {why}\n"
        # The table at the end counts all rules: it would change every page with each new rule.
        findings, _, _ = case.read_text(encoding="utf-8").partition("\nchecked ")
        yield f"```text\n{findings.strip()}\n```\n"


def _scope(rule: type[Rule]) -> str:
    return "each overlay" if issubclass(rule, OverlayRule) else "the repository"


def _waits(rule: type[Rule]) -> str:
    names = ", ".join(f"[{name}]({name}.md)" for name in rule.requires)
    return f" Waits for {names} to hold." if names else ""


def _index() -> str:
    rows = (f"| [{rule.id}]({rule.id}.md) | {rule.severity.value} | {rule.title()} |" for rule in RULES)
    entries = (rule.id for rule in RULES)
    return "\n".join(
        [
            NOTICE,
            "# Rules\n",
            "What `make validate` proves of each overlay. A rule's name says what it does not allow.\n",
            "| Rule | Severity | What it finds |",
            "|---|---|---|",
            *rows,
            "\n```{toctree}\n:hidden:\n",
            *entries,
            "```\n",
        ]
    )


def main() -> None:
    """Write the pages, and remove those of rules that are gone."""
    written = pages()
    PAGES.mkdir(parents=True, exist_ok=True)
    for page in PAGES.glob("*.md"):
        if page.name not in written:
            page.unlink()
    for name, text in written.items():
        (PAGES / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
