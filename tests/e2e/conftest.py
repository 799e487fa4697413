"""One cluster for all end-to-end tests, with one installation that builds.

The cluster has nothing of its own but what ``world.bring_up`` makes. A test that changes the installation
changes it through ``install``, which puts it back; no test leaves a build pod or a container behind.
"""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import gitops
from tests.e2e.airgap.store import default_directory
from tests.e2e.builds import Builds, build_pods
from tests.e2e.cluster import CORE, Ports
from tests.e2e.errors import CannotRunError
from tests.e2e.kube import summary, until
from tests.e2e.measures import Measures
from tests.e2e.preflight import engine, free_port
from tests.e2e.repositories import DEMO, Repository
from tests.e2e.supply import Supply
from tests.e2e.world import World, bring_up, say

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tests.e2e.installation import Installation
    from tests.e2e.world import Stage

_NAMESPACES = ("binderhub", "binderhub-two", "e2e", "argocd")
# What makes a cluster of its own comes first, and what takes the installation away last.
_FIRST, _LAST = "test_tutorial", "test_argocd"
_MEASURES = pytest.StashKey[Measures]()
_WORLD = pytest.StashKey[World]()
_PROBLEM = pytest.StashKey[CannotRunError]()
# The cleaner of the tests comes every five seconds.
_CLEAN_SECONDS = 60


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--export-logs", metavar="DIRECTORY", help="write the logs of all nodes and pods there at the end"
    )


def pytest_configure() -> None:
    """Clean up after whoever ends the run with a signal, as after an interrupt."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.e2e)
    items.sort(key=lambda item: (item.path.stem == _LAST) - (item.path.stem == _FIRST))


@pytest.fixture(scope="session")
def measures(request: pytest.FixtureRequest) -> Iterator[Measures]:
    """Measure the whole run."""
    request.config.stash[_MEASURES] = measures = Measures(default_directory())
    yield measures
    measures.finish()


@pytest.fixture(scope="session")
def world(request: pytest.FixtureRequest, measures: Measures) -> Iterator[World]:
    """Return the cluster: three node pools, a registry, a git server, and BinderHub Ready.

    With ``--keep-cluster`` it stays, and the next run finds it.
    """
    name = request.config.getoption("cluster_name")
    keep = request.config.getoption("keep_cluster")
    with ExitStack() as stack:
        try:
            supply = Supply.chosen()
            stack.enter_context(engine(supply.store, keep=keep))
            ports = Ports(free_port(), free_port(), free_port())
            with _shown(request.config):
                wants_argocd = any(item.path.stem == _LAST for item in request.session.items)
                also = gitops.images(supply) if wants_argocd else ()
                world = bring_up(name, supply, ports, also=also, stage=_stages(measures), reuse=keep)
        except CannotRunError as error:
            request.config.stash[_PROBLEM] = error
            pytest.exit("there is no cluster to run them on", returncode=2)
        request.config.stash[_WORLD] = world
        if not keep:
            stack.callback(world.cluster.delete)
        stack.callback(world.kube.close)
        if logs := request.config.getoption("export_logs"):
            stack.callback(world.cluster.export_logs, Path(logs))
        yield world


@contextmanager
def _shown(config: pytest.Config) -> Iterator[None]:
    """Show what goes on to the person who waits: pytest keeps to itself what is printed meanwhile."""
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        sys.stdout.write("\n")
        yield


def _stages(measures: Measures) -> Stage:
    @contextmanager
    def stage(name: str) -> Iterator[None]:
        with say(name), measures.stage(name):
            yield

    return stage


@pytest.fixture(scope="session")
def builds(world: World) -> Builds:
    """Ask BinderHub for builds."""
    return Builds(world)


@pytest.fixture(scope="session")
def demo(world: World) -> Repository:
    """Return a repository with a Dockerfile that builds."""
    return world.repositories.commit("demo", DEMO)


@pytest.fixture
def install(world: World) -> Iterator[Callable[..., Installation]]:
    """Return a function that syncs another installation, and sync the usual one in the end."""
    changed = False

    def sync(**changes: Any) -> Installation:
        nonlocal changed
        changed = True
        installation = world.installation.but(**changes)
        world.install(installation)
        return installation

    yield sync
    if changed:
        world.install(world.installation)


@pytest.fixture(autouse=True)
def _nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves build pods, or containers of builds, behind."""
    yield
    if "world" not in request.fixturenames:
        return
    world = request.getfixturevalue("world")
    try:
        until(
            "no build pod is left", lambda: not build_pods(world.kube), seconds=_CLEAN_SECONDS,
            state=lambda: [summary(pod) for pod in build_pods(world.kube)],
        )  # fmt: skip
    finally:
        # What one test leaves is not the next one's fault.
        for pod in build_pods(world.kube):
            world.kube.core.delete_namespaced_pod(pod.metadata.name, "binderhub", grace_period_seconds=0)
    for pod in world.kube.pods("binderhub", "app.kubernetes.io/component=docker-api"):
        left = world.kube.run_in(pod, "docker", "ps", "--all", "--quiet", container="docker-api")
        assert not left.strip(), f"containers left in {pod.metadata.name}: {left}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put what happened on the cluster into the report of a test that fails."""
    report = yield
    world = item.config.stash.get(_WORLD, None)
    if report.failed and world is not None:
        try:
            story = "\n".join(world.kube.story(_NAMESPACES))
        except Exception as error:  # noqa: BLE001 - the failure itself is what matters
            story = f"the cluster does not answer: {error}"
        report.sections.append(("the cluster", story))
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print what it took, and where a cluster that is kept can be looked at."""
    measures = config.stash.get(_MEASURES, None)
    world = config.stash.get(_WORLD, None)
    if world is None or measures is None:
        return
    terminalreporter.section("images")
    for source in world.sources:
        terminalreporter.line(str(source))
    terminalreporter.section("measures, on two cores")
    for line in measures.table():
        terminalreporter.line(line)
    if config.getoption("keep_cluster"):
        terminalreporter.section("the cluster is kept")
        terminalreporter.line(f"export KUBECONFIG={world.cluster.kubeconfig_path}")
        terminalreporter.line(f"kubectl get pods --all-namespaces; {CORE} is {world.cluster.node(CORE)}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say last why nothing was run."""
    problem = config.stash.get(_PROBLEM, None)
    if problem:
        sys.stderr.write(f"error: {problem}\n")
