"""A clone of this repository's manifests, to change and to compare with what was committed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from validate.cli import main

ROOT = Path(__file__).parent.parent.parent
PARTS = ("argocd", "base", "components", "overlays", "policies", "cluster.yaml", "kustomization.yaml")
# Three overlays show what five would, in half the time.
LEFT_OUT = ("aks", "gke")
ALL_BUT_EKS = (*LEFT_OUT, "kind", "openstack")
IDENTITY = {
    "GIT_AUTHOR_NAME": "somebody",
    "GIT_AUTHOR_EMAIL": "somebody@example.org",
    "GIT_COMMITTER_NAME": "somebody",
    "GIT_COMMITTER_EMAIL": "somebody@example.org",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


class Clone:
    """A git repository with one commit on ``main``, checked out."""

    def __init__(self, root, capsys):
        self.root = root
        self.capsys = capsys

    def git(self, *words):
        done = subprocess.run(
            ["git", *words],
            cwd=self.root,
            env=os.environ | IDENTITY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, message="change"):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def edit(self, file, old, new, count=1):
        path = self.root / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) >= count, (file, old)
        path.write_text(text.replace(old, new), encoding="utf-8")

    def write(self, file, content):
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def remove(self, path):
        target = self.root / path
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()

    def diff(self, *words):
        """Run ``validate diff``; return its status and both streams, without the hash of the base."""
        self.capsys.readouterr()
        status = main(["diff", "--root", str(self.root), *words])
        output, errors = self.capsys.readouterr()
        return status, output, errors


def commit_without(left_out, root):
    """Write a repository with the manifests of this one, but for some overlays, in its only commit."""
    root.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, root / part)
        else:
            shutil.copy(source, root / part)
    for name in left_out:
        shutil.rmtree(root / "overlays" / name)
    waivers = root / "policies" / "waivers.yaml"
    head, *entries = waivers.read_text(encoding="utf-8").split("\n- ")
    left = [entry for entry in entries if not any(f"overlays/{name}\n" in entry for name in left_out)]
    waivers.write_text("\n- ".join([head, *left]), encoding="utf-8")
    clone = Clone(root, None)
    # Each test copies it: two files of git's instead of two hundred and fifty.
    clone.git("init", "--quiet", "--template=", "--initial-branch", "main")
    clone.commit("all of it")
    clone.git("gc", "--quiet")
    return root


@pytest.fixture(scope="session")
def committed(tmp_path_factory):
    """Return a repository with three overlays of this one in its only commit."""
    return commit_without(LEFT_OUT, tmp_path_factory.mktemp("committed") / "repository")


@pytest.fixture(scope="session")
def committed_alone(tmp_path_factory):
    """Return one with a single overlay, for what is said of each by itself."""
    return commit_without(ALL_BUT_EKS, tmp_path_factory.mktemp("committed-alone") / "repository")


@pytest.fixture
def clone(committed, tmp_path, capsys):
    root = tmp_path / "repository"
    shutil.copytree(committed, root, symlinks=True)
    return Clone(root, capsys)


@pytest.fixture
def lone_clone(committed_alone, tmp_path, capsys):
    root = tmp_path / "repository"
    shutil.copytree(committed_alone, root, symlinks=True)
    return Clone(root, capsys)


@pytest.fixture
def expected(request):
    """Return a function that compares a text with the file of that name, or writes it."""

    def compare(name, text, clone):
        file = Path(__file__).parent / "expected" / name
        shown = text.replace(clone.git("rev-parse", "main")[:10], "0123456789")
        if request.config.getoption("--update-expected"):
            file.write_text(shown, encoding="utf-8")
        assert shown == file.read_text(encoding="utf-8")

    return compare
