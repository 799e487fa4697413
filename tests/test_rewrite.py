"""An edit changes what it is for, and leaves every other character of the file as it was."""

from __future__ import annotations

import copy

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from validate.edits import Add, Put, Remove, Rename, Replace
from validate.place import Origin, Writer
from validate.rewrite import EditError, rewrite
from validate.source import compose

VARIABLE = {"name": "MODE", "value": "1"}


def at(line, column):
    return Origin("file.yaml", line, column, Writer.RESOURCE)


@pytest.mark.parametrize(
    ("before", "edit", "after"),
    [
        ("path: /health  # why\n", Replace(at(1, 7), "/health", "/versions"), "path: /versions  # why\n"),
        ('a: "0"\n', Replace(at(1, 4), "0", "1"), 'a: "1"\n'),
        ("a: '0'\n", Replace(at(1, 4), "0", "it's"), "a: 'it''s'\n"),
        ("a: x\n", Replace(at(1, 4), "x", "1"), 'a: "1"\n'),
        ("a: x\n", Replace(at(1, 4), "x", "two\nlines"), 'a: "two\\nlines"\n'),
        ("a: false\n", Replace(at(1, 4), old=False, new=True), "a: true\n"),
        ("a: {b: x, c: x}\n", Replace(at(1, 14), "x", "y"), "a: {b: x, c: y}\n"),
        ('{"a": "x"}', Replace(at(1, 7), "x", "y"), '{"a": "y"}'),
        ('a: "ü😀"  # é\nb: x\n', Replace(at(2, 4), "x", "y"), 'a: "ü😀"  # é\nb: y\n'),
        ('{ü: "😀", b: x}\n', Replace(at(1, 13), "x", "y"), '{ü: "😀", b: y}\n'),
        ("a: x\r\nb: x\r\n", Replace(at(2, 4), "x", "y"), "a: x\r\nb: y\r\n"),
        ("\ufeffa: x\n", Replace(at(1, 4), "x", "y"), "\ufeffa: y\n"),
        ("a: 1\n---\na: x\n", Replace(at(3, 4), "x", "y"), "a: 1\n---\na: y\n"),
    ],
)
def test_a_value_is_replaced_in_its_own_style(before, edit, after):
    assert rewrite(before, edit) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("C:\n  nodeSelector: x  # why\n", "C:\n  node_selector: x  # why\n"),
        ("C:\n  'nodeSelector': x\n", "C:\n  'node_selector': x\n"),
        ('C: {"nodeSelector": x}\n', 'C: {"node_selector": x}\n'),
        ("C:\n  nodeSelector:\n    # why\n    a: b\n", "C:\n  node_selector:\n    # why\n    a: b\n"),
    ],
)
def test_a_key_is_renamed_whatever_its_value_is(before, after):
    (document,) = compose(before, "file.yaml")
    where = document.get("C", "nodeSelector").origin
    assert rewrite(before, Rename(where, "nodeSelector", "node_selector")) == after


@pytest.mark.parametrize(
    ("before", "edit", "after"),
    [
        (
            "spec:\n  a: 1\n  # about b\n\n# the end\n",
            Add(at(1, 1), "spec", "b", 2),
            "spec:\n  a: 1\n  b: 2\n  # about b\n\n# the end\n",
        ),
        ("spec:\n  a: 1  # one", Add(at(1, 1), "spec", "b", 2), "spec:\n  a: 1  # one\n  b: 2"),
        # Both begin at the same character: the name tells which one is meant.
        ("a:\n  b: 1\n", Add(at(1, 1), None, "c", "x"), "a:\n  b: 1\nc: x\n"),
        ("a: {}\n", Add(at(1, 4), "a", "b", {"c": "1"}), 'a: {b: {c: "1"}}\n'),
        ("a: {b: 1}  # why\n", Add(at(1, 4), "a", "c", "d: e"), 'a: {b: 1, c: "d: e"}  # why\n'),
        ('{\n  "a": 1\n}\n', Add(at(1, 1), None, "b", ["x"]), '{\n  "a": 1,\n  "b": ["x"]\n}\n'),
        ("a:\n  b: null\n", Add(at(1, 1), "a", "b", "x"), "a:\n  b: x\n"),
        ("a:\n  b:  # why\n", Add(at(1, 1), "a", "b", {"c": 1}), "a:\n  b: {c: 1}  # why\n"),
        ("a:\n  b:\n    c: 1\n", Add(at(1, 1), "a", "b", {"d": 2}), "a:\n  b:\n    c: 1\n    d: 2\n"),
        ("a:\n  b: x\n", Add(at(1, 1), "a", "b", "x"), "a:\n  b: x\n"),
        ("a:\r\n  b: 1\r\n", Add(at(1, 1), "a", "c", {"d": 1}), "a:\r\n  b: 1\r\n  c:\r\n    d: 1\r\n"),
        ("- a: |\n    x\n\n- b\n", Add(at(1, 3), None, "c", []), "- a: |\n    x\n  c: []\n\n- b\n"),
    ],
)
def test_an_entry_is_added_at_the_end_of_its_mapping(before, edit, after):
    assert rewrite(before, edit) == after


