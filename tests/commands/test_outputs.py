"""Reports to streams and files: each where it was asked for, whole, and none in another's place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from validate.commands.files import write
from validate.errors import CannotCheckError

ONE_RULE = ("--rule", "unpinned-image")
LAST = "1 error in 1 overlay, judged by 1 rule: errors fail (exit status 1)\n"


def test_without_an_option_the_text_is_on_standard_output(run):
    assert run(*ONE_RULE) == run(*ONE_RULE, "--report", "text")


def test_several_reports_go_each_to_its_place(run, tmp_path):
    status, output, errors = run(
        *ONE_RULE, "--report", f"sarif={tmp_path}/out.sarif", "--report", "text", "--report", "junit=out.xml"
    )
    assert (status, errors) == (1, "")
    assert output.endswith(LAST)
    results = json.loads((tmp_path / "out.sarif").read_text(encoding="utf-8"))["runs"][0]["results"]
    assert [result["ruleId"] for result in results] == ["unpinned-image"]
    (failure,) = ET.parse("out.xml").iter("failure")  # noqa: S314 - our own
    assert failure.get("message").startswith("docker.io/library/nginx:1.29 has no digest")


def test_a_report_to_a_file_leaves_standard_output_alone(run):
    assert run(*ONE_RULE, "--report", "json=out.json") == (1, "", "")
    assert json.loads(Path("out.json").read_text(encoding="utf-8"))["exit_status"] == 1


def test_a_dash_is_standard_output(run):
    _, output, _ = run(*ONE_RULE, "--report", "json=-")
    assert json.loads(output)["version"] == 1


@pytest.mark.parametrize(
    ("reports", "place"),
    [
        (("text", "json"), "standard output"),
        (("text", "json=-"), "standard output"),
        (("text=a", "json=./a"), "{here}/a"),
    ],
)
def test_two_reports_cannot_be_in_one_place(run, reports, place):
    status, output, errors = run(*(word for report in reports for word in ("--report", report)))
    place = place.format(here=Path.cwd())
    sentence = f"two reports would be written to {place}; name a file for each: FORMAT=FILE"
    assert (status, output, errors) == (2, "", f"error: {sentence}\n")
    assert not Path("a").exists()


def test_a_file_that_cannot_be_written_is_a_sentence_and_hides_no_other_report(run):
    status, output, errors = run(*ONE_RULE, "--report", "json=no/where.json", "--report", "text")
    assert status == 2
    assert output.endswith(LAST)
    assert errors == (
        "error: no/where.json cannot be written (No such file or directory); "
        "name a file in a directory that exists and is yours\n"
    )


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("html", "there is no format 'html'; name one of text, json, sarif, junit, github, markdown"),
        ("json=", "'json=' names no file; write json=FILE, or json alone"),
    ],
)
def test_a_report_that_makes_no_sense_is_a_sentence(run, capsys, argument, sentence):
    with pytest.raises(SystemExit) as ended:
        run("--report", argument)
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"validate: error: argument --report: {sentence}\n")


def test_warnings_fail_where_they_are_asked_to(run):
    files = {
        f"overlays/{name}/kustomization.yaml": "resources: [deployment.yaml]\n" for name in ("aks", "kind")
    }
    for name, tag in (("aks", "1.28"), ("kind", "1.29")):
        files[f"overlays/{name}/kustomization.yaml"] = "resources: [deployment.yaml]\n"
        files[f"overlays/{name}/deployment.yaml"] = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: binder}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: web, image: "docker.io/library/nginx:{tag}"}}]}}
"""
    rule = ("--rule", "divergent-image")
    status, output, _ = run(*rule, files=files)
    assert status == 0
    assert output.endswith("warnings alone do not fail (exit status 0)\n")
    status, output, _ = run(*rule, "--fail-on", "warning", files=files)
    assert status == 1
    assert output.endswith("warnings fail, as --fail-on asks (exit status 1)\n")
    assert run(*rule, "--fail-on", "error", files=files)[0] == 0


def test_a_file_is_replaced_as_a_whole_and_keeps_its_mode_and_its_link(tmp_path):
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("before", encoding="utf-8")
    file.chmod(0o640)
    link.symlink_to(file)
    write(link, "after")
    assert link.is_symlink()
    assert (file.read_text(encoding="utf-8"), file.stat().st_mode & 0o777) == ("after", 0o640)
    assert sorted(tmp_path.iterdir()) == [file, link]


def test_a_new_file_is_for_whom_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_what_was_there_stays_where_writing_fails(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("before", encoding="utf-8")

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(CannotCheckError, match=r"file cannot be written \(No space left on device\)"):
        write(file, "after")
    assert file.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_pipe_is_written_to_and_a_directory_is_not(tmp_path):
    reader, writer = os.pipe()
    write(Path(f"/dev/fd/{writer}"), "text")
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as stream:
        assert stream.read() == "text"
    with pytest.raises(CannotCheckError, match="Is a directory"):
        write(tmp_path, "text")
