"""Which paths cover what an overlay reads, against the plain reading of Argo CD's rule."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validate.argocd.refreshes import Refreshes

PARTS = st.sampled_from(["a", "b", "c"])
FILES = st.lists(PARTS, min_size=1, max_size=4).map(lambda parts: "/".join([*parts, "f.yaml"]))
READS = st.dictionaries(
    st.sampled_from(["one", "two", "three"]), st.frozensets(FILES, min_size=1, max_size=8), min_size=1
)
PATHS = st.one_of(
    st.just("."),
    st.lists(PARTS, min_size=1, max_size=3).map("/".join),
    FILES,
    st.sampled_from(["a/*", "*/f.yaml", "a/?/f.yaml", "[ab]/*/*", "a/*/f.*"]),
)


def covers(path, file):
    """Whether a change of the file counts, as Argo CD's documentation has it."""
    if path in {".", file} or file.startswith(f"{path}/"):
        return True
    pattern = re.escape(path).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    pattern = pattern.replace(r"\[", "[").replace(r"\]", "]")
    return re.fullmatch(pattern, file) is not None


@settings(max_examples=60)
@given(READS, st.lists(PATHS, max_size=4))
def test_missed_idle_and_foreign_files_are_those_of_the_plain_rule(reads, paths):
    refreshes = Refreshes(reads)
    everything = frozenset().union(*reads.values())
    for overlay, own in reads.items():
        left = sorted(file for file in own if not any(covers(path, file) for path in paths))
        assert refreshes.missed(overlay, paths) == left
        for path in paths:
            assert refreshes.idle(overlay, path) == (not any(covers(path, file) for file in own))
            others = sorted(file for file in everything - own if covers(path, file))
            assert refreshes.foreign(overlay, path) == others


@settings(max_examples=60)
@given(READS)
def test_the_exact_list_misses_nothing_and_names_nothing_that_only_others_read(reads):
    refreshes = Refreshes(reads)
    for overlay in reads:
        exact = refreshes.exact(overlay)
        assert refreshes.missed(overlay, exact) == []
        assert not any(refreshes.idle(overlay, path) or refreshes.foreign(overlay, path) for path in exact)
        for path in exact:
            without = [other for other in exact if other != path]
            assert refreshes.missed(overlay, without)


def test_the_exact_list_names_directories_with_the_overlay_first():
    reads = {
        "overlays/kind": frozenset(
            {
                "overlays/kind/kustomization.yaml",
                "overlays/kind/config/50.yaml",
                "base/kustomization.yaml",
                "base/api/kustomization.yaml",
                "components/a/kustomization.yaml",
            }
        ),
        "overlays/eks": frozenset({"overlays/eks/kustomization.yaml", "components/b/kustomization.yaml"}),
    }
    assert Refreshes(reads).exact("overlays/kind") == ["overlays/kind", "base", "components/a"]


def test_a_file_stands_for_itself_beside_a_directory_that_only_others_read():
    reads = {
        "one": frozenset({"base/kustomization.yaml", "shared.yaml"}),
        "two": frozenset({"base/kustomization.yaml", "base/extra/role.yaml"}),
    }
    assert Refreshes(reads).exact("one") == ["base/kustomization.yaml", "shared.yaml"]
    assert Refreshes(reads).exact("two") == ["base"]


@pytest.mark.parametrize("path", ["bas", "base/kustomization", "kustomization.yaml", "*.yaml"])
def test_a_part_of_a_name_covers_nothing(path):
    refreshes = Refreshes({"one": frozenset({"base/kustomization.yaml"})})
    assert refreshes.idle("one", path)
