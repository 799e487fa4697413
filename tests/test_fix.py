"""``validate fix`` on the bad cases of the rules: what it mends is mended, and nothing else has changed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import validate.commands.fix
from validate import engine
from validate.cli import main
from validate.discover import open_checkout
from validate.finding import CLEAN, FINDINGS, NOT_CHECKED

RULES = Path(__file__).parent / "rules"
# They are mended in files of their own.
MENDED = [
    "mounted-api-token/bad-default-service-account-not-told",
    "mounted-api-token/bad-pod-of-docker-api-overrules",
    "probe-needs-hub/bad-health-without-hub",
    "probe-needs-hub/bad-liveness-of-the-hub",
    "probe-needs-hub/bad-page-of-the-web-interface",
    "silent-config-failure/bad-errors-are-logged",
    "silent-config-failure/bad-variable-is-missing",
    "socket-path-mismatch/bad-socket-moved-in-the-configuration",
    "split-namespace/bad-no-variable",
    "split-namespace/bad-quota-elsewhere",
    "sticky-build-without-label/bad-label-removed",
    "ui-mode/bad-switched-off",
    "ui-mode/bad-without-the-base-fragment",
    "unknown-config-trait/bad-camel-case",
]
# They are mended in the base, which is right for nobody else.
IN_THE_BASE = ["probe-needs-hub/bad-base-url-moved", "socket-path-mismatch/bad-installation-renamed"]
# What is right there, a person has to say.
UNCERTAIN = [
    "mounted-api-token/bad-nobody-describes-default",
    "mounted-api-token/bad-projected-token",
    "silent-config-failure/bad-no-argument",
    "socket-path-mismatch/bad-socket-inside-the-container",
    "unknown-config-trait/bad-inside-binderhub",
    "unknown-config-trait/bad-trait-of-another-class",
    "unknown-config-trait/bad-trait-that-only-code-sets",
]


EXACT_PATHS = "inexact-generate-paths"
DOCUMENTED = Path(__file__).parent.parent / "docs" / "reference" / "command-line.md"


@pytest.fixture
def tree(tmp_path):
    """Return a function that writes a repository of cases, one overlay each; ``changed`` edits its base."""

    def write(*cases, changed=()):
        root = tmp_path / "repository"
        shutil.copytree(RULES / "tree", root / "base")
        facts = (root / "base" / "cluster.yaml").read_bytes()
        (root / "base" / "cluster.yaml").unlink()
        for file, before, after in changed:
            text = (root / "base" / file).read_text(encoding="utf-8")
            assert before in text
            (root / "base" / file).write_text(text.replace(before, after), encoding="utf-8")
        for case in cases or [""]:
            overlay = root / "overlays" / (case.partition("/bad-")[2] or "plain")
            if case:
                shutil.copytree(
                    RULES / "cases" / case, overlay, ignore=shutil.ignore_patterns("expected.txt")
                )
            else:
                overlay.mkdir(parents=True)
                (overlay / "kustomization.yaml").write_text("resources: [../../base]\n", encoding="utf-8")
            if not (overlay / "cluster.yaml").exists():
                (overlay / "cluster.yaml").write_bytes(facts)
        return root

    return write


@pytest.fixture
def fix(capsys):
    """Return a function that runs ``validate fix``: its status and both streams."""

    def run(root, *words):
        capsys.readouterr()
        return main(["fix", "--root", str(root), *words]), *capsys.readouterr()

    return run


def contents(root):
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def validated(root, tmp_path):
    """Validate a copy: a process reads each file once."""
    copied = shutil.copytree(root, tmp_path / "validated")
    checkout = open_checkout(copied)
    return engine.check(checkout, checkout.overlays, processes=1)


def test_every_case_that_can_be_mended_is_mended_and_nothing_is_left_to_mend(tree, fix, tmp_path):
    root = tree(*MENDED)
    before = contents(root)
    status, out, err = fix(root)
    assert (status, err) == (CLEAN, "")
    assert validated(root, tmp_path).findings == ()
    after = contents(root)
    assert {name for name in before if name.startswith("base/")} <= after.keys()
    assert all(after[name] == before[name] for name in before if name.startswith("base/"))
    mended = [line for line in out.splitlines() if line.startswith("mended ")]
    assert len(mended) == len(MENDED)
    for case in MENDED:
        rule, _, why = case.partition("/bad-")
        assert any(f"overlays/{why}/" in line and f"[{rule}]" in line for line in mended)
    assert fix(root) == (CLEAN, "", "")
    assert contents(root) == after


@pytest.mark.parametrize("case", IN_THE_BASE)
def test_a_base_is_mended_for_the_one_overlay_that_reads_it(case, tree, fix, tmp_path):
    root = tree(case)
    before = contents(root)
    status, _, err = fix(root)
    assert (status, err) == (CLEAN, "")
    assert validated(root, tmp_path).findings == ()
    assert [name for name, content in contents(root).items() if before[name] != content] != []


def test_a_base_is_not_mended_for_one_overlay_where_that_breaks_another_one(tree, fix):
    root = tree(*IN_THE_BASE, "")
    before = contents(root)
    status, out, err = fix(root)
    assert (status, out) == (FINDINGS, "")
    assert contents(root) == before
    told = err.splitlines()
    assert "; it would break overlays/installation-renamed (probe-needs-hub: " in told[0]
    assert "; it would break overlays/base-url-moved (socket-path-mismatch: " in told[1]
    assert told[2:] == ["2 findings are left; validate shows what"]


def test_what_is_not_certain_is_left_beside_what_is(tree, fix):
    root = tree(*UNCERTAIN, "ui-mode/bad-switched-off")
    before = contents(root)
    status, out, err = fix(root)
    assert status == FINDINGS
    name = "overlays/switched-off/config/50-case.yaml"
    assert out == f"mended {name}:2 [ui-mode]: set enable_api_only_mode to true in {name}\n"
    assert err.splitlines() == [f"{len(UNCERTAIN)} findings are left; validate shows what"]
    changed = {name for name, content in contents(root).items() if before[name] != content}
    assert changed == {name}


DEPLOYMENT = "binderhub/deployment.yaml"
BASE = "binderhub/config/00-base.yaml"
DAEMON_SET = "docker-api/daemonset.yaml"
SOCKET = "/run/binderhub/binder/binderhub/docker-api.sock"
NAMESPACE = """\
            - name: BUILD_NAMESPACE
              valueFrom:
                fieldRef:
                  fieldPath: metadata.namespace
