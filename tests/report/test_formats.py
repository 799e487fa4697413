"""Every format: its whole text, that standards accept it, and that no file writes into it.

``sarif-schema-2.1.0.json`` is the schema of OASIS (errata 01) as the Go module
github.com/owenrumney/go-sarif/v3 v3.3.1 ships it, without a change.
"""

from __future__ import annotations

import html
import json
import re
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import validate
from tests.report.sample import (
    BREACHED,
    CREDENTIAL,
    EXPOSED,
    HOLDS,
    IDLE,
    MISPLACED,
    UNPINNED,
    WAIVED,
    WAIVER,
    everything,
    only,
    overlay,
)
from validate.finding import Report, Waived
from validate.place import Origin, Spot, Writer
from validate.report import FORMATS, github, junit, markdown, render, sarif
from validate.report import json as json_report
from validate.report.fingerprint import fingerprints
from validate.report.view import View
from validate.rules import RULES
from validate.rules.rule import Severity

HERE = Path(__file__).parent
SUFFIXES = {"json": "json", "sarif": "json", "junit": "xml", "github": "txt", "markdown": "md", "text": "txt"}
SENTENCES = st.text(max_size=60)


@cache
def validator(schema):
    found = json.loads(schema.read_text(encoding="utf-8"))
    kind = jsonschema.validators.validator_for(found)
    kind.check_schema(found)
    return kind(found)


REPORT_SCHEMA = Path(json_report.__file__).with_name("report.schema.json")
SARIF_SCHEMA = HERE / "sarif-schema-2.1.0.json"


def stable(name, text):
    """Return the report without what changes with each release and each rule's docstring."""
    if name == "json":
        document = json.loads(text)
        del document["rules"], document["tool"]["version"]
        return json.dumps(document, indent=2) + "\n"
    if name == "sarif":
        document = json.loads(text)
        driver = document["runs"][0]["tool"]["driver"]
        del driver["rules"], driver["semanticVersion"]
        for result in document["runs"][0]["results"]:
            del result["ruleIndex"]
        return json.dumps(document, indent=2) + "\n"
    return text


@pytest.mark.parametrize("name", FORMATS)
def test_a_report_of_everything_is_word_for_word_what_it_was(name, request):
    shown = stable(name, render(name, everything(), View()))
    expected = HERE / "expected" / f"{name}.{SUFFIXES[name]}"
    if request.config.getoption("--update-expected"):
        expected.write_text(shown, encoding="utf-8")
    assert shown == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FORMATS)
def test_a_report_says_all_that_somebody_has_to_know(name):
    shown = html.unescape(render(name, everything(), View()).replace("\\n", "\n").replace("&#8203;", ""))
    for finding in (MISPLACED, IDLE, EXPOSED):
        assert finding.rule in shown
        assert finding.at.origin.file.replace(" ", "%20" if name == "sarif" else " ") in shown
        assert finding.fix in shown
    assert "no digest is known yet" in shown
    assert "platform-team" in shown
    assert "2027-05-31" in shown
    assert "overlays/half has no kustomization.yaml" in shown
    if name != "text":  # there, the command line says it on standard error
        assert "dead-patch failed on the repository" in shown


@pytest.mark.parametrize("name", FORMATS)
def test_a_place_that_may_hold_a_credential_is_named_and_never_shown(name):
    # Even where somebody forgot to empty what must not be shown: `hidden` alone decides.
    shown = render(name, only(EXPOSED), View())
    assert "se cret.yaml" in shown or "se%20cret.yaml" in shown
    assert CREDENTIAL not in shown


@given(SENTENCES, st.integers(1, 80))
def test_json_and_sarif_are_as_their_schemas_say_whatever_files_hold(text, column):
    at = replace(
        MISPLACED.at,
        source=text,
        value=text,
        title=text,
        writers=(MISPLACED.at.origin._replace(file=text or "x", column=column),),
    )
    report = only(replace(MISPLACED, at=at, problem=f"x{text}", fix=f"x{text}", evidence=text))
    for name, schema in (("json", REPORT_SCHEMA), ("sarif", SARIF_SCHEMA)):
        shown = render(name, report, View())
        assert shown.isascii()
        validator(schema).validate(json.loads(shown))


