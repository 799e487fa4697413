"""Applications and ApplicationSets, expanded against a working tree."""

from __future__ import annotations

from subprocess import run
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from validate.argocd.applications import read_applications
from validate.argocd.generators import matching
from validate.argocd.templates import Language, TemplateError
from validate.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from validate.place import Json

APPLICATION = """
    apiVersion: argoproj.io/v1alpha1
    kind: Application
    metadata:
      name: binderhub-kind
      annotations: {argocd.argoproj.io/manifest-generate-paths: ".;../../base;/policies"}
    spec:
      project: default
      source: {repoURL: https://git.example.org/r.git, path: overlays/kind}
      destination: {name: kind, namespace: binder}
"""
SET = """
    apiVersion: argoproj.io/v1alpha1
    kind: ApplicationSet
    metadata: {name: binderhub}
    spec:
      goTemplate: true
      goTemplateOptions: [missingkey=error]
      generators: GENERATORS
      template:
        metadata:
          name: binderhub-{{ .path.basename }}
          annotations:
            argocd.argoproj.io/manifest-generate-paths: '{{ join ";" .generatePaths }}'
        spec:
          project: default
          source: {repoURL: https://git.example.org/r.git, path: '{{ .path.path }}'}
          destination: {server: https://example.org, namespace: binder}
"""
DIRECTORIES = SET.replace("""'{{ join ";" .generatePaths }}'""", "/base")


def tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        file = root / name.replace("__", "/").replace("_yaml", ".yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
    return root


def overlays(root: Path, *names: str) -> Path:
    for name in names:
        (root / "overlays" / name).mkdir(parents=True)
        (root / "overlays" / name / "cluster.yaml").write_text("generatePaths: [., /base]\n")
    return root


def synced(root: Path) -> list[tuple[str, str]]:
    return [(item.path, item.application) for item in read_applications(root)]


def test_an_application_syncs_its_path(tmp_path: Path) -> None:
    (item,) = read_applications(tree(tmp_path, argocd__app_yaml=APPLICATION))
    assert (item.path, item.application, item.destination, item.namespace) == (
        "overlays/kind",
        "binderhub-kind",
        "kind",
        "binder",
    )
    assert (item.place.origin.file, item.place.origin.line) == ("argocd/app.yaml", 9)


def test_generate_paths_are_relative_to_the_source_or_to_the_root(tmp_path: Path) -> None:
    (item,) = read_applications(tree(tmp_path, argocd__app_yaml=APPLICATION))
    assert item.generate_paths == ("overlays/kind", "base", "policies")


def test_a_chart_is_not_a_path_and_every_source_that_is_one_counts(tmp_path: Path) -> None:
    several = APPLICATION.replace(
        "source: {repoURL: https://git.example.org/r.git, path: overlays/kind}",
        "sources: [{repoURL: c, chart: x}, {repoURL: r, path: a/}, {repoURL: r, path: ./b}]",
    )
    assert [path for path, _ in synced(tree(tmp_path, argocd__app_yaml=several))] == ["a", "b"]


PROJECT = "{apiVersion: argoproj.io/v1alpha1, kind: AppProject, metadata: {name: p}}"


def test_other_kinds_are_skipped_and_subdirectories_are_read(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        argocd__project_yaml=PROJECT,
        argocd__deep__app_yaml=APPLICATION,
        argocd__deep__kustomization_yaml="resources: [app.yaml]\n",
    )
    assert len(read_applications(root)) == 1


def test_with_a_kustomization_what_it_renders_is_what_counts(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        argocd__kustomization_yaml="resources: [app.yaml, project.yaml]\nnamespace: argocd\n",
        argocd__app_yaml=APPLICATION,
        argocd__project_yaml=PROJECT,
        argocd__left_yaml=APPLICATION.replace("binderhub-kind", "binderhub-left"),
    )
    (item,) = read_applications(root)
    assert item.application == "binderhub-kind"
    assert [project.at("metadata", "namespace").value for project in item.projects] == ["argocd"]


def test_a_kustomization_that_names_nothing_is_said_with_its_line(tmp_path: Path) -> None:
    root = tree(tmp_path, argocd__kustomization_yaml="resources: [gone.yaml]\n")
    with pytest.raises(SourceError, match=r"argocd/kustomization.yaml:1: names gone.yaml"):
        read_applications(root)


def test_without_the_directory_nothing_is_synced(tmp_path: Path) -> None:
    assert read_applications(tmp_path) == ()


def test_git_files_yield_one_application_each_with_the_content_as_parameters(tmp_path: Path) -> None:
    text = SET.replace(
        "GENERATORS", "[{git: {repoURL: r, revision: main, files: [{path: overlays/*/cluster.yaml}]}}]"
    )
    root = overlays(tree(tmp_path, argocd__set_yaml=text), "eks", "kind")
    assert synced(root) == [("overlays/eks", "binderhub-eks"), ("overlays/kind", "binderhub-kind")]
    assert [item.generate_paths for item in read_applications(root)] == [
        ("overlays/eks", "base"),
        ("overlays/kind", "base"),
    ]


def test_a_star_for_files_crosses_slashes_as_git_does_and_one_for_directories_does_not(
    tmp_path: Path,
) -> None:
    files = SET.replace("GENERATORS", "[{git: {files: [{path: overlays/*/cluster.yaml}]}}]")
    directories = DIRECTORIES.replace("GENERATORS", "[{git: {directories: [{path: overlays/*}]}}]")
    one = overlays(tree(tmp_path / "one", argocd__set_yaml=files), "eks", "eks/eu")
    two = overlays(tree(tmp_path / "two", argocd__set_yaml=directories), "eks", "eks/eu")
    assert [path for path, _ in synced(one)] == ["overlays/eks", "overlays/eks/eu"]
    assert [path for path, _ in synced(two)] == ["overlays/eks"]


def test_an_excluded_directory_is_left_out_wherever_the_exclusion_stands(tmp_path: Path) -> None:
    patterns = "[{path: overlays/kind, exclude: true}, {path: overlays/*}]"
    text = DIRECTORIES.replace("GENERATORS", f"[{{git: {{directories: {patterns}}}}}]")
    assert [path for path, _ in synced(overlays(tree(tmp_path, argocd__set_yaml=text), "eks", "kind"))] == [
        "overlays/eks"
    ]


FILES = ("a.yaml", "o/a/c.yaml", "o/a/b/c.yaml", "o/b/c.json", "o/.h/c.yaml", "oo/c.yaml")
PIECES = st.sampled_from(["o", "a", "b", "c.yaml", "*", "?", "/", ".", "[ab]", "[!a]", "*.yaml"])


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    for command in (("init", "--quiet"), ("add", "--all")):
        run(["git", *command], cwd=root, check=True)
    return root


@settings(max_examples=40, deadline=None)
@given(pieces=st.lists(PIECES, min_size=1, max_size=5))
def test_a_pattern_for_files_matches_what_git_ls_files_matches(checkout: Path, pieces: list[str]) -> None:
    pattern = "".join(pieces)
    assume(not pattern.startswith(("/", ".")) and "//" not in pattern and "/." not in pattern)
    listed = run(
        ["git", "ls-files", "--", pattern],
        cwd=checkout,
        check=True,
        capture_output=True,
        text=True,
    )
    assert matching(checkout, [{"path": pattern}], files=True) == sorted(listed.stdout.split())


def test_hidden_directories_are_left_out(tmp_path: Path) -> None:
    text = DIRECTORIES.replace("GENERATORS", "[{git: {directories: [{path: overlays/*}]}}]")
    assert synced(overlays(tree(tmp_path, argocd__set_yaml=text), ".hidden")) == []


def test_a_list_yields_its_elements(tmp_path: Path) -> None:
    elements = "[{list: {elements: [{path: {path: overlays/a, basename: a}, generatePaths: [.]}]}}]"
    assert synced(tree(tmp_path, argocd__set_yaml=SET.replace("GENERATORS", elements))) == [
        ("overlays/a", "binderhub-a")
    ]


def test_a_matrix_pairs_and_its_second_generator_uses_the_first(tmp_path: Path) -> None:
    text = DIRECTORIES.replace(
        "GENERATORS",
        "[{matrix: {generators: [{list: {elements: [{where: eks}, {where: gke}]}}, "
        "{git: {directories: [{path: 'overlays/{{ .where }}'}]}}]}}]",
    )
    assert [
        path for path, _ in synced(overlays(tree(tmp_path, argocd__set_yaml=text), "eks", "gke", "kind"))
    ] == [
        "overlays/eks",
        "overlays/gke",
    ]


def test_a_merge_overrides_where_the_keys_agree(tmp_path: Path) -> None:
    text = DIRECTORIES.replace("server: https://example.org", "server: '{{ .url }}'").replace(
        "GENERATORS",
        "[{merge: {mergeKeys: [id], generators: ["
        "{list: {elements: [{id: a, url: u1, path: {path: p/a, basename: a}}, "
        "{id: b, url: u1, path: {path: p/b, basename: b}}]}}, "
        "{list: {elements: [{id: b, url: u2}, {id: c, url: u3}]}}]}}]",
    )
    found = read_applications(tree(tmp_path, argocd__set_yaml=text))
    assert [(item.path, item.destination) for item in found] == [("p/a", "u1"), ("p/b", "u2")]


def test_values_of_a_generator_may_use_its_parameters(tmp_path: Path) -> None:
    text = DIRECTORIES.replace("server: https://example.org", "server: '{{ .values.cluster }}'").replace(
        "GENERATORS",
        "[{git: {directories: [{path: overlays/*}], values: {cluster: 'c-{{ .path.basename }}'}}}]",
    )
    (item,) = read_applications(overlays(tree(tmp_path, argocd__set_yaml=text), "eks"))
    assert item.destination == "c-eks"


PLAIN = """
    apiVersion: argoproj.io/v1alpha1
    kind: ApplicationSet
    metadata: {name: binderhub}
    spec:
      generators: [{git: {files: [{path: overlays/*/cluster.yaml}]}}]
      template:
        metadata: {name: "{{path.basename}}-{{path[0]}}-{{ region.name }}-{{unknown}}"}
        spec:
          source: {path: "{{path}}"}
          destination: {}
"""


def test_templates_without_go_flatten_files_and_keep_unknown_tags(tmp_path: Path) -> None:
    root = tree(tmp_path, argocd__set_yaml=PLAIN, overlays__eks__cluster_yaml="region: {name: eu}")
    assert synced(root) == [("overlays/eks", "eks-overlays-eu-{{unknown}}")]


@pytest.mark.parametrize(
    ("generators", "sentence"),
    [
        ("[{clusters: {}}]", "8: has a generator clusters that is not expanded here; use git directories,"),
        (
            "[{pullRequest: {}}]",
            "8: has a generator pullRequest that is not expanded here; use git directories,",
        ),
        ("[{git: {}}]", "8: has a generator git with neither directories nor files"),
        (
            "[{list: {elements: [{path: {path: p}}]}}]",
            "11: asks for .path.basename, and the generator yields no basename",
        ),
        (
            "[{list: {elementsYaml: x}}]",
            "8: has a list generator with elementsYaml, which is not expanded here;",
        ),
        ("[{list: {elements: []}, selector: {}}]", "8: has a generator selector that is not expanded here;"),
    ],
)
def test_what_is_not_expanded_is_said_with_file_and_line(
    tmp_path: Path, generators: str, sentence: str
) -> None:
    text = SET.replace("GENERATORS", generators)
    with pytest.raises(SourceError) as raised:
        read_applications(tree(tmp_path, argocd__set_yaml=text))
    assert str(raised.value).startswith(f"argocd/set.yaml:{sentence}")


def test_a_template_patch_is_refused_at_its_line(tmp_path: Path) -> None:
    text = SET.replace("GENERATORS", "[{list: {elements: []}}]") + "      templatePatch: '{}'\n"
    with pytest.raises(SourceError, match=r"argocd/set.yaml:18: has a templatePatch"):
        read_applications(tree(tmp_path, argocd__set_yaml=text))


GO = Language(go=True, strict=True)
DATA: dict[str, Json] = {"a": {"b": "Text", "list": ["x", "y"], "number": 7, "yes": True}, "k": "v"}


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        ("{{ .a.b }}", "Text"),
        ("{{.a.b}}-{{ .k }}", "Text-v"),
        ("{{ index .a.list 1 }}", "y"),
        ('{{ index .a "b" }}', "Text"),
        # As Go and Sprig have it: missingkey=error is for fields alone.
        ('{{ index . "nothing" | default .k }}', "v"),
        ('{{ index .a "b" | default .k }}', "Text"),
        ('{{ join ";" .a.list }}', "x;y"),
        ('{{ .a.list | join "," }}', "x,y"),
        ("{{ .a.b | lower }}", "text"),
        ('{{ .a.b | lower | trimPrefix "te" }}', "xt"),
        ("{{ .a.number }} {{ .a.yes }}", "7 true"),
        ("a {{- .k -}} b", "avb"),
        ("a {{- .k }} {{ .k -}} b", "av vb"),
        ("{{ /* a comment */ }}", None),
        ("{{ .a.missing }}", None),
        ("{{ .a.list }}", None),
        ("{{ .a.b .k }}", None),
        ("{{ if .k }}x{{ end }}", None),
        ("{{ lower (.a.b) }}", None),
        ("{{ index .a.list 5 }}", None),
        ("{{ }}", None),
    ],
)
def test_a_go_template_is_filled_in_or_refused(template: str, printed: str | None) -> None:
    if printed is None:
        with pytest.raises(TemplateError):
            GO.render(template, DATA)
    else:
        assert GO.render(template, DATA) == printed


def test_without_missingkey_error_a_missing_key_prints_as_go_prints_it() -> None:
    assert Language(go=True, strict=False).render("{{ .nothing }}", DATA) == "<no value>"
