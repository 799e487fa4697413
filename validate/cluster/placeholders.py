"""Values that stand for those of somebody's own cluster, and must not be left as they are.

Addresses, accounts and identities that nobody can have: a component writes them so that an overlay
replaces them, and nothing fails before the first request to them does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from validate.cluster.addresses import Addresses

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validate.cluster.objects import KubeObject
    from validate.place import Place

# RFC 5737 and RFC 3849: for documentation.
_DOCUMENTED = Addresses.of("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
_ANNOTATIONS = {
    "eks.amazonaws.com/role-arn": re.compile(r"arn:[\w-]+:iam::0{12}:.*"),
    "iam.gke.io/gcp-service-account": re.compile(r".*@example\.iam\.gserviceaccount\.com"),
    "azure.workload.identity/client-id": re.compile(r"[0-]+"),
    "azure.workload.identity/tenant-id": re.compile(r"[0-]+"),
}
_FIELDS: dict[str, tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]] = {
    "GCRAccessToken": (
        (("spec", "projectID"), re.compile("example")),
        (("spec", "auth", "workloadIdentity", "clusterName"), re.compile("example")),
    ),
    "SecretStore": (
        (("spec", "provider", "azurekv", "vaultUrl"), re.compile(r"https://example\.vault\..*")),
    ),
}


class Placeholder(NamedTuple):
    """A value that nobody has, and what it should be."""

    at: Place
    meant: str


def placeholders(objects: Iterable[KubeObject]) -> Iterator[Placeholder]:
    """Yield the values that were left as a component has them."""
    for item in objects:
        if item.kind == "ServiceAccount":
            for key, pattern in _ANNOTATIONS.items():
                place = item.place.at("metadata", "annotations", key)
                if pattern.fullmatch(place.text):
                    yield Placeholder(place, "the identity of your cloud")
        for path, pattern in _FIELDS.get(item.kind, ()):
            place = item.place.at(*path)
            if pattern.fullmatch(place.text):
                yield Placeholder(place, "the one of your cloud")
        if item.kind == "NetworkPolicy":
            yield from _addresses(item)


def _addresses(policy: KubeObject) -> Iterator[Placeholder]:
    for rule in policy.place.at("spec", "egress").each():
        for cidr in (peer.at("ipBlock", "cidr") for peer in (rule / "to").each()):
            try:
                block = Addresses.of(cidr.text)
            except ValueError:
                continue
            if block & _DOCUMENTED == block:
                yield Placeholder(cidr, "an address of your network")
