"""privileged-container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.podsecurity import Level, Violation, violations
from validate.cluster.tokens import rights_of, secrets_in
from validate.rules.rule import Breach, NotApplicable, OverlayRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.cluster.objects import PodView
    from validate.overlay import Overlay


class PrivilegedContainer(OverlayRule):
    """A container other than docker-api's has what leads to the node, or to credentials.

    docker-api has to be privileged: it runs containers. So the namespace has to admit privileged pods,
    and Pod Security stops nobody else in it. A second container that is privileged, has a directory or a
    namespace of the node, or an added capability is a second way to root on the node, and through it to
    every credential there. The bar is the level `baseline` of the Pod Security Standards, for the other
    containers of docker-api's pod as well.

    A pod that holds a Secret, or a token with rights, is what an attacker wants. BinderHub is one, and it
    answers requests of strangers. For such pods the bar is `restricted`: no root, no new privileges, no
    capabilities, the seccomp profile of the runtime. A root file system that is read-only, which no level
    asks for, keeps whoever breaks in from replacing the program that has the credentials.

    Take away what goes beyond the bar, or add what is missing. A workload that needs more belongs in a
    namespace of its own.
    """

    id = "privileged-container"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Hold every container but the daemon to the bar of its pod."""
        daemon = overlay.docker_api
        pods = overlay.pods
        if not pods or (len(pods) == 1 and daemon and not _others(pods[0], overlay)):
            raise NotApplicable("no container here is any other than docker-api's")
        version = overlay.facts.kubernetes[-1]
        for pod in pods:
            beyond = violations(Level.BASELINE, pod.template, version)
            if daemon and pod.owner is daemon.object:
                others = _others(pod, overlay)
                beyond = [violation for violation in beyond if violation.path[:3] in others]
                yield from (_breach(pod, violation) for violation in beyond)
                continue
            yield from (_breach(pod, violation) for violation in beyond)
            # What is beyond the one bar is beyond the other as well.
            holds = "" if beyond else _holds(pod, overlay)
            for violation in violations(Level.RESTRICTED, pod.template, version) if holds else ():
                yield _breach(pod, violation, holds)
            if holds:
                yield from _writable(pod, holds)


def _others(pod: PodView, overlay: Overlay) -> set[tuple[object, ...]]:
    """Return the paths of the containers of docker-api's pod beside the daemon, within the pod."""
    daemon = overlay.docker_api.container.place.path if overlay.docker_api else ()
    above = len(pod.template.path)
    return {one.place.path[above:] for one in pod.all_containers if one.place.path != daemon}


def _holds(pod: PodView, overlay: Overlay) -> str:
    """Return what a pod holds that is worth stealing, empty where that is nothing."""
    secret = next(secrets_in(pod), None)
    if secret is not None:
        return f"the Secret {secret.text}"
    return "a token of the API with rights" if rights_of(pod, overlay.objects).grants else ""


def _writable(pod: PodView, holds: str) -> Iterator[Breach]:
    """Yield the containers whose programs can be replaced while they run, with what they hold."""
    for container in pod.all_containers:
        at = container.place.at("securityContext", "readOnlyRootFilesystem")
        if at.value is not True:
            yield Breach(
                at=at,
                problem=f"{pod.owner.title} holds {holds} and is less confined than it can be: "
                f"{container.name} may write over its own programs",
                fix=f"set readOnlyRootFilesystem in {at.origin.file}, and mount an emptyDir where it writes",
            )


def _breach(pod: PodView, violation: Violation, holds: str = "") -> Breach:
    place = pod.template.at(*violation.path)
    if not holds:
        return Breach(
            at=place,
            problem=f"{pod.owner.title} has what only docker-api may have: {violation.sentence}",
            fix=f"remove {place} in {place.origin.file}",
        )
    return Breach(
        at=place,
        problem=f"{pod.owner.title} holds {holds} and is less confined than it can be: {violation.sentence}",
        fix=f"meet the level restricted of the Pod Security Standards at {place} in {place.origin.file}",
    )
