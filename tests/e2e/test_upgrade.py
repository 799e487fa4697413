"""From the previous revision to this one, as Argo CD does it: nothing lost, nothing pruned too early."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import time

import pytest

from tests.e2e.cluster import ROOT
from tests.e2e.errors import CannotRunError
from tests.e2e.installation import references
from tests.e2e.kube import until
from tests.e2e.repositories import dockerfile
from tests.e2e.streams import Event

NAMESPACE = "binderhub"
MANIFESTS = ("base", "components", "policies", "overlays/kind")
# How far back a revision is looked for that renders something else for the same nodes.
REVISIONS = 20
# Whatever the revisions have in common, something that is generated differs.
ANOTHER_CONFIG = {"KubernetesBuildExecutor": {"log_tail_lines": 99}}


def git(*words):
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else b""


def revisions():
    """The revisions before those that changed manifests, the newest first; ``UPGRADE_FROM`` names another."""
    named = os.environ.get("UPGRADE_FROM")
    if named:
        return [named]
    changes = git("rev-list", f"--max-count={REVISIONS}", "HEAD", "--", *MANIFESTS).decode().split()
    return [f"{change}^" for change in changes]


@pytest.fixture(scope="module")
def previous(world, tmp_path_factory):
    """The newest revision that renders something else, else this one with another configuration."""
    now = world.installation.render()
    for revision in revisions():
        archive = git("archive", revision, *MANIFESTS)
        if not archive:
            continue
        root = tmp_path_factory.mktemp("revision")
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(root, filter="data")
        before = world.installation.but(root=root)
        try:
            rendered = before.render()
        except CannotRunError:
            continue
        if rendered != now and needs(rendered) == needs(now):
            return before.but(config=ANOTHER_CONFIG)
    return world.installation.but(config=ANOTHER_CONFIG)


def needs(objects):
    """What a cluster was made for: images, and the nodes that they were loaded into."""
    pods = [one["spec"]["template"]["spec"] for one in objects if one["kind"] in ("Deployment", "DaemonSet")]
    return set(references(objects)), [pod.get("nodeSelector") for pod in pods]


def generated(kube):
    """The ConfigMaps that Kustomize has generated, with their hashes."""
    names = (one.metadata.name for one in kube.core.list_namespaced_config_map(NAMESPACE).items)
    return {name for name in names if name.startswith("binderhub-config-")}


def test_an_upgrade_loses_nothing(world, builds, previous):
    world.install(previous)
    old = generated(world.kube)
    assert len(old) == 1
    credentials = world.kube.core.read_namespaced_secret("registry-credentials", NAMESPACE).metadata.uid
    built = world.repositories.commit("before", dockerfile(f"ENV at={time.time_ns()}"))
    image = builds.succeed(built).image
    during = world.repositories.commit(
        "during", dockerfile(f"ENV at={time.time_ns()}", "RUN echo begun && sleep 20")
    )
    with builds.ask(during) as stream:
        for item in stream:
            if isinstance(item, Event) and "begun" in item.message:
                break
        started = time.time()
        pruned = world.application.sync(world.installation.render())
        # The stream belongs to the BinderHub that goes; the build does not.
        stream.transcript()
    # The tests give the old one a second to end, and whoever is with it then is cut off.
    world.kube.the_pod(NAMESPACE, "app.kubernetes.io/component=binderhub")
    world.wait_for_answer()
    assert old <= {one.name for one in pruned}
    until("the old configuration is gone", lambda: not old & generated(world.kube), seconds=30)
    assert builds.succeed(during).image
    assert missing(world, started) == []
    assert (
        world.kube.core.read_namespaced_secret("registry-credentials", NAMESPACE).metadata.uid == credentials
    )
    again = builds.run(built)
    assert again.image == image
    builds.succeed(world.repositories.commit("after-the-upgrade", dockerfile(f"ENV at={time.time_ns()}")))


def missing(world, started):
    """Complaints about objects that are not there, since then."""
    return [
        event.message
        for event in world.kube.core.list_namespaced_event(NAMESPACE).items
        if "not found" in (event.message or "")
        and (event.last_timestamp or event.event_time).timestamp() > started
    ]
