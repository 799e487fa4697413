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
_PERIOD, _THRESHOLD, _TIMEOUT = 10, 3, 1
# What happens to a daemon that takes its time.
_KILLED_BY = {
    "startupProbe": "with a large data directory the daemon is killed before it has started, again and again",
    "livenessProbe": "a daemon that is busy is killed, and with it every build of its node",
}
_LEAST_SECONDS, _LEAST_TIMEOUT = 60, 5


class UnprobedDockerApi(OverlayRule):
    """docker-api counts as Ready before its daemon answers.

    Without probes a container is Ready as soon as its process runs. A rolling update then goes on to
    the next node while no daemon answers on this one, and a daemon that hangs is never restarted: its
    clients wait in silence. What tells is a probe that asks the daemon (`docker version` on its
    socket): a startup probe with time for a large data directory, a readiness probe and a liveness probe.

    Add `startupProbe`, `readinessProbe` and `livenessProbe` with `exec` of `docker version`, and let the
    first and the last one fail for a minute at least before they count. A daemon that unpacks layers takes
    seconds to answer, and a probe waits for one second where `timeoutSeconds` says nothing. A liveness probe
    in a hurry kills the daemon, and with it every build of its node.
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
        yield from _in_a_hurry(container)


def _in_a_hurry(container: Place) -> Iterator[Breach]:
    """Yield the probes that kill a daemon which only takes its time."""
    for name, loss in _KILLED_BY.items():
        probe = container / name
        seconds, timeout = _seconds(probe), probe / "timeoutSeconds"
        if not probe.exists:
            continue
        if seconds < _LEAST_SECONDS:
            yield Breach(
                at=probe,
                problem=f"the {name} of docker-api gives up after {seconds} s: {loss}",
                fix=f"raise failureThreshold or periodSeconds in {probe.origin.file}",
            )
        waits = _number(timeout, _TIMEOUT)
        if name == "livenessProbe" and waits < _LEAST_TIMEOUT:
            yield Breach(
                at=timeout if timeout.exists else probe,
                problem=f"the {name} of docker-api waits {waits} s for an answer: {loss}",
                fix=f"set timeoutSeconds to 20 in {timeout.origin.file}",
            )


def _seconds(probe: Place) -> int:
    """Return how long a probe may fail before the container is restarted."""
    return _number(probe / "periodSeconds", _PERIOD) * _number(probe / "failureThreshold", _THRESHOLD)


def _number(place: Place, default: int) -> int:
    return place.value if isinstance(place.value, int) and place.value else default


def _asks_the_daemon(probe: Place) -> bool:
    command = " ".join(str(word) for word in probe.at("exec", "command").items)
    words = command.replace("/", " ").replace(";", " ").split()
    return _ASKS_A_SOCKET in words or any(
        tool in words and any(word in asking for word in words[words.index(tool) + 1 :])
        for tool, asking in _ASKS_THE_DAEMON.items()
    )
