"""One edit of a real overlay, as somebody would make it in a pull request, and what validate says of it."""

import re
import shutil
from pathlib import Path

import pytest

from validate import engine
from validate.discover import open_checkout
from validate.finding import FINDINGS

ROOT = Path(__file__).parent.parent
SOURCES = ("argocd", "base", "components", "overlays", "policies")


@pytest.fixture
def checkout(tmp_path):
    for name in SOURCES:
        shutil.copytree(ROOT / name, tmp_path / name)
    return open_checkout(tmp_path)


def edit(checkout, file, before, after):
    """Replace ``before``, which stands once in ``file``; return the line that it stood on."""
    path = checkout.root / file
    text = path.read_text()
    assert text.count(before) == 1, f"{before!r} stands {text.count(before)} times in {file}"
    path.write_text(text.replace(before, after))
    return text[: text.index(before)].count("\n") + 1


def judged(checkout, overlay):
    return engine.check(checkout, [f"overlays/{overlay}"], processes=1)


def errors(report):
    """The rule and the place of each error."""
    return {
        (finding.rule, f"{finding.at.origin.file}:{finding.at.origin.line}")
        for finding in report.findings
        if finding.severity == "error"
    }


EDITS = {
    "a label of docker-api's nodeSelector": (
        "eks",
        ("overlays/eks/daemonset.build-pool.yaml", "nodegroup: builds", "nodegroup: build"),
        "build-pod-without-docker-api",
    ),
    "nodeSelector for node_selector": (
        "eks",
        ("overlays/eks/config/50-eks.yaml", "node_selector:", "nodeSelector:"),
        "unknown-config-trait",
    ),
    "another socket": (
        "kind",
        (
            "base/binderhub/config/00-base.yaml",
            "docker_host: /run/binderhub/binderhub/binderhub/docker-api.sock",
            "docker_host: /run/binderhub/docker-api.sock",
        ),
        "socket-path-mismatch",
    ),
    "a Service without the component": (
        "kind",
        (
            "base/binderhub/service.yaml",
            "selector:\n    app.kubernetes.io/component: binderhub",
            "selector: {app.kubernetes.io/name: binderhub-service}\n",
        ),
        "misdirected-service",
    ),
    "a probe of /health": (
        "kind",
        (
            "base/binderhub/deployment.yaml",
            "readinessProbe:\n            httpGet:\n              path: /versions",
            "readinessProbe:\n            httpGet:\n              path: /health",
        ),
        "probe-needs-hub",
    ),
    "a patch of a name that nothing has": (
        "eks",
        ("overlays/eks/daemonset.build-pool.yaml", "name: docker-api", "name: docker-apis"),
        "unrenderable-overlay",
    ),
}


@pytest.mark.parametrize(("overlay", "change", "rule"), EDITS.values(), ids=EDITS)
def test_an_edit_is_reported_where_it_was_made(overlay, change, rule, checkout):
    file, before, after = change
    line = edit(checkout, *change)
    report = judged(checkout, overlay)
    changed = next(
        number
        for number, (old, new) in enumerate(zip(before.split("\n"), after.split("\n"), strict=True))
        if old != new
    )
    found = {place for name, place in errors(report) if name == rule}
    assert report.exit_status == FINDINGS
    if rule != "unrenderable-overlay":
        assert f"{file}:{line + changed}" in found
    else:
        assert {place.partition(":")[0] for place in found} == {file}


def test_a_narrower_docker_api_has_a_node_as_counter_example(checkout):
    edit(checkout, "overlays/eks/daemonset.build-pool.yaml", "nodegroup: builds", "nodegroup: build")
    report = judged(checkout, "eks")
    finding = next(finding for finding in report.findings if finding.rule == "build-pod-without-docker-api")
    assert finding.evidence == (
        "this node admits the build pod and not docker-api:\n"
        "labels:\n"
        "  eks.amazonaws.com/nodegroup: builds\n"
        "  kubernetes.io/os: linux\n"
        "taints: none"
    )


@pytest.mark.parametrize("verb", ["create", "delete", "list", "watch"])
def test_each_verb_of_the_role_is_missed(verb, checkout):
    path = checkout.root / "base/binderhub/role.yaml"
    text = path.read_text()
    without = re.sub(rf"(\[|, ){verb}(, |\])", lambda match: match[1] if match[2] != "]" else "]", text)
    if without == text:
        without = re.sub(rf"\n *- {verb}\b", "", text)
    assert without != text
    path.write_text(without)
    rules = {rule for rule, _ in errors(judged(checkout, "kind"))}
    assert rules == {"insufficient-role"}


def test_a_renamed_secret_is_missed_by_build_pods(checkout):
    kustomization = "components/credentials-generated/kustomization.yaml"
    edit(checkout, kustomization, "- name: registry-credentials", "- name: registry-credential")
    rules = {rule for rule, _ in errors(judged(checkout, "kind"))}
    assert "missing-push-secret" in rules


def test_another_key_of_the_secret_is_missed_by_build_pods(checkout):
    kustomization = "components/credentials-generated/kustomization.yaml"
    edit(checkout, kustomization, "- files/config.json", "- .dockerconfigjson=files/config.json")
    rules = {rule for rule, _ in errors(judged(checkout, "kind"))}
    assert "wrong-push-secret-key" in rules


def test_all_real_overlays_are_clean(checkout):
    report = engine.check(checkout, checkout.overlays)
    assert not errors(report)


def test_the_neutral_install_is_clean():
    report = engine.check(open_checkout(ROOT), ["."])
    assert not errors(report)
    assert [part.name for part in report.overlays] == ["."]
