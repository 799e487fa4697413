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
# What happens to people without each.
_WITHOUT = {
    "startupProbe": "it counts as Ready before its daemon answers",
    "readinessProbe": "it counts as Ready before its daemon answers",
    "livenessProbe": "a daemon that hangs is never restarted, and its clients wait in silence",
}
# Kubernetes' own where a probe says nothing.
_PERIOD, _THRESHOLD = 10, 3
_LEAST_SECONDS = 60


class UnprobedDockerApi(OverlayRule):
    """docker-api counts as Ready before its daemon answers.

    Without probes a container is Ready as soon as its process runs. A rolling update then goes on to
    the next node while no daemon answers on this one, and a daemon that hangs is never restarted: its
    clients wait in silence. What tells is a probe that asks the daemon (`docker version` on its
    socket): a startup probe with time for a large data directory, a readiness probe and a liveness probe.

    Add `startupProbe`, `readinessProbe` and `livenessProbe` with `exec` of `docker version`, and let the
    first one fail for a minute at least before it counts.
    """

    id = "unprobed-docker-api"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look at the three probes."""
        container = the_docker_api(overlay).container.place
        for name, loss in _WITHOUT.items():
            probe = container / name
            if not probe.exists:
                problem = f"docker-api has no {name}: {loss}"
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
        startup = container / "startupProbe"
        seconds = _seconds(startup)
        if startup.exists and seconds < _LEAST_SECONDS:
            yield Breach(
                at=startup,
                problem=f"the startupProbe of docker-api gives up after {seconds} s: with a large data "
                "directory the daemon is killed before it has started, again and again",
                fix=f"raise failureThreshold or periodSeconds in {startup.origin.file}",
            )


def _seconds(probe: Place) -> int:
    """Return how long a probe may fail before the container is restarted."""
    values = (probe / key for key in ("periodSeconds", "failureThreshold"))
    period, threshold = (value.value if isinstance(value.value, int) else None for value in values)
    return (period or _PERIOD) * (threshold or _THRESHOLD)


def _asks_the_daemon(probe: Place) -> bool:
    command = " ".join(str(word) for word in probe.at("exec", "command").items)
    words = command.replace("/", " ").replace(";", " ").split()
    return _ASKS_A_SOCKET in words or any(
        tool in words and any(word in asking for word in words[words.index(tool) + 1 :])
        for tool, asking in _ASKS_THE_DAEMON.items()
    )
