"""What AppProjects permit, as Argo CD's own tests of them have it."""

from __future__ import annotations

from textwrap import dedent

import pytest

from validate.argocd.applications import read_applications
from validate.argocd.projects import Rendered, boundless, idle, refusals

TREE = """
    apiVersion: argoproj.io/v1alpha1
    kind: Application
    metadata: {name: binderhub}
    spec:
      project: binderhub
      source: {repoURL: https://git.example.org/team/r.git, path: overlays/kind}
      destination: {name: prod, namespace: binder}
    ---
    apiVersion: argoproj.io/v1alpha1
    kind: AppProject
    metadata: {name: binderhub}
    spec:
"""
ALL_REPOSITORIES = '  sourceRepos: ["*"]\n'
ALL_DESTINATIONS = '  destinations: [{name: "*", namespace: "*"}]\n'


def application(root, project):
    (root / "argocd").mkdir()
    (root / "overlays/kind").mkdir(parents=True)
    (root / "argocd/all.yaml").write_text(dedent(TREE) + project)
    (only,) = read_applications(root)
    return only


def refused(root, project):
    synced = application(root, project)
    (of_it,) = synced.projects
    return [refusal.problem for refusal in refusals(of_it, synced, Rendered((), ()))]


@pytest.mark.parametrize(
    ("patterns", "permitted"),
    [
        ('"*"', True),
        ("https://git.example.org/team/r", True),
        ("https://GIT.example.org/team/r.git/", True),
        ("https://git.example.org/team/*", True),
        ("https://git.example.org/*", False),
        ("https://git.example.org/**", True),
        ("https://git.example.org/team/?", True),
        ("https://git.example.org/team/r.git-fork", False),
        ('"*", "!https://git.example.org/team/*"', False),
        ('"*", "!https://git.example.org/other/*"', True),
        ("", False),
    ],
)
def test_repositories(tmp_path, patterns, permitted):
    found = refused(tmp_path, f"  sourceRepos: [{patterns}]\n{ALL_DESTINATIONS}")
    expected = "does not permit the repository https://git.example.org/team/r.git"
    assert found == ([] if permitted else [expected])


@pytest.mark.parametrize(
    ("destinations", "permitted"),
    [
        ("{name: prod, namespace: binder}", True),
        ('{name: "prod*", namespace: "b*r"}', True),
        ("{name: prod, namespace: other}", False),
        ("{name: other, namespace: binder}", False),
        ("{server: https://prod.example.org, namespace: binder}", False),
        ('{name: "!prod", namespace: "*"}, {name: "*", namespace: "*"}', False),
        ('{name: "*", namespace: "!kube-system"}', True),
        ('{name: "*", namespace: "*"}, {name: "*", namespace: "!binder"}', False),
        ("", False),
    ],
)
def test_destinations(tmp_path, destinations, permitted):
    found = refused(tmp_path, f"{ALL_REPOSITORIES}  destinations: [{destinations}]\n")
    only = destinations.startswith("{name: prod")
    where = "the namespace binder" if only else "the destination prod, namespace binder"
    assert found == ([] if permitted else [f"does not permit {where}"])


def test_namespaces_of_objects_are_destinations(tmp_path):
    synced = application(tmp_path, ALL_REPOSITORIES + "  destinations: [{name: prod, namespace: binder}]\n")
    elsewhere = synced.written / "metadata"
    rendered = Rendered((elsewhere / "name",), ())
    (refusal,) = refusals(synced.projects[0], synced, rendered)
    assert refusal.problem == "does not permit the namespace binderhub"
    assert refusal.about.path == ("metadata", "name")


@pytest.mark.parametrize(
    ("kinds", "permitted"),
    [
        ('{group: "", kind: Namespace}', True),
        ('{group: "*", kind: "*"}', True),
        ('{group: "*", kind: "Name*"}', True),
        ("{group: apps, kind: Namespace}", False),
        ("", False),
    ],
)
def test_kinds_without_a_namespace(tmp_path, kinds, permitted):
    project = ALL_REPOSITORIES + ALL_DESTINATIONS + f"  clusterResourceWhitelist: [{kinds}]\n"
    synced = application(tmp_path, project)
    rendered = Rendered((), (("", "Namespace", synced.place),))
    found = [refusal.problem for refusal in refusals(synced.projects[0], synced, rendered)]
    assert found == ([] if permitted else ["does not permit Namespace, which has no namespace"])


def test_a_project_without_an_application_binds_nobody(tmp_path):
    synced = application(tmp_path, ALL_REPOSITORIES)
    assert not list(idle(synced.projects, [synced]))
    assert list(idle(synced.projects, [])) == list(synced.projects)


@pytest.mark.parametrize(
    ("project", "expected"),
    [
        (ALL_REPOSITORIES + ALL_DESTINATIONS, ["every repository", "every namespace"]),
        ('  clusterResourceWhitelist: [{group: "*", kind: "*"}]', ["every kind that has no namespace"]),
        ('  clusterResourceWhitelist: [{group: "*", kind: Namespace}]', []),
        ('  sourceRepos: ["*", "!https://git.example.org/secret/*"]', []),
        ('  destinations: [{name: "*", namespace: "binder*"}]', []),
    ],
)
def test_what_a_project_permits_without_a_bound(tmp_path, project, expected):
    (of_it,) = application(tmp_path, project).projects
    assert [everything for _, everything in boundless(of_it)] == expected
