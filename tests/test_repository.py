"""The repository that people meet: what its pages say is there, and its set-up fails in sentences."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from validate.kustomize.render import find_kustomize

ROOT = Path(__file__).resolve().parent.parent
OVERLAYS = sorted(path.parent for path in (ROOT / "overlays").glob("*/kustomization.yaml"))
PAGES = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part == "_build" for part in page.relative_to(ROOT).parts)
    and ROOT / "tests" not in page.parents
)
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9-]+):.* ## ", text, re.MULTILINE))


def locked(lock: Path) -> dict[str, set[str]]:
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9.-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE):
        versions.setdefault(name, set()).add(version)
    return versions


def canonical(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found.group()).lower()


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_make_command_on_a_page_is_a_target(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"^ *```[^\n]*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL))
    named = re.findall(r"`make ([\w-]+)", text) + re.findall(r"^ *make ([\w-]+)", blocks, re.MULTILINE)
    assert set(named) <= make_targets()


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_relative_link_on_a_page_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_every_path_in_the_layout_of_the_readme_exists() -> None:
    rows = re.findall(r"^\| \[?`([^`]+)`", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows
    assert [row for row in rows if not (ROOT / row).exists()] == []


def test_the_finding_in_the_readme_is_what_validate_says(tmp_path: Path) -> None:
    for part in ("base", "components", "policies", "overlays", "argocd"):
        shutil.copytree(ROOT / part, tmp_path / part)
    patch = tmp_path / "overlays" / "eks" / "daemonset.build-pool.yaml"
    text = patch.read_text(encoding="utf-8")
    assert text.count(": builds\n") == 1
    patch.write_text(text.replace(": builds\n", ": build\n"), encoding="utf-8")
    environment = {"KUSTOMIZE": find_kustomize(ROOT).path, "NO_COLOR": "1"}
    done = run(sys.executable, "-m", "validate", "--root", str(tmp_path), "eks", **environment)
    shown = re.search(
        r"```text\n(error\[.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert shown
    assert shown[1] in done.stdout
    assert done.returncode == 1


def test_help_lists_every_target() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(re.findall(r"^  make ([a-z0-9-]+) +\S", shown.stdout, re.MULTILINE)) == make_targets()


def test_every_phony_target_explains_itself() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"^\.PHONY: ([a-z0-9-]+)$", text, re.MULTILINE)) == make_targets()


def test_continuous_integration_runs_targets_that_exist() -> None:
    loops = re.findall(r"for target in (.+); do", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    assert loops
    assert set(" ".join(loops).split()) <= make_targets()


@pytest.mark.parametrize("overlay", OVERLAYS, ids=relative)
def test_an_overlay_is_thirty_lines_and_says_what_its_cluster_is(overlay: Path) -> None:
    assert len((overlay / "kustomization.yaml").read_text(encoding="utf-8").splitlines()) <= 30
    assert (overlay / "cluster.yaml").is_file()


@pytest.mark.parametrize(
    "component", sorted((ROOT / "components").glob("*/kustomization.yaml")), ids=relative
)
def test_a_component_is_one_and_has_a_readme(component: Path) -> None:
    assert yaml.safe_load(component.read_text(encoding="utf-8"))["kind"] == "Component"
    assert (component.parent / "README.md").is_file()


@pytest.mark.parametrize("lock", LOCKS, ids=relative)
def test_a_lock_names_hashes_and_no_index(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert all(re.match(r"    --hash=sha256:[0-9a-f]{64}|[a-z0-9.-]+==\S+ .*\\$", line) for line in lines)
    assert all(after.startswith("    --hash") for line, after in pairwise(lines) if "==" in line)


@pytest.mark.parametrize(
    ("lock", "group"),
    [
        ("validate.txt", None),
        ("dev.txt", "dev"),
        ("dev.txt", "standin"),
        ("standin.txt", "standin"),
        ("docs.txt", "docs"),
    ],
    ids=str,
)
def test_a_lock_covers_what_pyproject_asks_for(lock: str, group: str | None) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = project["dependency-groups"][group] if group else project["project"]["dependencies"]
    own = [requirement for requirement in wanted if isinstance(requirement, str)]
    assert {canonical(requirement) for requirement in own} <= locked(ROOT / "requirements" / lock).keys()


def test_the_locks_agree_about_every_version() -> None:
    everything: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, versions in locked(lock).items():
            assert everything.setdefault(name, versions) == versions, name


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | environment
    )


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_python_that_is_too_old_is_one_sentence(tmp_path: Path) -> None:
    old = executable(tmp_path / "python3", "exit 1")
    done = run("tools/create-venv", str(tmp_path / "venv"), "requirements/validate.txt", PYTHON=str(old))
    assert done.returncode == 1
    assert done.stderr == (
        "error: validate needs Python 3.11 or later; install it, or name it: make PYTHON=/path/to/python3\n"
    )
    assert not (tmp_path / "venv").exists()


def test_a_python_without_venv_is_one_sentence(tmp_path: Path) -> None:
    bare = executable(tmp_path / "python3", 'case "$2" in *venv*) exit 1;; esac')
    done = run("tools/create-venv", str(tmp_path / "venv"), "requirements/validate.txt", PYTHON=str(bare))
    assert done.returncode == 1
    assert (
        done.stderr
        == f"error: {bare} has no venv module; on Debian and Ubuntu: apt-get install python3-venv\n"
    )
    assert not (tmp_path / "venv").exists()


def without_go(directory: Path) -> str:
    """Return a PATH with the commands that the script needs, and no Go."""
    directory.mkdir()
    for command in ("sh", "basename", "dirname", "mkdir", "ln", "cp", "mv", "rm"):
        found = next(
            Path(part, command) for part in os.environ["PATH"].split(":") if Path(part, command).exists()
        )
        (directory / command).symlink_to(found)
    return str(directory)


def test_neither_kustomize_nor_go_is_one_sentence(tmp_path: Path) -> None:
    target = tmp_path / "tools" / "kustomize-v5.8.1"
    done = run("tools/install-kustomize", "v5.8.1", str(target), PATH=without_go(tmp_path / "bin"))
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: validate renders with kustomize v5.8.1, and there is neither that nor Go"
    )
    assert done.stderr.count("\n") == 1
    assert not target.exists()


def test_a_tool_that_wants_go_where_there_is_none_is_one_sentence(tmp_path: Path) -> None:
    target = tmp_path / "tools" / "kind-v0.33.0"
    module = "sigs.k8s.io/kind@v0.33.0"
    done = run("tools/go-install", module, str(target), PATH=without_go(tmp_path / "bin"))
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr
        == f"error: {module} is built with Go, and there is no Go here; install it (https://go.dev/dl)\n"
    )
    assert not target.parent.exists()


def test_a_kustomize_of_another_version_is_not_taken(tmp_path: Path) -> None:
    path = without_go(tmp_path / "bin")
    executable(tmp_path / "bin" / "kustomize", "echo v5.8.10")
    target = tmp_path / "tools" / "kustomize-v5.8.1"
    assert run("tools/install-kustomize", "v5.8.1", str(target), PATH=path).returncode == 1
    assert not target.exists()


def test_a_kustomize_of_the_version_is_copied(tmp_path: Path) -> None:
    path = without_go(tmp_path / "bin")
    kustomize = executable(tmp_path / "bin" / "kustomize", "echo v5.8.1")
    target = tmp_path / "tools" / "kustomize-v5.8.1"
    assert run("tools/install-kustomize", "v5.8.1", str(target), PATH=path).returncode == 0
    kustomize.unlink()
    assert run(str(tmp_path / "tools" / "kustomize"), "version").stdout == "v5.8.1\n"


def test_a_launcher_that_works_only_where_it_stands_is_not_taken(tmp_path: Path) -> None:
    path = without_go(tmp_path / "bin")
    executable(tmp_path / "bin" / "kustomize", f'[ "$0" = {tmp_path}/bin/kustomize ] && echo v5.8.1')
    target = tmp_path / "tools" / "kustomize-v5.8.1"
    assert run("tools/install-kustomize", "v5.8.1", str(target), PATH=path).returncode == 1
    assert [item.name for item in target.parent.iterdir() if item.exists()] == []
