"""The process: reads the configuration, listens, and cleans up after builds."""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.log import app_log, enable_pretty_logging
from tornado.web import Application as Routes
from traitlets import Unicode
from traitlets.config import Application, catch_config_error

from binderhub import VERSION, quota, registry
from binderhub.base import MetricsHandler, RepoProvidersHandler, Service, VersionsHandler
from binderhub.build import KubernetesCleaner
from binderhub.builder import BuildHandler
from binderhub.configuration import Configuration
from binderhub.health import Checks, HealthHandler
from binderhub.kube import load_api
from binderhub.ratelimit import RateLimiter
from binderhub.repoproviders import providers

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubernetes.client import CoreV1Api


class StandIn(Application):
    """A stand-in for BinderHub, where its image cannot be had."""

    name = "binderhub"
    description = __doc__
    version = VERSION

    config_file = Unicode("binderhub_config.py", help="The file to load, .py or .json.").tag(config=True)
    aliases = {"config": "StandIn.config_file", "f": "StandIn.config_file"}  # noqa: RUF012 - a trait of Application

    @catch_config_error
    def initialize(self, argv: list[str] | None = None) -> None:
        """Load the configuration, warn of what nobody reads, and end where BinderHub ends."""
        self.parse_command_line(argv)
        self.load_config_file(self.config_file)
        self.configuration = Configuration(self.config, os.environ)
        logging.getLogger("tornado").setLevel(self._log_level())
        enable_pretty_logging()
        for warning in self.configuration.warnings():
            app_log.warning(warning)
        self.configuration.check()

    def start(self) -> None:
        """Serve until somebody ends the process."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        service = make_service(self.configuration)
        port = self.configuration.app("port")
        make_server(service).listen(port)
        app_log.info("%s, listening on %d", VERSION, port)
        if self.configuration.app("builder_required"):
            cleaner = KubernetesCleaner(self.configuration, service.api())
            if self.configuration.app("build_cleaner_class"):
                await _clean_up(cleaner, service)
        await asyncio.Event().wait()

    def _log_level(self) -> int | str:
        level: int | str = self.configuration.app("log_level") or logging.INFO
        return logging.DEBUG if self.configuration.app("debug") else level


async def _clean_up(cleaner: KubernetesCleaner, service: Service) -> None:
    while True:
        try:
            await asyncio.wrap_future(service.calls.submit(cleaner.clean_up))
        except Exception as error:  # noqa: BLE001 - it is tried again, whatever is in the way
            app_log.error("Failed to cleanup builders: %s", error)
        await asyncio.sleep(service.configuration.app("build_cleanup_interval"))


def make_service(configuration: Configuration, api: Callable[[], CoreV1Api] | None = None) -> Service:
    """Return what the requests of one process share; without ``api``, that of the cluster."""
    api = api or cache(load_api)
    calls = ThreadPoolExecutor(configuration.app("executor_threads"))
    quota_class: type[quota.LaunchQuota] = getattr(quota, configuration.chosen("launch_quota_class"))
    registry_class: type[registry.DockerRegistry] = getattr(registry, configuration.chosen("registry_class"))
    return Service(
        configuration=configuration,
        api=api,
        providers=providers(configuration),
        registry=registry_class(configuration),
        limiter=RateLimiter(configuration),
        quota=quota_class(configuration, api, calls),
        builds=ThreadPoolExecutor(configuration.app("concurrent_build_limit") * 2),
        calls=calls,
    )


def make_server(service: Service) -> HTTPServer:
    """Return what listens."""
    # BinderHub's image has it too. Without it a registry that is not there is no HTTP error.
    AsyncHTTPClient.configure("tornado.curl_httpclient.CurlAsyncHTTPClient")
    # Whoever asks is believed who they are forwarded for.
    return HTTPServer(make_routes(service), xheaders=True)


def make_routes(service: Service) -> Routes:
    """Return the application that answers; whatever it has no route for is tornado's page for 404."""
    configuration = service.configuration
    prefix = configuration.base_url
    checks = Checks(service, pods=configuration.chosen("health_handler_class") == "KubernetesHealthHandler")
    settings: dict[str, Any] = {
        "cors_allow_origin": configuration.app("cors_allow_origin"),
        "debug": configuration.app("debug"),
        **configuration.app("tornado_settings"),
    }
    return Routes(
        [
            (rf"{prefix}metrics", MetricsHandler, {"service": service}),
            (rf"{prefix}versions", VersionsHandler, {"service": service}),
            (rf"{prefix}build/([^/]+)/(.+)", BuildHandler, {"service": service}),
            (rf"{prefix}health", HealthHandler, {"service": service, "checks": checks}),
            (rf"{prefix}api/repoproviders", RepoProvidersHandler, {"service": service}),
        ],
        **settings,
    )
