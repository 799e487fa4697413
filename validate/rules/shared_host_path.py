"""shared-host-path."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from validate.cluster.hostpaths import host_directories
from validate.rules.rule import Breach, RepositoryRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from validate.overlay import Overlay, Repository
    from validate.place import Spot


class _Directory(NamedTuple):
    """A directory of the node that a daemon uses, and the nodes that it may run on."""

    overlay: str
    daemon: str
    path: str
    spot: Spot
    node_selector: dict[str, str]


class SharedHostPath(RepositoryRule[tuple[_Directory, ...]]):
    """Two installations that can meet on a node use one directory of it.

    docker-api keeps its socket and its images in directories of the node. Two daemons in one
    directory destroy each other's images, and each takes the other's socket away: builds fail, or
    end up in the wrong registry (2i2c-org/infrastructure issue 3588). Keys made of two names can
    collide as well: namespace `a-b` with release `c` is `a` with `b-c`.

    Here the path carries namespace and installation, each as a directory of its own
    (`subPathExpr`). Give one of the two another namespace, or another
    `app.kubernetes.io/instance`.
    """

    id = "shared-host-path"

    def observe(self, overlay: Overlay) -> tuple[_Directory, ...]:
        """Return every directory of the node that a dockerd of the overlay uses."""
        return tuple(
            _Directory(
                overlay.name,
                pod.owner.title,
                host.path,
                host.places[0].pin(),
                {key: str(value) for key, value in (pod.spec / "nodeSelector").mapping.items()},
            )
            for pod in overlay.pods
            if any(container.command_line[:1] == ["dockerd"] for container in pod.containers)
            for host in {found.path: found for found in host_directories(pod)}.values()
        )

    def check(
        self, repository: Repository, facts: Mapping[str, tuple[_Directory, ...]]
    ) -> Iterator[tuple[str, Breach]]:
        """Compare each two directories of daemons that can run on one node."""
        clusters = {synced.path: synced.destination for synced in repository.synced or ()}
        directories = [directory for found in facts.values() for directory in found]
        for one, other in combinations(directories, 2):
            apart = clusters.get(one.overlay, one.overlay) != clusters.get(other.overlay, other.overlay)
            same_daemon = (one.overlay, one.daemon) == (other.overlay, other.daemon)
            if apart or same_daemon or not _nested(one.path, other.path) or not _meet(one, other):
                continue
            yield (
                other.overlay,
                Breach(
                    at=other.spot,
                    problem=f"{other.daemon} and {one.daemon} of {one.overlay} can meet, and both use "
                    f"{other.path} of the node: each destroys what the other keeps",
                    fix=f"give one of them a directory of its own, in {other.spot.origin.file}",
                    related=(one.spot,),
                ),
            )


def _nested(one: str, other: str) -> bool:
    shorter, longer = sorted((one.rstrip("/") + "/", other.rstrip("/") + "/"), key=len)
    return longer.startswith(shorter)


def _meet(one: _Directory, other: _Directory) -> bool:
    """Whether some node can have the labels that both ask for."""
    both = one.node_selector.keys() & other.node_selector.keys()
    return all(one.node_selector[key] == other.node_selector[key] for key in both)
