"""What a rule is.

A rule's module, class, test cases, page and waiver share one slug. Its docstring is its page: the
first line is the title, the rest says what happens to people when it is breached and how to mend
it. Rules are pure: they look at places and yield breaches; the engine adds everything else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from validate.edits import Edit
    from validate.overlay import Overlay, Repository
    from validate.place import Place, Spot

# What an overlay tells a repository rule: plain frozen data that crosses process boundaries.
Fact: TypeAlias = Any
F = TypeVar("F")


class Severity(StrEnum):
    """How bad a breach is. Where a rule has to guess, it warns."""

    ERROR = "error"
    WARNING = "warning"


class NotApplicable(Exception):  # noqa: N818 - an outcome, not an error
    """Raised by a rule that has nothing to judge; the reason is counted and shown, never silently green."""


class Breach(Struct, frozen=True):
    """One way in which a rule does not hold.

    Attributes:
        at: the value to change (or the place where something is missing).
        problem: one sentence, with the values found and what will happen because of them.
        fix: an imperative that names the file to edit.
        evidence: what proves it, over several lines where need be: a counter-example node.
        related: the other side of the seam, shown with its own line.
        edits: what does the same as ``fix``, where it is certain; ``validate fix`` makes them.
        image: the image that it is about, where a waiver accepts that image and no other.
    """

    at: Place | Spot
    problem: str
    fix: str
    evidence: str = ""
    related: tuple[Place | Spot, ...] = ()
    edits: tuple[Edit, ...] = ()
    image: str = ""


class Rule(ABC):
    """What every rule has.

    ``requires`` names rules of which this one takes for granted that they hold: where one of them
    is breached, this rule is not applicable, so that one cause is not twenty findings. A waiver of
    it has the keys of ``waived_with`` besides those that every waiver has.
    """

    id: ClassVar[str]
    severity: ClassVar[Severity] = Severity.ERROR
    requires: ClassVar[tuple[str, ...]] = ()
    waived_with: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def title(cls) -> str:
        """Return the first line of the docstring, without the full stop."""
        return (cls.__doc__ or "").strip().partition("\n")[0].rstrip(".")


class OverlayRule(Rule):
    """Judges everything that one overlay renders, with its effective BinderHub configuration."""

    @abstractmethod
    def check(self, overlay: Overlay) -> Iterable[Breach]:
        """Yield each breach; raise :class:`NotApplicable` where there is nothing to judge."""

    def notes(self, overlay: Overlay) -> Iterable[str]:  # noqa: ARG002 - most rules look at everything
        """Return what this rule cannot look at in an overlay that it judges, a sentence each."""
        return ()


class RepositoryRule(Rule, Generic[F]):
    """Judges sources, or overlays together: observe each, then judge what was seen."""

    @abstractmethod
    def observe(self, overlay: Overlay) -> F:
        """Return what :meth:`check` needs of this overlay: plain frozen data."""

    @abstractmethod
    def check(self, repository: Repository, facts: Mapping[str, F]) -> Iterator[tuple[str, Breach]]:
        """Yield each breach with the name of the overlay it belongs to (empty: the repository).

        ``facts`` maps the name of each overlay that renders to what :meth:`observe` returned.
        """
