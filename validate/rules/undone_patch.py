"""undone-patch."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from validate.place import Spot, dotted
from validate.rules.rule import Breach, RepositoryRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from validate.kustomize.undone import Undone
    from validate.overlay import Overlay, Repository


class UndonePatch(RepositoryRule[tuple["Undone", ...]]):
    """A patch writes a value that Kustomize then writes over.

    Kustomize runs `patches` first and `namespace`, `namePrefix`, `nameSuffix`, `labels`,
    `commonAnnotations`, `replicas` and `images` after them, whatever their order in the file
    (kubernetes-sigs/kustomize issue 5626, pull request 5911). A patch of what these set is undone
    without a word: the binding goes on naming the other namespace, the old image goes on running.
    `namespace`, `labels` and `commonAnnotations` of the kustomizations around it do the same.

    Say it in one place: drop the value from the patch, or the entry that overrules it. A patch of a
    base or component is undone only if it is in every overlay that reads it, so it is not judged where
    one of the overlays was not checked.
    """

    id = "undone-patch"

    def observe(self, overlay: Overlay) -> tuple[Undone, ...]:
        """Return what patches write in vain."""
        return overlay.undone

    def check(
        self, repository: Repository, facts: Mapping[str, tuple[Undone, ...]]
    ) -> Iterator[tuple[str, Breach]]:
        """Take each over all overlays that read the patch."""
        undone: dict[tuple[object, ...], dict[str, Undone]] = defaultdict(dict)
        for overlay, found in facts.items():
            for one in found:
                undone[one.patch, one.title, one.path].setdefault(overlay, one)
        unseen = set(repository.overlays) - facts.keys()
        for per_overlay in undone.values():
            example = next(iter(per_overlay.values()))
            file = example.patch.file
            owner = next((name for name in per_overlay if file.startswith(f"{name}/")), "")
            readers = {name for name in facts if file in repository.reads.get(name, ())}
            if readers <= per_overlay.keys() and (owner or not unseen):
                yield owner, _breach(example)


def _breach(one: Undone) -> Breach:
    path = dotted(one.path)
    return Breach(
        at=Spot(one.title, one.path, one.written, True, (one.patch,)),  # noqa: FBT003 - Spot.exists
        problem=f"this patch sets {path} of {one.title} to {one.written!r}, and {one.by.writer} in "
        f"{one.by.file}, which Kustomize applies later, to {one.final!r}",
        fix=f"drop {path} from the patch in {one.patch.file}, or change {one.by.writer} in {one.by.file}",
        related=(Spot(one.title, one.path, one.final, True, (one.by,)),),  # noqa: FBT003 - likewise
    )