@pytest.mark.parametrize(
    ("before", "edit", "after"),
    [
        (
            "env:\n  - name: A\n    value: x  # why\n# after\n",
            Put(at(1, 1), "env", VARIABLE),
            'env:\n  - name: A\n    value: x  # why\n  - name: MODE\n    value: "1"\n# after\n',
        ),
        (
            "env:\n- name: A\n",
            Put(at(1, 1), "env", {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "f"}}}),
            "env:\n- name: A\n- name: B\n  valueFrom:\n    fieldRef:\n      fieldPath: f\n",
        ),
        (
            "env:\n  - name: MODE  # gone\n    $patch: delete\n  - name: B\n",
            Put(at(1, 1), "env", VARIABLE),
            'env:\n  - name: MODE\n    value: "1"\n  - name: B\n',
        ),
        (
            "env: [{name: A}]\n",
            Put(at(1, 6), "env", VARIABLE),
            'env: [{name: A}, {name: MODE, value: "1"}]\n',
        ),
        ("env: [{name: MODE}]\n", Put(at(1, 6), "env", VARIABLE), 'env: [{name: MODE, value: "1"}]\n'),
        ("l:\n  - a  # why\n", Put(at(1, 1), "l", "/b"), "l:\n  - a  # why\n  - /b\n"),
        ("l: [a]\n", Put(at(1, 4), "l", "."), "l: [a, .]\n"),
        ("env: []\n", Put(at(1, 6), "env", VARIABLE), 'env: [{name: MODE, value: "1"}]\n'),
    ],
)
def test_an_item_is_put_at_the_end_of_its_list_or_in_the_place_of_its_namesake(before, edit, after):
    assert rewrite(before, edit) == after


@pytest.mark.parametrize(
    ("before", "edit", "after"),
    [
        ("a: 1\n# about b\nb: 2  # two\nc: 3\n", Remove(at(3, 4), "b"), "a: 1\n# about b\nc: 3\n"),
        ("a: 1\nb:\n  c: 2\n\nd: 3\n", Remove(at(2, 1), "b"), "a: 1\n\nd: 3\n"),
        ("a: 1\nb: 2", Remove(at(2, 4), "b"), "a: 1\n"),
        ("- a: 1\n  b: 2\n", Remove(at(1, 6), "a"), "- b: 2\n"),
        ("l:\n  - a: 1\n  - b: 2\n", Remove(at(2, 5), None), "l:\n  - b: 2\n"),
        ("l: [a, b, c]\n", Remove(at(1, 8), None), "l: [a, c]\n"),
        ("l: [a, b]\n", Remove(at(1, 8), None), "l: [a]\n"),
        ("l: {a: 1, b: 2}\n", Remove(at(1, 8), "a"), "l: {b: 2}\n"),
        # What is left empty goes too.
        ("x: 1\nl:\n  - a:\n      b: 2\n", Remove(at(4, 10), "b"), "x: 1\n"),
        ("# all about a\na:\n  b: 2\n", Remove(at(3, 6), "b"), None),
    ],
)
def test_what_is_removed_goes_with_what_it_leaves_empty_and_no_comment_goes(before, edit, after):
    assert rewrite(before, edit) == after


@pytest.mark.parametrize(
    ("before", "edit", "after"),
    [
        (
            "patches:\n  - patch: |-\n      a:\n        b: x  # why\n\n        c: 1\n    target: {}\n",
            Replace(at(4, 6), "x", "y"),
            "patches:\n  - patch: |-\n      a:\n        b: y  # why\n\n        c: 1\n    target: {}\n",
        ),
        (
            "data:\n  50.yaml: |\n    A:\n      b: 1\nkind: ConfigMap\n",
            Add(at(3, 1), "A", "c", 2),
            "data:\n  50.yaml: |\n    A:\n      b: 1\n      c: 2\nkind: ConfigMap\n",
        ),
    ],
)
def test_what_stands_in_a_literal_block_is_edited_there(before, edit, after):
    assert rewrite(before, edit) == after


