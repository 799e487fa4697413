"""What cannot be compared: one sentence each, exit status 2, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from validate.cli import main

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def nothing_left(tmp_path, monkeypatch):
    """Have a directory of our own for what is thrown away, which is empty afterwards."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert list(scratch.iterdir()) == []


def refused(clone, *words):
    """Return the one sentence on standard error of a comparison that cannot be made."""
    before = clone.git("status", "--porcelain")
    status, output, errors = clone.diff(*words)
    assert (status, output) == (2, "")
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert clone.git("status", "--porcelain") == before
    assert clone.git("worktree", "list").count("\n") == 0
    return errors.removeprefix("error: ").rstrip("\n")


def test_a_revision_that_does_not_exist(clone):
    sentence = refused(clone, "nowhere")
    assert (
        sentence == "there is no revision 'nowhere'; git log and git branch --all list those that there are"
    )


def test_a_revision_that_is_an_option_of_git(clone):
    assert refused(clone, "--", "--output=x").startswith("there is no revision '--output=x'")
    assert not (clone.root / "x").exists()


def test_a_range(clone):
    expected = "'main..HEAD' is a range, and validate diff takes two revisions; write: diff main HEAD"
    assert refused(clone, "main..HEAD") == expected


def test_a_branch_that_only_the_remote_has(clone):
    clone.git("update-ref", "refs/remotes/origin/release", "HEAD")
    assert refused(clone, "release") == "there is no revision 'release' (did you mean origin/release?)"


def test_no_branch_main(clone):
    clone.git("branch", "--move", "main", "trunk")
    assert refused(clone) == "there is no branch main; name what to compare with: validate diff BASE"


def test_main_of_the_remote_will_do(clone):
    clone.git("update-ref", "refs/remotes/origin/main", "HEAD")
    clone.git("checkout", "--quiet", "--detach")
    clone.git("branch", "--delete", "--force", "main")
    status, output, _ = clone.diff()
    assert status == 0
    assert output.startswith("merge base with origin/main (")


def test_a_shallow_clone(clone, tmp_path):
    clone.edit("overlays/eks/daemonset.build-pool.yaml", "builds", "build")
    clone.commit()
    shallow = tmp_path / "shallow"
    clone.git("clone", "--quiet", "--depth", "1", f"file://{clone.root}", str(shallow))
    clone.root = shallow
    way_out = (
        "fetch the rest with: git fetch --unshallow (in a workflow, actions/checkout with fetch-depth: 0)"
    )
    assert refused(clone, "HEAD~1") == f"there is no revision 'HEAD~1' in this shallow clone; {way_out}"
    clone.git("checkout", "--quiet", "--detach")
    clone.git("branch", "--delete", "--force", "main")
    clone.git("update-ref", "-d", "refs/remotes/origin/main")
    assert refused(clone).endswith(f"; this clone is shallow: {way_out}")


def test_no_commit_yet(clone):
    clone.git("update-ref", "-d", "HEAD")
    clone.git("branch", "--move", "main", "trunk")
    sentence = refused(clone, "HEAD")
    assert sentence == f"{clone.root} has no commit yet, so there is nothing to compare with; make one"


def test_no_git_repository(repository, monkeypatch, capsys):
    root = repository({})
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(root.parent))
    assert main(["diff", "--root", str(root)]) == 2
    expected = (
        f"error: {root} is in no git repository, so there is nothing to compare with; clone it with git\n"
    )
    assert capsys.readouterr() == ("", expected)


def test_git_is_not_installed(clone, monkeypatch):
    monkeypatch.setenv("KUSTOMIZE", os.environ.get("KUSTOMIZE", "kustomize"))
    monkeypatch.setenv("PATH", "/nowhere")
    assert clone_refuses(clone) == "git is not installed, and validate diff reads both sides from it"


def clone_refuses(clone, *words):
    status, output, errors = clone.diff(*words)
    assert (status, output) == (2, "")
    return errors.removeprefix("error: ").rstrip("\n")


