"""Which findings a change brings, mends, or leaves: a finding is known again when lines move."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from validate.place import unhashed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from validate.finding import Finding

Key = tuple[object, ...]


class Matched(NamedTuple):
    """Findings of the head that are new, those of the base that are gone, and those of the head that stay."""

    new: tuple[Finding, ...]
    fixed: tuple[Finding, ...]
    unchanged: tuple[Finding, ...]


def match(before: Iterable[Finding], after: Iterable[Finding], renamed: Mapping[str, str]) -> Matched:
    """Return what became of the findings; ``renamed`` maps former names of overlays to new ones.

    Two are the same where rule, overlay, object and path are, or, since paths have the numbers of elements in
    them, rule, overlay, object and problem.
    """
    fixed, new = list(before), list(after)
    unchanged: list[Finding] = []

    def same(key: Callable[[Finding], Key]) -> None:
        left: dict[Key, list[Finding]] = defaultdict(list)
        for finding in fixed:
            left[key(finding)].append(finding)
        for finding in tuple(new):
            known = left.get(key(finding))
            if known:
                fixed.remove(known.pop(0))
                new.remove(finding)
                unchanged.append(finding)

    def known(finding: Finding) -> Key:
        overlay = renamed.get(finding.overlay, finding.overlay)
        return (finding.rule, overlay, unhashed(finding.at.title))

    same(lambda one: (*known(one), one.at.path, one.problem))
    same(lambda one: (*known(one), one.at.path))
    same(lambda one: (*known(one), one.problem))
    return Matched(_sorted(new), _sorted(fixed), _sorted(unchanged))


def _sorted(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: finding.order))
