"""Where the name of a Service leads."""

from __future__ import annotations

from textwrap import dedent

import pytest

from validate.cluster.network import Port
from validate.cluster.objects import KubeObject
from validate.cluster.services import (
    ServiceName,
    find_service,
    read_service_name,
    selected_pods,
    services_of,
    target_ports,
)
from validate.source import compose

SERVICE = """
    apiVersion: v1
    kind: Service
    metadata: {name: registry, namespace: binder}
    spec:
      selector: {app: registry}
      ports:
        - {name: api, port: 5000, targetPort: http}
        - {name: dns, port: 53, protocol: UDP}
        - {name: dns-tcp, port: 53, targetPort: 5353}
        - {name: lost, port: 80, targetPort: nothing}
"""
PODS = """
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: registry, namespace: binder}
    spec:
      template:
        metadata: {labels: {app: registry}}
        spec:
          containers:
            - name: registry
              ports: [{name: http, containerPort: 5001}, {name: http, containerPort: 5002, protocol: UDP}]
"""
ELSEWHERE = PODS.replace("namespace: binder", "namespace: elsewhere")
OTHER = PODS.replace("app: registry", "app: other").replace("name: registry,", "name: other,")


def objects(*documents):
    text = "---\n".join(dedent(document) for document in documents)
    return tuple(KubeObject(field.plain(), field.writers_at) for field in compose(text, "services.yaml"))


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("registry", ServiceName("registry", "binder")),
        ("registry.hub", ServiceName("registry", "hub")),
        ("registry.hub.svc", ServiceName("registry", "hub")),
        ("registry.unknown.svc", ServiceName("registry", "unknown")),
        ("registry.hub.svc.cluster.local", ServiceName("registry", "hub")),
        ("quay.io", None),
        ("registry.example.org", None),
        ("svc.example.org", None),
        ("10.0.0.7", None),
        ("localhost", None),
        ("", None),
    ],
)
def test_a_host_names_a_service_as_the_search_domains_of_a_pod_have_it(host, name):
    assert read_service_name(host, "binder", {"binder", "hub"}) == name


def test_a_service_leads_to_the_pods_of_its_namespace_that_it_selects():
    together = objects(SERVICE, PODS, ELSEWHERE, OTHER)
    service = find_service(ServiceName("registry", "binder"), together)
    assert [pod.owner.title for pod in selected_pods(service, together)] == ["Deployment binder/registry"]
    assert find_service(ServiceName("registry", "elsewhere"), together) is None


def test_a_pod_is_selected_by_the_services_of_its_namespace():
    together = objects(SERVICE, PODS, ELSEWHERE, OTHER)
    found = [[service.title for service in services_of(item.pod, together)] for item in together[1:]]
    assert found == [["Service binder/registry"], [], []]


@pytest.mark.parametrize(
    ("number", "ports"),
    [
        (5000, [Port(5001)]),
        (53, [Port(53, "UDP"), Port(5353)]),
        (80, []),
        (5001, []),
    ],
)
def test_a_port_of_a_service_leads_to_a_port_of_the_pod_by_number_or_name(number, ports):
    service, workload = objects(SERVICE, PODS)
    assert list(target_ports(service, number, workload.pod)) == ports
