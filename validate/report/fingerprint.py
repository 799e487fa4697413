"""A name for each finding that stays when lines move, so that tools know it again in the next run."""

from __future__ import annotations

from collections import defaultdict
from hashlib import blake2b
from typing import TYPE_CHECKING

from validate.place import unhashed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from validate.finding import Finding

_BYTES = 16


def fingerprints(findings: Iterable[Finding]) -> Mapping[Finding, str]:
    """Return a fingerprint of each finding: of its rule, overlay, object and path, and no line or value.

    What is found twice of one field is numbered, as ``<hexadecimal>:2``.
    """
    alike: dict[str, set[Finding]] = defaultdict(set)
    for finding in findings:
        alike[_digest(finding)].add(finding)
    return {
        finding: f"{digest}:{number}"
        for digest, found in alike.items()
        for number, finding in enumerate(sorted(found, key=_text), start=1)
    }


def _digest(finding: Finding) -> str:
    parts = (finding.rule, finding.overlay, unhashed(finding.at.title), finding.at.path)
    return blake2b("\0".join(parts).encode(), digest_size=_BYTES).hexdigest()


def _text(finding: Finding) -> tuple[str, ...]:
    return (finding.problem, finding.evidence, finding.fix)
