"""Whether registry, hub and API server answer. Without a hub: never."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tornado.httpclient import AsyncHTTPClient
from tornado.log import app_log

from binderhub.base import BaseHandler
from binderhub.kube import TIMEOUT
from binderhub.quota import USER_PODS
from validate.binderhub.names import lookup_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from binderhub.base import Service

# Seconds between two attempts.
PAUSE = 1
_Result = TypeVar("_Result")


class Cached(Generic[_Result]):
    """A question that is asked again only after some seconds, and by one at a time."""

    def __init__(self, ask: Callable[[], Awaitable[_Result]], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._asking: asyncio.Future[_Result] | None = None
        self._answers: list[_Result] = []
        self._until = 0.0

    async def __call__(self) -> _Result:
        if self._asking is not None:
            return await self._asking
        if not self._answers or time.monotonic() > self._until:
            self._asking = asyncio.ensure_future(self._ask())
            try:
                self._answers = [await self._asking]
            finally:
                self._asking = None
                self._until = time.monotonic() + self._seconds
        return self._answers[0]


class Patient:
    """A question that is asked three times before the answer is no.

    BinderHub's count of attempts is never set back: after the first no, every question is asked once.
    """

    def __init__(self, name: str, ask: Callable[[], Awaitable[Any]]) -> None:
        self._name = name
        self._ask = ask
        self._attempts = 3

    async def __call__(self) -> bool:
        while True:
            try:
                await self._ask()
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it
                app_log.warning("%s is not healthy: %s", self._name, error)
                if self._attempts == 1:
                    return False
                self._attempts -= 1
                await asyncio.sleep(PAUSE)
            else:
                return True


class Checks:
    """The questions, and the last answers to them."""

    def __init__(self, service: Service, *, pods: bool) -> None:
        self._service = service
        self._registry = Cached(Patient("Docker registry", self._ask_registry), 15)
        self._hub = Cached(Patient("JupyterHub API", self._ask_hub), 15)
        self._pods = Cached(self._count_pods, 60) if pods else None

    async def run(self) -> list[dict[str, Any]]:
        """Return the answers, all asked at once.

        Raises:
            ApiException: the API server does not tell of pods.
        """
        questions: dict[str, Awaitable[dict[str, Any]]] = {}
        if self._service.configuration.app("use_registry"):
            questions["Docker registry"] = _ok(self._registry)
        questions["JupyterHub API"] = _ok(self._hub)
        if self._pods is not None:
            questions["Pod quota"] = self._pods()
        answers = await asyncio.gather(*questions.values())
        return [{"service": name, **answer} for name, answer in zip(questions, answers, strict=True)]

    async def _ask_registry(self) -> None:
        prefix = self._service.configuration.app("image_prefix")
        await self._service.registry.has(lookup_name(f"{prefix}some-image-name"), "12345")

    async def _ask_hub(self) -> None:
        configuration = self._service.configuration
        url = configuration.app("hub_url_local") or configuration.app("hub_url")
        url = f"{url.rstrip('/')}/" if url else ""
        await AsyncHTTPClient().fetch(f"{url}hub/api/health", request_timeout=3)

    async def _count_pods(self) -> dict[str, Any]:
        users, builds = await asyncio.gather(
            *(
                asyncio.wrap_future(self._service.calls.submit(self._count, selector))
                for selector in (USER_PODS, "component=binderhub-build")
            )
        )
        quota, total = self._service.quota.total, users + builds
        return {
            "total_pods": total,
            "build_pods": builds,
            "user_pods": users,
            "quota": quota,
            "ok": quota is None or total <= quota,
            "_ignore_failure": True,
        }

    def _count(self, selector: str) -> int:
        response = self._service.api().list_namespaced_pod(
            self._service.configuration.namespaces.builder,
            label_selector=selector,
            _request_timeout=TIMEOUT,
            _preload_content=False,
        )
        return len(json.loads(response.data)["items"])


class HealthHandler(BaseHandler):
    """Answers 200 or 503."""

    is_for_everybody = True

    def initialize(self, service: Service, checks: Checks) -> None:  # type: ignore[override]
        """Take what the route gives."""
        super().initialize(service)
        self._checks = checks

    async def get(self) -> None:
        """Answer with what each check found."""
        self.write(await self._run())

    async def head(self) -> None:
        """Answer without."""
        await self._run()

    async def _run(self) -> dict[str, Any]:
        checks = await self._checks.run()
        is_ok = all(check["ok"] or check.get("_ignore_failure") for check in checks)
        if not is_ok:
            self.set_status(503)
        return {"ok": is_ok, "checks": checks}


async def _ok(question: Cached[bool]) -> dict[str, bool]:
    return {"ok": await question()}
