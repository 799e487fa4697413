"""What validate says of admission policies and schemas is what the API server says."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.e2e.cases import cases, overlay_of
from tests.e2e.cluster import ROOT
from tests.e2e.installation import kustomize
from tests.e2e.kube import Kube, applied, manifest, until
from validate.cluster.admission import Admission, created_pod
from validate.cluster.schema_bundle import MODULES

BINDERHUB = "system:serviceaccount:{}:binderhub"
ARGO_CD = "system:serviceaccount:argocd:argocd-application-controller"
POLICIES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
OVERLAYS = sorted(path.parent.name for path in (ROOT / "overlays").glob("*/kustomization.yaml"))
DENIED = re.compile(
    r"ValidatingAdmissionPolicy '(?P<policy>[^']+)' with binding '(?P<binding>[^']+)' denied request: "
    r"(?P<message>.*)",
    re.DOTALL,
)
INVALID = re.compile(r'^Pod "[^"]+" is invalid: ')


@pytest.fixture(scope="module")
def everybody_may(world):
    """Give every ServiceAccount all rights: here policies are asked, and not RBAC."""
    with applied(world.kube, manifest("everybody-may")):
        yield


@pytest.fixture(scope="module")
def have_namespace(world):
    """Return a function: has a Namespace as a case has it, with these labels; they stay for the next case.

    One that is deleted is there for five seconds more.
    """
    names = set()

    def have(namespace, labels):
        annotations = dict(namespace.value["metadata"].get("annotations") or {})
        metadata = {"name": namespace.name, "labels": dict(labels), "annotations": annotations}
        world.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        names.add(namespace.name)
        until(
            "the namespace has its ServiceAccount",
            lambda: world.kube.get("v1", "ServiceAccount", "default", namespace.name), seconds=30,
        )  # fmt: skip

    yield have
    for name in names:
        world.kube.delete("v1", "Namespace", name)


@contextmanager
def held(world, objects):
    """Have these policies, with their parameters, in force."""
    with applied(world.kube, [*objects, *manifest("sentinel")]):
        until("the policies are in force", lambda: not sentinel_passes(world), seconds=60)
        yield
    until("the policies are gone", lambda: sentinel_passes(world), seconds=60)


def sentinel_passes(world):
    named = {"name": "sentinel", "namespace": "default"}
    refusal = world.kube.refusal({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named})
    return not refusal


def without_namespace_of_cluster_wide(value):
    """Kustomize writes a namespace on the policies, which an API server takes off."""
    if value["kind"] not in (*POLICIES, "Namespace"):
        return value
    metadata = {key: text for key, text in value["metadata"].items() if key != "namespace"}
    return {**value, "metadata": metadata}


def asked_of(overlay):
    """What is asked of the API server, and by whom: objects, pods of controllers, the build pod."""
    for item in overlay.objects:
        if item.kind in (*POLICIES, "Namespace"):
            continue
        yield item.title, item.value, ARGO_CD
        created = created_pod(item.value)
        if created:
            yield f"the pods of {item.title}", created.value, created.username
    built = overlay.build_pod
    if built and built.object:
        yield "build pod", built.object.value, BINDERHUB.format(built.namespace)


class InvalidError(Exception):
    """The API server refuses an object before it asks any policy."""


def answer(kube, value):
    """What a policy of the API server says of a request: policy, binding, message; None for nothing."""
    metadata = value["metadata"]
    # A name of its own: what is there already would be refused for that.
    name = f"{metadata.get('name') or metadata['generateName']}x"
    named = {key: one for key, one in metadata.items() if key != "generateName"}
    refusal = kube.refusal({**value, "metadata": {**named, "name": name}})
    if not refusal:
        return None
    if INVALID.search(refusal):
        raise InvalidError(refusal)
    denied = DENIED.search(refusal)
    assert denied, f"refused, and not by a policy: {refusal}"
    return denied["policy"], denied["binding"], denied["message"]


@pytest.mark.parametrize(
    "case", [*cases("refused-by-policy"), *cases("forbidden-build-pod")], ids=lambda case: case.name
)
@pytest.mark.usefixtures("everybody_may")
def test_every_verdict_of_a_policy_is_that_of_the_api_server(case, world, have_namespace, tmp_path):
    overlay = overlay_of(case, tmp_path / "repository")
    namespace = overlay.build_pod.namespace
    found = overlay.find("Namespace", namespace)
    # Privileged, so that Pod Security has no say: that is compared in its own test.
    privileged = {**found.labels, "pod-security.kubernetes.io/enforce": "privileged"}
    admission = Admission.of(overlay.objects)
    needed = [
        without_namespace_of_cluster_wide(item.value) for item in overlay.objects
        if item.kind in (*POLICIES, "ConfigMap", "ServiceAccount")
    ]  # fmt: skip
    clients = {}
    compared = 0
    have_namespace(found, privileged)
    with held(world, needed):
        for title, value, user in asked_of(overlay):
            kube = clients.setdefault(user, Kube(world.cluster.kubeconfig_path, user=user))
            predicted = [
                (one.policy, one.binding, one.message)
                for one in admission.verdicts(value, namespace_labels=privileged, username=user)
                if one.action == "Deny"
            ]
            try:
                said = answer(kube, value)
            except InvalidError:
                # No policy is asked; the rule of the case says so of the build pod.
                assert (title, case.parent.name) == ("build pod", "forbidden-build-pod")
                assert case.name.startswith("bad-")
                continue
            assert said in (predicted or [None]), title
            compared += 1
    for kube in clients.values():
        kube.close()
    assert compared > 5


@pytest.mark.parametrize("case", cases("forbidden-build-pod"), ids=lambda case: case.name)
@pytest.mark.usefixtures("everybody_may")
def test_a_build_pod_is_refused_where_validate_says_so(case, world, have_namespace, tmp_path):
    overlay = overlay_of(case, tmp_path / "repository")
    pod, namespace = overlay.build_pod.object.value, overlay.build_pod.namespace
    needed = [
        without_namespace_of_cluster_wide(item.value) for item in overlay.objects
        if item.kind in (*POLICIES, "ConfigMap", "ServiceAccount", "ResourceQuota", "LimitRange")
    ]  # fmt: skip
    kube = Kube(world.cluster.kubeconfig_path, user=BINDERHUB.format(namespace))
    found = overlay.find("Namespace", namespace)
    have_namespace(found, found.labels)
    with held(world, needed):
        if case.name.startswith("good-"):
            assert not kube.refusal(pod)
        else:
            # A new quota counts before it limits.
            until("the build pod is refused", lambda: kube.refusal(pod), seconds=30)
    kube.close()


@pytest.fixture(scope="module")
def custom_resources(world):
    """Have the kinds that overlays use beside Kubernetes' own, from the modules that publish them."""
    definitions = []
    for module in MODULES:
        if module.product != "External Secrets":
            continue
        found = subprocess.run(
            ["go", "mod", "download", "-json", f"{module.path}@{module.version}"],
            capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip
        if found.returncode:
            pytest.skip(
                f"not applicable: {module.path} {module.version} cannot be had: {found.stdout[-200:]}"
            )
        directory = Path(json.loads(found.stdout)["Dir"])
        for file in module.files:
            definitions += [one for one in yaml.safe_load_all((directory / file).read_text("utf-8")) if one]
    with applied(world.kube, definitions):
        for name in (one["metadata"]["name"] for one in definitions):
            until(f"{name} is established", lambda name=name: is_established(world, name), seconds=60)
        world.kube.forget_kinds()
        yield
    world.kube.forget_kinds()


def is_established(world, name):
    found = world.kube.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)
    conditions = (found or {}).get("status", {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.usefixtures("custom_resources")
def test_the_api_server_accepts_every_object_of_an_overlay(overlay, world):
    objects = kustomize(ROOT / "overlays" / overlay)
    for value in objects:
        world.kube.apply(without_namespace_of_cluster_wide(value), manager="argocd-controller", dry_run=True)
    assert len(objects) > 20
