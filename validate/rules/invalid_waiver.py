"""invalid-waiver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.rules.rule import Breach, RepositoryRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from validate.overlay import Overlay, Repository
    from validate.waivers import Waiver


# The root of the repository, which is an install too.
_NEUTRAL = "."


class InvalidWaiver(RepositoryRule[None]):
    """A waiver is incomplete, has expired, or waives nothing.

    A waiver says that somebody knows of a finding and answers for it, until a day. One without a
    reason, an owner or an end is forgotten, and hides the same mistake when it is made again. One
    that has nothing to waive is left over from something that was mended.

    Complete it, give it a new day if the reason still holds, or delete it. The waiver of an image names that
    image: another tag is a finding again.
    """

    id = "invalid-waiver"

    def observe(self, overlay: Overlay) -> None:
        """Nothing: the file of waivers says it all."""

    def check(
        self,
        repository: Repository,
        facts: Mapping[str, None],  # noqa: ARG002 - nothing was observed
    ) -> Iterator[tuple[str, Breach]]:
        """Judge each waiver by itself, then by what it waived."""
        for waiver in repository.waivers:
            problem = _problem(waiver, repository)
            if problem:
                yield "", Breach(at=waiver.spot, problem=problem, fix=_fix(waiver, repository))


def _problem(waiver: Waiver, repository: Repository) -> str:
    about = f"the waiver of {waiver.rule or '?'} for {waiver.subject or '?'} in {waiver.overlay or '?'}"
    missing = _missing(waiver, repository)
    if missing:
        return f"{about} has no {' and no '.join(missing)}"
    if waiver.last_day is None:
        return f"{about} expires on {waiver.expires!r}, which is no day: write it as 2027-05-31"
    if waiver.rule not in repository.rules:
        return f"{about} names a rule that does not exist"
    if repository.today > waiver.last_day:
        return f"{about} expired on {waiver.expires}"
    if waiver.overlay not in (*repository.overlays, _NEUTRAL):
        return f"{about} names an overlay that does not exist"
    if waiver in repository.idle_waivers:
        return f"{about} waives nothing"
    return ""


def _missing(waiver: Waiver, repository: Repository) -> tuple[str, ...]:
    return waiver.missing(repository.rules.get(waiver.rule, ()))


def _fix(waiver: Waiver, repository: Repository) -> str:
    file = waiver.spot.origin.file
    missing = _missing(waiver, repository)
    if missing:
        return f"add {' and '.join(missing)} in {file}"
    if waiver.last_day is not None and repository.today > waiver.last_day:
        return f"mend what it waives, or give it a new day in {file}"
    return f"correct it in {file}, or delete it"
