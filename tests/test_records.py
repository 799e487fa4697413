"""Records: what comes back is what went in, and a text can do nothing but be data."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validate import records
from validate.edits import Replace
from validate.finding import Outcome, Verdict
from validate.place import Origin, Spot, Writer

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters())
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below) | st.tuples(below, below) | st.dictionaries(st.text(), below),
    max_leaves=12,
)
ORIGINS = st.builds(
    Origin, st.text(), st.integers(1), st.integers(1), st.sampled_from(Writer), text_line=st.integers(0)
)
SPOTS = st.builds(
    Spot, st.text(), st.tuples(st.text() | st.integers()), VALUES, st.booleans(), st.tuples(ORIGINS)
)
# Hypothesis looks at the types of a class that it is given, and those are imported for type checkers alone.
EDITS = st.tuples(ORIGINS, SCALARS, SCALARS).map(lambda parts: Replace(*parts))


class Stranger(NamedTuple):
    name: str


def shape(value):
    """Return the value with its types: 1 is no True, and a tuple is no list."""
    if isinstance(value, dict):
        return [(shape(key), shape(below)) for key, below in value.items()]
    if isinstance(value, list | tuple):
        return (type(value), [shape(below) for below in value])
    return (type(value), value)


@given(st.lists(SPOTS | VALUES | EDITS, max_size=4))
def test_what_is_dumped_comes_back_with_the_same_types(values):
    assert shape(records.load(records.dump(values))) == shape(values)


def test_sets_and_records_come_back():
    value = {"a": frozenset({"x", "y"}), "b": (Outcome(Verdict.HOLDS), Outcome(Verdict.NOT_APPLICABLE, "no"))}
    assert records.load(records.dump(value)) == value


@pytest.mark.parametrize("value", [object(), Stranger("x"), {"a": {1, 2}}, b"bytes", len])
def test_what_is_no_plain_data_of_this_package_is_refused(value):
    with pytest.raises(TypeError):
        records.dump(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '[["os:system"],[0,"touch owned"]]',
        '[["builtins:eval"],[0,"1"]]',
        '[["validate.records:load"],[0,"x"]]',
        '[["validate.engine:check"],[0,1,2]]',
        '[["validate.place:NamedTuple"],[0]]',
        '[["validate.rules.rule:Rule"],[0]]',
        '[["validate.cluster.schema_bundle:Bundle"],[0]]',
        '[["validate.finding:Outcome"],[0,"holds"]]',
        '[["validate.finding:Outcome"],[0,"holds","",1]]',
        '[["validate.finding:Verdict"],[0,"great"]]',
        '[["validate.finding:Verdict"],[7,"holds"]]',
        "[[7],null]",
        '[[],["file","x"]]',
        '[[],["dict","a"]]',
        '[[],{"a":1}]',
        "[[],[]]",
    ],
)
def test_a_text_that_names_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="not what was dumped"):
        records.load(text)


def test_a_text_causes_no_import():
    import sys  # noqa: PLC0415 - its modules are what is looked at

    sys.modules.pop("validate.cluster.schema_bundle", None)
    with pytest.raises(ValueError, match="not what was dumped"):
        records.load('[["validate.cluster.schema_bundle:Kind"],[0]]')
    assert "validate.cluster.schema_bundle" not in sys.modules


def test_every_prefix_of_a_text_is_refused():
    text = records.dump([Origin("a.yaml", 1, 2, Writer.RESOURCE), {"key": (1.5, None)}])
    for length in range(len(text)):
        with pytest.raises(ValueError, match="not what was dumped"):
            records.load(text[:length])
