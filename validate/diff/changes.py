"""What differs between two revisions, as plain frozen data that crosses process boundaries."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from validate.finding import CLEAN, FINDINGS, NOT_CHECKED
from validate.rules.rule import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.finding import Finding, Waived
    from validate.git import Revision
    from validate.graph.picture import Picture
    from validate.place import Origin


class How(StrEnum):
    """What became of something."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Cause(NamedTuple):
    """The line that made the difference; ``gone`` where it stands in the base only."""

    origin: Origin
    gone: bool = False

    def __str__(self) -> str:
        """Return ``file:line``, and that it is gone."""
        return f"{self.origin} (before)" if self.gone else str(self.origin)


class Line(NamedTuple):
    """A line of a text that changed.

    Attributes:
        sign: ``+``, ``-``, a space for one that is the same, ``@`` for lines that are left out.
        text: the line.
        number: where it stands in its file, 0 where that is not known.
    """

    sign: str
    text: str
    number: int = 0


class FieldChange(Struct, frozen=True):
    """A field of an object that is another one, comes or goes.

    Attributes:
        path: as people write it, with the names of containers: ``spec.containers[docker-api].image``.
        before: what it was, as YAML; empty where it was not there, or may not be shown.
        after: what it is, likewise.
        lines: of a text of several lines, those that differ, instead of ``before`` and ``after``.
        hidden: some of it may hold a credential and is left out.
    """

    path: str
    how: How
    before: str = ""
    after: str = ""
    lines: tuple[Line, ...] = ()
    hidden: bool = False
    cause: Cause | None = None


class ObjectChange(Struct, frozen=True):
    """An object that changed, comes or goes.

    Attributes:
        title: such as ``DaemonSet binderhub/docker-api``, without the hash of a generated name.
        was: its former title, where it has another name or namespace now; else empty.
        cause: the line that brings it in, or that did; None where fields say it.
    """

    title: str
    how: How
    fields: tuple[FieldChange, ...] = ()
    was: str = ""
    cause: Cause | None = None


class Kind(StrEnum):
    """What happens on the cluster, the worst first."""

    REFUSED = "refused"
    PRUNED = "deleted"
    RECREATED = "recreated"
    KEPT = "left behind"
    SECURITY = "pod security"
    RBAC = "rights"
    NETWORK = "network"
    CAPACITY = "capacity"
    PLACEMENT = "nodes"
    IMAGE = "image"
    RESTARTS = "restarts"
    STALE = "not restarted"
    SYNC = "Argo CD"


class Effect(Struct, frozen=True):
    """Something that will happen.

    Attributes:
        subject: to what, such as ``DaemonSet binderhub/docker-api``.
        sentence: what, a clause that goes on from the subject.
        causes: the lines that make it happen.
        grave: whether somebody should stop and think.
    """

    kind: Kind
    subject: str
    sentence: str
    causes: tuple[Cause, ...] = ()
    grave: bool = False


class OverlayChange(Struct, frozen=True):
    """What becomes of one overlay.

    Attributes:
        name: ``overlays/eks``; of one that goes, what it was.
        was: its former name, where it was renamed; else empty.
        objects: what changed, comes or goes.
        effects: what happens on its cluster.
        applications: Argo CD's, ``binderhub-eks on cluster eks``.
        picture: the system as the head deploys it; None where it deploys none.
        obstacles: why one of the sides could not be rendered.
    """

    name: str
    how: How
    was: str = ""
    objects: tuple[ObjectChange, ...] = ()
    effects: tuple[Effect, ...] = ()
    applications: tuple[str, ...] = ()
    picture: Picture | None = None
    obstacles: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the cluster will see no difference."""
        return self.how is How.CHANGED and not (self.objects or self.effects or self.was or self.obstacles)


class ChangedFile(NamedTuple):
    """A file that differs, and what it reaches: overlays that read it, Applications that it makes."""

    file: str
    reaches: tuple[str, ...]


class Comparison(Struct, frozen=True, dict=True):
    """All that a change does.

    Attributes:
        base: what is compared with.
        head: what it is now; None for what is checked out.
        files: what differs, with whom it reaches.
        overlays: those that a changed file reaches, by name.
        untouched: how many others there are.
        new: findings that the change brings.
        fixed: findings that it mends.
        unchanged: findings of these overlays that were there before.
        waived: findings that somebody answers for since this change.
        obstacles: what kept a part from being compared.
        notes: what somebody should know besides.
        fail_on: the least severity of a new finding that makes the run fail.
    """

    base: Revision
    head: Revision | None
    files: tuple[ChangedFile, ...]
    overlays: tuple[OverlayChange, ...] = ()
    untouched: int = 0
    new: tuple[Finding, ...] = ()
    fixed: tuple[Finding, ...] = ()
    unchanged: tuple[Finding, ...] = ()
    waived: tuple[Waived, ...] = ()
    obstacles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fail_on: Severity = Severity.ERROR

    @property
    def all_obstacles(self) -> Iterator[str]:
        """Sentences on what was not compared, for standard error."""
        yield from self.obstacles
        for overlay in self.overlays:
            yield from overlay.obstacles

    @cached_property
    def exit_status(self) -> int:
        """0: nothing new that fails; 1: a new finding that does; 2: not everything could be compared."""
        if next(self.all_obstacles, None):
            return NOT_CHECKED
        return FINDINGS if any(self.fails(finding) for finding in self.new) else CLEAN

    def fails(self, finding: Finding) -> bool:
        """Whether the run fails for this new finding."""
        return self.fail_on is Severity.WARNING or finding.severity is Severity.ERROR

    @property
    def differing(self) -> tuple[OverlayChange, ...]:
        """The overlays whose clusters will see a difference."""
        return tuple(overlay for overlay in self.overlays if not overlay.is_empty)
