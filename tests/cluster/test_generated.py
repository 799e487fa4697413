"""Text that names a generated object without its hash, and text that only seems to."""

from __future__ import annotations

import pytest

from validate.cluster.generated import generated, mentions
from validate.cluster.objects import KubeObject
from validate.place import Origin, Writer

BY = {"generator": Writer.GENERATOR, "resource": Writer.RESOURCE}


def an_object(kind, name, writer="resource", **rest):
    value = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "binder"}, **rest}
    return KubeObject(value, lambda _: (Origin("k.yaml", 3, 5, BY[writer], 3),))


def a_pod(*args, env=(), **metadata):
    container = {"name": "c", "image": "i", "args": [*args], "env": [*env]}
    pod = an_object("Pod", "p", spec={"containers": [container]})
    pod.value["metadata"].update(metadata)
    return pod


CONFIG = an_object("ConfigMap", "build-config-5bk9mfmt48", "generator", data={})
WORD = an_object("ConfigMap", "settings-5bk9mfmt48", "generator", data={})


def found(text, *objects):
    return [mention.generated.stem for mention in mentions([a_pod(text), CONFIG, WORD, *objects])]


def test_only_generated_objects_with_a_hash_are_sought():
    assert [one.stem for one in generated([CONFIG, WORD])] == ["build-config", "settings"]
    assert not list(generated([an_object("ConfigMap", "build-config-5bk9mfmt48")]))
    assert not list(generated([an_object("ConfigMap", "build-config", "generator")]))
    assert not list(generated([an_object("ConfigMap", "build-config-5bk9mfmt4", "generator")]))
    # Letters that Kubernetes leaves out of hashes, so that they spell no words.
    assert not list(generated([an_object("ConfigMap", "build-aeioulnprs", "generator")]))


@pytest.mark.parametrize(
    "text",
    [
        "build-config",
        "--config-map=build-config",
        "--config-map build-config",
        "--config-map=binder/build-config",
        "configmap/build-config",
        "kubectl get cm build-config -o yaml",
        'name: "build-config"',
        "[build-config]",
        "uses build-config.",
    ],
)
def test_a_name_in_text_is_found(text):
    assert found(text) == ["build-config"]


@pytest.mark.parametrize(
    "text",
    [
        "/etc/build-config/file",
        "/etc/build-config",
        "build-config.yaml",
        "build-config-old",
        "my-build-config",
        "prebuild-config",
        "build-config.binder.svc",
        "build-config/key",
        "# build-config",
        "run # with build-config",
        "build-config-5bk9mfmt48",
        "other/build-config",
    ],
)
def test_a_path_a_file_a_longer_name_or_a_comment_is_not(text):
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--config-map=settings", ["settings"]),
        ("kubectl get configmap settings", ["settings"]),
        ("settings", ["settings"]),
        ("print all settings", []),
        ("settings: true", []),
    ],
)
def test_one_word_is_a_name_only_where_a_name_must_be(text, expected):
    assert found(text) == expected


def test_a_name_that_something_else_has_too_is_not_found():
    assert found("build-config", an_object("Service", "build-config")) == []
    assert not list(mentions([a_pod("build-config", labels={"app": "build-config"}), CONFIG]))
    assert not list(mentions([a_pod("build-config"), CONFIG], ["build-config"]))


def test_variables_and_config_maps_are_text_and_secrets_and_references_are_not():
    variable = a_pod(env=[{"name": "A", "value": "build-config"}])
    reference = a_pod(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "build-config"}}}])
    text = an_object("ConfigMap", "notes", data={"a": "build-config\n"})
    secret = an_object("Secret", "notes", stringData={"a": "build-config\n"})
    hits = [len(list(mentions([item, CONFIG]))) for item in (variable, text, reference, secret)]
    assert hits == [1, 1, 0, 0]


def written_by(origin, text):
    item = KubeObject(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n"}, "data": {"a": text}},
        lambda _: (origin,),
    )
    (mention,) = mentions([item, CONFIG])
    return mention.at.origin.line, mention.at.origin.column


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (Origin("a.sh", 1, 1, Writer.GENERATOR, 1), (2, 5)),
        # A block scalar begins on the line after its key; how far it is indented is not known.
        (Origin("a.yaml", 7, 6, Writer.RESOURCE, 8), (9, 1)),
        # In a quoted string every line stands on the same one.
        (Origin("a.yaml", 7, 6, Writer.RESOURCE, 7), (7, 6)),
    ],
)
def test_the_line_is_that_of_the_file(origin, expected):
    assert written_by(origin, "one\ncat build-config\n") == expected
