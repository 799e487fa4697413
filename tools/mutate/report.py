"""Report: what a run found, as text for a terminal and as a page."""

from __future__ import annotations

from textwrap import fill, indent
from typing import TYPE_CHECKING, NamedTuple

from tools.mutate.survivors import Why
from validate.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tools.mutate.score import Score, Tally
    from tools.mutate.survivors import Reason
    from tools.mutate.trial import Trial

_WIDTH = 110


class _Column(NamedTuple):
    title: str
    of: str


_COLUMNS = (
    _Column("made", "made"),
    _Column("no change", "unchanged"),
    _Column("harmless", "harmless"),
    _Column("harmful", "harmful"),
    _Column("refused", "refused"),
    _Column("caught", "caught"),
    _Column("share", "share"),
    _Column("beyond schemas", "share_beyond"),
)


def rows(score: Score) -> Iterator[tuple[str, ...]]:
    """Yield the table by kind: its head, a row for each kind, and one for all of them."""
    yield ("edit", *(column.title for column in _COLUMNS))
    for name, tally in (*score.tallies.items(), ("all", score.total)):
        if tally.made:
            yield (str(name), *(_cell(tally, column) for column in _COLUMNS))


def _cell(tally: Tally, column: _Column) -> str:
    value = getattr(tally, column.of)
    return f"{value:.1%}" if isinstance(value, float) else str(value)


def text(score: Score) -> str:
    """Return the report for a terminal: the table comes last, where it is in sight."""
    return "\n".join([*_survivors(score), *_table(score), "", *_closing(score)])


def _survivors(score: Score) -> Iterator[str]:
    for reason, trials in score.survivors.items():
        yield fill(f"{_why(reason)} ({len(trials)})", _WIDTH)
        for trial in trials:
            yield f"  {trial.mutant}"
        yield ""
    if score.refused:
        yield "refused, with exit status 2"
        for trial in score.refused:
            yield f"  {trial.mutant}"
            yield f"    {trial.words}"
        yield ""


def _why(reason: Reason | None) -> str:
    return f"{reason.why}: {reason.text}" if reason else "nobody says why these survive"


def _table(score: Score) -> Iterator[str]:
    table = list(rows(score))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for name, *cells in table:
        shown = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        yield "  ".join((name.ljust(widths[0]), *shown))


def _closing(score: Score) -> Iterator[str]:
    total = score.total
    if total.caught:
        yield (
            f"of {total.caught} that are caught, {total.in_file / total.caught:.0%} are told in the file of "
            f"the edit, {total.at_line / total.caught:.0%} at its line"
        )
    if score.harmless:
        yield f"{len(score.harmless)} harmless edits, {len(score.noise)} with a finding"
    yield f"{_minutes(score)} of processor time"


def _minutes(score: Score) -> str:
    """Return the time that it took in whole minutes, as much more differs from run to run."""
    minutes = max(round(score.cpu_seconds / 60), 1)
    return f"{minutes} minutes" if minutes > 1 else "1 minute"


def page(score: Score) -> str:
    """Return docs/explanation/detection.md."""
    total = score.total
    missing = sum(
        len(trials) for reason, trials in score.survivors.items() if reason and reason.why is Why.MISSING
    )
    parts = [
        _HEAD.format(
            made=total.made,
            files=len({trial.mutant.file for trial in score.trials}),
            share=f"{total.share:.1%}",
            harmful=total.harmful,
            caught=total.caught,
            harmless=len(score.harmless),
            noise=len(score.noise) or "none of them",
            minutes=_minutes(score),
        ),
        _markdown(rows(score)),
        _COLUMNS_EXPLAINED.format(
            in_file=f"{total.in_file / max(total.caught, 1):.0%}",
            at_line=f"{total.at_line / max(total.caught, 1):.0%}",
        ),
        "## Edits that must not be reported\n",
        _markdown([("harmless edit", "made", "reported"), *_sorts(score)]),
        _HARMLESS,
        "## Which rule catches how many\n",
        _markdown([("rule", "edits", "only this rule"), *_of_rules(score)]),
        _idle(score),
        f"## What no rule finds: {missing} harmful edits\n\n{_MISSING}",
        *_listed(score, Why.MISSING),
        *_refused(score),
        f"## What is harmless: {total.harmless} edits\n\n{_SURVIVING}",
        *_listed(score, Why.HARMLESS),
    ]
    return "\n".join(parts)


