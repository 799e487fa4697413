"""A real Argo CD installs overlays/kind from git through the objects in argocd/, and keeps it as git says.

The installation of the other tests goes first: Argo CD begins with nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import pairwise

import pytest
import yaml

from tests.e2e.fork import OVERLAY, Fork
from tests.e2e.gitops import ArgoCD
from tests.e2e.installation import kustomize
from tests.e2e.kube import until, watched
from tests.e2e.supply import Supply
from tests.e2e.sync import is_healthy
from validate import engine
from validate.kustomize.render import find_kustomize

NAMESPACE = "binderhub"
APPLICATION = "binderhub-kind"
FRAGMENT = f"{OVERLAY}/config/50-kind.yaml"
KUSTOMIZATION = f"{OVERLAY}/kustomization.yaml"
WAVE = "argocd.argoproj.io/sync-wave"
TRACKING = "argocd.argoproj.io/tracking-id"


@pytest.fixture(scope="module")
def fork(world):
    """A fork of this repository, on the git server of the cluster."""
    return Fork(world.repositories)


@pytest.fixture(scope="module")
def argocd(request, world, fork, measures, tmp_path_factory):
    """Argo CD, told of the fork as the README says, with nothing of the installation there before."""
    with measures.stage("Argo CD up"):
        argocd = ArgoCD(world, Supply.chosen())
    world.application.delete()
    until("nothing is installed", lambda: not world.kube.get("v1", "Namespace", NAMESPACE), seconds=180)
    root = tmp_path_factory.mktemp("fork")
    fork.write(root)
    entry = kustomize(root / "argocd")
    for one in entry:
        world.kube.apply(one)
    with measures.stage("first Argo CD sync"):
        argocd.wait_until_synced(APPLICATION, fork.commit, seconds=300)
    world.keep_base()
    yield argocd
    if not request.config.getoption("keep_cluster"):
        # These tests come last, and the cluster goes as a whole.
        return
    for one in reversed(entry):
        world.kube.delete(one["apiVersion"], one["kind"], one["metadata"]["name"], "argocd")
    until("the application is gone", lambda: not argocd.application(APPLICATION), seconds=60)
    argocd.delete()
    world.install(world.installation)


def tracked(world):
    """The objects on the cluster that belong to the application."""
    application = world.kube.get("argoproj.io/v1alpha1", "Application", APPLICATION, "argocd")
    for one in application["status"]["resources"]:
        api_version = "/".join(part for part in (one.get("group"), one["version"]) if part)
        found = world.kube.get(api_version, one["kind"], one["name"], one.get("namespace"))
        if found:
            yield found


@pytest.mark.usefixtures("argocd")
def test_waves_are_synced_in_their_order(world):
    waves = {}
    for one in tracked(world):
        annotations = one["metadata"].get("annotations") or {}
        # What the API server makes for each namespace was there before anybody synced it.
        if one["kind"] != "ServiceAccount" or one["metadata"]["name"] != "default":
            waves.setdefault(int(annotations.get(WAVE, 0)), []).append(one["metadata"]["creationTimestamp"])
    assert sorted(waves) == [-2, -1, 0, 1]
    for earlier, later in pairwise(sorted(waves)):
        # Argo CD waits two seconds between waves, and for health.
        assert max(waves[earlier]) < min(waves[later])


def test_what_argo_cd_renders_is_what_validate_renders(argocd, fork, tmp_path):
    fork.write(tmp_path)
    overlay = engine.read_overlay(tmp_path, find_kustomize(tmp_path).start(tmp_path, OVERLAY))
    ours = {name_of(one.value): one.value for one in overlay.objects}
    theirs = {name_of(one): without_tracking(one) for one in argocd.rendered(fork.commit)}
    assert theirs.keys() == ours.keys()
    for name, value in ours.items():
        assert theirs[name] == value, name


def name_of(value):
    metadata = value["metadata"]
    return value["kind"], metadata["name"]


def without_tracking(value):
    metadata = dict(value["metadata"])
    annotations = {key: text for key, text in metadata.get("annotations", {}).items() if key != TRACKING}
    metadata.pop("annotations", None)
    return {**value, "metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}


@pytest.mark.usefixtures("argocd")
def test_what_argo_cd_has_synced_builds(world, builds):
    world.wait_for_answer()
    builds.succeed(
        world.repositories.commit("gitops", {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "a\n"})
    )


def config_in_use(world):
    """The generated ConfigMap that BinderHub mounts."""
    return config_of(world.kube.get("apps/v1", "Deployment", "binderhub", NAMESPACE))


def config_of(deployment):
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    return next(one["configMap"]["name"] for one in volumes if one["name"] == "config")


@contextmanager
def history(world):
    """Record what happens meanwhile: BinderHub healthy with a ConfigMap, and ConfigMaps deleted."""
    seen = []

    def deployment(event, value):
        if event != "DELETED" and value["metadata"]["name"] == "binderhub" and is_healthy(value):
            seen.append(("healthy", config_of(value)))

    def configmap(event, value):
        if event == "DELETED":
            seen.append(("deleted", value["metadata"]["name"]))

    with (
        watched(world.kube.core.list_namespaced_config_map, NAMESPACE, configmap),
        watched(world.kube.apps.list_namespaced_deployment, NAMESPACE, deployment),
    ):
        until("the watch has begun", lambda: any(seen), seconds=30)
        yield seen


def test_a_pushed_edit_rolls_out_and_a_revert_rolls_back(argocd, fork, world):
    before, original = config_in_use(world), fork.files[FRAGMENT]
    with history(world) as seen:
        fork.edit(FRAGMENT, "limit: 0", "limit: 0\n  period_seconds: 1800")
        argocd.refresh(APPLICATION)
        argocd.wait_until_synced(APPLICATION, fork.commit)
        after = config_in_use(world)
        assert after != before
        fork.files[FRAGMENT] = original
        fork.push()
        argocd.refresh(APPLICATION)
        argocd.wait_until_synced(APPLICATION, fork.commit)
        until("the configuration of the edit is pruned", lambda: ("deleted", after) in seen, seconds=60)
    assert config_in_use(world) == before
    # Neither was pruned before BinderHub was healthy without it.
    steps = [step for index, step in enumerate(seen) if index == 0 or seen[index - 1] != step]
    wanted = [
        ("healthy", before),
        ("healthy", after),
        ("deleted", before),
        ("healthy", before),
        ("deleted", after),
    ]
    assert [step for step in steps if step in wanted] == wanted
    complaints = [
        event.message
        for event in world.kube.core.list_namespaced_event(NAMESPACE).items
        if "configmap" in (event.message or "").lower() and "not found" in event.message
    ]
    assert not complaints


@pytest.mark.usefixtures("argocd")
def test_a_manual_edit_is_undone(world):
    world.kube.apps.patch_namespaced_deployment_scale("binderhub", NAMESPACE, {"spec": {"replicas": 2}})
    until(
        "Argo CD has undone the edit",
        lambda: world.kube.apps.read_namespaced_deployment("binderhub", NAMESPACE).spec.replicas == 1,
        seconds=120,
    )


def without(kustomization, objects):
    """A kustomization that leaves these objects out."""
    content = yaml.safe_load(kustomization)
    for api_version, kind, name, _ in objects:
        one = {"$patch": "delete", "apiVersion": api_version, "kind": kind, "metadata": {"name": name}}
        content["patches"].append({"patch": yaml.safe_dump(one)})
    return yaml.safe_dump(content, sort_keys=False)


def test_pruning_never_takes_the_credentials_or_the_namespace(argocd, fork, world):
    kept = [
        ("v1", "Namespace", NAMESPACE, None),
        ("v1", "Secret", "registry-credentials", NAMESPACE),
    ]
    # And something that is pruned, to see that Argo CD prunes.
    gone = ("policy/v1", "PodDisruptionBudget", "binderhub", NAMESPACE)
    uids = [world.kube.get(*one)["metadata"]["uid"] for one in kept]
    original = fork.files[KUSTOMIZATION]
    fork.files[KUSTOMIZATION] = without(original, [*kept, gone])
    fork.push()
    argocd.refresh(APPLICATION)
    until("what is gone from git is pruned", lambda: not world.kube.get(*gone), seconds=180,
          state=lambda: argocd.story(APPLICATION))  # fmt: skip
    for one, uid in zip(kept, uids, strict=True):
        found = world.kube.get(*one)
        assert found is not None, one
        assert found["metadata"]["uid"] == uid
        assert "deletionTimestamp" not in found["metadata"]
    fork.files[KUSTOMIZATION] = original
    fork.push()
    argocd.refresh(APPLICATION)
    argocd.wait_until_synced(APPLICATION, fork.commit)
