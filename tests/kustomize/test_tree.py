"""The evaluated tree equals what Kustomize itself makes of the same files, whatever they say."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from validate.errors import SourceError
from validate.kustomize.render import find_kustomize
from validate.kustomize.tree import read_tree
from validate.place import lookup
from validate.source import load_rendered

ROOT = Path(__file__).parents[2]
NAMES = st.sampled_from(["a", "b", "c", "d"])
WORDS = st.sampled_from(["x", "y", "1", "true", ""])


def optional(**fields):
    return st.fixed_dictionaries({}, optional=fields)


ENV = st.lists(
    st.fixed_dictionaries({"name": NAMES, "value": WORDS}), max_size=3, unique_by=lambda e: e["name"]
)
PORTS = st.lists(
    st.fixed_dictionaries(
        {"containerPort": st.integers(1, 3)},
        optional={"name": NAMES},
    ),
    max_size=3,
    unique_by=lambda port: port["containerPort"],
)
CONTAINER = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "image": WORDS.filter(bool),
        "env": ENV,
        "ports": PORTS,
        "args": st.lists(WORDS, max_size=2),
        "resources": optional(limits=optional(cpu=WORDS, memory=WORDS)),
        "volumeMounts": st.lists(
            st.fixed_dictionaries({"mountPath": NAMES, "name": NAMES}),
            max_size=2,
            unique_by=lambda m: m["mountPath"],
        ),
    },
)
CONTAINERS = st.lists(CONTAINER, min_size=1, max_size=3, unique_by=lambda container: container["name"])
POD = st.fixed_dictionaries(
    {"containers": CONTAINERS},
    optional={
        "nodeSelector": st.dictionaries(NAMES, WORDS, min_size=1, max_size=3),
        "tolerations": st.lists(optional(key=NAMES, value=WORDS).filter(bool), max_size=2),
        "volumes": st.lists(
            st.fixed_dictionaries({"name": NAMES, "emptyDir": st.just({})}),
            max_size=2,
            unique_by=lambda v: v["name"],
        ),
        "terminationGracePeriodSeconds": st.integers(1, 9),
    },
)


@st.composite
def pod_patches(draw):
    """A patch of a pod, with deletions and directives among it."""
    patch = draw(optional(**dict(POD_PATCH.items())))
    if "containers" in patch:
        for container in patch["containers"]:
            if draw(st.integers(0, 9)) == 0:
                container["$patch"] = "delete"
    return patch


POD_PATCH = {
    "containers": CONTAINERS,
    "nodeSelector": st.one_of(
        st.none(),
        st.dictionaries(NAMES, st.one_of(st.none(), WORDS), min_size=1, max_size=3),
        st.fixed_dictionaries({"$patch": st.just("replace"), "z": WORDS}),
    ),
    "tolerations": st.lists(optional(key=NAMES, value=WORDS).filter(bool), min_size=1, max_size=2),
    "volumes": st.lists(
        st.fixed_dictionaries({"name": NAMES, "emptyDir": st.just({"medium": "Memory"})}),
        min_size=1,
        max_size=2,
        unique_by=lambda volume: volume["name"],
    ),
    "terminationGracePeriodSeconds": st.integers(1, 9),
}


def deployment(name, pod):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"template": {"spec": pod}},
    }


def write(directory, files):
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))


def rendered(directory):
    values = load_rendered(find_kustomize(ROOT).build(directory, "."))
    return {value["metadata"]["name"]: value for value in values}


def evaluated(directory):
    return {item.name: item.field.plain() for item in read_tree(directory, ".").items}


def without_nothing(value):
    """Leave out what Kustomize drops or keeps at will: nulls, and mappings that a patch has emptied."""
    if isinstance(value, dict):
        return {
            key: kept for key, below in value.items() if (kept := without_nothing(below)) not in ({}, None)
        }
    if isinstance(value, list):
        return [without_nothing(below) for below in value]
    return value


NAMESPACES = st.sampled_from(["", "default", "x", "y"])
ACCOUNTS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "default"]), NAMESPACES), max_size=3, unique_by=lambda one: one[0]
)
SUBJECTS = st.lists(
    st.tuples(st.sampled_from(["ServiceAccount", "User"]), NAMES, NAMESPACES), min_size=1, max_size=6
)


def named(kind, name, namespace, **more):
    version = "v1" if kind == "ServiceAccount" else "rbac.authorization.k8s.io/v1"
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    accounts=ACCOUNTS,
    subjects=SUBJECTS,
    kind=st.sampled_from(["RoleBinding", "ClusterRoleBinding"]),
    layers=st.lists(
        st.fixed_dictionaries(
            {}, optional={"namespace": NAMESPACES.filter(bool), "namePrefix": st.just("p-")}
        ),
        min_size=2,
        max_size=2,
    ),
)
@example(
    accounts=[("a", "x")],
    subjects=[("ServiceAccount", "a", "")],
    kind="RoleBinding",
    layers=[{}, {"namePrefix": "p-"}],
)
def test_subjects_follow_the_accounts_that_kustomize_lets_them_follow(
    accounts, subjects, kind, layers, tmp_path_factory
):
    directory = tmp_path_factory.mktemp("tree")
    entries = [
        {"kind": of, "name": name, **({"namespace": namespace} if namespace else {})}
        for of, name, namespace in subjects
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    made = [
        *(named("ServiceAccount", name, namespace) for name, namespace in accounts),
        named(kind, "binding", "", roleRef=role, subjects=entries),
    ]
    below, above = layers
    files = {f"base/object-{number}.json": one for number, one in enumerate(made)}
    files["base/kustomization.yaml"] = {"resources": [f"object-{n}.json" for n in range(len(made))], **below}
    write(directory, {**files, "kustomization.yaml": {"resources": ["base"], **above}})

    def namespaces(objects):
        binding = next(one for one in objects if one["kind"] == kind)
        return [subject.get("namespace") for subject in binding["subjects"]]

    ours = namespaces([item.field.plain() for item in read_tree(directory, ".").items])
    assert ours == namespaces(load_rendered(find_kustomize(ROOT).build(directory, ".")))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases=st.lists(st.tuples(POD, pod_patches()), min_size=1, max_size=12))
def test_strategic_merge_patches_give_what_kustomize_gives(cases, tmp_path_factory):
    directory = tmp_path_factory.mktemp("tree")
    files = {"kustomization.yaml": {"resources": ["all.json"], "patches": []}}
    objects = []
    for number, (pod, patch) in enumerate(cases):
        objects.append(deployment(f"d{number}", pod))
        files[f"p{number}.json"] = deployment(f"d{number}", patch)
        files["kustomization.yaml"]["patches"].append({"path": f"p{number}.json"})
    files["all.json"] = "\n---\n".join(map(json.dumps, objects))
    write(directory, files)
    assert without_nothing(evaluated(directory)) == without_nothing(rendered(directory))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    pods=st.lists(POD, min_size=1, max_size=8),
    pairs=st.dictionaries(NAMES, WORDS.filter(bool), max_size=2),
    selectors=st.booleans(),
    templates=st.booleans(),
    image=st.fixed_dictionaries(
        {"name": st.just("x")}, optional={"newName": st.just("r:5/z"), "newTag": WORDS}
    ),
    count=st.integers(0, 4),
)
def test_transformers_give_what_kustomize_gives(
    pods, pairs, selectors, templates, image, count, tmp_path_factory
):
    directory = tmp_path_factory.mktemp("tree")
    kustomization = {
        "resources": ["all.json"],
        "namespace": "here",
        "namePrefix": "p-",
        "labels": [{"pairs": pairs, "includeSelectors": selectors, "includeTemplates": templates}],
        "images": [image],
        "replicas": [{"name": "d0", "count": count}],
    }
    objects = [deployment(f"d{number}", pod) for number, pod in enumerate(pods)]
    write(
        directory, {"kustomization.yaml": kustomization, "all.json": "\n---\n".join(map(json.dumps, objects))}
    )
    assert without_nothing(evaluated(directory)) == without_nothing(rendered(directory))


def ports_after(ports, patch, directory):
    container = {"containers": [{"name": "a", "ports": ports}]}
    patched = {"containers": [{"name": "a", "ports": patch}]}
    kustomization = {"resources": ["d.json"], "patches": [{"path": "p.json"}]}
    files = {"kustomization.yaml": kustomization, "d.json": deployment("d", container)}
    write(
        directory,
        {key: json.dumps(value) for key, value in (files | {"p.json": deployment("d", patched)}).items()},
    )
    path = ("d", "spec", "template", "spec", "containers", 0, "ports")
    return [lookup(values, path) for values in (evaluated(directory), rendered(directory))]


def test_a_port_with_another_protocol_is_another_port(tmp_path):
    mine, theirs = ports_after(
        [{"containerPort": 1, "protocol": "TCP"}],
        [{"containerPort": 1, "protocol": "UDP", "name": "x"}],
        tmp_path,
    )
    assert mine == theirs
    assert len(mine) == 2


def test_a_patch_that_alone_names_the_protocol_is_lost_as_in_kustomize(tmp_path):
    mine, theirs = ports_after(
        [{"containerPort": 1}], [{"containerPort": 1, "protocol": "TCP", "name": "x"}], tmp_path
    )
    assert mine == theirs == [{"containerPort": 1}]


CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n"


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (
            {"kustomization.yaml": "resources: [gone.yaml]\n"},
            "kustomization.yaml:1: names gone.yaml, which does not exist; create it or remove it",
        ),
        (
            {"kustomization.yaml": "resources: [a]\n", "a/kustomization.yaml": "resources:\n  - ..\n"},
            (
                "a/kustomization.yaml:2: closes a loop of kustomizations "
                "(kustomization.yaml -> a/kustomization.yaml -> kustomization.yaml); remove one reference"
            ),
        ),
        (
            {"kustomization.yaml": "resources: [one.yaml]\nnamespase: x\n", "one.yaml": CONFIG_MAP},
            (
                "kustomization.yaml:2: has the field 'namespase', which kustomizations do not have; "
                "did you mean namespace?"
            ),
        ),
        (
            {"kustomization.yaml": "resources: [one.yaml]\nlabels: {a: b}\n", "one.yaml": CONFIG_MAP},
            "kustomization.yaml:2: has labels, which must be a list; write it as one",
        ),
        (
            {
                "kustomization.yaml": "resources: [one.yaml, two.yaml]\n",
                "one.yaml": CONFIG_MAP,
                "two.yaml": CONFIG_MAP,
            },
            "two.yaml:1: adds ConfigMap one, which one.yaml:1 adds as well; remove one of them",
        ),
        (
            {
                "kustomization.yaml": "resources: [one.yaml]\npatches:\n  - path: p.yaml\n",
                "one.yaml": CONFIG_MAP,
                "p.yaml": CONFIG_MAP.replace("one", "two"),
            },
            "p.yaml:3: patches ConfigMap two, which nothing makes; correct its kind or name",
        ),
        (
            {
                "kustomization.yaml": "resources: [one.yaml]\npatches:\n"
                "  - target: {kind: ConfigMap}\n"
                "    patch: |\n      - {op: replace, path: /data/x/y, value: 1}\n",
                "one.yaml": CONFIG_MAP,
            },
            "kustomization.yaml:5: has a JSON patch for 'data/x/y', which is not there; correct its path",
        ),
        (
            {
                "kustomization.yaml": "resources: [one.yaml]\npatches:\n  - target: {kind: ConfigMap}\n"
                "    patch: '[{op: replace, path: /data/x, value: y}]'\n",
                "one.yaml": CONFIG_MAP,
            },
            (
                "kustomization.yaml:4: has a JSON patch that begins with [ and is no JSON, which Kustomize "
                "refuses; begin each operation with a dash, or quote it as JSON"
            ),
        ),
        (
            {
                "kustomization.yaml": "resources: [one.yaml]\n"
                "patches: [{path: p.yaml, target: {kind: ConfigMap}}]\n",
                "one.yaml": CONFIG_MAP,
                "p.yaml": '[{"op": "replace", "path": "/data/x", "value": "y"}] # JSON has no comments\n',
            },
            (
                "p.yaml:1: has a JSON patch that begins with [ and is no JSON, which Kustomize refuses; "
                "begin each operation with a dash, or quote it as JSON"
            ),
        ),
        (
            {
                "kustomization.yaml": "resources: [one.yaml]\nreplicas: [{name: q, count: 1}]\n",
                "one.yaml": CONFIG_MAP,
            },
            "kustomization.yaml:2: sets replicas of 'q', which nothing makes; correct the name",
        ),
        (
            {"kustomization.yaml": "configMapGenerator:\n  - {name: a, behavior: merge, literals: [a=b]}\n"},
            (
                "kustomization.yaml:2: has behavior: merge for ConfigMap a, which nothing above it makes; "
                "correct the name or create it"
            ),
        ),
        (
            {"kustomization.yaml": "configMapGenerator:\n  - name: a\n    files:\n      - gone.txt\n"},
            "kustomization.yaml:4: names gone.txt, which cannot be read; create it or remove the line",
        ),
    ],
    ids=lambda value: value.partition(": ")[2][:40].replace(" ", "-") if isinstance(value, str) else "",
)
def test_what_kustomize_refuses_has_a_file_a_line_and_a_way_out(files, sentence, tmp_path):
    directory = tmp_path / "x"
    write(directory, files)
    with pytest.raises(SourceError) as caught:
        read_tree(directory, ".")
    assert str(caught.value) == sentence
    with pytest.raises(SourceError, match="cannot be rendered"):
        find_kustomize(ROOT).build(directory, ".")


@pytest.mark.parametrize(
    "patch",
    [
        '[{"op": "add", "path": "/metadata/labels", "value": {"x": "blue"}}]\n',
        "# Not JSON from the first character on.\n[{op: add, path: /metadata/labels, value: {x: blue}}]\n",
        "- {op: add, path: /metadata/labels, value: {x: blue}}\n",
    ],
    ids=["JSON", "flow-style-under-a-comment", "dashes"],
)
def test_a_json_patch_may_be_written_in_each_way_that_kustomize_reads(patch, tmp_path):
    kustomization = {"resources": ["one.yaml"], "patches": [{"path": "p.yaml", "target": {"name": "one"}}]}
    write(tmp_path, {"kustomization.yaml": kustomization, "one.yaml": CONFIG_MAP, "p.yaml": patch})
    assert evaluated(tmp_path) == rendered(tmp_path)
    assert evaluated(tmp_path)["one"]["metadata"]["labels"] == {"x": "blue"}
