"""``validate rules``: the rules, one in a line; and ``--explain``: the page of one."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from validate.commands.options import open_named
from validate.errors import CannotCheckError
from validate.finding import CLEAN
from validate.report.catalogue import explanation, page, scope
from validate.rules import RULES
from validate.spelling import nearest

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from validate.rules.rule import Rule

_CASE = re.compile(r"^## (Found: [^\n]*)\n+```text\n(.*?)\n```$", re.MULTILINE | re.DOTALL)


def configure(_parser: argparse.ArgumentParser) -> None:
    """Take no arguments."""


def run(_options: argparse.Namespace) -> int:
    """Print id, severity, what it judges and title of each rule."""
    width = max(len(rule.id) for rule in RULES)
    for rule in RULES:
        sys.stdout.write(f"{rule.id:<{width}}  {rule.severity:<7}  {scope(rule):<10}  {rule.title()}\n")
    return CLEAN


def find_rule(name: str) -> type[Rule]:
    """Return the rule of that id.

    Raises:
        CannotCheckError: there is none; with the nearest id.
    """
    known = {rule.id: rule for rule in RULES}
    if name in known:
        return known[name]
    near = nearest(name, known)
    meant = f" (did you mean {near}?)" if near else ""
    raise CannotCheckError(f"there is no rule {name!r}{meant}; 'validate rules' lists them")


def chosen(names: Sequence[str]) -> tuple[type[Rule], ...]:
    """Return the rules of those ids and all that they require; every rule where there are no ids.

    Raises:
        CannotCheckError: there is no rule of one of them.
    """
    if not names:
        return RULES
    wanted: set[str] = set()
    following = list(names)
    while following:
        rule = find_rule(following.pop())
        if rule.id not in wanted:
            wanted.add(rule.id)
            following += rule.requires
    return tuple(rule for rule in RULES if rule.id in wanted)


def explain(options: argparse.Namespace) -> int:
    """Print what the rule finds, why that matters, and a case that it finds, where its page has one."""
    rule = find_rule(options.explain)
    waits = f" Waits for {' and '.join(rule.requires)} to hold." if rule.requires else ""
    judges = {"overlay": "each overlay", "repository": "the repository"}[scope(rule)]
    parts = [
        rule.id,
        f"{rule.title()}.",
        explanation(rule),
        f"Severity: {rule.severity}. Judges {judges}.{waits}",
        *_case(rule, options),
    ]
    sys.stdout.write("\n\n".join(part for part in parts if part) + "\n")
    return CLEAN


def _case(rule: type[Rule], options: argparse.Namespace) -> list[str]:
    """Return heading and report of the first case on the rule's page; nothing outside a repository."""
    try:
        text = (open_named(options).root / page(rule.id)).read_text(encoding="utf-8")
    except (CannotCheckError, OSError):
        return []
    found = _CASE.search(text)
    return [found[1], "\n".join(f"  {line}".rstrip() for line in found[2].split("\n"))] if found else []
