"""Whatever is given to the command line, it answers in sentences: where, what, and the way out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def validate(tmp_path):
    """Return a function that runs the command line in a directory, with a temporary directory of its own."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    def run(directory, *arguments, **environment):
        done = subprocess.run(
            [sys.executable, "-m", "validate", *arguments],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert "Traceback" not in done.stdout + done.stderr
        assert not list(temporary.iterdir()), "something was left behind"
        return done

    return run


def the_error(done):
    """Return the one sentence on standard error of a run that could not check anything."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def the_finding(done, place):
    """Return the finding of ``unrenderable-overlay`` at ``place``, on one line; there must be no other."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr == ""
    assert f"error[unrenderable-overlay] {place}" in done.stdout
    assert done.stdout.count("error[") == 1
    return " ".join(done.stdout.split())


def test_no_overlay_at_all(validate, tmp_path):
    assert "has overlays/; run validate in a checkout" in the_error(validate(tmp_path))
    (tmp_path / "overlays").mkdir()
    assert "nothing to check; add an overlay" in the_error(validate(tmp_path))
    assert "nowhere has no overlays/" in the_error(validate(tmp_path, "--root", "nowhere"))


def test_an_unknown_overlay(validate, repository):
    root = repository({})
    problem = "there is no overlay 'knd' (did you mean kind?); name one of kind"
    assert the_error(validate(root, "knd")) == problem


def test_waivers_that_are_no_file(validate, repository):
    done = validate(repository({"policies/waivers.yaml/one.yaml": "[]\n"}))
    assert (
        the_error(done)
        == "policies/waivers.yaml:1: is a directory where a file is expected; name a file in it"
    )


def test_no_kustomize(validate, repository, tmp_path):
    problem = the_error(validate(repository({}), KUSTOMIZE="", PATH=str(tmp_path)))
    assert problem.startswith("kustomize is not installed; run 'make setup' or 'go install ")


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo v5.4.3", "is kustomize 5.4.3, and Argo CD renders with 5.8"),
        ("echo hello", "is kustomize of an unknown version"),
        ("exit 3", "is kustomize of an unknown version"),
    ],
)
def test_a_kustomize_of_another_version(validate, repository, tmp_path, script, problem):
    tool = tmp_path / "kustomize"
    tool.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    tool.chmod(0o755)
    assert problem in the_error(validate(repository({}), KUSTOMIZE=str(tool)))


def test_a_kustomize_that_is_no_program(validate, repository, tmp_path):
    tool = tmp_path / "kustomize"
    tool.write_bytes(b"\x7fELF, and no more")
    tool.chmod(0o755)
    assert "cannot be run" in the_error(validate(repository({}), KUSTOMIZE=str(tool)))


