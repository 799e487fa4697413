"""unbounded-docker-api."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from validate.cluster.hostpaths import HostPath, on_the_node
from validate.cluster.limits import parse_quantity
from validate.cluster.mounts import mount_path, mounted_files
from validate.rules.rule import Breach, OverlayRule, Severity
from validate.rules.subjects import the_docker_api, the_dockerd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.cluster.objects import PodView
    from validate.overlay import Overlay, Workload
    from validate.place import Place

_COPIES = "vfs"
_IN_MEMORY = ("/run/", "/var/run/", "/dev/shm/")  # noqa: S108 - a path that is looked for
_PRUNES = "prune"
# What of, the least that a program can do with, and more than a node has.
_MEMORY, _DISK = ("memory", "4Mi", "4Ti"), ("disk", "64Ki", "64Ti")


class _Storage(NamedTuple):
    """Where the daemon keeps its data: the volume (None: the container itself), and the path on the node."""

    volume: Place | None
    host: HostPath | None


class UnboundedDockerApi(OverlayRule):
    """docker-api, or what shares a node with it, may take all memory or all disk.

    Builds run inside docker-api and share what it may use: BinderHub has no limit per build. Without
    a memory limit one build starves the node. Without a bound on its storage, images and build cache
    grow until the kubelet evicts pods: on Jetstream2 the builds of Project Pythia failed that way for
    three months (2i2c-org/infrastructure issues 6499, 6923).

    Set `resources.limits.memory`. Keep the data in a volume, and bound it: an `emptyDir` with `sizeLimit`,
    or on the node's disk garbage collection of the build cache in `daemon.json` (`builder.gc`) and, since
    that leaves every image that was ever built or pulled, the component image-cleaner. A cluster that
    `cluster.yaml` calls disposable does without the cleaner. A pod that exceeds its size limit is evicted,
    with the builds in it, so garbage collection or the cleaner has to come before that. The storage driver
    `vfs` keeps a whole copy for each layer.

    Every other container of the namespace, the build pod's among them, may run where builds do, and needs a
    memory limit as well; and every emptyDir a size limit, unless it is in memory. A limit beyond what any
    node has, or below what any program needs, has a wrong unit.
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
        driver = dockerd.settings / "storage-driver"
        if driver.value == _COPIES:
            yield Breach(
                at=driver,
                problem="the storage driver vfs keeps a whole copy for each layer: the disk is soon full",
                fix=f"take overlay2 in {driver.origin.file}",
            )
        yield from _unbounded(overlay, workload, dockerd.data_root.value, dockerd.data_root.place)
        data = _storage(workload, dockerd.data_root.value).volume
        pods = [*overlay.pods, *filter(None, (_build_pod(overlay),))]
        for pod in pods:
            yield from _without_limit(pod, besides=workload)
            yield from _without_size(pod, besides=data)
            yield from _misread_units(pod)


def _build_pod(overlay: Overlay) -> PodView | None:
    build = overlay.build_pod.object if overlay.build_pod else None
    return build.pod if build else None


def _without_limit(pod: PodView, besides: Workload) -> Iterator[Breach]:
    """Yield the containers of a pod without a memory limit, as one finding."""
    limits = [
        one.place.at("resources", "limits", "memory")
        for one in pod.all_containers
        if one.place.origin != besides.container.place.origin
    ]
    missing = [limit for limit in limits if not limit.exists]
    if missing:
        at = missing[0]
        which = "no memory limit" if len(missing) == len(limits) else "a container without a memory limit"
        yield Breach(
            at=at,
            problem=f"{_title(pod)} has {which}: where it takes what its node has, builds end there too",
            fix=f"set resources.limits.memory in {at.origin.file}",
            related=tuple(missing[1:]),
        )


def _without_size(pod: PodView, besides: Place | None) -> Iterator[Breach]:
    """Yield the volumes that are emptied with the pod, and that may fill the disk until then."""
    for volume in (pod.spec / "volumes").each():
        empty = volume / "emptyDir"
        given = set(volume.mapping) - {"name"}
        if given - {"emptyDir"} or (besides and volume.origin == besides.origin):
            continue
        # One in memory counts as memory of its pod.
        if not (empty / "sizeLimit").exists and (empty / "medium").value != "Memory":
            at = empty / "sizeLimit" if empty.exists else volume
            yield Breach(
                at=at,
                problem=f"{(volume / 'name').text} of {_title(pod)} is an emptyDir without a size limit: "
                "where it fills the disk of its node, builds end there too",
                fix=f"set emptyDir.sizeLimit in {volume.origin.file}",
            )


