"""unbounded-docker-api."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.hostpaths import on_the_node
from validate.place import lookup
from validate.rules.rule import Breach, OverlayRule, Severity
from validate.rules.subjects import the_docker_api, the_dockerd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay


class UnboundedDockerApi(OverlayRule):
    """docker-api may take all memory or all disk of its node.

    Builds run inside docker-api and share what it may use: BinderHub has no limit per build. Without
    a memory limit one build starves the node. Without a bound on its storage, images and build cache
    grow until the kubelet evicts pods: on Jetstream2 the builds of Project Pythia failed that way for
    three months (2i2c-org/infrastructure issues 6499, 6923).

    Set `resources.limits.memory`. Bound the storage: an `emptyDir` with `sizeLimit`, or garbage
    collection of the build cache in `daemon.json` (`builder.gc`) or the component image-cleaner.
    """

    id = "unbounded-docker-api"
    severity = Severity.WARNING

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look for a memory limit and for a bound of the data directory."""
        workload = the_docker_api(overlay)
        limits = workload.container.place.at("resources", "limits")
        if "memory" not in limits.mapping:
            yield Breach(
                at=limits / "memory",
                problem="docker-api has no memory limit, and the builds in it share what the node has",
                fix=f"set resources.limits.memory in {limits.origin.file}",
            )
        dockerd = the_dockerd(overlay)
        host = on_the_node(dockerd.data_root.value, workload.container, workload.pod)
        collected = lookup(dockerd.settings, ("builder", "gc", "enabled"))
        cleaned = any("prune" in " ".join(one.command_line) for one in workload.pod.all_containers)
        if host is not None and collected is not True and not cleaned:
            yield Breach(
                at=host.places[0],
                problem=f"nothing bounds what builds leave in {host.path}: the disk of the node fills up",
                fix="enable builder.gc in daemon.json, or add components/image-cleaner",
            )
