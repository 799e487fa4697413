"""What a pull request is told: one edit each, the whole text that somebody reads."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from validate.diff.changes import Kind
from validate.kustomize.render import find_kustomize
from validate.report.diff import FORMATS

ROOT = Path(__file__).parent.parent.parent
DOCKER_API = "base/docker-api/daemonset.yaml"
BINDERHUB = "base/binderhub/deployment.yaml"
EKS = "overlays/eks"


def narrow_docker_api(clone):
    clone.edit(f"{EKS}/daemonset.build-pool.yaml", ": builds", ": build")


def widen_the_role(clone):
    rule = '  - apiGroups: [""]\n    resources: [secrets]\n    verbs: [get, list]\n'
    clone.write("base/binderhub/role.yaml", (clone.root / "base/binderhub/role.yaml").read_text() + rule)


def open_the_network(clone):
    clone.remove("policies/network/default-deny.yaml")
    clone.edit("policies/network/kustomization.yaml", "  - default-deny.yaml\n", "")


def renew_the_build_image(clone):
    clone.edit("base/images/config/05-images.yaml", "repo2docker:2026.04.0", "repo2docker:2026.05.0")


def change_a_selector(clone):
    clone.edit(
        DOCKER_API,
        "    matchLabels:\n      app.kubernetes.io/component: docker-api\n",
        "    matchLabels:\n      app.kubernetes.io/component: docker-api\n      app: binder\n",
    )


def drop_a_component(clone):
    clone.edit(f"{EKS}/kustomization.yaml", "  - ../../components/image-cleaner\n", "")


def move_the_namespace(clone):
    clone.edit("overlays/kind/kustomization.yaml", "namespace: binderhub\n", "namespace: builds\n")


def stop_pruning(clone):
    clone.edit("argocd/applicationset.yaml", "          prune: true\n", "          prune: false\n")


def take_a_pool_away(clone):
    clone.edit(f"{EKS}/cluster.yaml", "  - name: builds\n", "  - name: others\n")
    clone.edit(f"{EKS}/cluster.yaml", "nodegroup: builds", "nodegroup: others")


def remove_an_overlay(clone):
    clone.remove("overlays/openstack")


CASES = [
    widen_the_role,
    open_the_network,
    renew_the_build_image,
    change_a_selector,
    drop_a_component,
    move_the_namespace,
    stop_pruning,
    take_a_pool_away,
    remove_an_overlay,
]


def without_findings(output):
    """Return what differs and what happens: which rules there are is for their own tests."""
    return (
        re.sub(
            r"^(overlays/.*?) +\d+ +\d+$",
            r"\1",
            re.split(r"\n\n(?:new in|fixed\[)", output)[0],
            flags=re.MULTILINE,
        )
        + "\n"
    )


def test_who_narrows_the_nodes_of_docker_api_is_told_so_and_nothing_else(clone, expected):
    narrow_docker_api(clone)
    status, output, errors = clone.diff()
    assert (status, errors) == (1, "")
    expected("narrow-docker-api.txt", output, clone)


@pytest.mark.parametrize("change", CASES, ids=lambda change: change.__name__)
def test_the_text_says_what_differs_and_what_happens(change, clone, expected):
    change(clone)
    _, output, errors = clone.diff()
    assert errors == ""
    expected(f"{change.__name__.replace('_', '-')}.txt", without_findings(output), clone)


def test_what_is_mended_is_told_with_the_line_that_it_had(clone):
    narrow_docker_api(clone)
    clone.commit("narrow")
    clone.edit(f"{EKS}/daemonset.build-pool.yaml", ": build", ": builds")
    status, output, errors = clone.diff("HEAD")
    assert (status, errors) == (0, "")
    assert "fixed[build-pod-without-docker-api] overlays/eks/daemonset.build-pool.yaml:10 (before)" in output
    assert output.endswith("\nnothing new is found, 1 fixed (exit status 0)\n")


def test_a_finding_that_moves_with_its_line_is_as_before(clone):
    narrow_docker_api(clone)
    clone.commit("narrow")
    clone.edit(f"{EKS}/daemonset.build-pool.yaml", "metadata:\n", "# A comment.\nmetadata:\n")
    status, output, errors = clone.diff("HEAD")
    assert (status, errors) == (0, "")
    assert output.endswith("\nnothing new is found, 2 findings as before (exit status 0)\n")


def test_a_finding_that_is_waived_with_the_change_is_told_so(clone):
    narrow_docker_api(clone)
    clone.commit("narrow")
    waiver = (
        "- rule: build-pod-without-docker-api\n  overlay: overlays/eks\n"
        "  object: DaemonSet binderhub/docker-api\n"
        "  reason: the pool is renamed on Monday\n  owner: platform\n  expires: 2099-01-01\n"
    )
    waivers = (clone.root / "policies/waivers.yaml").read_text(encoding="utf-8")
    clone.write("policies/waivers.yaml", waivers + waiver)
    status, output, errors = clone.diff("HEAD")
    assert (status, errors) == (0, "")
    told = "build-pod-without-docker-api of DaemonSet binderhub/docker-api in overlays/eks, until 2099-01-01"
    assert f"waived now: {told} by platform: the pool is renamed on Monday" in " ".join(output.split())


def test_documentation_reaches_no_overlay(clone):
    clone.write("docs/page.md", "# A page\n")
    status, output, errors = clone.diff()
    assert (status, errors) == (0, "")
    first, last = output.rstrip("\n").split("\n\n")
    assert first.endswith(" to the working tree: 1 file differs, and none reaches an overlay")
    assert last == "nothing new is found (exit status 0)"


def test_two_revisions_are_compared_without_what_is_checked_out(clone):
    narrow_docker_api(clone)
    clone.git("checkout", "--quiet", "-b", "narrow")
    clone.commit("narrow")
    clone.git("checkout", "--quiet", "main")
    status, output, errors = clone.diff("main", "narrow")
    assert (status, errors) == (1, "")
    assert "overlays/eks/daemonset.build-pool.yaml:10" in output
    status, output, _ = clone.diff("narrow", "main")
    assert (status, "1 fixed" in output) == (0, True)


def test_an_image_of_two_overlays_on_one_cluster_is_compared_with_the_others(clone):
    """A rule about several overlays looks at one that no changed file reaches."""
    clone.edit(
        f"{EKS}/kustomization.yaml",
        "configMapGenerator:\n",
        "images: [{name: docker.io/library/docker, newTag: '1'}]\nconfigMapGenerator:\n",
    )
    _, output, errors = clone.diff()
    assert errors == ""
    assert "[divergent-image]" in output


def test_the_kustomize_of_the_repository_renders_its_revisions(clone, monkeypatch):
    tools = clone.root / ".tools"
    tools.mkdir()
    (tools / "kustomize").symlink_to(find_kustomize(ROOT).path)
    monkeypatch.delenv("KUSTOMIZE", raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    clone.git("checkout", "--quiet", "-b", "other")
    line = "images: [{name: docker.io/library/docker, newTag: '1'}]\nconfigMapGenerator:\n"
    clone.edit(f"{EKS}/kustomization.yaml", "configMapGenerator:\n", line)
    clone.commit()
    _, output, errors = clone.diff("main", "other")
    assert errors == ""
    assert "[divergent-image]" in output


def test_with_and_without_the_cache_every_report_is_the_same(clone, tmp_path, monkeypatch):
    clone.edit(
        f"{EKS}/kustomization.yaml",
        "configMapGenerator:\n",
        "images: [{name: docker.io/library/docker, newTag: '1'}]\nconfigMapGenerator:\n",
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    files = {name: tmp_path / f"report.{name}" for name in FORMATS}
    words = [word for name, file in files.items() for word in ("--report", f"{name}={file}")]

    def reported(option):
        said = clone.diff(*words, option)
        return said, {name: file.read_text(encoding="utf-8") for name, file in files.items()}

    without = reported("--no-cache")
    assert all(without[1].values())
    assert reported("--cache") == without
    assert any((tmp_path / "cache").rglob("*.entry"))
    assert reported("--cache") == without


def test_json_is_as_its_schema_says(clone):
    for change in (narrow_docker_api, change_a_selector, drop_a_component, stop_pruning, remove_an_overlay):
        change(clone)
    _, output, _ = clone.diff("--report", "json")
    schema = json.loads((ROOT / "validate/report/diff/diff.schema.json").read_text(encoding="utf-8"))
    report = json.loads((ROOT / "validate/report/report.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(json.loads(output))
    shared = ("id", "severity", "finding", "location", "origin", "waiver")
    assert {name: schema["$defs"][name] for name in shared} == {
        name: report["$defs"][name] for name in shared
    }
    assert schema["$defs"]["effect"]["properties"]["kind"]["enum"] == [kind.value for kind in Kind]


def test_a_comment_holds_what_fits_and_says_what_was_cut(clone):
    for number in range(400):
        name = f"extra-{number}"
        text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: '{'x' * 300}'}}\n"
        clone.write(f"{EKS}/extra/{name}.yaml", text)
    names = "".join(f"  - extra-{number}.yaml\n" for number in range(400))
    clone.write(f"{EKS}/extra/kustomization.yaml", f"resources:\n{names}")
    clone.edit(f"{EKS}/kustomization.yaml", "resources: [", "resources: [./extra, ")
    clone.commit("many")
    for number in range(400):
        clone.edit(f"{EKS}/extra/extra-{number}.yaml", "x" * 300, f"{number}" + "y" * 300)
    _, output, errors = clone.diff("HEAD", "--report", "markdown")
    assert errors == ""
    assert len(output) <= 65_536
    assert output.startswith("<!-- validate diff -->\n### validate diff\n")
    assert "more lines; the log has them" in output or "Cut, since a comment holds" in output


def test_the_page_needs_nothing_from_elsewhere(clone):
    narrow_docker_api(clone)
    _, page, errors = clone.diff("--report", "html")
    assert errors == ""
    assert re.findall(r"(?:src|href|url|@import)\s*[=(]", page) == []
    assert "<script" not in page
    parser = Balanced()
    parser.feed(page)
    assert (parser.open, parser.wrong) == ([], [])
    assert page.count('class="ring"') == 1


class Balanced(HTMLParser):
    """Finds tags that are not closed, or closed in the wrong place."""

    VOID = frozenset({"meta", "rect", "path", "circle", "br"})

    def __init__(self):
        super().__init__()
        self.open = []
        self.wrong = []

    def handle_starttag(self, tag, _attributes):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, _tag, _attributes):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_the_readme_shows_what_is_said(clone):
    narrow_docker_api(clone)
    _, output, _ = clone.diff()
    (shown,) = re.findall(
        r"## What a change does.*?```text\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    assert shown in output
