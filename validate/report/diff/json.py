"""What a change does, for programs: as ``diff.schema.json`` describes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import validate
from validate.report.fingerprint import fingerprints
from validate.report.json import finding_document, origin_document, waiver_document

if TYPE_CHECKING:
    from validate.diff.changes import Cause, Comparison, Effect, FieldChange, ObjectChange, OverlayChange
    from validate.git import Revision
    from validate.report.view import View

# Counts up when a key goes or means something else; a new key alone does not change it.
VERSION = 1


def render(comparison: Comparison, _view: View | None = None) -> str:
    """Return the comparison as one JSON object, in ASCII: a stream may have any encoding."""
    return json.dumps(document(comparison), indent=2) + "\n"


def document(comparison: Comparison) -> dict[str, Any]:
    """Return what :func:`render` writes."""
    found = (*comparison.new, *comparison.fixed, *comparison.unchanged)
    # Each side by itself: the same finding has the same fingerprint on both.
    known = {
        **fingerprints(comparison.fixed),
        **fingerprints([*comparison.new, *comparison.unchanged, *(one.finding for one in comparison.waived)]),
    }
    assert all(finding in known for finding in found)  # noqa: S101 - for the reader: one of the two has it
    return {
        "version": VERSION,
        "tool": {"name": "validate", "version": validate.__version__},
        "exit_status": comparison.exit_status,
        "fail_on": comparison.fail_on.value,
        "base": _revision(comparison.base),
        "head": _revision(comparison.head) if comparison.head else None,
        "files": [{"file": one.file, "reaches": list(one.reaches)} for one in comparison.files],
        "overlays": [_overlay(one) for one in comparison.overlays],
        "untouched": comparison.untouched,
        "new": [finding_document(one, known) for one in comparison.new],
        "fixed": [finding_document(one, known) for one in comparison.fixed],
        "unchanged": [finding_document(one, known) for one in comparison.unchanged],
        "waived": [
            {**finding_document(one.finding, known), "waiver": waiver_document(one.waiver)}
            for one in comparison.waived
        ],
        "obstacles": list(comparison.all_obstacles),
        "notes": list(comparison.notes),
    }


def _revision(revision: Revision) -> dict[str, Any]:
    return {"name": revision.name, "commit": revision.commit}


def _overlay(overlay: OverlayChange) -> dict[str, Any]:
    return {
        "name": overlay.name,
        "how": overlay.how.value,
        "was": overlay.was or None,
        "applications": list(overlay.applications),
        "objects": [_object(one) for one in overlay.objects],
        "effects": [_effect(one) for one in overlay.effects],
        "obstacles": list(overlay.obstacles),
    }


def _object(change: ObjectChange) -> dict[str, Any]:
    return {
        "object": change.title,
        "how": change.how.value,
        "was": change.was or None,
        "cause": _cause(change.cause),
        "fields": [_field(one) for one in change.fields],
    }


def _field(field: FieldChange) -> dict[str, Any]:
    return {
        "path": field.path,
        "how": field.how.value,
        "before": field.before or None,
        "after": field.after or None,
        "lines": [{"sign": one.sign, "text": one.text, "line": one.number or None} for one in field.lines],
        "hidden": field.hidden,
        "cause": _cause(field.cause),
    }


def _effect(effect: Effect) -> dict[str, Any]:
    return {
        "kind": effect.kind.value,
        "subject": effect.subject,
        "sentence": effect.sentence,
        "grave": effect.grave,
        "causes": [_cause(cause) for cause in effect.causes],
    }


def _cause(cause: Cause | None) -> dict[str, Any] | None:
    return {**origin_document(cause.origin), "gone": cause.gone} if cause else None
