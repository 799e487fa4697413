"""Which directory is the repository, and which overlays the words of a command line mean."""

from __future__ import annotations

import pytest

from validate.discover import find_root, open_checkout, select
from validate.errors import CannotCheckError

KUSTOMIZATION = "resources: []\n"


@pytest.fixture
def root(repository):
    return repository(
        {
            "overlays/eks/kustomization.yml": KUSTOMIZATION,
            "overlays/gke/Kustomization": KUSTOMIZATION,
            "overlays/half/cluster.yaml": "disposable: true\n",
            "overlays/.hidden/kustomization.yaml": KUSTOMIZATION,
            "overlays/README.md": "Not an overlay.\n",
            "base/kustomization.yaml": KUSTOMIZATION,
            "kustomization.yaml": KUSTOMIZATION,
        }
    )


def test_overlays_are_the_directories_with_a_kustomization_of_any_name(root):
    checkout = open_checkout(root)
    assert checkout.overlays == ("overlays/eks", "overlays/gke", "overlays/kind")
    assert checkout.unfinished == ("overlays/half",)


def test_the_repository_is_found_from_a_directory_far_below(root):
    below = root / "overlays" / "eks"
    assert find_root(below) == root
    assert find_root(root) == root


def test_a_directory_outside_any_repository_is_an_error(tmp_path):
    with pytest.raises(CannotCheckError, match=r"has overlays/; run validate in a checkout .* --root"):
        find_root(tmp_path)


def test_a_root_without_overlays_is_an_error(tmp_path):
    with pytest.raises(CannotCheckError, match="has no overlays/"):
        open_checkout(tmp_path)
    (tmp_path / "overlays" / "half").mkdir(parents=True)
    with pytest.raises(CannotCheckError, match=r"has no directory with a kustomization.yaml"):
        open_checkout(tmp_path)


@pytest.mark.parametrize(
    ("words", "below", "chosen"),
    [
        ([], ".", ["overlays/eks", "overlays/gke", "overlays/kind"]),
        (["kind"], ".", ["overlays/kind"]),
        (["kind"], "overlays/eks", ["overlays/kind"]),
        (["kind/"], "overlays", ["overlays/kind"]),
        (["overlays/kind"], ".", ["overlays/kind"]),
        (["overlays/kind"], "base", ["overlays/kind"]),
        (["./overlays/kind/"], ".", ["overlays/kind"]),
        (["../kind"], "overlays/eks", ["overlays/kind"]),
        (["."], "overlays/eks", ["overlays/eks"]),
        (["."], ".", ["."]),
        ([".."], "overlays", ["."]),
        (["kind", "eks", "overlays/kind"], ".", ["overlays/eks", "overlays/kind"]),
    ],
)
def test_a_word_is_a_name_or_a_path(root, words, below, chosen):
    assert select(open_checkout(root), words, root / below) == tuple(chosen)


def test_a_path_from_outside_is_one_from_the_repository(root, tmp_path):
    checkout = open_checkout(root)
    assert select(checkout, ["overlays/kind"], tmp_path) == ("overlays/kind",)
    assert select(checkout, [str(root / "overlays" / "kind")], tmp_path) == ("overlays/kind",)
    assert select(checkout, ["."], tmp_path) == (".",)


@pytest.mark.parametrize(
    ("word", "below", "problem"),
    [
        ("knid", ".", r"there is no overlay 'knid' \(did you mean kind\?\); name one of eks, gke, kind"),
        ("zzz", ".", r"there is no overlay 'zzz'; name one of eks, gke, kind"),
        ("base", ".", r"there is no overlay 'base'"),
        (".", "base", r"there is no overlay '\.'"),
        ("overlays", ".", r"there is no overlay 'overlays'"),
        ("", "overlays", r"there is no overlay ''"),
        ("half", ".", r"overlays/half has no kustomization.yaml; add one"),
    ],
)
def test_a_word_that_names_no_overlay_is_an_error_with_a_way_out(root, word, below, problem):
    with pytest.raises(CannotCheckError, match=problem):
        select(open_checkout(root), [word], root / below)


def test_the_neutral_install_exists_only_with_a_kustomization(root):
    (root / "kustomization.yaml").unlink()
    with pytest.raises(CannotCheckError, match="there is no overlay"):
        select(open_checkout(root), ["."], root)


def test_a_long_list_of_overlays_is_cut(repository):
    root = repository({f"overlays/o{number:02}/kustomization.yaml": KUSTOMIZATION for number in range(30)})
    with pytest.raises(CannotCheckError, match=r"name one of kind, o00, .*, o18 and 11 more$"):
        select(open_checkout(root), ["missing-one"], root)
