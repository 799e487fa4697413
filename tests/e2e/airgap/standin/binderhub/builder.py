"""A build as a stream of events."""

from __future__ import annotations

import asyncio
import json
import time
from threading import Event
from typing import TYPE_CHECKING, Any, NoReturn

from tornado.httpclient import HTTPClientError
from tornado.iostream import StreamClosedError
from tornado.log import app_log
from tornado.web import Finish, HTTPError

from binderhub.base import BaseHandler, message_of
from binderhub.build import Build, BuildExecutor, LogLine, Status
from binderhub.metrics import (
    BUILD_COUNT,
    BUILD_TIME,
    BUILDS_IN_PROGRESS,
    LAUNCH_COUNT,
    LAUNCH_TIME,
    LAUNCHES_IN_PROGRESS,
)
from binderhub.quota import LaunchQuotaExceededError
from binderhub.ratelimit import RateLimitExceededError
from validate.binderhub.names import lookup_name

if TYPE_CHECKING:
    from concurrent.futures import Future

    from binderhub.build import Progress
    from binderhub.repoproviders import RepoProvider

# Proxies close what has been idle for a minute.
KEEPALIVE = 25
# Seconds before a ref that GitHub does not have any more is replaced.
DETOUR = 10
# A browser that finds the stream closed asks again, and so builds again.
LINGER = 60
# To ask the registry.
_ATTEMPTS = 3
_FOUND = "ready", "Done! Found built image\n"
_BUILT = "ready", "Done! Image built\n"
_UNHANDLED = json.dumps(
    {"phase": "failed", "message": "Unhandled error watching for build events. Please try again.\n"}
)