def test_git_that_cannot_be_read(clone):
    clone.write("overlays/kind/note.txt", "new")
    clone.commit()
    (objects,) = [
        path
        for path in (clone.root / ".git" / "objects").rglob("*")
        if path.is_file() and path.parent.name + path.name == clone.git("rev-parse", "HEAD^{tree}")
    ]
    objects.unlink()
    sentence = clone_refuses(clone, "HEAD")
    assert sentence.startswith(f"git cannot read {clone.root} (")
    assert sentence.endswith("); git fsck says what is wrong with it")


def test_a_repository_without_overlays(clone):
    clone.remove("overlays")
    assert refused(clone) == f"{clone.root} has no overlays/; name a checkout of the repository"


def test_a_head_without_overlays(clone):
    clone.git("checkout", "--quiet", "-b", "other")
    clone.remove("overlays")
    commit = clone.commit()
    clone.git("checkout", "--quiet", "main")
    sentence = refused(clone, "main", "other")
    assert sentence == f"other ({commit[:10]}) has no overlay in overlays/; name a revision that has"


def test_a_base_without_overlays_makes_all_of_them_new(clone):
    clone.git("checkout", "--quiet", "--orphan", "empty")
    clone.git("rm", "-r", "--quiet", "--cached", ".")
    clone.git("commit", "--quiet", "--allow-empty", "--message", "nothing")
    clone.git("checkout", "--quiet", "--force", "main")
    status, output, errors = clone.diff("empty", "main")
    assert (status, errors) == (0, "")
    assert "+ overlays/kind is added, with 3" in output


def test_a_base_that_cannot_be_rendered_still_shows_the_head(clone):
    clone.git("checkout", "--quiet", "-b", "mended")
    clone.git("checkout", "--quiet", "main")
    clone.edit("overlays/eks/kustomization.yaml", "daemonset.build-pool.yaml", "nothing.yaml")
    clone.commit("break it")
    clone.git("checkout", "--quiet", "mended")
    clone.edit("overlays/eks/daemonset.build-pool.yaml", "builds", "build")
    status, output, errors = clone.diff("main")
    assert status == 2
    assert "new in overlays/eks\n\nerror[build-pod-without-docker-api]" in output
    assert "fixed[unrenderable-overlay] overlays/eks/kustomization.yaml:" in output
    assert errors.startswith("error: overlays/eks cannot be rendered at main (")
    assert errors.endswith(
        "so every finding of the head counts as new, and no field is compared; "
        "name a revision where it can be\n"
    )
    assert errors.count("\n") == 1


def test_a_head_that_cannot_be_rendered_mends_nothing(clone):
    clone.edit("overlays/eks/kustomization.yaml", "daemonset.build-pool.yaml", "nothing.yaml")
    status, output, errors = clone.diff()
    assert (status, errors) == (1, "")
    assert "error[unrenderable-overlay] overlays/eks/kustomization.yaml:" in output
    assert "note: overlays/eks cannot be rendered now, so nothing of it is compared" in output
    assert "fixed" not in output.splitlines()[-1]


def test_an_overlay_that_was_renamed_is_one_overlay(clone):
    clone.git("mv", "overlays/eks", "overlays/amazon")
    clone.edit("overlays/amazon/daemonset.build-pool.yaml", "builds", "build")
    clone.edit("policies/waivers.yaml", "overlays/eks", "overlays/amazon")
    status, output, errors = clone.diff()
    assert (status, errors) == (1, "")
    assert "overlays/amazon (was overlays/eks)  binderhub-amazon on cluster amazon  1 changed" in output
    assert "= overlays/amazon/daemonset.build-pool.yaml:10" in output
    assert (
        "Application binderhub-eks no longer syncs it, and what it installed stays on cluster eks" in output
    )
    assert output.count("error[") == 1


def test_a_submodule_of_which_git_keeps_nothing(clone, tmp_path):
    vendor = tmp_path / "vendor"
    vendor.mkdir()
    (vendor / "kustomization.yaml").write_text("resources: [settings.yaml]\n")
    (vendor / "settings.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vendored}\ndata: {colour: blue}\n"
    )
    main_root, clone.root = clone.root, vendor
    clone.git("init", "--quiet", "--initial-branch", "main")
    clone.commit()
    clone.root = main_root
    clone.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(vendor), "vendor")
    clone.edit("overlays/eks/kustomization.yaml", "resources: [", "resources: [../../vendor, ")
    clone.commit("use it")
    clone.edit("overlays/eks/daemonset.build-pool.yaml", "builds", "build")
    status, output, errors = clone.diff("HEAD")
    assert status == 2
    assert "error[build-pod-without-docker-api]" in output
    commit = clone.git("rev-parse", "HEAD")[:10]
    assert errors == (
        "error: overlays/eks reads vendor, a submodule, of which this repository keeps nothing at "
        f"HEAD ({commit}), so it is not compared; compare in a repository that has the files\n"
    )


