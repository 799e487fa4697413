"""The report that people read: what it shows, that it hides nothing, and what it comes to."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from validate import report as reports
from validate.finding import Finding, Location, Outcome, OverlayReport, Report, Verdict
from validate.place import Origin, Writer
from validate.report.text import render
from validate.report.view import View
from validate.rules.rule import Severity

HOLDS, BREACHED = Outcome(Verdict.HOLDS), Outcome(Verdict.BREACHED)
PATCH = Origin("overlays/eks/daemonset.placement.yaml", 9, 19, Writer.STRATEGIC_MERGE)
BASE = Origin("base/docker-api/daemonset.yaml", 31, 9, Writer.RESOURCE)
FRAGMENT = Origin("overlays/eks/config/50-eks.yaml", 4, 11, Writer.FRAGMENT)

FINDING = Finding(
    overlay="overlays/eks",
    rule="build-pod-without-docker-api",
    severity=Severity.ERROR,
    at=Location(
        "DaemonSet binder/docker-api",
        "spec.template.spec.nodeSelector.pool",
        exists=True,
        value="docker",
        writers=(PATCH, BASE),
        source="            pool: docker  # large disks",
    ),
    problem="a build pod can land on a node where docker-api does not run: "
    "its label pool is not docker, and every build that lands there waits for ever",
    fix="make docker-api admit that node in overlays/eks/daemonset.placement.yaml, "
    "or narrow node_selector in overlays/eks/config/50-eks.yaml",
    evidence="this node admits the build pod:\n\n  labels: {}\n  taints: []",
    related=(
        Location(
            "BinderHub configuration",
            "KubernetesBuildExecutor.node_selector",
            exists=False,
            value=None,
            writers=(FRAGMENT,),
            source="KubernetesBuildExecutor:",
        ),
    ),
)

EXPECTED = """\
overlays/eks

error[build-pod-without-docker-api] overlays/eks/daemonset.placement.yaml:9:19
  a build pod can land on a node where docker-api does not run: its label pool is not docker, and
  every build that lands there waits for ever

  9 | pool: docker  # large disks
    |       ^^^^^^
    = DaemonSet binder/docker-api, spec.template.spec.nodeSelector.pool
    = written by strategic-merge patch, after base/docker-api/daemonset.yaml:31 (resource)

  see also overlays/eks/config/50-eks.yaml:4:11
  4 | KubernetesBuildExecutor:
    |           ^^^^^^^^^^^^^^
    = BinderHub configuration, KubernetesBuildExecutor.node_selector (not set)
    = written by config fragment

  | this node admits the build pod:
  |
  |   labels: {}
  |   taints: []

  fix: make docker-api admit that node in overlays/eks/daemonset.placement.yaml, or narrow
       node_selector in overlays/eks/config/50-eks.yaml
  see: docs/reference/rules/build-pod-without-docker-api.md

checked         objects  holds  breached  not applicable
overlays/eks         31      1         1               0
overlays/kind        30      2         0               0
the repository               1         0               0

