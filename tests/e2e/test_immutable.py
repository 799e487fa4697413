"""What `validate diff` says that the API server will refuse, it refuses, and nothing else."""

from __future__ import annotations

import copy
from http import HTTPStatus

import pytest
from kubernetes.client import ApiException

from tests.e2e.installation import views
from tests.e2e.kube import applied, manifest, reason
from validate.cluster.immutable import refused_changes

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "e2e-changes"}}
CLUSTER_WIDE = {
    "ClusterRoleBinding",
    "IngressClass",
    "PersistentVolume",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
}
(CHANGES,) = manifest("changes")


def merged(value, patch):
    """A value with a merge patch applied (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for key, part in patch.items():
        if part is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), part)
    return result


def placed(value):
    """An object in the namespace of these tests, where its kind has one."""
    if value["kind"] in CLUSTER_WIDE:
        return value
    return {**value, "metadata": {**value["metadata"], "namespace": NAMESPACE["metadata"]["name"]}}


@pytest.fixture(scope="module")
def namespace(world):
    with applied(world.kube, [NAMESPACE]):
        yield


@pytest.mark.parametrize(
    "change", CHANGES, ids=lambda change: f"{change['object']['kind']}-{change['object']['metadata']['name']}"
)
@pytest.mark.usefixtures("namespace")
def test_the_api_server_refuses_what_is_predicted(world, change):
    before = placed(change["object"])
    wrong = []
    with applied(world.kube, [before]):
        for what, patch in change["edits"].items():
            after = merged(copy.deepcopy(before), patch)
            predicted = [one.field for one in refused_changes(*views([before, after]))]
            said = answer(world.kube, after)
            if bool(said) != bool(predicted):
                wrong.append(f"{what}: predicted {predicted or 'nothing'}, the API server says {said!r}")
    assert wrong == []


def answer(kube, value):
    """Why the API server refuses to apply an object, nothing where it does not."""
    try:
        kube.apply(value, dry_run=True)
    except ApiException as error:
        if error.status != HTTPStatus.UNPROCESSABLE_ENTITY:
            raise
        return reason(error)
    return ""