@pytest.mark.parametrize(
    ("before", "edit", "why"),
    [
        ("a: y\n", Replace(at(1, 4), "x", "z"), "x does not stand there"),
        ("a: x\n", Replace(at(1, 3), "x", "z"), "x does not stand there"),
        ("a: x\n", Replace(at(2, 4), "x", "z"), "x does not stand there"),
        ("a: 1\n", Replace(at(1, 4), "1", "2"), "1 does not stand there"),
        ("a: 1\n", Replace(at(1, 4), old=True, new=False), "true does not stand there"),
        ("a: x\n", Rename(at(1, 4), "b", "c"), "the key b does not stand there"),
        ("a: x\nb: y\n", Rename(at(1, 4), "a", "b"), "b stands beside it"),
        ("a: x\n", Add(at(1, 4), "a", "b", 1), "the mapping a does not stand there"),
        ("a:\n  b: x\n", Add(at(1, 1), "a", "b", "y"), "b stands there with another value"),
        ("env: {}\n", Put(at(1, 6), "env", VARIABLE), "the list env does not stand there"),
        ("a: x\n", Remove(at(1, 4), "b"), "the key b does not stand there"),
        ("a: &x y\nb: *x\n", Replace(at(1, 4), "y", "z"), "an anchor makes it stand in several places"),
        (
            "a: &x\n  b: y\nc: *x\n",
            Replace(at(2, 6), "y", "z"),
            "an anchor makes it stand in several places",
        ),
        ("a: &x y\n", Replace(at(1, 4), "y", "z"), "it is written with a tag, an anchor or as a block"),
        ("a: !!str y\n", Replace(at(1, 4), "y", "z"), "it is written with a tag, an anchor or as a block"),
        ("a: |\n  y\n", Replace(at(1, 4), "y\n", "z"), "it is written with a tag, an anchor or as a block"),
        ("a: &x {}\nb:\n  c: *x\n", Add(at(2, 1), "b", "d", 1), "an anchor stands at its end"),
        ("- - a\n  - b\n", Remove(at(1, 5), None), "it shares its line with something else"),
        ("a: 1\n---\nb: 2\n", Remove(at(3, 4), "b"), "nothing would be left of the document"),
        ("a: |\n  b: 1\nc: 2\n", Remove(at(2, 4), "b"), "nothing would be left of the block"),
        ("a: [\n", Replace(at(1, 4), "x", "y"), "the file would not be YAML any more"),
    ],
)
def test_what_is_not_as_it_was_seen_or_would_change_more_is_not_edited(before, edit, why):
    with pytest.raises(EditError, match=why):
        rewrite(before, edit)


words = st.text(st.sampled_from("ab1: #'\"{}[],&*|-~é😀\n"), max_size=6)
keys = st.text(st.sampled_from("abcdef.-/_"), min_size=1, max_size=4).filter(lambda key: key.strip("-./_"))
scalars = st.one_of(words, st.integers(-9, 9), st.booleans())
values = st.recursive(
    scalars,
    lambda below: (
        st.lists(below, min_size=1, max_size=3) | st.dictionaries(keys, below, min_size=1, max_size=3)
    ),
    max_leaves=8,
)
documents = st.dictionaries(keys, values, min_size=1, max_size=3)


class Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data):  # noqa: ARG002
        return True


def places(value, path=()):
    yield path
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    )
    for key, below in entries:
        yield from places(below, (*path, key))


def lookup(value, path):
    for key in path:
        value = value[key]
    return value


def without(value, path):
    """The model of Remove: what it leaves empty goes as well; None where nothing is left."""
    *above, last = path
    del lookup(value, above)[last]
    if lookup(value, above):
        return value
    return without(value, above) if above else None


@settings(max_examples=50, deadline=None)
@given(
    document=documents,
    other=scalars,
    name=keys,
    added=values,
    style=st.sampled_from([True, False]),
    data=st.data(),
)
def test_whatever_is_edited_reads_as_if_the_value_had_been_changed(document, other, name, added, style, data):
    text = yaml.dump(document, Dumper=Dumper, default_flow_style=style, sort_keys=False, allow_unicode=True)
    (field,) = compose(text, "file.yaml")
    path = data.draw(st.sampled_from([path for path in places(document) if path]))
    where, old = field.get(*path).origin, lookup(document, path)
    key = path[-1] if isinstance(path[-1], str) else None
    expected = copy.deepcopy(document)
    parent = lookup(expected, path[:-1])
    if isinstance(old, dict) and name not in old:
        edit = Add(where, key, name, added)
        parent[path[-1]][name] = added
    elif not isinstance(old, dict | list) and data.draw(st.booleans()):
        edit = Replace(where, old, other)
        parent[path[-1]] = other
    elif key is not None and name not in parent and data.draw(st.booleans()):
        edit = Rename(where, key, name)
        lookup(expected, path[:-1])[name] = parent.pop(key)
    else:
        edit = Remove(where, key)
        expected = without(expected, path)
    try:
        edited = rewrite(text, edit)
    except EditError as error:
        # PyYAML writes the first element of a list in a list on one line with its dash.
        if not isinstance(edit, Remove) or "shares its line" not in str(error):
            raise
        return
    assert (None if edited is None else yaml.safe_load(edited)) == expected
