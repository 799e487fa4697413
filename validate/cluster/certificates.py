"""Hosts and the certificates that they are served with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validate.cluster.objects import KubeObject
    from validate.place import Place


class Uncovered(NamedTuple):
    """The host of an Ingress that no certificate of it is for, and the hosts that they are for."""

    host: Place
    named: tuple[Place, ...]


def uncovered(objects: Iterable[KubeObject]) -> Iterator[Uncovered]:
    """Yield the hosts that an Ingress with certificates serves without one of them.

    The controller has its own for these, which no browser trusts. An entry without hosts is for all of them.
    """
    for ingress in (item for item in objects if item.kind == "Ingress"):
        entries = list(ingress.place.at("spec", "tls").each())
        named = tuple(host for entry in entries for host in (entry / "hosts").each())
        if not entries or not all((entry / "hosts").items for entry in entries):
            continue
        for host in (rule / "host" for rule in ingress.place.at("spec", "rules").each()):
            if host.text and not any(_covers(one.text, host.text) for one in named):
                yield Uncovered(host, named)


def _covers(pattern: str, host: str) -> bool:
    """Whether a certificate is for a host; an asterisk stands for one label, the first."""
    first, _, rest = host.partition(".")
    return pattern in (host, f"*.{rest}") and bool(first)
