"""What all handlers share, and the small ones."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from http.client import responses
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from tornado.web import HTTPError, RequestHandler

from binderhub import VERSION
from validate.binderhub.buildpod import EXECUTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from kubernetes.client import CoreV1Api

    from binderhub.configuration import Configuration
    from binderhub.quota import LaunchQuota
    from binderhub.ratelimit import RateLimiter
    from binderhub.registry import DockerRegistry
    from binderhub.repoproviders import RepoProvider


@dataclass
class Service:
    """What one process has once, and every request uses.

    Attributes:
        api: finds the Kubernetes API, when it is first needed.
        builds: threads for builds, two for each: one watches, one reads its log.
        calls: threads for calls that end soon.
    """

    configuration: Configuration
    api: Callable[[], CoreV1Api]
    providers: Mapping[str, type[RepoProvider]]
    registry: DockerRegistry
    limiter: RateLimiter
    quota: LaunchQuota
    builds: Executor
    calls: Executor


class BaseHandler(RequestHandler):
    """Knows the service, says what browsers may do, and turns away banned networks."""

    is_for_everybody = False

    def initialize(self, service: Service) -> None:
        """Take what the route gives."""
        self.service = service
        self.configuration = service.configuration

    def set_default_headers(self) -> None:
        """Set what configuration wants in every answer."""
        for name, value in self.settings.get("headers", {}).items():
            self.set_header(name, value)
        self.set_header("Access-Control-Allow-Headers", "cache-control")
        if origin := self.settings["cors_allow_origin"]:
            self.set_header("Access-Control-Allow-Origin", origin)

    def prepare(self) -> None:
        """Turn away who comes from a banned network.

        Raises:
            HTTPError: 403.
        """
        if not self.is_for_everybody and (label := self._ban()):
            raise HTTPError(403, f"Requests from {label} are not allowed")

    def _ban(self) -> str:
        """Return the label of the narrowest banned network that the request comes from, empty for none."""
        address = ipaddress.ip_address(self.request.remote_ip or "")
        banned: dict[str, str] = self.configuration.app("ban_networks")
        networks = {ipaddress.ip_network(network): label for network, label in banned.items()}
        hit = [network for network in networks if address in network]
        return networks[max(hit, key=lambda network: network.prefixlen)] if hit else ""

    def options(self, *_: str) -> None:
        """Answer a preflight."""

    def write_json(self, value: Any) -> None:
        """Answer with JSON."""
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps(value))


def message_of(status: int, error: BaseException | None) -> str:
    """Return what a client is told of an error: what it was raised to say, else the words of the status."""
    said = error.log_message % error.args if isinstance(error, HTTPError) and error.log_message else ""
    return said or responses.get(status, "Unknown HTTP Error")


class VersionsHandler(BaseHandler):
    """Says what runs here; what probes ask."""

    is_for_everybody = True

    def set_default_headers(self) -> None:
        """Let every page ask."""
        super().set_default_headers()
        if not self.settings["cors_allow_origin"]:
            self.set_header("Access-Control-Allow-Origin", "*")

    def get(self) -> None:
        """Answer."""
        info = self.configuration.get(EXECUTOR, "builder_info")
        if info is None:
            info = {"build_image": self.configuration.get(EXECUTOR, "build_image")}
        versions = {"builder_info": info, "binderhub": VERSION}
        if "build_image" in info:
            versions["builder"] = info["build_image"]
        self.write_json(versions)


class RepoProvidersHandler(BaseHandler):
    """Says which providers a form may offer."""

    def get(self) -> None:
        """Answer."""
        self.write_json(
            [{"id": prefix, "displayName": each.label} for prefix, each in self.service.providers.items()]
        )


class MetricsHandler(BaseHandler):
    """Says what Prometheus asks."""

    def get(self) -> None:
        """Answer."""
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.write(generate_latest())