1 error in 2 overlays, judged by 3 rules: errors fail (exit status 1)
"""


def overlay(name, *findings, objects=30, **outcomes):
    told = {rule.replace("_", "-"): outcome for rule, outcome in outcomes.items()}
    return OverlayReport(name, objects, told, findings)


def report_of(*overlays, findings=(), **outcomes):
    return Report(overlays, overlay("", *findings, objects=None, **outcomes))


@pytest.fixture
def report():
    eks = overlay(
        "overlays/eks", FINDING, objects=31, build_pod_without_docker_api=BREACHED, dangling_reference=HOLDS
    )
    kind = overlay("overlays/kind", build_pod_without_docker_api=HOLDS, dangling_reference=HOLDS)
    return report_of(eks, kind, dead_patch=HOLDS)


def test_a_finding_shows_place_line_writers_other_side_proof_and_way_out(report):
    assert render(report) == EXPECTED
    assert reports.render("text", report, View()) == EXPECTED


def test_colours_are_the_same_text_with_codes(report):
    coloured = render(report, View(colour=True))
    assert coloured != EXPECTED
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == EXPECTED


def test_a_finding_that_overlays_share_is_shown_once_with_their_names():
    shared = [replace(FINDING, overlay=f"overlays/{name}") for name in ("aks", "eks", "gke")]
    other = overlay("overlays/kind", x=HOLDS)
    parts = [overlay(finding.overlay, finding, x=BREACHED) for finding in shared]
    assert render(report_of(*parts)).startswith("all 3 overlays\n\nerror[")
    shown = render(report_of(*parts, other))
    assert shown.startswith("overlays/aks, overlays/eks, overlays/gke\n\nerror[")
    assert shown.count("error[") == 1
    assert "1 error in 4 overlays" in shown


def test_findings_that_differ_in_one_word_are_both_shown():
    one, other = FINDING, replace(FINDING, overlay="overlays/kind", evidence="another node")
    shown = render(report_of(overlay("overlays/eks", one), overlay("overlays/kind", other)))
    assert shown.count("error[") == 2


def test_findings_of_the_repository_and_of_repository_rules_have_their_headings():
    whole = replace(FINDING, overlay="", problem="of all")
    partly = replace(FINDING, overlay="overlays/kind")
    shown = render(report_of(overlay("overlays/kind"), findings=(partly, whole), dead_patch=BREACHED))
    headings = [line for line in shown.splitlines() if line in ("the repository", "overlays/kind")]
    assert headings == ["the repository", "overlays/kind"]


def test_a_place_that_may_hold_a_credential_is_named_and_not_shown():
    hidden = replace(FINDING.at, value=None, source="", hidden=True)
    shown = render(report_of(overlay("overlays/eks", replace(FINDING, at=hidden))))
    assert "not shown: it may hold a credential" in shown
    assert str(PATCH) in shown
    assert "pool: docker" not in shown


def test_a_long_chain_of_writers_is_cut_and_says_so():
    many = tuple(Origin(f"base/{number}.yaml", number, 1, Writer.RESOURCE) for number in range(1, 9))
    shown = render(report_of(overlay("overlays/eks", replace(FINDING, at=replace(FINDING.at, writers=many)))))
    assert "after base/2.yaml:2 (resource), " in shown
    assert "base/5.yaml:5 (resource), 3 more" in shown
    assert "base/6.yaml" not in shown


def test_a_name_longer_than_the_line_stays_whole():
    path = "overlays/" + "a-very-long-name-" * 12
    shown = render(report_of(overlay("overlays/eks", replace(FINDING, fix=f"mend {path} now"))))
    assert f"\n       {path}\n       now\n" in shown


def shown_line(source, column):
    at = replace(FINDING.at, source=source, writers=(replace_origin(column),))
    lines = render(report_of(overlay("overlays/eks", replace(FINDING, at=at, related=())))).splitlines()
    caret = next(number for number, line in enumerate(lines) if re.fullmatch(r" +\| +\^+", line))
    text = lines[caret - 1].removeprefix("  9 | ")
    marker = lines[caret].partition("| ")[2]
    return text, len(marker) - len(marker.lstrip()), marker.count("^")


def replace_origin(column):
    return PATCH._replace(column=column)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("  pool: docker  # large disks", "docker"),
        ("  pool: large disks # docker", "large disks"),
        ("  pool: a#b", "a#b"),
        ("  pool: 'it''s # here' # no", "'it''s # here'"),
        ('  pool: "a \\" # b" # no', '"a \\" # b"'),
        ("  - {key: dedicated, value: user}", "dedicated"),
        ("  command: [docker, version]", "docker"),
        ("  nodeSelector:", "nodeSelector:"),
        ("  text: |", "|"),
        ("  empty: {}", "{"),
        ("\t\tpool: docker", "docker"),
    ],
)
def test_the_caret_is_under_the_value_and_nothing_else(source, value):
    text, start, length = shown_line(source, source.index(value) + 1)
    assert text[start : start + length] == value


@given(
    before=st.text(st.sampled_from("ab "), max_size=300),
    value=st.text(st.sampled_from("xyz"), min_size=1, max_size=60),
    after=st.text(st.sampled_from("ab "), max_size=300),
)
def test_of_a_long_line_the_part_with_the_value_is_shown(before, value, after):
    source = f"k{before}: {value} #{after}"
    text, start, length = shown_line(source, len(before) + 4)
    assert text[start : start + length] == value
    assert len(text) <= 106


@given(st.text(max_size=40), st.integers(1, 60))
def test_no_file_commands_the_terminal_and_no_line_is_lost(source, column):
    at = replace(FINDING.at, source=source, writers=(replace_origin(column),))
    shown = render(report_of(overlay("overlays/eks", replace(FINDING, at=at, problem=source, fix=source))))
    assert all(line.isprintable() for line in shown.split("\n"))
    assert shown.count("error[") >= 1


def test_the_table_tells_what_was_not_rendered_and_what_was_not_checked():
    broken = OverlayReport("overlays/aks")
    unsure = overlay("overlays/kind", x=HOLDS, y=Outcome(Verdict.NOT_CHECKED, "y failed"))
    table = render(report_of(broken, unsure, z=HOLDS)).split("\n\n")[0]
    assert table.splitlines() == [
        "checked         objects  holds  breached  not applicable  not checked",
        "overlays/aks          -      -         -               -            -",
        "overlays/kind        30      1         0               0            1",
        "the repository               1         0               0            0",
    ]


def test_why_rules_were_not_applicable_is_told_on_request_each_reason_once():
    without = Outcome(Verdict.NOT_APPLICABLE, "nothing here runs BinderHub")
    parts = [overlay(f"overlays/{name}", x=without, y=HOLDS) for name in ("aks", "eks")]
    told = report_of(*parts, overlay("overlays/kind", x=HOLDS, y=without))
    assert "nothing here runs" not in render(told)
    assert (
        "not applicable\n"
        "  x (overlays/aks, overlays/eks)\n    nothing here runs BinderHub\n"
        "  y (overlays/kind)\n    nothing here runs BinderHub\n\n"
    ) in render(told, View(verbose=True))


def last_line(report):
    return render(report).splitlines()[-1]


def test_the_last_sentence_says_what_it_comes_to():
    warning = replace(FINDING, severity=Severity.WARNING)
    clean = overlay("overlays/kind", x=HOLDS)
    assert last_line(report_of(clean)) == (
        "no finding in 1 overlay, judged by 1 rule: all that apply hold (exit status 0)"
    )
    assert last_line(report_of(overlay("overlays/kind", warning, x=BREACHED), clean)) == (
        "1 warning in 2 overlays, judged by 1 rule: warnings alone do not fail (exit status 0)"
    )
    both = overlay("overlays/kind", FINDING, replace(FINDING, fix="another"), warning, x=BREACHED)
    assert last_line(report_of(both)) == (
        "2 errors and 1 warning in 1 overlay, judged by 1 rule: errors fail (exit status 1)"
    )
    unsure = overlay("overlays/kind", FINDING, x=Outcome(Verdict.NOT_CHECKED, "x failed"))
    assert last_line(report_of(unsure)) == (
        "1 error in 1 overlay, judged by 1 rule: "
        "not everything could be checked, for the reasons on standard error (exit status 2)"
    )


def test_a_note_stands_before_the_last_sentence():
    report = replace(report_of(overlay("overlays/kind", x=HOLDS)), notes=("overlays/half was not checked",))
    assert render(report).splitlines()[-3] == "note: overlays/half was not checked"
