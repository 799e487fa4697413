"""probe-needs-hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.ports import PROBES
from validate.edits import write
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_binder, the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.binderhub.config import BinderHubConfig
    from validate.overlay import Overlay
    from validate.place import Place

_HEALTH = "health"
# What answers in api-only mode, below base_url.
_ANSWERED = frozenset({_HEALTH, "versions", "metrics", "api/repoproviders"})


class ProbeNeedsHub(OverlayRule):
    """A probe of BinderHub asks for what it does not answer by itself.

    `/health` asks a JupyterHub, and answers 503 for ever where there is none: the pod is never ready,
    or is killed over and over. With a hub, a liveness probe there restarts BinderHub, and cuts all its
    event streams, when the hub is away. A path outside `base_url` answers 404, and so does `/`, since
    there are no pages in api-only mode.

    Ask `versions` below `base_url`: BinderHub answers it alone. Whoever changes `base_url` changes
    the paths of the probes.
    """

    id = "probe-needs-hub"
    requires = ("wrong-config-type",)

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Take each probe's path apart as BinderHub routes it."""
        config = the_config(overlay)
        container = the_binder(overlay).container
        base_url = config.trait("BinderHub", "base_url")
        base = f"/{base_url.text.strip('/')}/".replace("//", "/")
        failing: dict[str, list[Place]] = {}
        for probe in PROBES:
            request = container.place.at(probe, "httpGet")
            if request.exists:
                problem = _problem(request / "path", base, config)
                failing.setdefault(problem, []).append(request / "path")
        failing.pop("", None)
        for problem, (path, *others) in failing.items():
            probes = ", ".join(str(place.path[-3]) for place in (path, *others))
            yield Breach(
                at=path,
                problem=f"{probes}: {problem}",
                fix=f"ask {base}versions in {path.origin.file}",
                related=(*others, base_url) if base_url.exists else tuple(others),
                edits=tuple(edit for place in (path, *others) for edit in write(place, f"{base}versions")),
            )


def _problem(path: Place, base: str, config: BinderHubConfig) -> str:
    """Return why a request of a probe fails, the empty string where BinderHub answers it alone."""
    asked = (path.text or "/").partition("?")[0]
    below = asked.removeprefix(base) if asked.startswith(base) else ""
    if below not in _ANSWERED:
        return f"BinderHub answers 404 at {asked}"
    handler = config.trait("BinderHub", "health_handler_class").text
    if below != _HEALTH or (handler and not handler.startswith("binderhub.")):
        return ""
    if not any(config.trait("BinderHub", name).text for name in ("hub_url", "hub_url_local")):
        return f"{asked} asks a JupyterHub and none is configured, so it answers 503 for ever"
    if path.path[-3] == "livenessProbe":
        return f"{asked} asks the JupyterHub, and when that is away BinderHub is restarted"
    return ""