CONFIGMAP = "overlays/kind/configmap.yaml"
KUSTOMIZATION = "overlays/kind/kustomization.yaml"
ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("files", "place", "problem"),
    [
        pytest.param({CONFIGMAP: "kind: [ConfigMap\ndata:\n"}, f"{CONFIGMAP}:2", "is not YAML", id="no YAML"),
        pytest.param({CONFIGMAP: "kind:\tConfigMap\n\tx: 1\n"}, f"{CONFIGMAP}:2", "is not YAML", id="tabs"),
        pytest.param(
            {KUSTOMIZATION: "resources: [configmap.yaml"},
            f"{KUSTOMIZATION}:",
            "is not YAML",
            id="kustomization",
        ),
        pytest.param({KUSTOMIZATION: ""}, f"{KUSTOMIZATION}:1", "must be one YAML mapping", id="empty"),
        pytest.param(
            {KUSTOMIZATION: "resources: [missing.yaml]\n"},
            f"{KUSTOMIZATION}:1",
            "does not exist",
            id="missing file",
        ),
        pytest.param(
            {KUSTOMIZATION: "resource: [configmap.yaml]\n"},
            KUSTOMIZATION,
            "did you mean resources?",
            id="unknown field",
        ),
        pytest.param(
            {
                KUSTOMIZATION: "resources:\n  - configmap.yaml\n  - ../../base\n",
                "base/kustomization.yaml": "resources:\n  - ../overlays/kind\n",
            },
            "base/kustomization.yaml:2",
            "closes a loop of kustomizations",
            id="loop",
        ),
        pytest.param(
            {
                CONFIGMAP: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  big: "
                + "x" * 10_000_000
            },
            f"{CONFIGMAP}:1",
            "is 10.0 MB, and the most that is read is 8 MB",
            id="10 MB",
        ),
        pytest.param(
            {CONFIGMAP: "kind: ConfigMap\ndata:\n  name: caf\xe9\n".encode("latin-1")},
            f"{CONFIGMAP}:3",
            "is not UTF-8; save|is not UTF-8",
            id="not UTF-8",
        ),
        pytest.param({CONFIGMAP: ALIASES}, f"{CONFIGMAP}:", "aliases expand to more than", id="alias bomb"),
        pytest.param({CONFIGMAP: "[" * 100_000}, f"{CONFIGMAP}:1", "nests deeper than", id="brackets"),
        pytest.param(
            {"overlays/kind/cluster.yaml": ALIASES},
            "overlays/kind/cluster.yaml:",
            "aliases expand",
            id="facts bomb",
        ),
        pytest.param({CONFIGMAP: b"kind: \x00ConfigMap"}, f"{CONFIGMAP}:1", "is not YAML", id="NUL"),
        pytest.param(
            {"overlays/kind/cluster.yaml/facts.yaml": "kubernetes: ['1.34']\n"},
            "overlays/kind/cluster.yaml:1",
            "is a directory where a file is expected",
            id="directory of facts",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_a_finding_at_its_line(validate, repository, files, place, problem):
    found = the_finding(validate(repository(files)), place)
    assert any(one in found for one in problem.split("|"))


BINDERHUB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: binderhub}
spec:
  template:
    spec:
      containers:
        - name: binderhub
          image: quay.io/jupyterhub/k8s-binderhub:1
          args: [--config, /etc/binderhub/loader/binderhub_config.py]
          volumeMounts: [{name: config, mountPath: /etc/binderhub/config.d}]
      volumes: [{name: config, configMap: {name: config}}]
"""


@pytest.mark.parametrize(
    ("fragment", "line", "problem"),
    [
        ("- BinderHub\n", 1, "is a fragment that does not map classes to traits"),
        ("BinderHub: [port, 8585]\n", 1, "has no mapping of traits under BinderHub"),
        ("BinderHub:\n  port: [\n", 3, "is not YAML"),
        ("# nothing\n", 1, "is an empty fragment"),
    ],
)
def test_a_config_fragment_that_is_no_mapping_is_a_finding_at_its_line(
    validate, repository, fragment, line, problem
):
    root = repository(
        {
            KUSTOMIZATION: "resources: [deployment.yaml]\n"
            "configMapGenerator: [{name: config, files: [50-kind.yaml]}]\n",
            "overlays/kind/deployment.yaml": BINDERHUB,
            "overlays/kind/50-kind.yaml": fragment,
        }
    )
    found = the_finding(
        validate(root, "--rule", "unrenderable-overlay"), f"overlays/kind/50-kind.yaml:{line}:"
    )
    assert problem in found


def test_a_file_that_may_not_be_read(validate, repository):
    root = repository({})
    (root / CONFIGMAP).unlink()
    (root / CONFIGMAP).symlink_to(root / CONFIGMAP)
    assert "overlays/kind cannot be checked" in the_finding(validate(root), f"{KUSTOMIZATION}:1")


def test_one_overlay_that_cannot_be_read_hides_no_finding_of_another(validate, repository):
    files = {
        "overlays/aks/kustomization.yaml": "resources: [x.yaml]\n",
        "overlays/aks/x.yaml": b"\xff\xfe\x00",
        KUSTOMIZATION: "resources: [configmap.yaml]\nimages: [{name: nobody-runs-it, newTag: '1'}]\n",
    }
    done = validate(repository(files))
    assert done.returncode == 1
    assert "error[unrenderable-overlay] overlays/aks/x.yaml:1" in done.stdout
    assert f"error[dead-patch] {KUSTOMIZATION}:2" in done.stdout


def test_a_file_cannot_command_the_terminal_that_shows_it(validate, repository):
    root = repository({KUSTOMIZATION: 'resources: [configmap.yaml]\n"\\e[2J": 1 # \x85\n'})
    done = validate(root)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout


def running(group):
    """Return the processes of a group that are not merely waiting for init to take note of their end."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, of_group = stat.read_text(encoding="utf-8").rpartition(")")[2].split()[:3]
        except OSError:  # it has ended
            continue
        found += [stat] if (int(of_group), state) == (group, "S") else []
    return found


@pytest.mark.parametrize("renderings", [pytest.param(1, id="importing"), pytest.param(3, id="forked")])
def test_an_interrupted_run_ends_at_once_and_leaves_nothing(repository, tmp_path, renderings):
    root = repository(
        {"overlays/aks/kustomization.yaml": "resources: []\n"}
        | {f"overlays/{name}/kustomization.yaml": "resources: []\n" for name in ("eks", "gke", "openstack")}
    )
    slow = tmp_path / "kustomize"
    slow.write_text(
        f'#!/bin/sh\n[ "$1" = version ] && echo v5.8.1 && exit\ntouch {tmp_path}/started.$$\nexec sleep 60\n',
        encoding="utf-8",
    )
    slow.chmod(0o755)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "validate", "--jobs", "2", "--root", str(root)],
        cwd=ROOT,
        env={**os.environ, "KUSTOMIZE": str(slow), "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    while len(list(tmp_path.glob("started.*"))) < renderings and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (130, b"", b"")
    assert not list(temporary.iterdir())
    assert not running(process.pid)


def test_a_reader_that_has_enough_is_no_error(repository):
    process = subprocess.Popen(
        [sys.executable, "-m", "validate", "--root", str(repository({}))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), errors) == (141, b"")