"""
RAISE = """\
            - name: TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR
              value: "1"
"""
OTHER = """\
            - name: DOCKER_CONFIG
              value: /etc/binderhub/registry
"""
FLOW_ENV = "          env: [{name: DOCKER_CONFIG, value: /etc/binderhub/registry}%s]\n"
FLOW_RAISE = ', {name: TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR, value: "1"}'
FLOW_NAMESPACE = ", {name: BUILD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}"
PATCH = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: binderhub
spec:
  template:
    spec:
      containers:
        - name: binderhub
          env:
            - name: HOME
              value: /tmp
"""
PROBE = """\
          readinessProbe:
            httpGet:
              path: /versions
              port: http
"""
FLOW_PROBE = "          readinessProbe: {httpGet: {path: %s, port: http}}  # asked every 10 s\n"
SELECTOR = """\
  node_selector:
    example.org/pool: builds
"""
DOCKER_LABELS = """\
        app.kubernetes.io/instance: binderhub
        app: binder
        component: image-builder
"""
STICKY = (
    "binderhub/config/00-base.yaml",
    "KubernetesBuildExecutor:\n",
    "KubernetesBuildExecutor:\n  sticky_builds: true\n",
)


@pytest.mark.parametrize(
    ("file", "right", "wrong", "mended"),
    [
        (
            BASE,
            f"docker_host: {SOCKET}",
            'docker_host: "unix:///x.sock"  # why',
            f'docker_host: "unix://{SOCKET}"  # why',
        ),
        (BASE, f"docker_host: {SOCKET}", "docker_host: '/x.sock'", f"docker_host: '{SOCKET}'"),
        (
            BASE,
            SELECTOR,
            "  nodeSelector: {example.org/pool: builds}\n",
            "  node_selector: {example.org/pool: builds}\n",
        ),
        (BASE, SELECTOR, SELECTOR.replace("node_s", "node-s"), SELECTOR),
        (BASE, "push_secret:", '"push_secert":', '"push_secret":'),
        (DEPLOYMENT, PROBE, FLOW_PROBE % "/health", FLOW_PROBE % "/versions"),
        (DEPLOYMENT, PROBE, FLOW_PROBE % "'/'", FLOW_PROBE % "'/versions'"),
        (DEPLOYMENT, NAMESPACE + RAISE + OTHER, OTHER, OTHER + RAISE + NAMESPACE),
        (
            DEPLOYMENT,
            NAMESPACE + RAISE + OTHER,
            OTHER + "            # no more\n",
            OTHER + RAISE + NAMESPACE + "            # no more\n",
        ),
        (
            DEPLOYMENT,
            "          env:\n" + NAMESPACE + RAISE + OTHER,
            FLOW_ENV % "",
            FLOW_ENV % f"{FLOW_RAISE}{FLOW_NAMESPACE}",
        ),
    ],
)
def test_a_value_is_mended_as_it_is_written(file, right, wrong, mended, tree, fix):
    root = tree(changed=[(file, right, wrong)])
    before = contents(root)
    status, _, err = fix(root)
    assert (status, err) == (CLEAN, "")
    after = contents(root)
    assert after[f"base/{file}"].decode() == before[f"base/{file}"].decode().replace(wrong, mended)
    assert {name for name in after if after[name] != before[name]} == {f"base/{file}"}


