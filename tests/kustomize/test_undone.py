"""What patches write in vain: whatever is reported as final is what Kustomize renders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from validate.kustomize.render import find_kustomize
from validate.kustomize.tree import read_tree
from validate.place import Writer, lookup
from validate.source import load_rendered

ROOT = Path(__file__).parents[2]
BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, labels: {team: a}, annotations: {note: a}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
  - {kind: ServiceAccount, name: default, namespace: x}
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  template:
    spec:
      containers:
        - {name: web, image: "web:1.0"}
"""
LABEL = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, labels: {team: b}}
"""
CASES = {
    "a namespace": ("namespace: z", "RoleBinding", ("subjects", 0, "namespace"), "y", "z", Writer.NAMESPACE),
    "a label": (
        "labels: [{pairs: {team: z}}]",
        "RoleBinding",
        ("metadata", "labels", "team"),
        "y",
        "z",
        Writer.LABELS,
    ),
    "a common label": (
        "commonLabels: {team: z}",
        "RoleBinding",
        ("metadata", "labels", "team"),
        "y",
        "z",
        Writer.LABELS,
    ),
    "an annotation": (
        "commonAnnotations: {note: z}",
        "RoleBinding",
        ("metadata", "annotations", "note"),
        "y",
        "z",
        Writer.ANNOTATIONS,
    ),
    "replicas": (
        "replicas: [{name: web, count: 3}]",
        "Deployment",
        ("spec", "replicas"),
        2,
        3,
        Writer.REPLICAS,
    ),
    "an image": (
        "images: [{name: web, newTag: '3.0'}]",
        "Deployment",
        ("spec", "template", "spec", "containers", 0, "image"),
        "web:2.0",
        "web:3.0",
        Writer.IMAGES,
    ),
    "a name": ("namePrefix: p-", "Deployment", ("metadata", "name"), "web2", "p-web2", Writer.NAME_PREFIX),
}


def write(root, files):
    for name, text in {"base/binding.yaml": BINDING, "base/deployment.yaml": DEPLOYMENT, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def json_patch(kind, path, value):
    pointer = "".join(f"/{key}" for key in path)
    operations = json.dumps([{"op": "replace", "path": pointer, "value": value}])
    return f"patches: [{{target: {{kind: {kind}}}, patch: '{operations}'}}]\n"


def undone(root, directory="base"):
    return read_tree(root, directory).undone


RESOURCES = "resources: [binding.yaml, deployment.yaml]\n"


@pytest.mark.parametrize(("entry", "kind", "path", "written", "final", "by"), CASES.values(), ids=CASES)
def test_what_a_transformer_of_the_same_kustomization_overwrites_is_undone(
    entry, kind, path, written, final, by, tmp_path
):
    write(tmp_path, {"base/kustomization.yaml": RESOURCES + json_patch(kind, path, written) + entry})
    (one,) = undone(tmp_path)
    assert (one.path, one.written, one.final, one.by.writer) == (path, written, final, by)
    assert one.patch.line == 2
    assert one.by.line == 3
    rendered = load_rendered(find_kustomize(ROOT).build(tmp_path, "base"))
    assert final in [lookup(value, path) for value in rendered if value["kind"] == kind]


SWEEPING = {"a namespace", "a label", "a common label", "an annotation"}


@pytest.mark.parametrize("case", CASES)
def test_a_kustomization_around_it_undoes_what_it_says_of_all_objects_alone(case, tmp_path):
    entry, kind, path, written, *_ = CASES[case]
    write(
        tmp_path,
        {
            "base/kustomization.yaml": RESOURCES + json_patch(kind, path, written),
            "overlay/kustomization.yaml": f"resources: [../base]\n{entry}",
        },
    )
    assert bool(undone(tmp_path, "overlay")) == (case in SWEEPING)


@pytest.mark.parametrize("case", CASES)
def test_a_value_that_no_patch_wrote_is_not_undone(case, tmp_path):
    write(tmp_path, {"base/kustomization.yaml": RESOURCES + CASES[case][0]})
    assert undone(tmp_path) == []


@pytest.mark.parametrize("case", [case for case in CASES if case != "a name"])
def test_a_patch_that_says_the_same_is_not_undone(case, tmp_path):
    entry, kind, path, _, final, _ = CASES[case]
    write(tmp_path, {"base/kustomization.yaml": RESOURCES + json_patch(kind, path, final) + entry})
    assert undone(tmp_path) == []


def test_a_mirror_keeps_the_tag_of_a_patch(tmp_path):
    patch = json_patch("Deployment", CASES["an image"][2], "web:2.0")
    mirror = "images: [{name: web, newName: mirror.example.org/web}]"
    write(tmp_path, {"base/kustomization.yaml": RESOURCES + patch + mirror})
    assert undone(tmp_path) == []


def test_a_patch_that_another_patch_overrules_is_not_undone_twice(tmp_path):
    files = {
        "base/kustomization.yaml": f"{RESOURCES}patches: [{{path: label.yaml}}]\n",
        "base/label.yaml": LABEL,
        "overlay/kustomization.yaml": "resources: [../base]\n"
        + json_patch("RoleBinding", ("metadata", "labels", "team"), "y")
        + "labels: [{pairs: {team: z}}]",
    }
    write(tmp_path, files)
    (one,) = undone(tmp_path, "overlay")
    assert one.written == "y"


def test_a_patch_of_a_subject_with_another_name_than_default_holds(tmp_path):
    account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n"
    patch = json_patch("RoleBinding", ("subjects", 0, "namespace"), "y")
    write(
        tmp_path,
        {
            "base/account.yaml": account,
            "base/binding.yaml": BINDING.replace("name: default", "name: web"),
            "base/kustomization.yaml": f"resources: [binding.yaml, account.yaml]\n{patch}namespace: binder\n",
        },
    )
    assert undone(tmp_path) == []
    values = load_rendered(find_kustomize(ROOT).build(tmp_path, "base"))
    assert "y" in [lookup(value, ("subjects", 0, "namespace")) for value in values]
