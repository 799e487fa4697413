"""What belongs together: overlays share most files, so one edit is the same change in all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from validate.diff.changes import Effect, How, Kind
from validate.report.grouping import answers
from validate.report.summary import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from validate.diff.changes import Comparison, ObjectChange
    from validate.finding import Finding


_MOST_TITLES = 8


class Objects(NamedTuple):
    """Objects in which the same fields change in the same way, or one that comes or goes."""

    titles: tuple[str, ...]
    change: ObjectChange


class Section(NamedTuple):
    """What is the same in these overlays."""

    overlays: tuple[str, ...]
    objects: tuple[Objects, ...]
    effects: tuple[Effect, ...]


def sections(comparison: Comparison) -> list[Section]:
    """Return what differs in the overlays that both sides have: what several share stands once."""
    changes: dict[ObjectChange, list[str]] = {}
    happens: dict[Effect, list[str]] = {}
    subjects: dict[Effect, list[str]] = {}
    for overlay in comparison.overlays:
        for change in overlay.objects if overlay.how is How.CHANGED else ():
            changes.setdefault(change, []).append(overlay.name)
        for effect in overlay.effects:
            alike = _nameless(effect)
            happens.setdefault(alike, []).append(overlay.name)
            subjects.setdefault(alike, []).append(effect.subject)
    together = {tuple(names) for names in (*changes.values(), *happens.values())}
    return [
        Section(
            names,
            _alike([change for change, those in changes.items() if tuple(those) == names]),
            _joined(
                [_of(effect, subjects[effect]) for effect, those in happens.items() if tuple(those) == names]
            ),
        )
        for names in sorted(together, key=lambda names: (-len(names), names))
    ]


def _nameless(effect: Effect) -> Effect:
    """Return what happens to an Application without its name, which is another one for each overlay."""
    return replace(effect, subject="") if effect.kind is Kind.SYNC else effect


def _of(effect: Effect, subjects: Sequence[str]) -> Effect:
    return effect if effect.subject else replace(effect, subject=", ".join(dict.fromkeys(subjects)))


def heading(overlays: Sequence[str], comparison: Comparison) -> str:
    """Return ``overlays/aks, overlays/eks``, ``all 30 overlays`` or ``the repository``."""
    if tuple(overlays) == ("",):
        return "the repository"
    everything = [one.name for one in comparison.overlays if one.name.startswith("overlays/")]
    if not comparison.untouched and len(overlays) > 1 and sorted(overlays) == sorted(everything):
        return f"all {len(overlays)} overlays"
    return ", ".join(overlays)


def summary(comparison: Comparison) -> str:
    """Return the sentence that says what the change comes to, with the exit status."""
    new, fixed = _counted(comparison.new, "new"), len({_shared(one) for one in comparison.fixed})
    parts = [new or "nothing new is found", f"{fixed} fixed" if fixed else ""]
    same = len({_shared(one) for one in comparison.unchanged})
    parts += [f"{count(same, 'finding')} as before" if same else ""]
    parts += [f"{count(len(comparison.waived), 'finding')} waived now" if comparison.waived else ""]
    grave = {_nameless(effect) for one in comparison.overlays for effect in one.effects if effect.grave}
    parts += [f"{count(len(grave), 'grave effect')}" if grave else ""]
    told = ", ".join(part for part in parts if part)
    return f"{told}{_meaning(comparison)} (exit status {comparison.exit_status})"


def _counted(findings: Sequence[Finding], word: str) -> str:
    shared = {_shared(one): one for one in findings}.values()
    errors = sum(one.severity == "error" for one in shared)
    warnings = len(shared) - errors
    texts = [
        f"{number} {word} {noun}{'' if number == 1 else 's'}"
        for number, noun in ((errors, "error"), (warnings, "warning"))
        if number
    ]
    return " and ".join(texts)


def _shared(finding: Finding) -> tuple[object, ...]:
    return finding.order[1:]


def _meaning(comparison: Comparison) -> str:
    match comparison.exit_status:
        case 2:
            return ": not everything could be compared, for the reasons on standard error"
        case 1:
            return ": new errors fail" if comparison.fail_on == "error" else ": new findings fail"
    return ": new warnings alone do not fail" if comparison.new else ""


def scope(comparison: Comparison) -> str:
    """Return the sentence that says what was compared, and how far the change reaches."""
    head = comparison.head or "the working tree"
    number, reaching = len(comparison.files), sum(bool(one.reaches) for one in comparison.files)
    if not number:
        return f"{comparison.base} and {head} are the same"
    differ = f"{comparison.base} to {head}: {count(number, 'file')} differ{'s' if number == 1 else ''}"
    if not reaching:
        return f"{differ}, and none reaches an overlay"
    touched = sum(one.name.startswith("overlays/") for one in comparison.overlays)
    who = f"{touched} of {count(touched + comparison.untouched, 'overlay')}"
    reach = f"reach{'es' if reaching == 1 else ''} {who}"
    return f"{differ} and {reach}" if reaching == number else f"{differ}, and {reaching} of them {reach}"


def rows(comparison: Comparison) -> list[list[str]]:
    """Return who is affected, as rows of cells: a heading, and each overlay that differs."""
    table = [["overlay", "synced by", "objects", "happens", "new", "fixed"]]
    for overlay in comparison.overlays:
        found = (*comparison.new, *comparison.fixed)
        if not overlay.name.startswith("overlays/"):
            continue
        if overlay.is_empty and not any(one.overlay == overlay.name for one in found):
            continue
        name = overlay.name if overlay.how is How.CHANGED else f"{overlay.name} ({overlay.how})"
        if overlay.was:
            name = f"{overlay.name} (was {overlay.was})"
        table.append(
            [
                name,
                ", ".join(overlay.applications) or "nobody",
                _objects(overlay.objects),
                ", ".join(dict.fromkeys(effect.kind for effect in overlay.effects)) or "nothing",
                str(sum(one.overlay == overlay.name for one in comparison.new)),
                str(sum(one.overlay == (overlay.was or overlay.name) for one in comparison.fixed)),
            ]
        )
    return table if len(table) > 1 else []


def _objects(objects: Sequence[ObjectChange]) -> str:
    counts = [(how, sum(one.how is how for one in objects)) for how in (How.CHANGED, How.ADDED, How.REMOVED)]
    return ", ".join(f"{number} {how}" for how, number in counts if number) or "none"


def _alike(changes: Sequence[ObjectChange]) -> tuple[Objects, ...]:
    """Return the changes, those with the same fields together."""
    found: dict[object, list[ObjectChange]] = {}
    for change in changes:
        alike = change.how is How.CHANGED and not change.was
        found.setdefault((change.fields,) if alike else (change.title,), []).append(change)
    return tuple(Objects(tuple(one.title for one in those), those[0]) for those in found.values())


def _joined(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    """Return the effects, those that differ in their subject alone as one."""
    found: dict[object, list[Effect]] = {}
    for effect in effects:
        found.setdefault((effect.kind, effect.sentence, effect.causes, effect.grave), []).append(effect)
    order = list(type(effects[0].kind)) if effects else []
    merged = [those[0] if len(those) == 1 else _merged(those) for those in found.values()]
    return tuple(sorted(merged, key=lambda effect: order.index(effect.kind)))


def _merged(effects: Sequence[Effect]) -> Effect:
    return replace(effects[0], subject=listed(dict.fromkeys(effect.subject for effect in effects)))


def listed(titles: Iterable[str]) -> str:
    """Return the titles, of many the first ones and how many more there are."""
    known = tuple(titles)
    more = f" and {len(known) - _MOST_TITLES} more" if len(known) > _MOST_TITLES else ""
    return ", ".join(known[:_MOST_TITLES]) + more


def waived(comparison: Comparison) -> Iterator[str]:
    """Yield a sentence for each reason that somebody answers with now."""
    for answer in answers(comparison):
        objects = (f"{name} in {heading(overlays, comparison)}" for name, overlays in answer.objects.items())
        what = listed(objects)
        yield f"{answer.rule} of {what}, until {answer.expires} by {answer.owner}: {answer.reason}"