def _misread_units(pod: PodView) -> Iterator[Breach]:
    """Yield amounts of memory or disk that nobody can have meant."""
    amounts = [(one.place.at("resources", "limits", "memory"), _MEMORY) for one in pod.all_containers]
    amounts += [(one.at("emptyDir", "sizeLimit"), _DISK) for one in (pod.spec / "volumes").each()]
    for at, (what, least, most) in amounts:
        try:
            amount = parse_quantity(at.value)
        except ValueError:
            continue
        if amount < parse_quantity(least) or parse_quantity(most) < amount:
            yield Breach(
                at=at,
                problem=f"{_title(pod)} may take {at.value} of {what}: no more than {most} and no less than "
                f"{least} is of use",
                fix=f"look at the unit in {at.origin.file}",
            )


def _title(pod: PodView) -> str:
    return pod.owner.title if pod.owner.kind != "Pod" else "the build pod"


def _unbounded(overlay: Overlay, workload: Workload, root: str, root_place: Place) -> Iterator[Breach]:
    storage = _storage(workload, root)
    if storage.volume is None:
        yield Breach(
            at=root_place,
            problem=f"docker-api keeps its data in {root}, which is in no volume: it grows on the disk of "
            "the node, and nothing bounds it",
            fix=f"mount a volume at {root} in {workload.container.place.origin.file}",
        )
        return
    if storage.host is None:
        empty = storage.volume / "emptyDir"
        sources = [key for key in storage.volume.mapping if key != "name"]
        if sources in ([], ["emptyDir"]) and not (empty / "sizeLimit").exists:
            yield Breach(
                at=empty / "sizeLimit" if empty.exists else storage.volume,
                problem=f"docker-api keeps its data in {root}, an emptyDir without a size limit: the disk of "
                "the node fills up",
                fix=f"set emptyDir.sizeLimit in {storage.volume.origin.file}",
            )
        elif "emptyDir" in sources and not _collects(overlay) and not _cleaned(overlay, workload):
            limit = empty / "sizeLimit"
            yield Breach(
                at=limit,
                problem=f"nothing cleans up in {root} before it has {limit.value}: the kubelet evicts "
                "docker-api then, with every build of its node",
                fix="enable builder.gc in daemon.json, or add components/image-cleaner",
            )
        return
    place, path = storage.host.places[0], storage.host.path
    if path.startswith(_IN_MEMORY):
        yield Breach(
            at=place,
            problem=f"docker-api keeps its data in {path}, which is in the memory of the node",
            fix=f"take a directory on its disk in {place.origin.file}",
        )
    elif not _collects(overlay) and not _cleaned(overlay, workload):
        yield Breach(
            at=place,
            problem=f"nothing bounds what builds leave in {path}: the disk of the node fills up",
            fix="enable builder.gc in daemon.json, and add components/image-cleaner",
        )
    elif not overlay.facts.disposable and not _cleaned(overlay, workload):
        yield Breach(
            at=place,
            problem=f"nothing removes images from {path}: builder.gc bounds the build cache alone, and the "
            "disk of the node fills up",
            fix="add components/image-cleaner to the overlay",
        )


def _storage(workload: Workload, root: str) -> _Storage:
    mounts = [
        mount
        for mount in workload.container.mounts
        if f"{root.rstrip('/')}/".startswith(f"{mount_path(mount).rstrip('/')}/")
    ]
    nearest = max(mounts, key=lambda mount: len(mount_path(mount)), default=None)
    volume = workload.pod.volume((nearest / "name").text) if nearest else None
    return _Storage(volume, on_the_node(root, workload.container, workload.pod))


def _collects(overlay: Overlay) -> bool:
    """Whether the daemon removes what it kept of builds by itself."""
    return the_dockerd(overlay).settings.at("builder", "gc", "enabled").value is True


def _cleaned(overlay: Overlay, workload: Workload) -> bool:
    """Whether a container beside the daemon prunes, by its command line or by the script that it runs."""
    for container in workload.pod.containers:
        files = mounted_files(overlay.objects, workload.pod, container)
        texts = [
            *container.command_line,
            *(files[word].place.text for word in container.command_line if word in files),
        ]
        if any(_PRUNES in text for text in texts):
            return True
    return False
