"""Sets of IP addresses, as the ranges of whole numbers that they are."""

from __future__ import annotations

from functools import cache, lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network, summarize_address_range
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Span(NamedTuple):
    """The addresses of one IP version from ``first`` to ``last``, both included."""

    version: int
    first: int
    last: int


class Addresses(Struct, frozen=True):
    """A set of addresses of both IP versions.

    ``spans`` are in order and do not touch each other, so equal sets are equal.
    """

    spans: tuple[Span, ...] = ()

    @classmethod
    def of(cls, *blocks: str) -> Addresses:
        """Return the addresses in these CIDR blocks; one address is a block too.

        As the API server does, bits after the mask are ignored: ``10.1.2.3/8`` is ``10.0.0.0/8``.

        Raises:
            ValueError: one of them is no CIDR block.
        """
        return cls(_joined(map(_span, blocks)))

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __and__(self, other: Addresses) -> Addresses:
        return _common(self, other)

    def __or__(self, other: Addresses) -> Addresses:
        return Addresses(_joined((*self.spans, *other.spans)))

    def __sub__(self, other: Addresses) -> Addresses:
        left = self.spans
        for hole in other.spans:
            left = tuple(rest for span in left for rest in _around(span, hole))
        return Addresses(left)

    @property
    def size(self) -> int:
        """How many addresses these are (a set of IPv6 addresses is larger than ``len`` may say)."""
        return sum(span.last - span.first + 1 for span in self.spans)

    def blocks(self) -> list[str]:
        """Return the CIDR blocks that make up these addresses, the fewest that do."""
        return [
            str(network)
            for span in self.spans
            for network in summarize_address_range(_address(span, span.first), _address(span, span.last))
        ]

    def __str__(self) -> str:
        return ", ".join(map(_text, self.spans)) or "no address"


@cache
def _span(block: str) -> Span:
    network = ip_network(block, strict=False)
    return Span(network.version, int(network.network_address), int(network.broadcast_address))


# The policies of a repository ask the same of the same few sets, in every overlay.
@lru_cache(maxsize=4096)
def _common(these: Addresses, those: Addresses) -> Addresses:
    both = (
        Span(one.version, max(one.first, two.first), min(one.last, two.last))
        for one in these.spans
        for two in those.spans
        if one.version == two.version
    )
    return Addresses(tuple(span for span in both if span.first <= span.last))


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    joined: list[Span] = []
    for span in sorted(spans):
        before = joined[-1] if joined else None
        if before is not None and before.version == span.version and span.first <= before.last + 1:
            joined[-1] = Span(span.version, before.first, max(before.last, span.last))
        else:
            joined.append(span)
    return tuple(joined)


def _around(span: Span, hole: Span) -> Iterator[Span]:
    """Yield what is left of ``span`` before and after ``hole``."""
    if span.version != hole.version or hole.last < span.first or span.last < hole.first:
        yield span
        return
    if span.first < hole.first:
        yield Span(span.version, span.first, hole.first - 1)
    if hole.last < span.last:
        yield Span(span.version, hole.last + 1, span.last)


def _address(span: Span, number: int) -> Any:
    return IPv4Address(number) if span.version == 4 else IPv6Address(number)  # noqa: PLR2004 - IP version 4


def _text(span: Span) -> str:
    first, last = _address(span, span.first), _address(span, span.last)
    return str(first) if first == last else f"{first} to {last}"