def test_the_labels_that_sticky_builds_need_are_added(tree, fix):
    root = tree(
        changed=[STICKY, (DAEMON_SET, DOCKER_LABELS, DOCKER_LABELS.splitlines()[0] + "  # names it\n")]
    )
    status, _, err = fix(root)
    assert (status, err) == (CLEAN, "")
    first, app, component = DOCKER_LABELS.splitlines()
    assert "\n".join([f"{first}  # names it", app, component]) in (root / "base" / DAEMON_SET).read_text()


def test_what_a_base_lacks_is_added_there_and_not_in_every_patch_of_it(tree, fix, tmp_path):
    root = tree("", "ui-mode/bad-switched-off", changed=[(DEPLOYMENT, RAISE, "")])
    overlay = root / "overlays" / "switched-off"
    (overlay / "deployment.env.yaml").write_text(PATCH, encoding="utf-8")
    with (overlay / "kustomization.yaml").open("a", encoding="utf-8") as file:
        file.write("patches:\n  - path: deployment.env.yaml\n")
    before = contents(root)
    assert fix(root)[::2] == (CLEAN, "")
    assert validated(root, tmp_path).findings == ()
    changed = {name for name, content in contents(root).items() if before[name] != content}
    assert changed == {f"base/{DEPLOYMENT}", "overlays/switched-off/config/50-case.yaml"}


def test_a_dry_run_prints_what_git_would_apply_and_leaves_the_tree_untouched(tree, fix, tmp_path):
    root = tree(*MENDED[::4])
    before = contents(root)
    status, out, _ = fix(root, "--dry-run")
    assert status == FINDINGS
    assert contents(root) == before
    other = shutil.copytree(root, tmp_path / "other")
    subprocess.run(["git", "init", "--quiet"], cwd=other, check=True)
    subprocess.run(["git", "apply", "-"], cwd=other, input=out.encode(), check=True)
    fix(root)
    assert contents(other) == contents(root) != before


def test_only_what_was_asked_for_is_mended(tree, fix):
    root = tree("ui-mode/bad-switched-off", "unknown-config-trait/bad-camel-case")
    start = contents(root)
    assert fix(root, "switched-off", "--rule", "unknown-config-trait")[:2] == (FINDINGS, "")
    assert contents(root) == start
    assert fix(root, "camel-case")[0] == CLEAN
    changed = {name for name, content in contents(root).items() if start[name] != content}
    assert changed == {"overlays/camel-case/config/50-case.yaml"}


def test_a_fix_that_would_break_something_else_is_not_made_and_the_others_are(tree, fix):
    # Under its right name the selector counts, and no node has that label.
    root = tree(
        "ui-mode/bad-switched-off",
        changed=[
            (BASE, SELECTOR, SELECTOR.replace("node_selector", "nodeSelector").replace("builds", "none"))
        ],
    )
    before = contents(root)
    status, out, err = fix(root)
    assert status == FINDINGS
    assert out.startswith("mended overlays/switched-off/config/50-case.yaml:2 [ui-mode]: ")
    assert "not mended base/binderhub/config/00-base.yaml" in err
    assert "it would break overlays/switched-off (unschedulable-build-pod: " in err
    assert contents(root)[f"base/{BASE}"] == before[f"base/{BASE}"]


