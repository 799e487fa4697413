"""The API server of the test cluster: apply, read, wait, run a command in a pod."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import urllib3
import yaml
from kubernetes import client, config, watch
from kubernetes.client import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.stream import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

T = TypeVar("T")
_MANIFESTS = Path(__file__).with_name("manifests")
_POLL_SECONDS = 0.25
_WATCH_SECONDS = 600
# What is heard of an API server that begins or ends; the next question gets an answer.
_PASSING = (ApiException, urllib3.exceptions.HTTPError, ConnectionError)


class NotReachedError(AssertionError):
    """What was waited for has not come; the message has the last state that was seen."""


def until(
    what: str, check: Callable[[], T | None], *, seconds: float, state: Callable[[], object] | None = None
) -> T:
    """Ask until the answer is not None or False, and return it.

    Raises:
        NotReachedError: it is still so after ``seconds``; says ``what`` was waited for, and the last state.
    """
    deadline = time.monotonic() + seconds
    while True:
        last: object
        try:
            found = check()
            last = "nothing"
        except _PASSING as error:
            found, last = None, f"the API server says: {error}"
        if found:
            return found
        if time.monotonic() > deadline:
            if state is not None:
                last = state()
            raise NotReachedError(f"not in {seconds:.0f} s: {what}; last seen: {last}")
        time.sleep(_POLL_SECONDS)


class Kube:
    """One cluster, as its administrator or as ``user``."""

    def __init__(self, kubeconfig: Path, *, user: str = "") -> None:
        """Read the kubeconfig."""
        self.kubeconfig = kubeconfig
        self.client = config.new_client_from_config(str(kubeconfig))
        if user:
            self.client.default_headers["Impersonate-User"] = user
            # One of the groups that the API server gives to a ServiceAccount; the client can name but one.
            self.client.default_headers["Impersonate-Group"] = "system:serviceaccounts"
        self.core = client.CoreV1Api(self.client)
        self.apps = client.AppsV1Api(self.client)
        self._dynamic: DynamicClient | None = None

    def close(self) -> None:
        """Let go of the connections."""
        _close(self.client)

    @property
    def dynamic(self) -> DynamicClient:
        """A client for every kind that the API server knows now."""
        if self._dynamic is None:
            self._dynamic = DynamicClient(self.client)
        return self._dynamic

    def forget_kinds(self) -> None:
        """Ask the API server for its kinds again, as after a custom resource definition."""
        self._dynamic = None

    def apply(
        self, value: Mapping[str, Any], *, manager: str = "e2e", dry_run: bool = False
    ) -> dict[str, Any]:
        """Apply one object as ``kubectl apply --server-side --force-conflicts`` does, and return it.

        Raises:
            ApiException: the API server refuses it.
        """
        resource = self.dynamic.resources.get(api_version=value["apiVersion"], kind=value["kind"])
        metadata = value["metadata"]
        options = {"dry_run": "All"} if dry_run else {}
        applied: dict[str, Any] = resource.server_side_apply(
            body=dict(value), name=metadata["name"], namespace=metadata.get("namespace"),
            field_manager=manager, force_conflicts=True, **options,
        ).to_dict()  # fmt: skip
        return applied

    def create(self, value: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create one object, and return what the API server made of it.

        Raises:
            ApiException: the API server refuses it.
        """
        resource = self.dynamic.resources.get(api_version=value["apiVersion"], kind=value["kind"])
        options = {"dry_run": "All"} if dry_run else {}
        namespace = value["metadata"].get("namespace")
        created: dict[str, Any] = resource.create(body=dict(value), namespace=namespace, **options).to_dict()
        return created

    def get(
        self, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> dict[str, Any] | None:
        """Return one object, None where there is none."""
        try:
            resource = self.dynamic.resources.get(api_version=api_version, kind=kind)
            found: dict[str, Any] = resource.get(name=name, namespace=namespace).to_dict()
        except ApiException as error:
            if error.status == 404:
                return None
            raise
        return found

    def patch(
        self, api_version: str, kind: str, name: str, namespace: str, changes: Mapping[str, Any]
    ) -> None:
        """Merge ``changes`` into an object.

        Raises:
            ApiException: there is none, or the API server refuses the change.
        """
        resource = self.dynamic.resources.get(api_version=api_version, kind=kind)
        merge = "application/merge-patch+json"
        resource.patch(name=name, namespace=namespace, body=dict(changes), content_type=merge)

    def list_all(self, api_version: str, kind: str) -> list[dict[str, Any]]:
        """Return the objects of a kind in all namespaces."""
        found = self.dynamic.resources.get(api_version=api_version, kind=kind).get()
        # In a list, the API server says once what they are.
        return [{**one.to_dict(), "apiVersion": api_version, "kind": kind} for one in found.items]

    def delete(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> None:
        """Delete one object, whether or not it is there, and do not wait for it."""
        try:
            resource = self.dynamic.resources.get(api_version=api_version, kind=kind)
            resource.delete(name=name, namespace=namespace, body={"propagationPolicy": "Background"})
        except ApiException as error:
            if error.status != 404:
                raise

    def refusal(self, value: Mapping[str, Any]) -> str:
        """Return why the API server would refuse to create an object, nothing where it would not."""
        try:
            self.create(value, dry_run=True)
        except ApiException as error:
            return reason(error)
        return ""

    def pods(self, namespace: str, selector: str = "") -> list[Any]:
        """Return the pods with these labels."""
        pods: list[Any] = self.core.list_namespaced_pod(namespace, label_selector=selector).items
        return pods

    def the_pod(self, namespace: str, selector: str, *, seconds: float = 60) -> Any:
        """Wait for exactly one running and ready pod with these labels, none of them on its way out."""

        def found() -> Any:
            pods = self.pods(namespace, selector)
            ready = [pod for pod in pods if is_ready(pod) and not pod.metadata.deletion_timestamp]
            return ready[0] if len(ready) == len(pods) == 1 else None

        return until(
            f"one ready pod with {selector} in {namespace}", found, seconds=seconds,
            state=lambda: [summary(pod) for pod in self.pods(namespace, selector)],
        )  # fmt: skip

    def run_in(
        self, pod: Any, *command: str, container: str = "", stdin: str = "", timeout: float = 60
    ) -> str:
        """Run a command in a pod and return what it prints, on either stream.

        It gets ``stdin`` after a line with its length, since it cannot be told that no more comes.

        Raises:
            AssertionError: it fails; the message has what it printed.
        """
        name, namespace = pod.metadata.name, pod.metadata.namespace
        # A client of its own: the library swaps the transport of the one it is given.
        own = config.new_client_from_config(str(self.kubeconfig))
        answer = stream(
            client.CoreV1Api(own).connect_get_namespaced_pod_exec, name, namespace,
            command=list(command), container=container or pod.spec.containers[0].name,
            stderr=True, stdout=True, stdin=bool(stdin), tty=False, _preload_content=False,
        )  # fmt: skip
        _close(own)
        if stdin:
            answer.write_stdin(f"{len(stdin)}\n{stdin}")
        answer.run_forever(timeout=timeout)
        if answer.is_open():
            answer.close()
            raise AssertionError(
                f"{command} in {name} is not done after {timeout:.0f} s: {answer.read_all()}"
            )
        # Before `read_all`, which throws the status away with all else that has come.
        status = answer.returncode
        printed = answer.read_all()
        if status:
            raise AssertionError(f"{command} in {name} failed with {status}: {printed}")
        return str(printed)

    def story(self, namespaces: Sequence[str], *, lines: int = 60) -> Iterator[str]:
        """Yield what happened in these namespaces: pods, events, and the ends of logs."""
        there = {one.metadata.name for one in self.core.list_namespace().items}
        for namespace in (one for one in namespaces if one in there):
            pods = self.pods(namespace)
            yield f"pods in {namespace}:"
            yield from (f"  {summary(pod)}" for pod in pods)
            yield f"events in {namespace}:"
            events = self.core.list_namespaced_event(namespace).items
            for event in sorted(events, key=lambda event: str(event.last_timestamp or event.event_time))[
                -lines:
            ]:
                about = f"{event.involved_object.kind} {event.involved_object.name}"
                yield f"  {event.last_timestamp or event.event_time} {about}: {event.reason}: {event.message}"
            for pod in pods:
                for container in pod.spec.containers:
                    yield f"log of {pod.metadata.name}, {container.name}:"
                    yield from (f"  {line}" for line in self.log(pod, container.name, lines))

    def log(self, pod: Any, container: str, lines: int = 60) -> list[str]:
        """Return the last lines of a container's log, or why there is none."""
        name, namespace = pod.metadata.name, pod.metadata.namespace
        try:
            # Raw: the client would decode JSON, and print the bytes of anything else.
            answer = self.core.read_namespaced_pod_log(
                name, namespace, container=container, tail_lines=lines, _preload_content=False
            )
        except ApiException as error:
            return [f"no log: {reason(error)}"]
        return str(answer.data.decode(errors="replace")).splitlines()


def manifest(name: str) -> list[dict[str, Any]]:
    """Return the objects of a file in ``manifests/``."""
    file = _MANIFESTS / f"{name}.yaml"
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


@contextmanager
def applied(kube: Kube, objects: Sequence[Mapping[str, Any]]) -> Iterator[None]:
    """Have these objects, and delete them in the end."""
    try:
        for one in objects:
            kube.apply(one)
        yield
    finally:
        for one in reversed(objects):
            metadata = one["metadata"]
            kube.delete(one["apiVersion"], one["kind"], metadata["name"], metadata.get("namespace"))


@contextmanager
def watched(
    listing: Callable[..., Any], namespace: str, note: Callable[[str, dict[str, Any]], None], **options: Any
) -> Iterator[None]:
    """Call ``note`` with each event meanwhile, its type and its object, in a thread of its own.

    ``listing`` is a method of the client that lists a kind of a namespace, and ``options`` are its own.
    """
    watching = watch.Watch()

    def follow() -> None:
        try:
            for event in watching.stream(listing, namespace, timeout_seconds=_WATCH_SECONDS, **options):
                # None is what the client makes of a line that was cut.
                if event:
                    note(event["type"], event["raw_object"])
        except (ApiException, urllib3.exceptions.HTTPError):
            # The API server went away, or nobody watches any more; what was seen is what there is.
            return

    threading.Thread(target=follow, daemon=True).start()
    try:
        yield
    finally:
        watching.stop()


def _close(api: client.ApiClient) -> None:
    api.rest_client.pool_manager.clear()
    api.close()


def is_ready(pod: Any) -> bool:
    """Tell whether a pod has the condition Ready."""
    return any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or ())


def summary(pod: Any) -> str:
    """Return a pod in one line: name, node, phase, and what its containers wait for."""
    states = [
        f"{status.name} {state.reason or ''} {state.message or ''}".strip()
        for status in pod.status.container_statuses or ()
        for state in (status.state.waiting, status.state.terminated)
        if state
    ]
    conditions = [
        f"{one.type}={one.status} {one.message or ''}".strip()
        for one in pod.status.conditions or ()
        if one.status != "True"
    ]
    leaving = " leaving" if pod.metadata.deletion_timestamp else ""
    detail = "; ".join([*states, *conditions])
    return f"{pod.metadata.name} on {pod.spec.node_name}: {pod.status.phase}{leaving} {detail}".strip()


def reason(error: ApiException) -> str:
    """Return what the API server said of an error."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.body or error.reason)