def test_json_and_sarif_of_everything_are_as_their_schemas_say():
    for report in (everything(), only(), only(MISPLACED, fail_on=Severity.WARNING)):
        validator(REPORT_SCHEMA).validate(json_report.document(report))
        validator(SARIF_SCHEMA).validate(sarif.document(report))


def test_the_schema_of_the_json_report_refuses_a_shown_credential_and_an_unknown_key():
    document = json_report.document(only(EXPOSED))
    document["findings"][0]["at"]["source"] = CREDENTIAL
    assert not validator(REPORT_SCHEMA).is_valid(document)
    assert not validator(REPORT_SCHEMA).is_valid({**json_report.document(only()), "more": 1})


def test_json_and_sarif_describe_the_rules_that_were_judged_by():
    (rule,) = (rule for rule in RULES if rule.id == EXPOSED.rule)
    (told,) = json_report.document(only(EXPOSED))["rules"]
    assert told == {
        "id": "secret-in-git",
        "severity": "error",
        "scope": "overlay" if "OverlayRule" in str(rule.__bases__) else "repository",
        "title": rule.title(),
        "page": "docs/reference/rules/secret-in-git.md",
    }
    (driver,) = (run["tool"]["driver"] for run in sarif.document(only(EXPOSED))["runs"])
    assert (driver["name"], driver["semanticVersion"]) == ("validate", validate.__version__)
    (described,) = driver["rules"]
    assert (described["id"], described["name"]) == ("secret-in-git", "SecretInGit")
    assert described["shortDescription"]["text"] == f"{rule.title()}."
    assert "docs/reference/rules/secret-in-git.md" in described["help"]["text"]