def test_a_file_that_changed_meanwhile_is_not_written(tree, fix, monkeypatch):
    root = tree("ui-mode/bad-switched-off")
    file = root / "overlays" / "switched-off" / "config" / "50-case.yaml"
    mend = validate.commands.fix.mend

    def slow(*words, **options):
        mending = mend(*words, **options)
        file.write_text("# Somebody else was here.\n", encoding="utf-8")
        return mending

    monkeypatch.setattr(validate.commands.fix, "mend", slow)
    status, out, err = fix(root)
    name = "overlays/switched-off/config/50-case.yaml"
    assert (status, out) == (NOT_CHECKED, "")
    assert err == f"error: {name} changed while it was being checked; run validate fix again\n"
    assert file.read_text(encoding="utf-8") == "# Somebody else was here.\n"


def test_what_stands_behind_a_link_is_not_edited(tree, fix):
    root = tree("ui-mode/bad-switched-off")
    file = root / "overlays" / "switched-off" / "config" / "50-case.yaml"
    shutil.move(file, root / "overlays" / "switched-off" / "shared.yaml")
    file.symlink_to("../shared.yaml")
    before = contents(root)
    status, out, err = fix(root)
    assert (status, out) == (FINDINGS, "")
    assert "overlays/switched-off/config/50-case.yaml: it does not stand in the repository itself" in err
    assert contents(root) == before


def test_an_overlay_that_cannot_be_rendered_keeps_no_other_one_from_being_mended(tree, fix):
    root = tree("ui-mode/bad-switched-off", "")
    (root / "overlays" / "plain" / "kustomization.yaml").write_text(
        "resources: [nothing.yaml]\n", encoding="utf-8"
    )
    status, out, _ = fix(root)
    assert status == FINDINGS
    assert out.startswith("mended overlays/switched-off/")


def test_nothing_is_said_where_there_is_nothing_to_mend(tree, fix):
    assert fix(tree()) == (CLEAN, "", "")


def test_a_rule_that_does_not_exist_is_refused(tree, fix):
    status, out, err = fix(tree(), "--rule", "ui-mod")
    assert (status, out) == (NOT_CHECKED, "")
    assert "did you mean ui-mode?" in err


@pytest.mark.parametrize(
    ("case", "file", "before", "after"),
    [
        (
            "bad-all-components",
            "overlays/kind/cluster.yaml",
            "  - /components\n",
            "  - /components/ingress\n",
        ),
        ("bad-directory-that-is-gone", "overlays/kind/cluster.yaml", "  - /policies\n", ""),
        (
            "bad-component-that-is-not-listed",
            "overlays/kind/cluster.yaml",
            "  - /base\n",
            "  - /base\n  - /components/ingress\n",
        ),
        ("bad-annotation-of-an-application", "argocd/binderhub.yaml", ".;../base", ".;/base"),
    ],
)
def test_paths_to_generate_from_become_exact_and_what_was_right_stays(
    case, file, before, after, fix, tmp_path
):
    root = tmp_path / "repository"
    shutil.copytree(RULES / "cases" / EXACT_PATHS / case, root)
    start = contents(root)
    assert fix(root)[::2] == (CLEAN, "")
    assert contents(root) == {**start, file: start[file].decode().replace(before, after).encode()}


@pytest.mark.parametrize(
    ("written", "mended"),
    [
        ("[., ../../base]  # why", "[., ../../base, /components/ingress]  # why"),
        ("[., ../../base, /policies]", "[., ../../base, /components/ingress]"),
        ("[., '/policies']", "[., '/base', /components/ingress]"),
        (
            "# all wrong\n  - /policies  # why\n  - /other",
            "# all wrong\n  - .  # why\n  - /base\n  - /components/ingress",
        ),
    ],
)
def test_a_list_of_paths_becomes_exact_however_it_is_written(written, mended, fix, tmp_path):
    root = tmp_path / "repository"
    shutil.copytree(RULES / "cases" / EXACT_PATHS / "good-directories-that-the-overlays-read", root)
    file = root / "overlays" / "kind" / "cluster.yaml"
    first, listed, _ = file.read_text(encoding="utf-8").partition("generatePaths:")
    file.write_text(f"{first}{listed} {written}\n", encoding="utf-8")
    assert fix(root)[::2] == (CLEAN, "")
    assert file.read_text(encoding="utf-8") == f"{first}{listed} {mended}\n"


def test_the_documentation_lists_the_rules_that_are_mended_here():
    section = DOCUMENTED.read_text(encoding="utf-8").partition("### validate fix")[2].partition("\n##")[0]
    listed = re.findall(r"^\| `([a-z]+-[a-z-]+)` \|", section, re.MULTILINE)
    assert sorted(listed) == sorted({*(case.partition("/")[0] for case in MENDED + IN_THE_BASE), EXACT_PATHS})
