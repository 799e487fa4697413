"""divergent-image."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from validate.cluster.images import read_image
from validate.rules.rule import Breach, NotApplicable, RepositoryRule, Severity
from validate.rules.subjects import image_places

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from validate.overlay import Overlay, Repository
    from validate.place import Spot

_FEWEST = 2


class _Image(NamedTuple):
    """An image of an overlay: its name, its tag (its digest where it has none), where it stands, its text."""

    overlay: str
    name: str
    version: str
    spot: Spot
    text: str


class DivergentImage(RepositoryRule[tuple[_Image, ...]]):
    """Overlays run different versions of one image.

    Every overlay is tried out on the kind cluster first. One that runs another version of BinderHub
    or docker than the others was tried with that by nobody, and a fix that reaches the others does
    not reach it. Mostly it was set to look into something, and then forgotten.

    Set the version once, in `base/images/`. Where an overlay has to differ, say why and until when in
    `policies/waivers.yaml`.
    """

    id = "divergent-image"
    severity = Severity.WARNING
    waived_with = ("image",)

    def observe(self, overlay: Overlay) -> tuple[_Image, ...]:
        """Return the images of the overlay, BinderHub's `build_image` among them."""
        found = []
        for place, text in image_places(overlay):
            image = read_image(text)
            found.append(_Image(overlay.name, image.name, image.tag or image.digest, place.pin(), text))
        return tuple(found)

    def check(
        self, repository: Repository, facts: Mapping[str, tuple[_Image, ...]]
    ) -> Iterator[tuple[str, Breach]]:
        """Compare each image with the version that most overlays run."""
        if len(facts) < _FEWEST:
            raise NotApplicable(f"{len(facts)} of {len(repository.overlays)} overlays were compared")
        by_name: dict[str, list[_Image]] = defaultdict(list)
        for image in (image for images in facts.values() for image in images):
            by_name[image.name].append(image)
        for name, images in by_name.items():
            runs = {overlay: {one.version for one in images if one.overlay == overlay} for overlay in facts}
            counted = Counter(version for versions in runs.values() for version in versions)
            usual = min(counted, key=lambda version: (-counted[version], version))
            users = sum(map(bool, runs.values()))
            example = next(image for image in images if image.version == usual)
            for image in images:
                if image.version != usual and usual not in runs[image.overlay]:
                    yield (
                        image.overlay,
                        Breach(
                            at=image.spot,
                            problem=f"{image.overlay} runs {image.version} of {name}, and "
                            f"{counted[usual]} of {users} overlays that have it run {usual}",
                            fix=f"run {usual} in {image.spot.origin.file} as well, or write down why not in "
                            "policies/waivers.yaml",
                            related=(example.spot,),
                            image=image.text,
                        ),
                    )
