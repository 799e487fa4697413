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
    "a resource of the role": (
        "aks",
        ("base/binderhub/role.yaml", "[pods/log]", "[pods/logs]"),
        "insufficient-role",
    ),
    "the port of DNS": (
        "openstack",
        (
            "policies/network/allow-all-to-dns.yaml",
            "- port: 53\n          protocol: UDP",
            "- port: 5353\n          protocol: UDP",
        ),
        "blocked-flow",
    ),
    "the name of an environment variable": (
        "kind",
        ("base/binderhub/deployment.yaml", "- name: BUILD_NAMESPACE", "- name: BUILD_NAMESPACES"),
        "split-namespace",
    ),
    "the directory of the fragments": (
        "gke",
        ("base/binderhub/deployment.yaml", "/etc/binderhub/config.d", "/etc/binderhub/conf.d"),
        "silent-config-failure",
    ),
    "a setting of dockerd": (
        "openstack",
        (
            "overlays/openstack/config/daemon.json",
            '"containerd-snapshotter": false',
            '"containerd-snapshotter": true',
        ),
        "index-pushing-engine",
    ),
    "the levels of a registry": (
        "gke",
        ("overlays/gke/config/50-gke.yaml", ".pkg.dev/example-project/binderhub/", ".pkg.dev/"),
        "shallow-image-prefix",
    ),
    "an option of Argo CD": (
        "eks",
        ("argocd/applicationset.yaml", "- PruneLast=true", "- PruneLast=false"),
        "unsafe-prune",
    ),
    "the namespace that a project permits": (
        "eks",
        ("argocd/appproject.yaml", "namespace: binderhub", "namespace: binder"),
        "unsynced-overlay",
    ),
    "where a generator looks": (
        "eks",
        ("argocd/applicationset.yaml", "path: overlays/*/", "path: overlay/*/"),
        "unsynced-overlay",
    ),
    "a path of a JSON patch": (
        "eks",
        ("overlays/eks/networkpolicy.vpc-endpoint.yaml", "ipBlock/cidr", "ipBlock/cdir"),
        "unrenderable-overlay",
    ),
    "a patch of a name that nothing has": (
        "eks",
        (
            "overlays/eks/daemonset.build-pool.yaml",
            "apiVersion: apps/v1\nkind: DaemonSet\nmetadata:\n  name: docker-api",
            "apiVersion: apps/v1\nkind: DaemonSet\nmetadata:\n  name: docker-apis",
        ),
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
    assert f"{file}:{line + changed}" in found


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
