"""Limits of proxies are read in the units that they are written in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validate.cluster.objects import KubeObject
from validate.cluster.streams import obstacles, seconds
from validate.place import Origin, Writer


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.sampled_from(["", " "]))
def test_parts_of_a_duration_add_up(hours, minutes, rest, space):
    assert seconds(f"{hours}h{space}{minutes}m{space}{rest}s") == hours * 3600 + minutes * 60 + rest


@pytest.mark.parametrize(("text", "expected"), [("90", 90), ("500ms", 0.5), ("1d", 86400), ("0s", 0)])
def test_a_number_has_the_unit_that_follows_it(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "10 parsecs", "1y", "-5s"])
def test_what_is_no_duration_is_no_limit(text):
    assert seconds(text) is None


@pytest.mark.parametrize(
    ("timeouts", "cut"),
    [
        ({"request": "10s"}, True),
        ({"backendRequest": "15m"}, True),
        ({"request": "2h"}, False),
        ({"request": "0s"}, False),
    ],
)
def test_a_route_cuts_what_takes_longer_than_its_timeout(timeouts, cut):
    value = {"kind": "HTTPRoute", "metadata": {"name": "one"}, "spec": {"rules": [{"timeouts": timeouts}]}}
    route = KubeObject(value, lambda _: (Origin("route.yaml", 1, 1, Writer.RESOURCE),))
    assert bool(list(obstacles(route, [], [], silence=25, length=3600))) is cut
