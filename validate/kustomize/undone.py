"""What a patch writes and Kustomize then writes over.

Kustomize runs ``patches`` before ``namespace``, ``namePrefix``, ``labels``, ``commonAnnotations``,
``replicas`` and ``images``, those of the same file as well as those of the kustomizations around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from validate.kustomize.transformers import split_image
from validate.place import Json, Origin, Path, Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.source import Field

_PATCHES = (Writer.STRATEGIC_MERGE, Writer.JSON_PATCH)
# They speak of all objects. What the others do to a patch of a base is meant: they name one thing, to set it.
_SWEEPING = (Writer.NAMESPACE, Writer.LABELS, Writer.ANNOTATIONS)


class Undone(Struct, frozen=True):
    """A value that a patch writes, and that is another one in the end.

    Attributes:
        title: the object as it is when that happens, such as ``Deployment binderhub``.
        path: where in the object.
        written: what the patch says.
        patch: the line that says it.
        final: what stands there instead.
        by: the line that wrote that.
    """

    title: str
    path: Path
    written: Json
    patch: Origin
    final: Json
    by: Origin


def overwritten(before: Field, after: Field, arrived: Field | None) -> Iterator[Undone]:
    """Yield what patches wrote in ``before`` and is another value in ``after``.

    ``arrived`` is the object as it came to the kustomization, before its own patches.
    """
    if before is after:
        return
    title = f"{before.text('kind')} {before.text('metadata', 'name')}"
    for path, old, new in _differences(before, after, ()):
        by = new.origin
        if old.origin.writer not in _PATCHES or not _lost(old, new):
            continue
        if by.writer in _SWEEPING or arrived is None or arrived.get(*path) is not old:
            yield Undone(title, path, old.plain(), old.origin, new.plain(), by)


def _differences(before: Field, after: Field, path: Path) -> Iterator[tuple[Path, Field, Field]]:
    """Yield the scalars that differ; what transformers leave alone is the same field."""
    if before is after:
        return
    if isinstance(before.value, dict) and isinstance(after.value, dict):
        for key, old in before.value.items():
            new = after.value.get(key)
            if new is not None and new is not old:
                yield from _differences(old, new, (*path, key))
    elif isinstance(before.value, list) and isinstance(after.value, list):
        for index, (old, new) in enumerate(zip(before.value, after.value, strict=False)):
            yield from _differences(old, new, (*path, index))
    elif before.value != after.value:
        yield path, before, after


def _lost(old: Field, new: Field) -> bool:
    """Whether nothing is left of what the patch says: ``images`` may add to it, or turn to a mirror."""
    if new.origin.writer is not Writer.IMAGES:
        return True
    _, tag, digest = split_image(str(old.value))
    _, new_tag, new_digest = split_image(str(new.value))
    return bool(tag or digest) and (tag, digest) != (new_tag, new_digest)
