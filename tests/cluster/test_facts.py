"""``cluster.yaml``: what is read, and the sentence for each way to get it wrong."""

from __future__ import annotations

import json
import re
from importlib import resources
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from validate.cluster.facts import (
    DEFAULT_KUBERNETES,
    SUPPORTED_KUBERNETES,
    ClusterFacts,
    no_facts,
    read_facts,
)
from validate.cluster.scheduling import Taint
from validate.errors import SourceError
from validate.place import Writer

if TYPE_CHECKING:
    import pathlib

KEYS = "cluster, kubernetes, disposable, nodePools, namespaces, provides or generatePaths"
SCHEMA = json.loads(resources.files("validate.cluster").joinpath("cluster.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def read(root: pathlib.Path, text: str) -> ClusterFacts:
    (root / "cluster.yaml").write_text(dedent(text))
    return read_facts(root, "cluster.yaml")


def problem(root: pathlib.Path, text: str) -> str:
    with pytest.raises(SourceError) as refused:
        read(root, text)
    return str(refused.value)


def test_every_fact_is_read_with_its_line(tmp_path: pathlib.Path) -> None:
    facts = read(
        tmp_path,
        """\
        kubernetes: ["1.33", "1.34"]
        disposable: true
        nodePools:
          - name: builds
            labels: {pool: builds, gpu: "true"}
            taints:
              - {key: hub.jupyter.org/dedicated, value: user, effect: NoSchedule}
              - {key: gpu, effect: NoExecute}
            allocatable: {cpu: 4, memory: 14Gi}
        namespaces:
          - {name: ingress-nginx, labels: {team: web}}
        provides:
          - {kind: ClusterSecretStore, name: vault}
          - {kind: Secret, name: registry-credentials, namespace: binder, keys: [config.json]}
        generatePaths: [., /base]
        cluster: research
        """,
    )
    (pool,) = facts.pools
    assert facts.cluster == "research"
    assert facts.kubernetes == ("1.33", "1.34")
    assert facts.disposable
    assert (pool.name, pool.labels) == ("builds", {"pool": "builds", "gpu": "true"})
    assert pool.taints == (
        Taint("hub.jupyter.org/dedicated", "user", "NoSchedule"),
        Taint("gpu", "", "NoExecute"),
    )
    assert {name: str(amount) for name, amount in pool.allocatable.items()} == {"cpu": "4", "memory": "14Gi"}
    assert (pool.place.origin.line, (pool.place / "taints" / 1).origin.line) == (4, 8)
    assert pool.place.origin.writer is Writer.FACTS
    (namespace,) = facts.namespaces
    assert namespace.labels == {"team": "web", "kubernetes.io/metadata.name": "ingress-nginx"}
    store, secret = facts.provides
    assert (store.kind, store.name, store.namespace, store.keys) == ("ClusterSecretStore", "vault", "", ())
    assert (secret.namespace, secret.keys, secret.place.origin.line) == ("binder", ("config.json",), 14)
    assert facts.generate_paths == (".", "/base")
    assert (facts.place / "disposable").origin.line == 2


def test_what_is_not_said_has_a_documented_default(tmp_path: pathlib.Path) -> None:
    for facts in (read(tmp_path, "{}"), no_facts("overlays/x/cluster.yaml")):
        assert facts.kubernetes == DEFAULT_KUBERNETES
        assert not facts.disposable
        assert not facts.cluster
        assert facts.pools == facts.provides == facts.namespaces == facts.generate_paths == ()
    assert (
        str((no_facts("overlays/x/cluster.yaml").place / "nodePools").origin) == "overlays/x/cluster.yaml:1"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1: is empty; say what the cluster is like or remove the file"),
        ("{}\n---\n{}\n", "3: has a second document; keep one"),
        ("- a\n", f"1: the file is a list; write a mapping with {KEYS}"),
        ("disposable: false\nnodepools: []\n", "2: nodepools is unknown; write nodePools"),
        ("shade: red\n", f"1: shade is unknown; write {KEYS}"),
        ("kubernetes: [1.30]\n",
         '1: kubernetes[0] is the number 1.3; quote versions, as in "1.30", which YAML else reads as 1.3'),
        ('kubernetes: ["1.24"]\n',
         "1: kubernetes[0] is the string '1.24'; write one of the supported versions, 1.25 to 1.37"),
        ('kubernetes: ["1.33.1"]\n',
         "1: kubernetes[0] is the string '1.33.1'; write one of the supported versions, 1.25 to 1.37"),
        ('kubernetes:\n- "1.33"\n- "1.33"\n', "3: kubernetes[1] is 1.33 again; write each version once"),
        ('kubernetes: "1.33"\n', "1: kubernetes is the string '1.33'; write a list"),
        ("kubernetes: []\n", "1: kubernetes is an empty list; name the minor versions that the cluster runs"),
        ("cluster: 7\n", "1: cluster is the number 7; write a string, in quotes if need be"),
        ("cluster: ''\n", "1: cluster is empty; give it a value"),
        ("disposable: 'yes'\n", "1: disposable is the string 'yes'; write true or false, without quotes"),
        ("nodePools:\n- labels: {}\n", "2: nodePools[0] has no name; add it"),
        ("nodePools:\n- {name: a}\n- {name: a}\n",
         "3: nodePools[1].name is 'a' a second time; give each pool its own name"),
        ("nodePools:\n- name: a\n  labels:\n    gpu: true\n",
         "4: nodePools[0].labels.gpu is the boolean true; write a string, in quotes if need be"),
        ("nodePools:\n- name: a\n  labels: {zone: 'a b'}\n",
         "3: nodePools[0].labels.zone is 'a b', which Kubernetes accepts as no label's value; correct it"),
        ("nodePools:\n- name: a\n  labels: {a b: c}\n",
         '3: nodePools[0].labels["a b"] is no key that a label can have; correct it'),
        ("nodePools:\n- name: a\n  taints:\n  - {key: gpu, value: 'true'}\n",
         "4: nodePools[0].taints[0] has no effect; add NoSchedule, PreferNoSchedule or NoExecute"),
        ("nodePools:\n- name: a\n  taints: [{key: gpu, effect: noschedule}]\n",
         "3: nodePools[0].taints[0].effect is 'noschedule'; write NoSchedule"),
        ("nodePools:\n- name: a\n  taints: [{effect: NoSchedule}]\n",
         "3: nodePools[0].taints[0] has no key; add it"),
        ("nodePools:\n- name: a\n  taints: [gpu]\n",
         "3: nodePools[0].taints[0] is the string 'gpu'; write a mapping with key, value or effect"),
        ("nodePools:\n- name: a\n  allocatable: {cpu: x}\n",
         "3: nodePools[0].allocatable.cpu is no quantity: 'x' is not a number such as 2, 500m, 1.5Gi or 1e3"),
        ("provides:\n- {kind: Secret}\n", "2: provides[0] has no name; add it"),
        ("provides:\n- {kind: Secret, name: x, key: [a]}\n", "2: provides[0].key is unknown; write keys"),
        ("provides:\n- {kind: Secret, name: ''}\n", "2: provides[0].name is empty; give it a value"),
        ("namespaces: {name: a}\n", "1: namespaces is a mapping; write a list"),
        ("generatePaths: [1]\n", "1: generatePaths[0] is the number 1; write a string, in quotes if need be"),
        ("disposable: true\ndisposable: false\n",
         "2: has the key 'disposable' twice in one mapping; keep one of them"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_with_its_line_and_the_way_out(
    tmp_path: pathlib.Path, text: str, expected: str
) -> None:
    assert problem(tmp_path, text) == f"cluster.yaml:{expected}"


def test_a_missing_file_is_said_to_be_missing(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SourceError, match=re.escape("cluster.yaml:1: does not exist")):
        read_facts(tmp_path, "cluster.yaml")


# --- The schema for editors -------------------------------------------------------------------------


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_names_the_supported_versions_and_they_all_have_schemas() -> None:
    assert tuple(SCHEMA["properties"]["kubernetes"]["items"]["enum"]) == SUPPORTED_KUBERNETES
    published = resources.files("kubernetes_validate").joinpath("kubernetes-json-schema")
    minors = {".".join(entry.name.lstrip("v").split("-")[0].split(".")[:2]) for entry in published.iterdir()}
    assert set(SUPPORTED_KUBERNETES) <= minors
    assert set(DEFAULT_KUBERNETES) <= set(SUPPORTED_KUBERNETES)


def test_every_property_of_the_schema_is_described() -> None:
    def properties(schema: dict[str, Any]) -> list[dict[str, Any]]:
        own = list(schema.get("properties", {}).values())
        below = [*own, schema["items"]] if "items" in schema else own
        return own + [deep for part in below for deep in properties(part)]

    assert all(part.get("description") for part in properties(SCHEMA))


label_maps = st.dictionaries(st.sampled_from(["a", "b/c"]), st.sampled_from(["x", ""]), max_size=2)
shapes: dict[str, st.SearchStrategy[Any]] = {
    "kubernetes": st.lists(st.sampled_from(["1.33", "1.37", "1.25"]), min_size=1, unique=True),
    "disposable": st.booleans(),
    "nodePools": st.lists(
        st.fixed_dictionaries(
            {"name": st.sampled_from(["core", "builds", "gpu"])},
            optional={
                "labels": label_maps,
                "taints": st.lists(
                    st.fixed_dictionaries(
                        {"key": st.just("k"), "effect": st.sampled_from(["NoSchedule", "NoExecute"])},
                        optional={"value": st.sampled_from(["v", ""])},
                    ),
                    max_size=2,
                ),
                "allocatable": st.fixed_dictionaries(
                    {}, optional={"cpu": st.sampled_from([4, "4", "3900m"])}
                ),
            },
        ),
        max_size=3,
        unique_by=lambda pool: pool["name"],
    ),
    "namespaces": st.lists(
        st.fixed_dictionaries({"name": st.just("n")}, optional={"labels": label_maps}), max_size=2
    ),
    "provides": st.lists(
        st.fixed_dictionaries(
            {"kind": st.just("Secret"), "name": st.just("s")},
            optional={"namespace": st.just("n"), "keys": st.lists(st.just("k"), max_size=2)},
        ),
        max_size=2,
    ),
    "generatePaths": st.lists(st.sampled_from([".", "/base"]), max_size=2),
}
wrong = st.sampled_from([None, True, 1, 1.33, "", "1.33", [], {}, [None], {"name": 1}, [{}]])


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """Draw a right file with at most one part replaced, removed or added."""
    whole = draw(st.fixed_dictionaries({}, optional=shapes))
    places = [(whole, key) for key in whole]
    for container, key in places:
        below = container[key]
        keys = below if isinstance(below, dict) else range(len(below)) if isinstance(below, list) else ()
        places += [(below, deeper) for deeper in keys]
    if not places or draw(st.booleans()):
        return whole
    container, key = draw(st.sampled_from(places))
    match draw(st.sampled_from(["replace", "remove", "add"])):
        case "replace":
            container[key] = draw(wrong)
        case "remove":
            del container[key]
        case "add" if isinstance(container, dict):
            container["nmae"] = draw(wrong)
    return whole


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=damaged())
def test_the_schema_for_editors_accepts_just_what_is_read(tmp_path: pathlib.Path, value: Any) -> None:
    text = yaml.safe_dump(value)
    directory = tmp_path / f"{abs(hash(text))}"
    directory.mkdir(exist_ok=True)
    try:
        read(directory, text)
        accepted = True
    except SourceError as error:
        # YAML has no unique names, so the schema cannot say these.
        if (
            "a second time" in error.problem
            or "no quantity" in error.problem
            or "Kubernetes accepts" in error.problem
        ):
            return
        accepted = False
    event(f"accepted: {accepted}")
    assert VALIDATOR.is_valid(value) is accepted