class Course:
    """The course of a build, told by its threads to the one that serves.

    Attributes:
        is_over: whether there is nothing more to wait for.
        has_failed: whether repo2docker said so, or a thread came to grief.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._progress: asyncio.Queue[Progress] = asyncio.Queue()
        self.is_over = Event()
        self.has_failed = False

    def report(self, progress: Progress) -> None:
        """Pass on what happened."""
        self._loop.call_soon_threadsafe(self._progress.put_nowait, progress)

    def check(self, task: Future[None]) -> None:
        """End with the task, should that come to grief."""
        task.add_done_callback(self._judge)

    async def next(self) -> Progress:
        """Wait for what happens next."""
        return await self._progress.get()

    def _judge(self, task: Future[None]) -> None:
        if error := task.exception():
            app_log.error("Build %s is lost: %s", self._name, error)
            self.has_failed = True
            # From here on nothing is waited for: while another event is being sent, this one comes too late.
            self.is_over.set()
            self.report(LogLine(_UNHANDLED))


class BuildHandler(BaseHandler):
    """Resolves a ref, looks for its image, builds it, and says what happens."""

    executor: BuildExecutor | None = None

    def set_default_headers(self) -> None:
        """Announce a stream. It cannot change its status later, so all of it is 200, errors too."""
        super().set_default_headers()
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache")

    def prepare(self) -> None:
        """Answer those alone who understand the answer.

        Raises:
            HTTPError: 400.
        """
        super().prepare()
        accepted = self.request.headers.get("Accept", "").split(";")
        if "text/event-stream" not in (each.strip().lower() for each in accepted):
            raise HTTPError(400, "Missing Accept header: text/event-stream")

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Say it in an event, and end."""
        _, error, _ = kwargs.get("exc_info", (None, None, None))
        event = {
            "phase": "failed",
            "status_code": status_code,
            "message": f"{message_of(status_code, error)}\n",
        }
        self.write(f"data: {json.dumps(event)}\n\n")
        self.finish()

    def on_finish(self) -> None:
        """Watch no more, whether the build has ended or the client has gone."""
        if self.executor is not None:
            self.executor.stop()

    async def get(self, prefix: str, _: str) -> None:
        """Build ``<prefix>/<spec>``; the spec is taken from the path as it came, with its escapes."""
        if self.get_argument("build_token", ""):
            # Nobody has given any away, and the secret that they are signed with is random.
            raise HTTPError(403, "Invalid build token")
        self._count_request()
        if prefix not in self.service.providers:
            await self._fail(f"No provider found for prefix {prefix}")
            return
        keepalive = asyncio.ensure_future(self._keep_alive())
        try:
            marker = f"/build/{prefix}/"
            path = self.request.path
            await self._handle(prefix, path[path.index(marker) + len(marker) :].rstrip("/"))
        finally:
            keepalive.cancel()

    async def _handle(self, prefix: str, spec: str) -> None:
        try:
            provider = self.service.providers[prefix](self.configuration, spec)
        except Exception as error:  # noqa: BLE001 - whatever a spec or a trait gives rise to
            app_log.warning("No provider for %s:%s: %s", prefix, spec, error)
            await self._fail(str(error))
            return
        if provider.is_banned:
            message = f"Sorry, {spec} is not allowed to launch. Please contact admins for more info!"
            await self._emit({"phase": "failed", "message": message})
            return
        resolved = await self._resolve(prefix, provider)
        if resolved is None:
            return
        provider, ref = resolved
        image = provider.image_name(ref)
        is_built = await self._is_built(image)
        launches = not self._is_build_only()
        if is_built:
            phase, message = ("built", "Found built image, launching...\n") if launches else _FOUND
            await self._emit({"phase": phase, "imageName": image, "message": message})
        else:
            await self._check_quota(provider, image)
            build = Build(provider.build_name(ref), provider.repo, ref, image, provider.git_credentials)
            with BUILDS_IN_PROGRESS.track_inprogress():
                is_built = await self._build(provider, build, launches=launches)
        if launches and is_built:
            with LAUNCHES_IN_PROGRESS.track_inprogress():
                await self._launch(provider, image)
        elif launches:
            await asyncio.sleep(LINGER)

    async def _resolve(self, prefix: str, provider: RepoProvider) -> tuple[RepoProvider, str] | None:
        """Return the commit, and the provider that found it; where there is none, say so and return None."""
        key = f"{prefix}:{provider.spec}"
        try:
            ref = await provider.resolve()
        except Exception as error:  # noqa: BLE001 - the client is told, whatever it is
            await self._fail(f"Error resolving ref for {key}: {error}")
            return None
        if ref is not None:
            return provider, ref
        said = f"Could not resolve ref for {key}. Double check your URL and that your repo is public."
        if provider.name == "GitHub":
            said += ' GitHub has changed default branches from "master" to "main".'
            if provider.unresolved_ref in {"master", "main"}:
                said += " Tip: HEAD will always resolve to a repository's default branch."
                if detour := await self._take_detour(prefix, provider, said):
                    return detour
        await self._fail(said)
        return None

    async def _take_detour(
        self, prefix: str, provider: RepoProvider, said: str
    ) -> tuple[RepoProvider, str] | None:
        """Return the commit of the default branch, for a link to one that was renamed."""
        repository, _, _ = provider.spec.rpartition("/")
        default = self.service.providers[prefix](self.configuration, f"{repository}/HEAD")
        try:
            ref = await default.resolve()
        except Exception as error:  # noqa: BLE001 - then there is no way round
            app_log.warning("No default branch of %s: %s", repository, error)
            return None
        if ref is None:
            return None
        instead = f"Trying again with HEAD instead of {provider.unresolved_ref}. Please update your links."
        await self._emit({"phase": "waiting", "message": f"{said}\n{instead}\n"})
        await asyncio.sleep(DETOUR)
        return default, ref

    async def _is_built(self, image: str) -> bool:
        """Return whether the registry has the image; whatever an unwilling one says, it has not."""
        if not self.configuration.app("use_registry"):
            raise HTTPError(500, "")  # BinderHub looks at a docker daemon beside it, and finds none.
        name, _, tag = image.rpartition(":")
        for _ in range(_ATTEMPTS):
            try:
                return await self.service.registry.has(lookup_name(name), tag)
            except HTTPClientError as error:
                app_log.warning("The registry does not tell of %s: %s", image, error)
        return False

    def _is_build_only(self) -> bool:
        if self.get_query_argument("build_only", "").lower() != "true":
            return False
        if not self.configuration.app("enable_api_only_mode"):
            raise HTTPError(
                400,
                "Building but not launching is not permitted when the API only mode was not enabled "
                "by setting `enable_api_only_mode` to True. ",
            )
        return True

    async def _check_quota(self, provider: RepoProvider, image: str) -> None:
        """Let the request pass.

        Raises:
            Finish: there are too many servers; the client was told.
        """
        try:
            await self.service.quota.check(provider, image)
        except LaunchQuotaExceededError as error:
            LAUNCH_COUNT.labels(error.status, provider.name, provider.repo).inc()
            await self._fail(str(error))
            raise Finish from error

    async def _build(self, provider: RepoProvider, build: Build, *, launches: bool) -> bool:
        """Follow a build to its end and return whether it went well. After a failed one there is no end."""
        started = time.perf_counter()

        def count(status: str) -> None:
            BUILD_TIME.labels(status).observe(time.perf_counter() - started)
            BUILD_COUNT.labels(status, provider.name, provider.repo).inc()

        course = Course(build.name)
        executor = self.executor = BuildExecutor(self.configuration, self.service.api(), build, course.report)
        course.check(self.service.builds.submit(executor.submit))
        await self._emit({"phase": "waiting", "message": "Waiting for build to start...\n"})
        reads_log = False
        while not course.is_over.is_set():
            progress = await course.next()
            if progress is Status.RUNNING and not reads_log:
                reads_log = True
                course.check(self.service.builds.submit(executor.stream_logs))
            elif progress is Status.BUILT:
                count("success")
                course.is_over.set()
            elif isinstance(progress, LogLine) and progress.says_failed:
                count("failure")
                course.has_failed = True
            if event := _event_of(progress, build.image, launches=launches):
                await self._emit(event)
        return not course.has_failed

    async def _launch(self, provider: RepoProvider, image: str) -> NoReturn:
        """Ask a hub that is not there, as often and as patiently as BinderHub does."""
        await self._check_quota(provider, image)
        await self._emit({"phase": "launching", "message": "Launching server...\n"})
        attempts: int = self.configuration.get("Launcher", "retries")
        pause: float = self.configuration.get("Launcher", "retry_delay")
        for attempt in range(1, attempts):
            LAUNCH_TIME.labels("retry", -1).observe(0)
            message = f"Launch attempt {attempt} failed, retrying...\n"
            await self._emit({"phase": "launching", "message": message})
            await asyncio.sleep(pause)
            pause *= 2
        LAUNCH_TIME.labels("failure", -1).observe(0)
        LAUNCH_COUNT.labels("failure", provider.name, provider.repo).inc()
        raise RuntimeError("the stand-in for BinderHub launches nothing")

    def _count_request(self) -> None:
        """Let the request pass, and say how many more will.

        Raises:
            HTTPError: 429.
        """
        limiter = self.service.limiter
        if limiter.limit == 0:
            return
        try:
            allowance = limiter.use(self.request.remote_ip or "")
        except RateLimitExceededError:
            message = f"Rate limit exceeded. Try again in {limiter.period} seconds."
            raise HTTPError(429, message) from None
        self.set_header("X-Ratelimit-Remaining", str(allowance.remaining))
        self.set_header("X-Ratelimit-Reset", str(allowance.reset))
        self.set_header("X-Ratelimit-Limit", str(limiter.limit))

    async def _keep_alive(self) -> None:
        """Say something from time to time that clients pass over."""
        while True:
            await asyncio.sleep(KEEPALIVE)
            self.write(":keepalive\n\n")
            try:
                await self.flush()
            except StreamClosedError:
                return

    async def _fail(self, message: str) -> None:
        await self._emit({"phase": "failed", "message": f"{message}\n"})

    async def _emit(self, event: str | dict[str, Any]) -> None:
        """Send an event; a log line as it is, with the newline that it came with.

        Raises:
            Finish: the client has gone.
        """
        self.write(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n")
        try:
            await self.flush()
        except StreamClosedError:
            app_log.warning("The client of %s has gone", self.request.uri)
            raise Finish from None


def _event_of(progress: Progress, image: str, *, launches: bool) -> str | dict[str, Any] | None:
    """Return what clients are told, None for nothing."""
    match progress:
        case Status.PENDING | Status.RUNNING:
            return None
        case Status.BUILT:
            phase, message = ("built", "Built image, launching...\n") if launches else _BUILT
            return {"phase": phase, "message": message, "imageName": image}
        case LogLine(text):
            return text
        case status:
            return {"phase": status.value}
