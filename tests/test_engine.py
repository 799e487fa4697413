"""The engine: what one overlay, rule or file does wrong does not hide what is found in the others."""

# ruff: noqa: ARG002 - a rule made to fail need not look at what it is given
from __future__ import annotations

import gc
import pickle

import pytest

from validate import engine
from validate.discover import open_checkout
from validate.errors import SourceError
from validate.finding import CLEAN, FINDINGS, NOT_CHECKED, Verdict
from validate.judge import in_order
from validate.rules import RULES
from validate.rules.rule import Breach, NotApplicable, OverlayRule, RepositoryRule, Severity
from validate.rules.unrenderable_overlay import UnrenderableOverlay


class BlueSettings(OverlayRule):
    """Settings are blue."""

    id = "blue-settings"

    def check(self, overlay):
        for item in overlay.of_kind("ConfigMap"):
            colour = item.place.at("data", "colour")
            if colour.value == "blue":
                yield Breach(at=colour, problem="settings are blue", fix="paint them", related=(item.place,))


class PaleSettings(OverlayRule):
    """Settings are pale."""

    id = "pale-settings"
    severity = Severity.WARNING
    requires = ("blue-settings",)

    def check(self, overlay):
        shade = overlay.find("ConfigMap", "settings").place.at("data", "shade")
        if not shade.exists:
            raise NotApplicable("settings have no shade")
        if shade.value == "pale":
            yield Breach(at=shade, problem="settings are pale", fix="darken them")


class FadedSettings(OverlayRule):
    """Settings are faded."""

    id = "faded-settings"
    requires = ("pale-settings",)

    def check(self, overlay):
        return ()


class BrokenRule(OverlayRule):
    """A rule with a mistake in it."""

    id = "broken-rule"

    def check(self, overlay):
        yield Breach(at=overlay.objects[0].place, problem="found before the mistake", fix="none")
        raise KeyError("replicas")


class UnreadableFile(OverlayRule):
    """A rule that comes upon a file that cannot be read."""

    id = "unreadable-file"

    def check(self, overlay):
        raise SourceError("policies/deny.yaml", 3, "does not compile; correct it")


class OneColour(RepositoryRule):
    """Two overlays have settings of one colour."""

    id = "one-colour"
    requires = ("blue-settings",)

    def observe(self, overlay):
        return overlay.find("ConfigMap", "settings").place.at("data", "colour").pin()

    def check(self, repository, facts):
        first, *others = facts.items()
        for name, spot in others:
            if spot.value == first[1].value:
                yield (
                    name,
                    Breach(at=spot, problem=f"the colour of {first[0]}", fix="paint", related=(first[1],)),
                )


class BlindRule(RepositoryRule):
    """A rule that cannot observe."""

    id = "blind-rule"

    def observe(self, overlay):
        raise ZeroDivisionError("division by zero")

    def check(self, repository, facts):
        yield from ()


def settings(**data):
    lines = "".join(f"  {key}: {value}\n" for key, value in data.items())
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n{lines}"


def overlays(**of):
    files = {}
    for name, data in of.items():
        files[f"overlays/{name}/kustomization.yaml"] = "resources: [settings.yaml]\n"
        files[f"overlays/{name}/settings.yaml"] = data if isinstance(data, str) else settings(**data)
    return files


@pytest.fixture
def run(repository):
    def check(files, *rules, processes=1):
        checkout = open_checkout(repository(files))
        return engine.check(
            checkout, checkout.overlays, rules=(*rules, UnrenderableOverlay), processes=processes
        )

    return check


def outcomes(report, rule):
    return {part.name: part.outcomes[rule].verdict for part in report.parts if rule in part.outcomes}