def test_no_rule_says_more_in_sarif_than_github_takes():
    outcomes = {rule.id.replace("-", "_"): HOLDS for rule in RULES}
    (run,) = sarif.document(Report((overlay("overlays/kind", **outcomes),), overlay("")))["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [rule.id for rule in RULES]
    assert all(
        len(rule[key]["text"]) <= 1024 for rule in rules for key in ("shortDescription", "fullDescription")
    )


def test_sarif_links_each_related_location_in_the_message():
    (result,) = sarif.document(only(MISPLACED))["runs"][0]["results"]
    assert result["message"]["text"] == (
        "overlays/eks: a build pod can land on a node where docker-api does not run\n\n"
        "this node admits the build pod:\nlabels: {}\n\n"
        "Fix: make docker-api admit that node in overlays/eks/daemonset.placement.yaml\n\n"
        "See [BinderHub configuration, KubernetesBuildExecutor.extra\\[0\\]](1).\n"
        "See [base/docker-api/daemonset.yaml:31, where a resource wrote it before](2)."
    )
    assert [one["id"] for one in result["relatedLocations"]] == [1, 2]
    region = result["locations"][0]["physicalLocation"]["region"]
    line = region["snippet"]["text"]
    assert line[region["startColumn"] - 1 : region["endColumn"] - 1] == "docker"


def moved(finding, lines):
    writers = tuple(origin._replace(line=origin.line + lines, column=1) for origin in finding.at.writers)
    return replace(finding, at=replace(finding.at, writers=writers, source="moved", value="moved"))


def test_a_fingerprint_stays_when_lines_move_and_generated_names_change():
    other_hash = replace(EXPOSED, at=replace(EXPOSED.at, title="Secret binder/registry-gb2hkm4t78"))
    before = fingerprints([MISPLACED, EXPOSED])
    after = fingerprints([moved(MISPLACED, 7), moved(other_hash, 7)])
    assert list(before.values()) == list(after.values())


def test_a_fingerprint_is_of_the_rule_the_overlay_the_object_and_the_path():
    others = [
        replace(MISPLACED, rule="other"),
        replace(MISPLACED, overlay="overlays/kind"),
        replace(MISPLACED, at=replace(MISPLACED.at, title="DaemonSet binder/other")),
        replace(MISPLACED, at=replace(MISPLACED.at, path="spec")),
        # Same text when the parts are joined, and yet another place.
        replace(MISPLACED, rule=MISPLACED.rule + MISPLACED.overlay[0], overlay=MISPLACED.overlay[1:]),
    ]
    known = fingerprints([MISPLACED, *others])
    assert len(set(known.values())) == len(others) + 1


def test_two_findings_about_one_field_are_numbered_in_an_order_that_lines_do_not_change():
    first, second = replace(MISPLACED, problem="a"), replace(MISPLACED, problem="b")
    known = fingerprints([second, first])
    assert known[first].endswith(":1")
    assert known[second] == known[first].removesuffix("1") + "2"
    again = fingerprints([moved(first, 5), second])
    assert again[moved(first, 5)] == known[first]


def suites(report):
    return ET.fromstring(junit.render(report))  # noqa: S314 - our own


def test_junit_fails_a_test_exactly_where_the_run_fails():
    lenient = only(IDLE)
    strict = replace(lenient, fail_on=Severity.WARNING)
    for report, failures in ((lenient, 0), (strict, 1), (only(MISPLACED, IDLE), 1), (only(), 0)):
        root = suites(report)
        assert root.get("failures") == str(len(root.findall(".//failure"))) == str(failures)
        assert bool(failures) == bool(report.exit_status)


def test_junit_shows_a_finding_that_is_waived_beside_one_that_is_not():
    report = Report(
        (overlay("overlays/kind", replace(UNPINNED, problem="open"), unpinned_image=BREACHED),),
        overlay(""),
        waived=(Waived(UNPINNED, WAIVER),),
    )
    (case,) = suites(report).iter("testcase")
    assert [child.tag for child in case] == ["failure", "system-out"]
    assert case.find("failure").get("message") == "open"
    assert "waived until 2027-05-31 by platform-team: no digest is known yet" in case.findtext("system-out")


def test_junit_shows_a_waived_finding_of_a_repository_rule_with_its_overlay():
    report = Report(
        (overlay("overlays/kind"),),
        overlay("", objects=None, unpinned_image=WAIVED),
        waived=(Waived(UNPINNED, WAIVER),),
    )
    (case,) = suites(report).iter("testcase")
    assert case.get("classname") == "the repository"
    assert "\noverlays/kind\nerror[unpinned-image]" in case.findtext("system-out")


def test_junit_has_an_error_for_an_overlay_that_could_not_be_read():
    report = Report(
        (overlay("overlays/kind", obstacle="reading failed"),), overlay(""), obstacles=("no disk",)
    )
    root = suites(report)
    (case,) = root.iter("testcase")
    assert (case.get("name"), case.find("error").get("message")) == ("can be read", "reading failed")
    assert root.get("errors") == "1"
    assert root.findtext(".//system-out") == "error: no disk"


@given(SENTENCES)
def test_junit_is_xml_in_ascii_whatever_files_hold(text):
    finding = replace(MISPLACED, problem=text, evidence=text, at=replace(MISPLACED.at, source=text))
    shown = junit.render(only(finding))
    assert shown.isascii()
    (failure,) = ET.fromstring(shown).iter("failure")  # noqa: S314 - our own
    assert failure.get("type") == "error"


def read_command(line):
    """Read a workflow command as GitHub's runner does (actions/runner, ActionCommand.TryParseV2)."""
    head, separator, message = line.removeprefix("::").partition("::")
    assert line.startswith("::")
    assert separator
    kind, _, rest = head.partition(" ")
    properties = dict(each.split("=", 1) for each in rest.split(",") if each)
    data = (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%"))

    def read(text, marks):
        for mark, character in marks:
            text = text.replace(mark, character)
        return text

    return (
        kind,
        {name: read(value, data) for name, value in properties.items()},
        read(message, [pair for pair in data if pair[0] not in ("%3A", "%2C")]),
    )


@given(SENTENCES, st.text(st.sampled_from("a:,%\n\r0DA25/ "), min_size=1, max_size=30))
def test_github_reads_back_each_text_as_it_was(text, file):
    at = replace(MISPLACED.at, writers=(Origin(file, 3, 5, Writer.RESOURCE),), source="")
    report = only(replace(MISPLACED, at=at, problem=text, evidence="", related=()))
    first, *others = github.render(report).split("\n")
    kind, properties, message = read_command(first)
    assert kind == "error"
    assert properties == {
        "file": file,
        "line": "3",
        "col": "5",
        "title": "build-pod-without-docker-api in overlays/eks",
    }
    assert message.startswith(f"{text}\nfix: ")
    assert others == ["1 error in 1 overlay, judged by 1 rule: errors fail (exit status 1)", ""]


def test_github_gets_a_finding_that_overlays_share_once():
    shared = [replace(MISPLACED, overlay=name) for name in ("overlays/eks", "overlays/gke")]
    parts = [overlay(finding.overlay, finding) for finding in shared]
    shown = github.render(Report(tuple(parts), overlay("")))
    assert shown.count("::error ") == 1
    assert "title=build-pod-without-docker-api in all 2 overlays::" in shown


def many(number, size=100):
    return [replace(MISPLACED, problem=f"{index:05} {'x' * size}") for index in range(number)]


def test_a_comment_shows_as_many_findings_as_it_holds_and_says_how_many_it_does_not():
    report = only(*many(200))
    shown = markdown.render(report)
    left = shown.count("<details><summary><b>error</b>")
    assert 0 < left < 200
    assert (
        f"\nCut, since a comment holds 65,536 characters: {200 - left} findings. The log has them.\n" in shown
    )
    assert shown.endswith("</details>\n")
    assert "what was checked" in shown
    assert markdown.LONGEST * 0.95 < len(shown) <= markdown.LONGEST


@settings(max_examples=15)
@given(
    findings=st.integers(0, 40),
    size=st.sampled_from([1, 500, 40_000]),
    overlays=st.sampled_from([1, 40, 2000]),
    waivers=st.sampled_from([0, 3, 700]),
    obstacles=st.sampled_from([0, 2, 900]),
)
def test_a_comment_is_never_too_long_and_never_cut_inside_a_block(
    findings, size, overlays, waivers, obstacles
):
    parts = [overlay(f"overlays/{'n' * 60}{number}", x=HOLDS) for number in range(overlays)]
    waived = [Waived(UNPINNED, replace(WAIVER, reason=f"reason {number}")) for number in range(waivers)]
    report = Report(
        (overlay("overlays/eks", *many(findings, size)), *parts),
        overlay(""),
        waived=tuple(waived),
        obstacles=tuple(f"obstacle {number} {'y' * 100}" for number in range(obstacles)),
    )
    shown = markdown.render(report)
    assert len(shown) <= markdown.LONGEST
    assert shown.count("<details>") == shown.count("</details>")
    told = re.search(r"Cut, since a comment holds 65,536 characters: (.*)\. The log has them\.", shown)
    complete = shown.count("<b>error</b>") == findings and shown.count("<b>waived</b>") == waivers
    complete = complete and shown.count("- obstacle") == obstacles and "| checked |" in shown
    assert bool(told) != complete


@given(st.text(st.sampled_from("`*_<>&|#@ab\n\\[]()~$"), max_size=40))
def test_no_file_writes_markup_or_a_mention_into_a_comment(text):
    name = f"overlays/{text}"
    finding = replace(MISPLACED, overlay=name, problem=text, evidence=text, related=())
    shown = markdown.render(Report((overlay(name, finding),), overlay(""), notes=(f"x{text}",)))
    outside = re.sub(r"^(`{3,})text\n.*?\n\1$", "", shown, flags=re.DOTALL | re.MULTILINE)
    assert not re.search(r"@\w", outside)
    tags = set(re.findall(r"</?\w+>", outside))
    assert tags <= {f"<{end}{tag}>" for tag in ("details", "summary", "b", "code") for end in ("", "/")}
    assert outside.count("<details>") == 2
    note = next(line for line in outside.splitlines() if line.startswith("- x"))
    assert not re.search(r"[`*_\[\]<>|~$\\]", note[2:])


def test_a_waiver_that_stands_twice_is_one_answer_in_a_comment():
    other = replace(WAIVER, overlay="overlays/eks", spot=Spot("", (1,), None, True, WAIVER.spot.writers))  # noqa: FBT003 - a Spot's fields
    waived = (Waived(UNPINNED, WAIVER), Waived(replace(UNPINNED, overlay="overlays/eks"), other))
    shown = markdown.render(replace(only(), waived=waived))
    assert shown.count("<b>waived</b>") == 1
    assert f"- {WAIVER.subject} in overlays/eks, overlays/kind\n" in shown
