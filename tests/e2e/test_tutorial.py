"""The tutorial does what it says for a reader with a fork: from nothing to a built image, and to nothing.

Its cluster is its own, and is gone before that of the other tests comes.
"""

from __future__ import annotations

import re

import pytest

from tests.e2e.airgap.store import Store, default_directory
from tests.e2e.cluster import ROOT, Cluster, Ports
from tests.e2e.playground import NAME
from tests.e2e.preflight import engine, free_port
from tests.reader import do, make_fork
from tools.steps import steps

PAGE = ROOT / "docs" / "tutorials" / "build-an-image.md"
IMAGE = re.compile(r"registry\.binderhub\.svc:5000/\S+")


@pytest.fixture
def ports(measures):
    """Ports for the reader's cluster, which goes in any case; the run begins with it."""
    del measures
    ports = Ports(free_port(), free_port(), free_port())
    cluster = Cluster(NAME, ports=ports)
    store = Store(default_directory())
    with engine(store):
        there = cluster.all_names()
    if there:
        pytest.skip(f"not applicable: there is a cluster already ({', '.join(there)})")
    yield ports
    with engine(store):
        left = cluster.all_names()
        cluster.delete()
    assert left == []


def test_from_nothing_to_a_built_image(ports, tmp_path):
    fork = tmp_path / "fork"
    make_fork(ROOT, fork, also=("tests",))
    variables = {"PORT": str(ports.binderhub), "REGISTRY_PORT": str(ports.registry)}
    said = [(step.text.strip(), do(step, fork, variables)) for step in steps(PAGE)]
    up, first, second = (text for command, text in said if command in ("make up", "make build"))
    assert f"BinderHub answers at http://127.0.0.1:{ports.binderhub}" in up
    assert {"waiting", "building", "ready"} <= set(first.split())
    assert "Found built image" not in first
    assert "Found built image" in second
    assert IMAGE.findall(first)[-1] == IMAGE.findall(second)[-1]
    texts = dict(said)
    assert "no finding in 5 overlays" in texts["make validate"]
    assert f"the cluster {NAME} is removed" in texts["make down"]
