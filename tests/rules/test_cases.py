"""Every rule against its cases: ``cases/<rule>/{good,bad}-<why>/``, rendered and judged for real.

A case is an overlay over ``tree/``, or a repository of its own where it has ``overlays/``. All
rules judge it. All findings of a bad case are in its ``expected.txt``, word for word as a user sees
them; the table below them, which changes with every rule that is added, is tested in tests/report.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from validate import engine
from validate.discover import Checkout, open_checkout
from validate.finding import CLEAN, FINDINGS, Verdict
from validate.report import text
from validate.report.view import View
from validate.rules import RULES
from validate.rules.rule import Severity

HERE = Path(__file__).parent
TREE = HERE / "tree"
CASES = sorted(path for path in (HERE / "cases").glob("*/*") if path.is_dir())
BY_ID = {rule.id: rule for rule in RULES}
EXPECTED = "expected.txt"


@pytest.fixture(scope="module")
def checkout_of(tmp_path_factory):
    """Return a checkout with one overlay for each case; cases of one rule share one copy of the tree."""

    def make(case: Path) -> Checkout:
        if (case / "overlays").is_dir():
            root = tmp_path_factory.mktemp("repository", numbered=True)
            shutil.copytree(case, root, dirs_exist_ok=True)
            return open_checkout(root)
        kind, _, why = case.name.partition("-")
        root = tmp_path_factory.getbasetemp() / case.parent.name / kind
        if not root.exists():
            shutil.copytree(TREE, root / "base")
        overlay = root / "overlays" / why
        shutil.copytree(case, overlay)
        if not (overlay / "cluster.yaml").exists():
            shutil.copy(TREE / "cluster.yaml", overlay)
        return Checkout(root, (f"overlays/{why}",))

    return make


def judged(checkout):
    return engine.check(checkout, checkout.overlays, processes=1)


def shown(report):
    return "".join(f"{block}\n\n" for block in text.findings(report, View())).removesuffix("\n")


def verdicts(report, rule):
    """What became of the rule: in each overlay, or in the repository where it is a rule about that."""
    return {part.outcomes[rule].verdict for part in report.parts if rule in part.outcomes}


def name_of(case):
    return f"{case.parent.name}/{case.name}"


@pytest.mark.parametrize("case", [case for case in CASES if case.name.startswith("good-")], ids=name_of)
def test_a_good_case_has_no_finding_at_all(case, checkout_of):
    report = judged(checkout_of(case))
    assert not shown(report)
    assert not list(report.all_obstacles)
    assert report.exit_status == CLEAN
    expected = Verdict.NOT_APPLICABLE if case.name.startswith("good-not-applicable-") else Verdict.HOLDS
    assert verdicts(report, case.parent.name) == {expected}


@pytest.mark.parametrize("case", [case for case in CASES if case.name.startswith("bad-")], ids=name_of)
def test_a_bad_case_gives_its_report_word_for_word(case, checkout_of, request):
    report = judged(checkout_of(case))
    assert not list(report.all_obstacles)
    assert Verdict.BREACHED in verdicts(report, case.parent.name)
    errors = any(finding.severity is Severity.ERROR for finding in report.findings)
    assert report.exit_status == (FINDINGS if errors else CLEAN)
    if request.config.getoption("--update-expected"):
        (case / EXPECTED).write_text(shown(report), encoding="utf-8")
    assert shown(report) == (case / EXPECTED).read_text(encoding="utf-8")


@pytest.mark.parametrize("rule", BY_ID)
def test_a_rule_has_good_and_bad_cases(rule):
    kinds = {case.name.partition("-")[0] for case in CASES if case.parent.name == rule}
    assert kinds == {"good", "bad"}


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_case_names_a_rule_and_is_named_by_what_it_shows(case):
    assert case.parent.name in BY_ID
    assert case.name.startswith(("good-", "bad-"))
    assert (case / EXPECTED).exists() == case.name.startswith("bad-")


def test_a_rule_is_known_by_one_name():
    for rule in RULES:
        assert rule.__module__ == f"validate.rules.{rule.id.replace('-', '_')}"
        assert rule.__name__ == "".join(word.capitalize() for word in rule.id.split("-"))
    assert len(BY_ID) == len(RULES)


def test_a_rule_requires_rules_that_exist():
    assert all(name in BY_ID for rule in RULES for name in rule.requires)
