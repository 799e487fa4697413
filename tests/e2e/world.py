"""Everything that runs: cluster, images, git server and one installation, from nothing and in order."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.e2e import supply
from tests.e2e.cluster import BUILDS, CORE, REGISTRY, REGISTRY_PORT, ROOT, Cluster, Ports
from tests.e2e.errors import CannotRunError
from tests.e2e.installation import Installation, effective_config, kustomize, references
from tests.e2e.kube import until
from tests.e2e.preflight import require_room
from tests.e2e.repositories import BASE, Repositories
from tests.e2e.sync import Application
from validate.binderhub.buildpod import EXECUTOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.e2e.supply import Source, Supply

Stage: TypeAlias = Callable[[str], AbstractContextManager[None]]
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_SERVICES = ROOT / "tests" / "e2e" / "services"


@dataclass
class World:
    """A cluster with an installation that builds."""

    cluster: Cluster
    installation: Installation
    application: Application
    sources: list[Source] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Connect."""
        self.kube = self.cluster.kube
        self.repositories = Repositories(self.kube)

    @property
    def url(self) -> str:
        """Where BinderHub answers."""
        return f"http://127.0.0.1:{self.cluster.ports.binderhub}"

    @property
    def second_url(self) -> str:
        """Where a second installation answers, once there is one."""
        return f"http://127.0.0.1:{self.cluster.ports.second}"

    @property
    def registry(self) -> str:
        """Where the registry answers."""
        return f"http://127.0.0.1:{self.cluster.ports.registry}"

    @property
    def binderhub_is_real(self) -> bool:
        """Whether BinderHub itself runs, and not what stands in for it."""
        images = (one for one in self.sources if one.reference.startswith(supply.BINDERHUB))
        return not any(one.is_stand_in for one in images)

    def install(self, installation: Installation) -> None:
        """Sync an installation in the place of the one that is there, and wait until that is gone."""
        self.application.sync(installation.render())
        for component in ("binderhub", "registry"):
            self.kube.the_pod("binderhub", f"app.kubernetes.io/component={component}")
        self.wait_for_answer()
        self.keep_base()

    def wait_for_answer(self) -> None:
        """Wait until BinderHub answers at the port of this machine."""
        wait_for_answer(self.url)

    def manifest(self, image: str) -> dict[str, Any] | None:
        """Return the manifest or index that the registry has of an image, None where it has none.

        Raises:
            OSError: it does not answer, or refuses.
        """
        name, _, tag = image.removeprefix(f"{REGISTRY}/").rpartition(":")
        token = base64.b64encode(credentials(self).encode()).decode()
        request = Request(
            f"{self.registry}/v2/{name}/manifests/{tag}",
            headers={"Authorization": f"Basic {token}", "Accept": ", ".join(_MANIFESTS)},
        )
        try:
            with urlopen(request, timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
        except HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return None
            raise
        return found

    def keep_base(self) -> None:
        """Have the image in the registry that the repositories of the tests are built on.

        A registry that forgets with its pod is given it again: from a node, with the password.
        """
        node = self.cluster.node(CORE)
        here = f"127.0.0.1:{REGISTRY_PORT}/{BASE.partition('/')[2]}"
        ctr = ("ctr", "--namespace=k8s.io", "images")
        self.cluster.on_node(node, *ctr, "tag", "--force", supply.BASE, here)
        said: list[Exception] = []

        def has_base() -> bool:
            try:
                if self.manifest(BASE):
                    return True
                user = credentials(self)
                self.cluster.on_node(node, *ctr, "push", "--plain-http", "--user", user, here)
            # A pod is ready before every node has the way to it.
            except (OSError, AssertionError) as error:
                said.append(error)
            return False

        until("the registry has the base image", has_base, seconds=60, state=lambda: said[-1:])


def wait_for_answer(url: str) -> None:
    """Wait until a BinderHub answers at ``url``."""

    def answers() -> bool:
        try:
            with urlopen(f"{url}/versions", timeout=5) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except (OSError, HTTPException):
            return False

    until(f"BinderHub answers at {url}", answers, seconds=60)


@contextmanager
def say(stage: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    start = time.monotonic()
    yield
    print(f"  {stage}: {time.monotonic() - start:.0f} s", flush=True)  # noqa: T201 - for the person who waits


def bring_up(
    name: str,
    chosen: Supply,
    ports: Ports,
    *,
    also: Iterable[str] = (),
    stage: Stage = say,
    reuse: bool = False,
) -> World:
    """Create the cluster and everything in it; ``stage`` is entered for each step.

    With ``reuse``, a cluster of that name is brought up to date instead, where there is one. A cluster that
    cannot be brought up is removed. The images of ``also`` are built or pulled as well, and not loaded.

    Raises:
        CannotRunError: something stands in the way.
    """
    cluster = Cluster(name, ports=ports)
    is_there = cluster.exists()
    if is_there and not reuse:
        raise CannotRunError(
            f"a cluster {name} is left over from an earlier run; `make down CLUSTER={name}` removes it"
        )
    if not is_there:
        require_room(chosen.store)
    installation = Installation()
    rendered = installation.render()
    services, builds = _images(rendered)
    with stage("supply"):
        if not is_there:
            cluster.image = chosen.node_image() or None
        sources = chosen.sources([*services, *builds, supply.GIT_SERVER, supply.BASE, *also])
    try:
        if is_there:
            cluster.remember()
            cluster.require_answer()
        else:
            with stage("cluster up"):
                cluster.create()
        by_name = {source.reference: source for source in sources}
        core = [by_name[one] for one in (*services, supply.GIT_SERVER, supply.BASE)]
        with stage("images loaded"):
            cluster.load({cluster.node(CORE): core, cluster.node(BUILDS): [by_name[one] for one in builds]})
        world = World(cluster, installation, Application("binderhub-kind", cluster.kube), sources)
        with stage("overlay Ready"):
            world.application.sync(rendered)
        with stage("git server and base image"):
            Application("e2e", world.kube).sync(kustomize(_SERVICES))
            world.keep_base()
    except BaseException:
        if not is_there and not reuse:
            # What is wrong comes first, and an engine that is gone has no cluster.
            with suppress(CannotRunError):
                cluster.delete()
        raise
    return world


def credentials(world: World) -> str:
    """Return ``user:password`` of the registry, as the overlay's Secret has them.

    Raises:
        AssertionError: BinderHub would find none either.
    """
    data = world.kube.core.read_namespaced_secret("registry-credentials", "binderhub").data
    assert "config.json" in data, f"registry-credentials has {', '.join(data)}, and no config.json"
    config = json.loads(base64.b64decode(data["config.json"]))
    (entry,) = config["auths"].values()
    return base64.b64decode(entry["auth"]).decode()


def _images(objects: Sequence[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Return the images of the core pool, and those of the build pool with the build pod's own."""
    daemons = [one for one in objects if one["kind"] == "DaemonSet"]
    build_image = str(effective_config(objects).effective(EXECUTOR, "build_image"))
    return references([one for one in objects if one not in daemons]), [*references(daemons), build_image]