def test_binary_files_are_files(clone):
    clone.write("overlays/eks/logo.png", bytes(range(256)))
    clone.edit(
        "overlays/eks/kustomization.yaml",
        "configMapGenerator:\n",
        "configMapGenerator:\n  - name: logo\n    files: [logo.png]\n",
    )
    clone.commit("a logo")
    clone.write("overlays/eks/logo.png", bytes(range(255, -1, -1)))
    status, output, errors = clone.diff("HEAD")
    assert (status, errors) == (0, "")
    assert 'binaryData["logo.png"]  = overlays/eks/' in output
    assert "256 bytes" in output


def test_files_with_odd_names_are_told_apart(clone):
    clone.write('overlays/eks/a \u00e4\n"b.yaml', "not read\n")
    status, output, errors = clone.diff("--verbose")
    assert (status, errors) == (0, "")
    assert 'overlays/eks/a \u00e4\\n"b.yaml: nothing' in output


def test_what_is_ignored_and_what_is_not_tracked(clone):
    clone.write(".gitignore", "ignored.yaml\n")
    clone.write("overlays/eks/ignored.yaml", "x: 1\n")
    clone.write("overlays/eks/other.yaml", "x: 1\n")
    _, output, _ = clone.diff("--verbose")
    assert "  overlays/eks/other.yaml: nothing\n" in output
    assert "ignored.yaml:" not in output


def test_what_a_hook_sets_for_its_own_repository_is_not_minded(clone, monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert main(["diff", "--root", str(clone.root)]) == 0


def test_the_index_and_the_working_tree_are_not_touched(clone):
    clone.edit("overlays/eks/daemonset.build-pool.yaml", "builds", "build")
    clone.write("overlays/eks/other.yaml", "x: 1\n")
    clone.git("add", "overlays/eks/daemonset.build-pool.yaml")
    index = clone.root / ".git" / "index"
    status = clone.git("status", "--porcelain")
    before = index.read_bytes(), index.stat().st_mtime_ns
    clone.diff()
    assert (index.read_bytes(), index.stat().st_mtime_ns) == before
    assert clone.git("status", "--porcelain") == status


def test_a_repository_below_the_top_of_git(clone, tmp_path):
    top = tmp_path / "monorepo"
    top.mkdir()
    (clone.root / ".git").rename(tmp_path / "old.git")
    clone.root.rename(top / "deploy")
    clone.root = top
    clone.git("init", "--quiet", "--initial-branch", "main")
    clone.commit()
    clone.write("elsewhere.txt", "x")
    clone.root = top / "deploy"
    clone.edit("overlays/eks/daemonset.build-pool.yaml", "builds", "build")
    status, output, errors = clone.diff("--verbose")
    assert (status, errors) == (1, "")
    assert "elsewhere" not in output
    assert "= overlays/eks/daemonset.build-pool.yaml:10" in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind(clone, number, tmp_path):
    clone.edit("base/docker-api/daemonset.yaml", "cpu: 250m", "cpu: 300m")
    slow = tmp_path / "slow-kustomize"
    slow.write_text(
        '#!/bin/sh\nif [ "$1" = version ]; then echo v5.8.1; else touch "$MARK"; exec sleep 60; fi\n'
    )
    slow.chmod(0o755)
    mark = tmp_path / "started"
    environment = os.environ | {"KUSTOMIZE": str(slow), "MARK": str(mark)}
    words = [sys.executable, "-m", "validate", "diff", "--root", str(clone.root)]
    with subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        while not mark.exists():
            time.sleep(0.05)
        process.send_signal(number)
        _, errors = process.communicate()
    assert process.returncode == 128 + number
    assert "Traceback" not in errors
