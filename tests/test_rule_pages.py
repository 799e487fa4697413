"""The pages of the rules say what the rules say."""

from __future__ import annotations

from pathlib import Path

from tools.rule_pages import PAGES, pages
from validate.rules import RULES


def test_the_pages_are_those_that_make_pages_writes() -> None:
    written = {page.name: page.read_text(encoding="utf-8") for page in Path(PAGES).glob("*.md")}
    assert written == pages()


def test_every_rule_has_a_page_with_a_title_and_more() -> None:
    bare = [rule.id for rule in RULES if len((rule.__doc__ or "").strip().splitlines()) == 1]
    assert bare == []
