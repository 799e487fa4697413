"""Score: what a run amounts to, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tools.mutate.mutant import Kind
from tools.mutate.survivors import Why, reason_for
from tools.mutate.trial import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tools.mutate.survivors import Reason
    from tools.mutate.trial import Trial

# What is caught of the edits that do harm.
ENOUGH = 0.95
# Other tools see these too: Kustomize itself, and the schemas of the API server.
_SEEN_BY_OTHERS = frozenset({"unrenderable-overlay", "invalid-object"})
_BREAKING = tuple(kind for kind in Kind if kind is not Kind.HARMLESS)


@dataclass(slots=True)
class Tally:
    """How many mutants of a kind came to what.

    Attributes:
        made: all of them.
        unchanged: every overlay renders what it did.
        harmless: they survived, and the reason says that nothing is lost.
        refused: no rule has a finding, and validate says why it cannot check this.
        caught: a rule has a finding.
        in_file: of these, a finding is in the file of the edit, or refers to it.
        at_line: of these, at a line of the edit.
        elsewhere: of these, by nothing but what Kustomize and the schemas of the API server see too.
    """

    made: int = 0
    unchanged: int = 0
    harmless: int = 0
    refused: int = 0
    caught: int = 0
    in_file: int = 0
    at_line: int = 0
    elsewhere: int = 0

    @property
    def harmful(self) -> int:
        """Those that do harm: whatever nobody has shown to be harmless."""
        return self.made - self.unchanged - self.harmless

    @property
    def share(self) -> float:
        """Return what is caught of the harmful ones, 1 where there are none."""
        return self.caught / self.harmful if self.harmful else 1.0

    @property
    def share_beyond(self) -> float:
        """Return the same of those that Kustomize renders and the API server admits."""
        rest = self.harmful - self.elsewhere
        return (self.caught - self.elsewhere) / rest if rest else 1.0

    def count(self, trial: Trial, reason: Reason | None) -> None:
        """Count one mutant."""
        self.made += 1
        if trial.fate is Fate.UNCHANGED:
            self.unchanged += 1
        elif trial.fate is Fate.REFUSED:
            self.refused += 1
        elif trial.fate is Fate.CAUGHT:
            self.caught += 1
            self.in_file += trial.in_file
            self.at_line += trial.at_line
            self.elsewhere += set(trial.rules) <= _SEEN_BY_OTHERS
        elif reason is not None and reason.why is Why.HARMLESS:
            self.harmless += 1


@dataclass(frozen=True)
class Score:
    """A run, judged.

    Attributes:
        trials: of mutants that break something, in the order of files and lines.
        harmless: of edits that must cause no finding.
        reasons: why mutants survive.
        whole: every mutant was tried.
        cpu_seconds: what the trials took of the processors, all together.
    """

    trials: Sequence[Trial]
    harmless: Sequence[Trial]
    reasons: Sequence[Reason]
    whole: bool = True
    cpu_seconds: float = 0.0
    tallies: dict[Kind, Tally] = field(
        init=False, default_factory=lambda: {kind: Tally() for kind in _BREAKING}
    )

    def __post_init__(self) -> None:
        """Count."""
        for trial in self.trials:
            self.tallies[trial.mutant.kind].count(trial, reason_for(trial.mutant, self.reasons))

    @cached_property
    def total(self) -> Tally:
        """All kinds together."""
        return Tally(*(sum(getattr(one, name) for one in self.tallies.values()) for name in Tally.__slots__))

    @cached_property
    def survivors(self) -> dict[Reason | None, list[Trial]]:
        """The mutants that no rule finds, by reason: those without one first, then missing rules."""
        found: dict[Reason | None, list[Trial]] = {None: []}
        for why in (Why.MISSING, Why.HARMLESS):
            found.update({reason: [] for reason in self.reasons if reason.why is why})
        for trial in self.trials:
            if trial.fate in (Fate.SURVIVED, Fate.FAILED):
                found[reason_for(trial.mutant, self.reasons)].append(trial)
        return {reason: trials for reason, trials in found.items() if trials}

    @cached_property
    def refused(self) -> list[Trial]:
        """The mutants that validate cannot check, and says so."""
        return [trial for trial in self.trials if trial.fate is Fate.REFUSED]

    @cached_property
    def noise(self) -> list[Trial]:
        """The harmless edits after which something is found, or a rule has nothing to judge any more."""
        return [trial for trial in self.harmless if trial.fate is not Fate.SURVIVED or trial.silenced]

    @cached_property
    def rules(self) -> dict[str, tuple[int, int]]:
        """How many mutants each rule catches, and how many only it, the most first."""
        caught = [trial.rules for trial in self.trials if trial.fate is Fate.CAUGHT]
        every = Counter(rule for rules in caught for rule in rules)
        alone = Counter(rules[0] for rules in caught if len(rules) == 1)
        return {rule: (number, alone[rule]) for rule, number in every.most_common()}

    def complaints(self) -> Iterator[str]:
        """Yield what is wrong, each in a sentence; nothing where the run is good."""
        for trial in (*self.trials, *self.harmless):
            if trial.fate is Fate.FAILED:
                yield f"validate itself fails: {trial.mutant}: {trial.words}"
        for trial in self.survivors.get(None, ()):
            yield f"nobody says why this survives: {trial.mutant}"
        for trial in self.noise:
            told = trial.words or f"no longer judged: {', '.join(trial.silenced)}"
            yield f"harmless, and something is found: {trial.mutant}: {told}"
        yield from self._wide_reasons()
        if self.whole:
            for reason in self.reasons:
                if reason not in self.survivors:
                    yield f"a reason that covers no survivor: {reason.text}"
            if self.total.share < ENOUGH:
                yield f"{self.total.share:.1%} of the harmful edits are caught, and {ENOUGH:.0%} have to be"

    def _wide_reasons(self) -> Iterator[str]:
        """Yield the reasons that call harmless what a rule catches: they would hide it from then on."""
        for reason in self.reasons:
            caught = [one for one in self.trials if one.fate is Fate.CAUGHT and reason.covers(one.mutant)]
            if caught and reason.why is Why.HARMLESS:
                more = f" and {len(caught) - 1} more" if len(caught) > 1 else ""
                yield (
                    f"a rule catches what is called harmless: {caught[0].mutant} ({caught[0].words}){more}, "
                    f"for the reason: {reason.text}"
                )
