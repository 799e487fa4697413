"""unpinned-image."""

from __future__ import annotations

from posixpath import normpath
from typing import TYPE_CHECKING

from validate.cluster.images import read_image
from validate.place import Writer
from validate.rules.rule import Breach, OverlayRule
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
    behind the tag, in `base/images/`: `newTag: <tag>@sha256:<digest>`, and for build pods
    `KubernetesBuildExecutor.build_image`. Where the cluster is thrown away after use, and `cluster.yaml`
    says `disposable: true`, a tag will do; none, or `latest`, is a finding there as well. Until the
    digest is known, a waiver can accept the image by its tag; it names both, and covers no other tag.
    """

    id = "unpinned-image"
    waived_with = ("image",)

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look at the image of every container, and of build pods."""
        disposable = overlay.facts.disposable
        unpinned: dict[tuple[str, str], list[Place]] = {}
        for place, text in image_places(overlay):
            image = read_image(text)
            moves = image.tag in {"", "latest"}
            if not image.digest and (moves or not disposable):
                unpinned.setdefault((place.document.title, text), []).append(place)
        for (_, text), (place, *others) in unpinned.items():
            tag = read_image(text).tag
            meant = "the tag" if tag else "latest"
            yield Breach(
                at=place,
                problem=f"{text} has no {'digest' if tag else 'tag'}: what runs is whatever {meant} means at "
                "that moment",
                fix=f"{'write a tag, not latest,' if disposable else 'look up its digest and write it'} "
                f"into {_pins(overlay, place)}",
                related=tuple(others),
                image=text,
            )


def _pins(overlay: Overlay, place: Place) -> str:
    """Return the file that decides the version of an image, or that may."""
    decides = place.document is overlay.config or place.origin.writer is Writer.IMAGES
    return place.origin.file if decides else normpath(f"{overlay.name}/kustomization.yaml")