def test_a_breach_becomes_a_finding_with_its_place_and_the_line_as_it_stands(run):
    report = run(overlays(kind={"colour": "blue  # like the sky"}), BlueSettings)
    (finding,) = report.findings
    assert (finding.overlay, finding.rule, finding.severity) == (
        "overlays/kind",
        "blue-settings",
        Severity.ERROR,
    )
    assert (finding.at.title, finding.at.path, finding.at.value) == (
        "ConfigMap settings",
        "data.colour",
        "blue",
    )
    assert (str(finding.at.origin), finding.at.source) == (
        "overlays/kind/settings.yaml:6",
        "  colour: blue  # like the sky",
    )
    assert finding.related[0].source == "apiVersion: v1"
    assert finding.page == "docs/reference/rules/blue-settings.md"
    assert report.exit_status == FINDINGS


def test_an_overlay_that_cannot_be_rendered_does_not_hide_the_findings_of_others(run):
    report = run(overlays(aks="a: [", kind={"colour": "blue"}), BlueSettings)
    assert [(one.overlay, one.rule) for one in report.findings] == [
        ("overlays/aks", "unrenderable-overlay"),
        ("overlays/kind", "blue-settings"),
    ]
    assert [part.objects for part in report.overlays] == [None, 1]
    assert report.exit_status == FINDINGS


def test_a_mistake_in_a_rule_is_no_finding_and_hides_none(run):
    report = run(overlays(kind={"colour": "blue"}), BrokenRule, BlueSettings)
    assert [finding.rule for finding in report.findings] == ["blue-settings"]
    assert outcomes(report, "broken-rule") == {"overlays/kind": Verdict.NOT_CHECKED}
    (sentence,) = report.all_obstacles
    assert sentence.startswith("broken-rule failed on overlays/kind (KeyError: 'replicas')")
    assert report.exit_status == NOT_CHECKED


def test_a_mistake_shows_its_traceback_only_where_it_is_asked_for(run, capsys, monkeypatch):
    run(overlays(kind={"colour": "red"}), BrokenRule)
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("VALIDATE_DEBUG", "1")
    run(overlays(kind={"colour": "red"}), BrokenRule)
    assert 'raise KeyError("replicas")' in capsys.readouterr().err


def test_a_mistake_in_observing_is_an_obstacle_too(run):
    report = run({}, BlindRule)
    assert "blind-rule failed on overlays/kind (ZeroDivisionError" in next(report.all_obstacles)


def test_a_file_that_a_rule_cannot_read_is_the_fault_of_the_overlay(run):
    report = run(overlays(kind={"colour": "blue"}), UnreadableFile, BlueSettings)
    assert [finding.rule for finding in report.findings] == ["blue-settings", "unrenderable-overlay"]
    assert report.findings[1].at.origin[:2] == ("policies/deny.yaml", 3)
    assert report.exit_status == FINDINGS


def test_a_rule_waits_for_the_rules_it_requires_and_so_do_those_behind_it(run):
    files = overlays(aks={"colour": "blue", "shade": "pale"}, kind={"colour": "red", "shade": "pale"})
    report = run(files, FadedSettings, PaleSettings, BlueSettings)
    assert [(one.overlay, one.rule) for one in report.findings] == [
        ("overlays/aks", "blue-settings"),
        ("overlays/kind", "pale-settings"),
    ]
    reasons = [part.outcomes["faded-settings"].reason for part in report.overlays]
    assert reasons == ["waits for pale-settings", "waits for pale-settings"]


def test_a_required_rule_that_is_not_applicable_keeps_nobody_waiting(run):
    report = run(overlays(kind={"colour": "red"}), PaleSettings, FadedSettings)
    assert outcomes(report, "pale-settings") == {"overlays/kind": Verdict.NOT_APPLICABLE}
    assert outcomes(report, "faded-settings") == {"overlays/kind": Verdict.HOLDS}


def test_a_repository_rule_sees_only_overlays_in_which_what_it_requires_holds(run):
    files = overlays(
        aks={"colour": "blue"}, eks={"colour": "red"}, gke={"colour": "red"}, kind={"colour": "blue"}
    )
    report = run(files, OneColour, BlueSettings)
    told = [(one.overlay, one.problem) for one in report.findings if one.rule == "one-colour"]
    assert told == [("overlays/gke", "the colour of overlays/eks")]
    assert outcomes(report, "one-colour") == {"": Verdict.BREACHED}


