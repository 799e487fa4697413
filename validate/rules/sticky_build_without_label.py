"""sticky-build-without-label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.edits import write
from validate.rules.rule import Breach, NotApplicable, OverlayRule
from validate.rules.subjects import the_build_pod, the_config, the_docker_api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay

_LABELS = {"app": "binder", "component": "image-builder"}


class StickyBuildWithoutLabel(OverlayRule):
    """Sticky builds are on, and BinderHub cannot find the docker-api pods.

    With `KubernetesBuildExecutor.sticky_builds` BinderHub sends the builds of one repository to the
    same node. To know the nodes it lists the pods labelled `app=binder, component=image-builder` in
    the build namespace. Where there is none, every build ends at once with "Unhandled error watching
    for build events", since BinderHub takes the first of an empty list.

    Give docker-api's pods both labels and run them in the build namespace, or turn sticky builds off.
    """

    id = "sticky-build-without-label"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Compare the labels and the namespace of docker-api's pods with what BinderHub lists."""
        sticky = the_config(overlay).trait("KubernetesBuildExecutor", "sticky_builds")
        if sticky.value is not True:
            raise NotApplicable("sticky_builds is off")
        workload = the_docker_api(overlay)
        labels = workload.pod.template.at("metadata", "labels")
        for key, value in _LABELS.items():
            if workload.pod.labels.get(key) != value:
                yield Breach(
                    at=labels / key,
                    problem=f"sticky_builds is on, and docker-api's pods lack the label {key}: {value}, "
                    "by which BinderHub looks for them: every build fails",
                    fix=f"add {key}: {value} to the pod labels in {labels.origin.file}",
                    related=(sticky,),
                    edits=write(labels / key, value),
                )
        namespace = the_build_pod(overlay).namespace
        if workload.object.namespace != namespace:
            place = workload.object.place.at("metadata", "namespace")
            yield Breach(
                at=place,
                problem=f"sticky_builds is on, docker-api runs in {workload.object.namespace}, "
                f"and BinderHub looks for it in {namespace}: every build fails",
                fix=f"run docker-api in {namespace}: {place.origin.file}",
                related=(sticky,),
            )
