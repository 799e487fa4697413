"""What belongs together in a report that people read: one finding of several overlays is one finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from validate.diff.changes import Comparison
    from validate.finding import Finding, Report
    from validate.place import Origin


class Answer(NamedTuple):
    """What one owner answers for, for one reason and until one day.

    Attributes:
        at: where the first waiver that says so stands.
        objects: what it is about, each with its overlays.
    """

    rule: str
    reason: str
    owner: str
    expires: str
    at: Origin
    objects: Mapping[str, Sequence[str]]


def merged(findings: Iterable[Finding]) -> list[tuple[tuple[str, ...], Finding]]:
    """Return each finding once, with all overlays that it was found in: they share most of their files."""
    overlays: dict[Finding, list[str]] = {}
    for finding in findings:
        overlays.setdefault(replace(finding, overlay=""), []).append(finding.overlay)
    entries = [(tuple(names), finding) for finding, names in overlays.items()]
    return sorted(entries, key=lambda entry: (entry[0], entry[1].order))


def heading(overlays: tuple[str, ...], report: Report) -> str:
    """Return ``overlays/aks, overlays/eks``, ``all 5 overlays`` or ``the repository``."""
    if overlays == ("",):
        return "the repository"
    if len(overlays) > 1 and overlays == tuple(part.name for part in report.overlays):
        return f"all {len(overlays)} overlays"
    return ", ".join(overlays)


def answers(report: Report | Comparison) -> Iterator[Answer]:
    """Yield what somebody answers for: each reason once, and each object once for all its overlays."""
    objects: dict[tuple[str, str, str, str], dict[str, set[str]]] = {}
    lines: dict[tuple[str, str, str, str], Origin] = {}
    for finding, waiver in report.waived:
        terms = (waiver.rule, waiver.reason, waiver.owner, waiver.expires)
        objects.setdefault(terms, {}).setdefault(waiver.subject, set()).add(finding.overlay)
        lines[terms] = min(lines.get(terms, waiver.spot.origin), waiver.spot.origin)
    for terms, found in sorted(objects.items()):
        yield Answer(*terms, lines[terms], {name: sorted(overlays) for name, overlays in found.items()})