def test_warnings_alone_do_not_fail(run):
    report = run(overlays(kind={"colour": "red", "shade": "pale"}), PaleSettings)
    assert [finding.severity for finding in report.findings] == [Severity.WARNING]
    assert report.exit_status == CLEAN


def test_the_report_is_the_same_whatever_the_number_of_processes(run):
    files = overlays(
        aks={"colour": "blue"},
        eks="a: [",
        gke={"colour": "red", "shade": "pale"},
        openstack={"colour": "blue"},
    )
    rules = (BlueSettings, PaleSettings, OneColour, BrokenRule)
    reports = [run(files, *rules, processes=processes) for processes in (1, 2, 5)]
    assert reports[0] == reports[1] == reports[2]
    assert len(reports[0].findings) == 5


def test_a_report_crosses_a_process_boundary(run):
    report = run(overlays(aks="a: [", kind={"colour": "blue"}), BlueSettings)
    assert pickle.loads(pickle.dumps(report)) == report  # noqa: S301 - our own


class OpenSecret(OverlayRule):
    """Points at everything that may hold a credential."""

    id = "open-secret"

    def check(self, overlay):
        secret = overlay.find("Secret", "registry-credentials").place
        docker = overlay.find("ConfigMap", "settings").place.at("data", "config.json")
        for place in (
            secret.at("data", "config.json"),
            secret / "data",
            secret.at("stringData", "missing"),
            docker,
        ):
            yield Breach(at=place, problem="a secret", fix="hide it", related=(place,))


def test_what_may_be_a_credential_is_never_in_a_report(run):
    credentials = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: registry-credentials}\n"
        "data: {config.json: aHVudGVyMg==}\n"
    )
    docker = settings(**{"config.json": '\'{"auths": {"https://quay.io": {"auth": "aHVudGVyMg=="}}}\''})
    report = run(overlays(kind=f"{credentials}---\n{docker}"), OpenSecret)
    assert len(report.findings) == 4
    assert b"aHVudGVyMg" not in pickle.dumps(report)
    assert all(finding.at.hidden for finding in report.findings)


def test_applications_that_cannot_be_read_keep_nothing_else_from_being_checked(run):
    files = {**overlays(kind={"colour": "blue"}), "argocd/applicationset.yaml": "a: ["}
    report = run(files, BlueSettings)
    assert [finding.rule for finding in report.findings] == ["blue-settings"]
    (sentence,) = report.all_obstacles
    assert sentence.startswith("argocd/applicationset.yaml:")
    assert report.exit_status == NOT_CHECKED


APPLICATIONSET = """\
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: all}
spec:
  goTemplate: true
  generators:
    - git:
        repoURL: https://git.example.org/x.git
        files: [{path: "overlays/*/cluster.yaml"}]
  template:
    metadata: {name: "{{ .path.basename }}"}
    spec: {source: {repoURL: "https://git.example.org/x.git", path: "{{ .path.path }}"}}
"""


def test_a_file_that_is_wrong_for_its_overlay_is_not_reported_again_for_argo_cd(run):
    report = run({"overlays/kind/cluster.yaml": "a: [", "argocd/applicationset.yaml": APPLICATIONSET})
    assert [finding.rule for finding in report.findings] == ["unrenderable-overlay"]
    assert report.exit_status == FINDINGS


def test_rules_come_after_those_they_require():
    order = [rule.id for rule in in_order([FadedSettings, OneColour, PaleSettings, BlueSettings])]
    assert order.index("blue-settings") < order.index("pale-settings") < order.index("faded-settings")
    assert order.index("blue-settings") < order.index("one-colour")
    assert len(in_order(RULES)) == len(RULES)


def test_an_overlay_leaves_no_cycles_behind(run):
    # Workers do not look for cycles: each overlay that had some would stay in memory.
    files = overlays(aks={"colour": "blue"}, kind={"colour": "blue"})
    run(files, *RULES)
    gc.collect()
    gc.disable()
    try:
        run(files, *RULES)
        assert gc.collect() < 100
    finally:
        gc.enable()
