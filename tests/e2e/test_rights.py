"""BinderHub's Role suffices, as every other test shows, and each verb of it is needed."""

from __future__ import annotations

import pytest
from kubernetes import client

from tests.e2e.builds import build_pods
from tests.e2e.kube import until
from tests.e2e.repositories import dockerfile
from tests.e2e.streams import Ending

BINDERHUB = "system:serviceaccount:binderhub:binderhub"


@pytest.fixture
def role(world):
    """Take a verb out of BinderHub's Role, and put it back."""
    before = world.kube.get("rbac.authorization.k8s.io/v1", "Role", "binderhub", "binderhub")

    def without(resource, verb):
        rules = [
            {
                **rule,
                "verbs": [one for one in rule["verbs"] if (one, rule["resources"]) != (verb, [resource])],
            }
            for rule in before["rules"]
        ]
        put([rule for rule in rules if rule["verbs"]])

    def put(rules):
        world.kube.apply(
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
             "metadata": {"name": "binderhub", "namespace": "binderhub"}, "rules": rules},
            manager="argocd-controller",
        )  # fmt: skip

    yield without
    put(before["rules"])
    until("build pods are cleaned up", lambda: not build_pods(world.kube), seconds=60)


UNHANDLED = "Unhandled error watching for build events. Please try again.\n"


@pytest.mark.parametrize(
    ("resource", "verb", "is_built"),
    [
        ("pods", "list", False),
        ("pods", "create", False),
        ("pods", "watch", False),
        ("pods/log", "get", False),
        ("pods", "delete", True),
    ],
)
def test_each_verb_of_the_role_is_needed(resource, verb, is_built, role, builds, world):
    repo = world.repositories.commit("rights", dockerfile(f"LABEL without={verb}-{resource}"))
    role(resource, verb)
    until("RBAC has heard of it", lambda: not may(world, resource, verb), seconds=30)
    transcript = builds.run(repo, limit=90)
    assert not transcript.image
    # Where the refusal comes while BinderHub is busy with another event, the stream ends without a word.
    assert transcript.ending is Ending.CLOSED
    assert [event.message for event in transcript.events if event.is_terminal] in ([], [UNHANDLED])
    assert ("pushing" in str(transcript)) == is_built


def may(world, resource, verb):
    """Whether BinderHub may, as the API server sees it."""
    name, _, subresource = resource.partition("/")
    asked = client.V1ResourceAttributes(
        namespace="binderhub", verb=verb, resource=name, subresource=subresource
    )
    review = client.V1SubjectAccessReview(
        spec=client.V1SubjectAccessReviewSpec(user=BINDERHUB, resource_attributes=asked)
    )
    return client.AuthorizationV1Api(world.kube.client).create_subject_access_review(review).status.allowed
