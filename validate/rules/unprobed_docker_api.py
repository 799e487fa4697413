"""unprobed-docker-api."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_docker_api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay
    from validate.place import Place

# Of each client the commands that the daemon answers; `docker` alone prints its help and ends with 0.
_ASKS_THE_DAEMON = {
    "docker": ("version", "info", "ps", "images", "system"),
    "podman": ("version", "info", "ps", "images", "system"),
    "buildctl": ("debug", "du"),
}
_ASKS_A_SOCKET = "curl"


class UnprobedDockerApi(OverlayRule):
    """docker-api counts as Ready before its daemon answers.

    Without probes a container is Ready as soon as its process runs. A rolling update then goes on to
    the next node while no daemon answers on this one, and a daemon that hangs is never restarted: its
    clients wait in silence. What tells is a probe that asks the daemon (`docker version` on its
    socket): a startup probe with time for a large data directory, and a readiness probe.

    Add `startupProbe` and `readinessProbe` with `exec` of `docker version`.
    """

    id = "unprobed-docker-api"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look at the startup and the readiness probe."""
        container = the_docker_api(overlay).container.place
        for name in ("startupProbe", "readinessProbe"):
            probe = container / name
            if not probe.exists:
                problem = f"docker-api has no {name}: it counts as Ready before its daemon answers"
            elif not _asks_the_daemon(probe):
                problem = (
                    f"the {name} of docker-api does not ask the daemon: it says nothing of whether it works"
                )
            else:
                continue
            command = probe.at("exec", "command")
            place = command if command.exists else probe
            yield Breach(
                at=place,
                problem=problem,
                fix=f"let {name} run 'docker version' in {place.origin.file}",
            )


def _asks_the_daemon(probe: Place) -> bool:
    command = " ".join(str(word) for word in probe.at("exec", "command").items)
    words = command.replace("/", " ").replace(";", " ").split()
    return _ASKS_A_SOCKET in words or any(
        tool in words and any(word in asking for word in words[words.index(tool) + 1 :])
        for tool, asking in _ASKS_THE_DAEMON.items()
    )
