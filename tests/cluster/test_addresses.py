"""Sets of addresses, against sets of whole numbers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validate.cluster.addresses import Addresses, Span

UNIVERSE = 16
BASES = {4: 0x0A000000, 6: 0xFD << 120}


def blocks():
    """Draw a block among the first 16 addresses of 10.0.0.0 or fd00::, with bits after the mask."""
    return st.builds(
        lambda version, bits, start: (
            f"10.0.0.{start}/{32 - bits}" if version == 4 else f"fd00::{start:x}/{128 - bits}"
        ),
        st.sampled_from([4, 6]),
        st.integers(0, 4),
        st.integers(0, UNIVERSE - 1),
    )


def members(block):
    """List the addresses of a block, without the arithmetic that is tested."""
    address, _, mask = block.partition("/")
    version = 6 if ":" in address else 4
    start = int(address.rpartition(":")[2], 16) if version == 6 else int(address.rpartition(".")[2])
    size = 2 ** ((128 if version == 6 else 32) - int(mask))
    return {
        (version, BASES[version] + number) for number in range(UNIVERSE) if number // size == start // size
    }


def numbers(addresses):
    return {(span.version, number) for span in addresses.spans for number in range(span.first, span.last + 1)}


def of_all(drawn):
    return set().union(*map(members, drawn)) if drawn else set()


@settings(max_examples=60, deadline=None)
@given(st.lists(blocks(), max_size=4), st.lists(blocks(), max_size=4))
def test_addresses_are_sets(one, two):
    left, right = Addresses.of(*one), Addresses.of(*two)
    first, second = of_all(one), of_all(two)
    assert numbers(left) == first
    assert numbers(left & right) == first & second
    assert numbers(left | right) == first | second
    assert numbers(left - right) == first - second
    assert bool(left) == bool(first)
    assert left.size == len(first)
    assert (left == right) == (first == second)
    assert (left - right == left) == (not first & second)


def test_the_whole_of_an_ip_version_is_one_range():
    assert Addresses.of("0.0.0.0/0").size == 2**32
    assert Addresses.of("::/0").size == 2**128
    assert Addresses.of("0.0.0.0/1", "128.0.0.0/1") == Addresses.of("0.0.0.0/0")


def test_what_touches_is_one_range_and_what_does_not_is_two():
    assert Addresses.of("10.0.0.0/32", "10.0.0.1/32").spans == (Span(4, 0x0A000000, 0x0A000001),)
    assert len(Addresses.of("10.0.0.0/32", "10.0.0.2/32").spans) == 2


def test_the_last_address_of_one_version_does_not_touch_the_first_of_the_other():
    assert len(Addresses.of("255.255.255.255/32", "::/128").spans) == 2


@pytest.mark.parametrize(
    ("blocks", "text"),
    [
        ((), "no address"),
        (("169.254.169.254",), "169.254.169.254"),
        (("10.0.0.0/30", "fd00::/127"), "10.0.0.0 to 10.0.0.3, fd00:: to fd00::1"),
    ],
)
def test_addresses_read_as_people_write_them(blocks, text):
    assert str(Addresses.of(*blocks)) == text


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "10.0.0", "::/129", "everything"])
def test_what_is_no_block_is_refused(text):
    with pytest.raises(ValueError, match="does not appear to be"):
        Addresses.of(text)
