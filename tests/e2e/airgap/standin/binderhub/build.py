"""Builds as pods, and the removal of those that nobody watches any more."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from enum import Enum
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

from kubernetes.client import ApiException, V1DeleteOptions
from kubernetes.watch import Watch
from tornado.log import app_log
from urllib3.exceptions import ReadTimeoutError

from binderhub.kube import LOG_TIMEOUT, TIMEOUT
from validate.binderhub.buildpod import EXECUTOR, BuildInputs, predict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kubernetes.client import CoreV1Api

    from binderhub.configuration import Configuration

_AT_ONCE = V1DeleteOptions(grace_period_seconds=0)
_NOT_FOUND, _CONFLICT = 404, 409


class Status(Enum):
    """How far a build is."""

    PENDING = "pending"
    RUNNING = "running"
    BUILT = "built"
    FAILED = "failed"
    UNKNOWN = "unknown"


class LogLine(NamedTuple):
    """A line of the build's log: JSON, and the newline that it came with."""

    text: str

    @property
    def says_failed(self) -> bool:
        """Whether repo2docker gives up with it; ``failure`` is what older versions say."""
        return json.loads(self.text).get("phase") in {"failed", "failure"}


Progress = Status | LogLine
# No word of success: that is said when the pod is gone.
_STATUS = {
    "Pending": Status.PENDING,
    "Running": Status.RUNNING,
    "Failed": Status.FAILED,
    "Unknown": Status.UNKNOWN,
}


class Build(NamedTuple):
    """What is to be built, and under which names."""

    name: str
    repo: str
    ref: str
    image: str
    git_credentials: str = ""


class BuildExecutor:
    """Makes a build happen and reports what happens; each of its two methods takes a thread.

    Several may share a pod: it is named after repository and ref, and the API server lets one make it.
    """

    def __init__(
        self,
        configuration: Configuration,
        api: CoreV1Api,
        build: Build,
        report: Callable[[Progress], None],
    ) -> None:
        self._configuration = configuration
        self._api = api
        self._build = build
        self._report = report
        self._namespace = configuration.namespaces.builder
        self._stopped = Event()

    def stop(self) -> None:
        """Watch no more. The build goes on."""
        self._stopped.set()

    def submit(self) -> None:
        """Make the pod, watch it, and delete it when it has ended.

        Raises:
            BuildPodError: BinderHub makes no pod of this configuration.
            ApiException, urllib3.exceptions.HTTPError: the API server refuses something, or is not there.
        """
        self._create()
        while not self._stopped.is_set():
            try:
                if self._watch():
                    return
            except ReadTimeoutError:
                app_log.debug("Nothing new of %s, watching on", self._build.name)

    def stream_logs(self) -> None:
        """Report each line of the log, from the last ``log_tail_lines`` on.

        Raises:
            ApiException, urllib3.exceptions.HTTPError: likewise.
        """
        lines = self._api.read_namespaced_pod_log(
            self._build.name,
            self._namespace,
            follow=True,
            tail_lines=self._configuration.get(EXECUTOR, "log_tail_lines"),
            _request_timeout=LOG_TIMEOUT,
            _preload_content=False,
        )
        for line in lines:
            if self._stopped.is_set():
                return
            self._report(LogLine(_as_json(line.decode())))

    def _create(self) -> None:
        predicted = predict(
            self._configuration.value,
            environment=self._configuration.environment,
            inputs=BuildInputs(
                **self._build._asdict(),
                use_registry=self._configuration.app("use_registry"),
                pods=self._image_builders(),
            ),
        )
        try:
            self._api.create_namespaced_pod(self._namespace, predicted["pod"], _request_timeout=TIMEOUT)
        except ApiException as error:
            if error.status != _CONFLICT:
                raise
            app_log.info("Build %s is running already", self._build.name)
        else:
            app_log.info("Started build %s", self._build.name)

    def _image_builders(self) -> Sequence[dict[str, Any]]:
        """Return the pods that ``sticky_builds`` chooses among; asked for even where it is off."""
        response = self._api.list_namespaced_pod(
            self._namespace,
            label_selector="component=image-builder,app=binder",
            _request_timeout=TIMEOUT,
            _preload_content=False,
        )
        pods: list[dict[str, Any]] = json.loads(response.data)["items"]
        return pods

    def _watch(self) -> bool:
        """Report what becomes of the pod, for half a minute at most; return whether it is gone."""
        watch = Watch()
        try:
            for event in watch.stream(
                self._api.list_namespaced_pod,
                self._namespace,
                label_selector=f"name={self._build.name}",
                timeout_seconds=30,
                _request_timeout=TIMEOUT,
            ):
                phase = event["raw_object"].get("status", {}).get("phase")
                if event["type"] == "DELETED":
                    self._report(Status.BUILT if phase == "Succeeded" else Status.FAILED)
                    return True
                if phase in _STATUS:
                    self._report(_STATUS[phase])
                if phase in {"Succeeded", "Failed"}:
                    delete(self._api, self._build.name, self._namespace)
        finally:
            watch.stop()
        return False


class KubernetesCleaner:
    """Deletes build pods that have ended, or have run for too long."""

    def __init__(self, configuration: Configuration, api: CoreV1Api) -> None:
        self._api = api
        self._namespace = configuration.namespaces.cleaner
        self._max_age = timedelta(seconds=configuration.get("KubernetesCleaner", "max_age"))

    def clean_up(self) -> None:
        """Go over all build pods once.

        Raises:
            ApiException, urllib3.exceptions.HTTPError: as above.
        """
        pods = self._api.list_namespaced_pod(
            self._namespace, label_selector="component=binderhub-build"
        ).items
        oldest = datetime.now(UTC) - self._max_age
        for pod in pods:
            # A pod that no kubelet has accepted has no start, and stays.
            started = pod.status.start_time
            has_ended = pod.status.phase in {"Failed", "Succeeded", "Evicted"}
            if has_ended or (self._max_age and started and started < oldest):
                app_log.info("Deleting build %s, which is %s", pod.metadata.name, pod.status.phase)
                delete(self._api, pod.metadata.name, self._namespace)


def delete(api: CoreV1Api, name: str, namespace: str) -> None:
    """Delete a pod at once, or find it gone.

    Raises:
        ApiException: the API server refuses.
    """
    try:
        api.delete_namespaced_pod(name, namespace, body=_AT_ONCE, _request_timeout=TIMEOUT)
    except ApiException as error:
        if error.status != _NOT_FOUND:
            raise


def _as_json(line: str) -> str:
    try:
        json.loads(line)
    except ValueError:
        return json.dumps({"phase": Status.UNKNOWN.value, "message": line})
    return line
