"""Values that stand for those of somebody's own cluster."""

from __future__ import annotations

import pytest

from validate.cluster.objects import KubeObject
from validate.cluster.placeholders import placeholders
from validate.source import compose

ACCOUNT = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: a, annotations: {%s: %s}}}"
POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a}
spec:
  podSelector: {}
  %s: [{%s: [{ipBlock: {cidr: %s}}]}]
"""


def found(text):
    objects = [KubeObject(field.plain(), field.writers_at) for field in compose(text, "objects.yaml")]
    return [str(one.at.value) for one in placeholders(objects)]


@pytest.mark.parametrize(
    ("annotation", "nobody", "somebody"),
    [
        (
            "eks.amazonaws.com/role-arn",
            "arn:aws:iam::000000000000:role/binderhub",
            "arn:aws:iam::000000000001:role/binderhub",
        ),
        (
            "iam.gke.io/gcp-service-account",
            "binderhub@example.iam.gserviceaccount.com",
            "binderhub@example-12.iam.gserviceaccount.com",
        ),
        (
            "azure.workload.identity/client-id",
            "00000000-0000-0000-0000-000000000000",
            "00000000-0000-0000-0000-000000000010",
        ),
    ],
)
def test_identities(annotation, nobody, somebody):
    assert found(ACCOUNT % (annotation, nobody)) == [nobody]
    assert not found(ACCOUNT % (annotation, somebody))


@pytest.mark.parametrize("cidr", ["192.0.2.7/32", "198.51.100.0/24", "203.0.113.128/25", "2001:db8:1::/48"])
def test_addresses_for_documentation_are_nobodys(cidr):
    assert found(POLICY % ("egress", "to", f'"{cidr}"')) == [cidr]


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "192.0.0.0/16", "10.0.0.7/32", "::/0", "nothing"])
def test_blocks_that_have_more_than_such_addresses_are_not(cidr):
    assert not found(POLICY % ("egress", "to", f'"{cidr}"'))


def test_an_address_that_is_let_in_may_be_one_of_a_client_that_nobody_has():
    assert not found(POLICY % ("ingress", "from", "192.0.2.0/24"))
