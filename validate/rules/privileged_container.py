"""privileged-container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.podsecurity import Level, violations
from validate.rules.rule import Breach, NotApplicable, OverlayRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay


class PrivilegedContainer(OverlayRule):
    """A pod other than docker-api has what leads to the node.

    docker-api has to be privileged: it runs containers. So the namespace has to admit privileged pods,
    and Pod Security stops nobody else in it. A second pod with a privileged container, a directory of
    the node, a namespace of the node or an added capability is a second way to root on the node, and
    through it to every credential there.

    The bar is the level `baseline` of the Pod Security Standards. Take away what goes beyond it. A
    workload that needs it belongs in a namespace of its own.
    """

    id = "privileged-container"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Hold every pod but docker-api to the baseline level."""
        exempt = overlay.docker_api.object if overlay.docker_api else None
        pods = [pod for pod in overlay.pods if pod.owner is not exempt]
        if not pods:
            raise NotApplicable("no pod here is any other than docker-api")
        for pod in pods:
            for violation in violations(Level.BASELINE, pod.template, overlay.facts.kubernetes[-1]):
                place = pod.template.at(*violation.path)
                yield Breach(
                    at=place,
                    problem=f"{pod.owner.title} has what only docker-api may have: {violation.sentence}",
                    fix=f"remove {place} in {place.origin.file}",
                )
