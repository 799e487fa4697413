"""What `make mutate` makes and counts, and that it notices when a rule is gone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tools.mutate import report
from tools.mutate.breaking import breaking
from tools.mutate.harmless import harmless
from tools.mutate.mutant import Kind, Mutant
from tools.mutate.score import Score
from tools.mutate.sources import read_sources
from tools.mutate.survivors import FILE, read_reasons
from tools.mutate.trial import Bench, Fate, Trial
from validate.errors import CannotCheckError
from validate.rules import RULES

ROOT = Path(__file__).resolve().parent.parent
SOURCES = read_sources(ROOT)


@pytest.fixture(scope="module")
def broken():
    return breaking(SOURCES)


@pytest.fixture(scope="module")
def kept():
    return harmless(SOURCES)


# What is made


def test_every_kind_is_made_in_number_and_no_edit_twice(broken):
    made = Counter(mutant.kind for mutant in broken)
    assert set(made) == set(Kind) - {Kind.HARMLESS}
    assert min(made.values()) >= 100
    texts = [tuple(mutant.changes.items()) for mutant in broken]
    assert len(set(texts)) == len(texts) == len({str(mutant) for mutant in broken})


def test_every_sort_of_harmless_edit_is_made(kept):
    sorts = Counter(mutant.change for mutant in kept)
    assert sum(sorts.values()) >= 200
    assert {
        "comment added",
        "list in another order",
        "selector as matchExpressions",
        "file renamed",
        "patch in two",
        "patch in its kustomization",
        "two manifests in one file",
        "quantity in another unit",
    } <= set(sorts)
    assert min(sorts.values()) >= 5


def test_every_edit_changes_each_of_its_files(broken, kept):
    assert all(SOURCES.get(file) != text for one in (*broken, *kept) for file, text in one.changes.items())


def test_another_layout_means_the_same(kept):
    layout = ("comment", "blank lines", "line ends", "document", "written anew", "value quoted")
    for mutant in kept:
        if mutant.change.startswith(layout):
            before = list(yaml.safe_load_all(SOURCES[mutant.file]))
            after = list(yaml.safe_load_all(mutant.changes[mutant.file]))
            assert before == [document for document in after if document is not None], str(mutant)


# What becomes of an edit


def edit(file, old, new, kind=Kind.RETARGET):
    text = SOURCES[file]
    assert text.count(old) == 1
    return Mutant(kind, file, "a.path", 1, f"{old} -> {new}", {file: text.replace(old, new)})


@pytest.fixture(scope="module")
def bench():
    return Bench(ROOT)


def fates(bench, *mutants):
    trials = {str(trial.mutant): trial for trial in bench.try_all(mutants, 1)}
    return [trials[str(mutant)] for mutant in mutants]


def test_an_edit_is_caught_where_it_is_made_and_survives_without_the_rule(bench, broken):
    (found,) = [one for one in broken if one.path.endswith("[docker-api].readinessProbe")]
    (trial,) = fates(bench, found)
    assert trial.fate is Fate.CAUGHT
    assert trial.rules == ("unprobed-docker-api",)
    assert trial.in_file
    assert trial.at_line
    without = [rule for rule in RULES if rule.id != "unprobed-docker-api"]
    (trial,) = fates(Bench(ROOT, without), found)
    assert trial.fate is Fate.SURVIVED
    assert trial.rules == ()


def test_what_renders_the_same_breaks_nothing(bench):
    remark = edit("base/binderhub/service.yaml", "kind: Service", "kind: Service # of BinderHub", Kind.DROP)
    again = edit(
        "components/ingress/kustomization.yaml", "resources:", "namePrefix: ''\nresources:", Kind.RENAME
    )
    assert [trial.fate for trial in fates(bench, remark, again)] == [Fate.UNCHANGED, Fate.UNCHANGED]


def test_what_cannot_be_checked_is_refused_with_a_sentence(bench):
    (trial,) = fates(bench, edit("argocd/appproject.yaml", "kind: AppProject", "kind: ["))
    assert trial.fate is Fate.REFUSED
    assert "argocd/appproject.yaml" in trial.words


def test_a_harmless_edit_leaves_every_rule_with_something_to_judge(bench, kept):
    equivalent = next(one for one in kept if one.change == "selector as matchExpressions")
    gone = edit("overlays/gke/kustomization.yaml", "  - ../../components/jupyterhub\n", "", Kind.HARMLESS)
    first, second = fates(bench, equivalent, gone)
    assert (first.fate, first.silenced) == (Fate.SURVIVED, ())
    assert "unready-hub-wiring" in second.silenced or second.fate is not Fate.SURVIVED


def test_overlays_that_are_not_clean_are_not_broken_any_further(tmp_path):
    for file, text in SOURCES.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    broken = edit("base/binderhub/service.yaml", "targetPort: http", "targetPort: web")
    (tmp_path / broken.file).write_text(broken.changes[broken.file])
    with pytest.raises(CannotCheckError, match=r"not clean before any edit: .*targetPort|port"):
        Bench(tmp_path)


# What is counted


def mutant(kind=Kind.DROP, file="base/a.yaml", path="spec.replicas", change="removed"):
    return Mutant(kind, file, path, 3, change, {file: ""})


CAUGHT = Trial(mutant(file="base/b.yaml"), Fate.CAUGHT, ("port-mismatch",), in_file=True, at_line=True)
UNCHANGED = Trial(mutant(Kind.SWAP), Fate.UNCHANGED)
SURVIVED = Trial(mutant(), Fate.SURVIVED)
KEPT = Trial(mutant(Kind.HARMLESS, change="comment added"), Fate.SURVIVED)


def reasons(tmp_path, *entries):
    (tmp_path / "survivors.yaml").write_text(yaml.safe_dump(list(entries)))
    return read_reasons(tmp_path / "survivors.yaml")


def complaints(*trials, harmless=(KEPT,), why=(), whole=True):
    return list(Score(trials, harmless, why, whole).complaints())


def test_a_survivor_is_harmful_until_somebody_says_why_not(tmp_path):
    total = Score((CAUGHT, UNCHANGED, SURVIVED), (), ()).total
    assert (total.made, total.unchanged, total.harmless, total.harmful, total.caught) == (3, 1, 0, 2, 1)
    assert total.share == 0.5
    missing = reasons(tmp_path, {"missing": "a rule about replicas", "at": r"base/a\.yaml:spec\.replicas"})
    assert Score((CAUGHT, UNCHANGED, SURVIVED), (), missing).total == total
    spared = reasons(tmp_path, {"harmless": "one is the default", "at": r"base/a\.yaml:spec\.replicas"})
    total = Score((CAUGHT, UNCHANGED, SURVIVED), (), spared).total
    assert (total.harmless, total.harmful, total.share) == (1, 1, 1.0)


def test_a_good_run_has_no_complaint(tmp_path):
    why = reasons(tmp_path, {"harmless": "one is the default", "at": r"base/a\.yaml:spec\.replicas"})
    assert not complaints(CAUGHT, UNCHANGED, SURVIVED, why=why)


def test_what_is_refused_is_not_caught():
    refused = Trial(mutant(), Fate.REFUSED, words="error")
    total = Score((CAUGHT, refused), (), ()).total
    assert (total.refused, total.harmful, total.caught) == (1, 2, 1)


def test_each_thing_that_is_wrong_with_a_run_is_a_complaint(tmp_path):
    assert complaints(CAUGHT, SURVIVED) == [
        "nobody says why this survives: drop base/a.yaml:3 spec.replicas: removed",
        "50.0% of the harmful edits are caught, and 95% have to be",
    ]
    failed = replace(CAUGHT, fate=Fate.FAILED, words="AttributeError")
    assert "validate itself fails: drop base/b.yaml:3 spec.replicas: removed: AttributeError" in complaints(
        failed
    )
    noisy = replace(KEPT, fate=Fate.CAUGHT, words="port-mismatch: a sentence")
    silent = replace(KEPT, silenced=("port-mismatch",))
    line = "harmless, and something is found: harmless base/a.yaml:3 spec.replicas: comment added"
    assert complaints(CAUGHT, harmless=(noisy, silent)) == [
        f"{line}: port-mismatch: a sentence",
        f"{line}: no longer judged: port-mismatch",
    ]
    wide = reasons(tmp_path, {"harmless": "nobody counts", "at": r"base/.*\.yaml:spec\.replicas"})
    (complaint,) = complaints(CAUGHT, SURVIVED, why=wide)
    assert complaint.startswith(
        "a rule catches what is called harmless: drop base/b.yaml:3 spec.replicas: removed"
    )
    unused = reasons(tmp_path, {"harmless": "nobody counts", "at": "base/c.yaml:"})
    assert complaints(CAUGHT, why=unused) == ["a reason that covers no survivor: nobody counts"]
    assert not complaints(CAUGHT, why=unused, whole=False)


@pytest.mark.parametrize(
    "entry",
    [
        {"harmless": "why"},
        {"at": "base/.*"},
        {"harmless": "why", "missing": "what", "at": "base/.*"},
        {"harmless": "why", "at": "base/.*", "file": "a.yaml"},
        "base/.*",
    ],
)
def test_a_reason_that_is_none_is_an_error(tmp_path, entry):
    with pytest.raises(CannotCheckError, match=r"survivors\.yaml: entry 1 "):
        reasons(tmp_path, entry)


def test_a_reason_covers_what_it_names_and_nothing_else(tmp_path):
    (reason,) = reasons(
        tmp_path,
        {"harmless": "why", "at": [r"base/a\.yaml:spec\.\w+"], "change": "removed", "kinds": ["drop"]},
    )
    assert reason.covers(mutant())
    assert not reason.covers(mutant(path="spec.replicas.more"))
    assert not reason.covers(mutant(file="base/a.yaml2"))
    assert not reason.covers(mutant(change="removed twice"))
    assert not reason.covers(mutant(Kind.SWAP))


def test_every_reason_is_about_an_edit_that_is_made(broken):
    idle = [one.text for one in read_reasons(FILE) if not any(map(one.covers, broken))]
    assert not idle


# What is reported


def test_the_report_names_every_survivor_with_its_reason_and_ends_with_the_figures(tmp_path):
    why = reasons(tmp_path, {"harmless": "one is the default", "at": r"base/a\.yaml:spec\.replicas"})
    shown = report.text(Score((CAUGHT, UNCHANGED, SURVIVED), (KEPT,), why, cpu_seconds=130.0))
    assert shown == (
        "harmless: one is the default (1)\n"
        "  drop base/a.yaml:3 spec.replicas: removed\n"
        "\n"
        "edit  made  no change  harmless  harmful  refused  caught   share  beyond schemas\n"
        "drop     2          0         1        1        0       1  100.0%          100.0%\n"
        "swap     1          1         0        0        0       0  100.0%          100.0%\n"
        "all      3          1         1        1        0       1  100.0%          100.0%\n"
        "\n"
        "of 1 that are caught, 100% are told in the file of the edit, 100% at its line\n"
        "1 harmless edits, 0 with a finding\n"
        "2 minutes of processor time"
    )


def test_the_page_has_the_same_figures_and_says_what_wrote_it(tmp_path):
    why = reasons(
        tmp_path,
        {"missing": "a rule about replicas", "at": r"base/a\.yaml:spec\.replicas"},
    )
    page = report.page(Score((CAUGHT, UNCHANGED, SURVIVED), (KEPT,), why, cpu_seconds=20.0))
    assert "make mutate" in page.splitlines()[2]
    assert "**1 of 2 harmful edits are caught: 50.0%.**" in page
    assert "A run takes 1 minute of processor time." in page
    assert "| drop | 2 | 0 | 0 | 2 | 0 | 1 | 50.0% | 50.0% |" in page
    assert "| [port-mismatch](../reference/rules/port-mismatch.md) | 1 | 1 |" in page
    assert "## What no rule finds: 1 harmful edits" in page
    assert "a rule about replicas\n\n```text\ndrop base/a.yaml:3 spec.replicas: removed\n```" in page


def test_what_is_refused_is_listed_with_the_sentence():
    refused = Trial(mutant(), Fate.REFUSED, words="base/a.yaml has no kind")
    score = Score((CAUGHT, refused), (KEPT,), ())
    assert (
        "refused, with exit status 2\n"
        "  drop base/a.yaml:3 spec.replicas: removed\n"
        "    base/a.yaml has no kind\n"
    ) in report.text(score)
    page = report.page(score)
    assert "## What validate refuses: 1 harmful edits" in page
    assert "drop base/a.yaml:3 spec.replicas: removed\n  base/a.yaml has no kind\n```" in page
    assert "## What validate refuses" not in report.page(Score((CAUGHT,), (KEPT,), ()))
