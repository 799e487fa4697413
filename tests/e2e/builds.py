"""Ask BinderHub for builds, and watch the pods that it makes of them."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.e2e.installation import effective_config
from tests.e2e.kube import watched
from tests.e2e.streams import EventStream, Transcript, build_url, normalise, read
from validate.binderhub.buildpod import BuildInputs, predict
from validate.binderhub.names import build_name, image_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.e2e.kube import Kube
    from tests.e2e.repositories import Repository
    from tests.e2e.world import World

NAMESPACE = "binderhub"
_RECORDED = Path(__file__).parents[1] / "standin" / "streams"
BUILD_POD = "component=binderhub-build"
# A build of a few layers takes ten seconds; ten at once on two cores, minutes.
LIMIT = 180


class Builds:
    """BinderHub's API, and what comes of a request on the cluster."""

    def __init__(self, world: World, namespace: str = NAMESPACE, url: str = "") -> None:
        """Ask the BinderHub of a namespace."""
        self.world = world
        self.namespace = namespace
        self.url = url or world.url

    def ask(self, repo: Repository, ref: str = "", *, limit: float = LIMIT, **options: Any) -> EventStream:
        """Ask for a build of a ref, the newest commit where none is named; the caller reads the stream."""
        return EventStream(build_url(self.url, "git", repo.url, ref or repo.commit), limit=limit, **options)

    def run(self, repo: Repository, ref: str = "", *, limit: float = LIMIT, **options: Any) -> Transcript:
        """Ask for a build, and return all that came of it."""
        with self.ask(repo, ref, limit=limit, **options) as stream:
            return stream.transcript()

    def succeed(self, repo: Repository, ref: str = "", *, limit: float = LIMIT) -> Transcript:
        """Ask for a build that ends well.

        Raises:
            AssertionError: it does not; the message has the stream.
        """
        transcript = self.run(repo, ref, limit=limit)
        assert transcript.image, f"no image was built:\n{transcript}"
        return transcript

    def inputs(self, repo: Repository, prefix: str) -> BuildInputs:
        """Return what a build of this commit adds to the configuration."""
        return BuildInputs(
            name=build_name(repo.url, repo.commit),
            repo=repo.url,
            ref=repo.commit,
            image=image_name(prefix, repo.url, repo.commit),
        )

    def predicted(self, repo: Repository, objects: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the pod that validate predicts for this commit, as BinderHub sends it."""
        config = effective_config(objects)
        prefix = str(config.effective("BinderHub", "image_prefix"))
        found = predict(config.value, environment=config.environment, inputs=self.inputs(repo, prefix))
        pod: Any = found["pod"]
        metadata = {**pod["metadata"], "namespace": found["namespace"]}
        return {"apiVersion": "v1", "kind": "Pod", **pod, "metadata": metadata}

    @contextmanager
    def recorded_pods(self) -> Iterator[list[dict[str, Any]]]:
        """Record every state of every build pod meanwhile, as the API server tells of it."""
        states: list[dict[str, Any]] = []
        pods = self.world.kube.core.list_namespaced_pod
        now = pods(self.namespace).metadata.resource_version

        def note(_: str, pod: dict[str, Any]) -> None:
            states.append(pod)

        with watched(pods, self.namespace, note, label_selector=BUILD_POD, resource_version=now):
            yield states


def recorded(case: str) -> list[str]:
    """Return the stream of the real BinderHub for a case, as steps."""
    return normalise(read(_RECORDED / f"{case}.txt"))


def build_pods(kube: Kube, namespace: str = NAMESPACE) -> list[Any]:
    """Return the build pods that there are."""
    return kube.pods(namespace, BUILD_POD)


def names(states: Sequence[dict[str, Any]]) -> set[str]:
    """Return the names of the pods in a record."""
    return {state["metadata"]["name"] for state in states}
