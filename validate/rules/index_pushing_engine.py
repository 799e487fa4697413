"""index-pushing-engine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from validate.rules.rule import Breach, NotApplicable, OverlayRule
from validate.rules.subjects import the_docker_api, the_dockerd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay

_MAJOR = re.compile(r":v?(\d+)(\.|-|$)")
_FIRST_WITH_CONTAINERD = 29


class IndexPushingEngine(OverlayRule):
    """docker-api is of a version that pushes indexes, which BinderHub does not find.

    Docker 29 keeps images in containerd's store and pushes each as an OCI index
    (moby/moby issue 51532, docker-library/docker issue 560). Before a build BinderHub asks the
    registry for an image *manifest*; for an index the registry answers that there is none. So
    BinderHub builds the same commit again at every request, and nobody is told.

    Stay on docker 28, or turn the store off in `daemon.json`:
    `{"features": {"containerd-snapshotter": false}}`.
    """

    id = "index-pushing-engine"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look at the tag of docker-api's image and at the feature in daemon.json."""
        image = the_docker_api(overlay).container.place / "image"
        match = _MAJOR.search(image.text.rpartition("/")[2].partition("@")[0])
        dockerd = the_dockerd(overlay)
        feature = dockerd.settings.at("features", "containerd-snapshotter")
        if feature.value is True:
            yield Breach(
                at=feature,
                problem="daemon.json turns containerd's image store on: docker-api pushes indexes, "
                "and BinderHub builds every time",
                fix=f"set features.containerd-snapshotter to false in {feature.origin.file}",
            )
        elif match is None:
            raise NotApplicable(f"the tag of {image.text} does not tell the version of docker")
        elif int(match[1]) >= _FIRST_WITH_CONTAINERD and feature.value is not False:
            yield Breach(
                at=image,
                problem=f"docker {match[1]} pushes indexes, and BinderHub finds none: it builds every time",
                fix=f"take docker 28 in {image.origin.file}, or set features.containerd-snapshotter to false",
            )