_HEAD = """\
# What validate finds in broken overlays

<!-- Written by tools/mutate from a run of all edits: make mutate -->

How good is a rule set? It holds on overlays that work; what counts is that it stops holding when they do
not. So `make mutate` takes every value in the {files} files that the overlays are made of, breaks it in each
way that fits it, one at a time, and asks validate.

**{caught} of {harmful} harmful edits are caught: {share}.** {harmless} edits that change nothing that matters
were made as well; validate has something to say of {noise}.

Nothing is drawn at random: the same files give the same {made} edits. They are generated by
[operators](https://en.wikipedia.org/wiki/Mutation_testing) that know nothing of the rules (`tools/mutate/`):
*drop* removes a value, a file's document or a list's element; *rename* misspells a name or a key; *retarget*
points it elsewhere; *loosen* opens what was closed; *tighten* closes what was open; *swap* puts another value
of its sort in its place, such as the port of another workload. A run takes {minutes} of processor time.
"""

_COLUMNS_EXPLAINED = """
- *no change*: every overlay renders, byte for byte, what it did before. Nothing is broken.
- *harmless*: no rule finds it, and it does no harm, for a reason that is written below. Whatever has no such
  reason is harmful.
- *refused*: validate ends with status 2 and a sentence, listed below. No rule has found it, so it does not
  count as caught.
- *caught*: a rule reports it. {in_file} of these reports show the file of the edit, and {at_line} the very
  line; of what is removed, the line that it stood under.
- *beyond schemas*: the share without the edits that only `unrenderable-overlay` or `invalid-object` catches,
  which `kustomize build` and an API server would refuse as well.

An edit is caught where an overlay that reads its file has a finding: a warning is enough.
Facts about clusters (`cluster.yaml`) are edited too. Such an edit means that the cluster is like that,
not that the file lies.
Not edited are BinderHub's `binderhub_config.py`, the shell script of the image cleaner, comments, and
components that no overlay takes.
"""

_HARMLESS = """
Reordering is of lists of which the order means nothing. After each of these edits no rule may
report anything, and no rule that judged the overlay before may find nothing to judge.
"""

_MISSING = """\
These do harm, and no rule sees it. Each says what a rule would have to know.
"""

_REFUSING = """\
A pipeline stops at these as well, since the exit status is 2, and its log has the sentence below. They
count as harmful, and not as caught.
"""

_SURVIVING = """\
Nobody should believe that an edit is harmless because no rule finds it. So each of these has a reason, and a
reason that also covers an edit that a rule does catch fails the run.
"""


def _markdown(table: Iterable[Sequence[str]]) -> str:
    head, *body = table
    lines = [head, ["---", *("---:" for _ in head[1:])], *body]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _sorts(score: Score) -> Iterator[tuple[str, str, str]]:
    noise = [trial.mutant.change for trial in score.noise]
    made = [trial.mutant.change for trial in score.harmless]
    for change in dict.fromkeys(sorted(made)):
        yield change, str(made.count(change)), str(noise.count(change))
    yield "all", str(len(made)), str(len(noise))


def _of_rules(score: Score) -> Iterator[tuple[str, str, str]]:
    for rule, (number, alone) in score.rules.items():
        yield f"[{rule}](../reference/rules/{rule}.md)", str(number), str(alone)


def _idle(score: Score) -> str:
    idle = [f"`{rule.id}`" for rule in RULES if rule.id not in score.rules]
    if not idle:
        return "\nEvery rule catches some of them.\n"
    return f"\nNo edit of one value breaks what these are about: {', '.join(idle)}. Their own cases do.\n"


def _listed(score: Score, why: Why) -> Iterator[str]:
    for reason, trials in score.survivors.items():
        if reason and reason.why is why:
            yield f"{reason.text}\n\n```text\n{_lines(trials)}```\n"


def _refused(score: Score) -> Iterator[str]:
    if score.refused:
        yield f"## What validate refuses: {len(score.refused)} harmful edits\n\n{_REFUSING}"
        told = "\n".join(f"{trial.mutant}\n  {trial.words}" for trial in score.refused)
        yield f"```text\n{told}\n```\n"


def _lines(trials: Iterable[Trial]) -> str:
    return indent("\n".join(str(trial.mutant) for trial in trials), "") + "\n"
