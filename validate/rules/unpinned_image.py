"""unpinned-image."""

from __future__ import annotations

from posixpath import normpath
from typing import TYPE_CHECKING

from validate.cluster.images import read_image
from validate.rules.rule import Breach, NotApplicable, OverlayRule
from validate.rules.subjects import image_places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay
    from validate.place import Place


class UnpinnedImage(OverlayRule):
    """An image is named by a tag, and a tag can come to mean another image.

    Who may write to the registry can move a tag. Nodes that pull it afterwards run other code than
    those that pulled it before, and no pull request shows it. docker-api is root on its node, and the
    image of build pods runs beside the push credentials. A digest names one image for good.

    Look up the digest of the tag (`crane digest quay.io/jupyterhub/repo2docker:2026.04.0`) and write it
    under `images:` in the overlay; for build pods, into `KubernetesBuildExecutor.build_image`. An
    overlay whose cluster is thrown away after use says `disposable: true` in `cluster.yaml`. Until the
    digest is known, a waiver can accept the image by its tag; it names both, and covers no other tag.
    """

    id = "unpinned-image"
    waived_with = ("image",)

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look at the image of every container, and of build pods."""
        if overlay.facts.disposable:
            raise NotApplicable("the cluster is disposable")
        unpinned: dict[tuple[str, str], list[Place]] = {}
        for place, text in image_places(overlay):
            if not read_image(text).digest:
                unpinned.setdefault((place.document.title, text), []).append(place)
        for (_, text), (place, *others) in unpinned.items():
            of_build_pods = place.document is overlay.config
            where = place.origin.file if of_build_pods else normpath(f"{overlay.name}/kustomization.yaml")
            yield Breach(
                at=place,
                problem=f"{text} has no digest: what runs is whatever the tag means at that moment",
                fix=f"look up its digest and write it into {where}",
                related=tuple(others),
                image=text,
            )
