"""Findings and reports: what a run has to say, as plain frozen data that crosses process boundaries."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, field

from validate.binderhub.credentials import is_credential
from validate.place import Origin, Place, Scalar, Spot, dotted
from validate.rules.rule import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from validate.edits import Edit
    from validate.waivers import Waiver

CLEAN, FINDINGS, NOT_CHECKED = 0, 1, 2


class Location(Struct, frozen=True):
    """A place as a report shows it.

    Attributes:
        title: the document it is in, such as ``DaemonSet binder/docker-api``.
        path: ``spec.template.spec.nodeSelector``, empty for the whole document.
        exists: whether a value stands there; else ``writers`` are those of where it is missing.
        value: the value where it is a scalar that may be shown.
        writers: who wrote it, the last writer first.
        source: the line of ``origin`` as it stands in its file, empty where it cannot or may not be shown.
        hidden: value and line may hold a credential, and are left out.
    """

    title: str
    path: str
    exists: bool
    value: Scalar
    writers: tuple[Origin, ...]
    source: str = ""
    hidden: bool = False

    @property
    def origin(self) -> Origin:
        """The line that last wrote it."""
        return self.writers[0]


class Finding(Struct, frozen=True):
    """One breach of one rule. ``overlay`` is empty where it concerns the repository as a whole.

    ``edits`` do what ``fix`` says, where that is certain. ``image`` is the one that a waiver has to name.
    """

    overlay: str
    rule: str
    severity: Severity
    at: Location
    problem: str
    fix: str
    evidence: str = ""
    related: tuple[Location, ...] = ()
    edits: tuple[Edit, ...] = ()
    image: str = ""

    def __hash__(self) -> int:
        # What an edit writes may be a mapping.
        return hash(self.order)

    @property
    def page(self) -> str:
        """The page of the rule, relative to the repository."""
        return f"docs/reference/rules/{self.rule}.md"

    @property
    def order(self) -> tuple[object, ...]:
        """What reports sort by: overlay, then file and line; the rest makes the order total."""
        origin = self.at.origin
        where = (origin.file, origin.line, origin.column, self.rule, self.at.title, self.at.path)
        return (self.overlay, *where, self.problem, self.evidence, self.fix)


class Verdict(StrEnum):
    """What became of a rule."""

    HOLDS = "holds"
    BREACHED = "breached"
    WAIVED = "waived"
    NOT_APPLICABLE = "not applicable"
    NOT_CHECKED = "not checked"


class Outcome(Struct, frozen=True):
    """What became of a rule, and why where it was not judged."""

    verdict: Verdict
    reason: str = ""


class OverlayReport(Struct, frozen=True):
    """What was found in one overlay; in the repository, where ``name`` is empty.

    Attributes:
        name: ``overlays/kind``.
        objects: how many it renders, None where it does not render.
        outcomes: what became of each rule, by id.
        findings: of its own rules; those of repository rules are with the repository.
        obstacle: why the overlay as a whole was not checked, where that is not its own fault.
        notes: what rules cannot look at.
    """

    name: str
    objects: int | None = None
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    obstacle: str = ""
    notes: tuple[str, ...] = ()

    def rules(self, verdict: Verdict) -> list[str]:
        """Return the ids of the rules with that verdict."""
        return [rule for rule, outcome in self.outcomes.items() if outcome.verdict is verdict]


class Waived(NamedTuple):
    """A finding that somebody answers for, and who, why and until when."""

    finding: Finding
    waiver: Waiver


class Report(Struct, frozen=True, dict=True):
    """All of a run.

    Attributes:
        overlays: those that were checked, by name.
        repository: the rules about sources, and about overlays compared.
        waived: findings that are not among theirs, since somebody answers for them.
        obstacles: what kept parts from being checked, besides what the outcomes say.
        notes: what is no finding, and yet somebody should know.
        fail_on: the least severity of a finding that makes the run fail.
    """

    overlays: tuple[OverlayReport, ...]
    repository: OverlayReport
    waived: tuple[Waived, ...] = ()
    obstacles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fail_on: Severity = Severity.ERROR

    @property
    def parts(self) -> tuple[OverlayReport, ...]:
        """The overlays, then the repository."""
        return (*self.overlays, self.repository)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the order of :attr:`Finding.order`."""
        found = (finding for part in self.parts for finding in part.findings)
        return tuple(sorted(found, key=lambda finding: finding.order))

    @property
    def all_obstacles(self) -> Iterator[str]:
        """Sentences on what was not checked, for standard error."""
        yield from self.obstacles
        for part in self.parts:
            if part.obstacle:
                yield part.obstacle
            for rule in part.rules(Verdict.NOT_CHECKED):
                yield part.outcomes[rule].reason

    @property
    def exit_status(self) -> int:
        """0: nothing that fails; 1: a finding that does; 2: not everything could be checked."""
        if next(self.all_obstacles, None):
            return NOT_CHECKED
        return FINDINGS if any(self.fails(finding) for finding in self.findings) else CLEAN

    def fails(self, finding: Finding) -> bool:
        """Whether the run fails for this finding."""
        return self.fail_on is Severity.WARNING or finding.severity is Severity.ERROR


def locate(at: Place | Spot, source: str) -> Location:
    """Return the location of ``at``; ``source`` is the line of its origin."""
    spot = at.pin() if isinstance(at, Place) else at
    hidden = _may_hold_credential(spot)
    shown = spot.value if spot.value is None or isinstance(spot.value, bool | int | float | str) else None
    return Location(
        title=spot.title,
        path=dotted(spot.path),
        exists=spot.exists,
        value=None if hidden else shown,
        writers=spot.writers,
        source="" if hidden else source,
        hidden=hidden,
    )


def _may_hold_credential(spot: Spot) -> bool:
    """Whether the place is in a Secret's data, in a Docker configuration, or a credential of BinderHub's."""
    in_secret = spot.title.startswith("Secret ") and spot.path[:1] in (("data",), ("stringData",))
    in_docker = "auths" in spot.path or (isinstance(spot.value, str) and "auths" in spot.value)
    # Of a file as a whole nobody knows what its first line holds; that of a manifest is its kind.
    unknown = spot.title == spot.origin.file and not spot.origin.file.endswith((".yaml", ".yml"))
    return in_secret or in_docker or unknown or is_credential(spot.path, spot.value)
