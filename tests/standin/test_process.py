"""The whole process, with the configuration that overlays/kind renders: as the image runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.standin.conftest import REF, REPO, StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


def render(overlay: str) -> list[dict[str, Any]]:
    tool = [os.environ.get("KUSTOMIZE", "kustomize"), "build", overlay]
    return list(yaml.safe_load_all(subprocess.run(tool, cwd=ROOT, check=True, capture_output=True).stdout))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what overlays/kind mounts: loader, config.d and registry."""
    directory = tmp_path_factory.mktemp("mounted")
    names = {"binderhub-loader": "loader", "binderhub-config": "config.d", "registry-credentials": "registry"}
    for item in render("overlays/kind"):
        name = item["metadata"]["name"]
        target = next((names[each] for each in names if name == each or name.startswith(f"{each}-")), None)
        if item["kind"] in {"ConfigMap", "Secret"} and target:
            (directory / target).mkdir()
            for key, text in item["data"].items():
                (directory / target / key).write_text(text)
    return directory


@pytest.fixture
def process(mounted, cluster, tmp_path) -> Iterator[StandIn]:
    """One that runs on its own."""
    port = free_port()
    (mounted / "config.d" / "99-here.yaml").write_text(
        "BinderHub:\n"
        f"  {{port: {port}, registry_class: binderhub.registry.FakeRegistry, build_cleanup_interval: 1}}\n"
        "GitRepoProvider: {allowed_protocols: [git]}\n"
    )
    kubeconfig = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
        "clusters": [{"name": "here", "cluster": {"server": cluster.url}}],
        "users": [{"name": "here", "user": {}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT / 'tests/e2e/airgap/standin'}:{ROOT}",
        "HOME": str(tmp_path),
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "BUILD_NAMESPACE": "binderhub",
        "BINDERHUB_CONFIG_DIRECTORY": str(mounted / "config.d"),
        "DOCKER_CONFIG": str(mounted / "registry"),
        "TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR": "1",
    }
    command = [sys.executable, "-m", "binderhub", "--config", str(mounted / "loader/binderhub_config.py")]
    running = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    standin = StandIn(f"http://127.0.0.1:{port}/")
    try:
        for _ in range(600):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert running.poll() is None, running.stderr.read()
            time.sleep(0.05)
        yield standin
        standin.close()
        running.send_signal(signal.SIGTERM)
        # Nothing is finished first: Kubernetes waits for preStop, and builds go on by themselves.
        assert running.wait(20) == -signal.SIGTERM
    finally:
        running.kill()
        running.communicate()


def test_it_serves_cleans_up_and_makes_the_pod_that_validate_prints(process, cluster) -> None:
    command = [sys.executable, "-m", "validate", "build-pod", "kind"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    cluster.is_asked("GET", times=2)
    (cleaned_up,) = set(cluster.calls)
    assert cleaned_up.endswith("/namespaces/binderhub/pods?labelSelector=component=binderhub-build")
    versions = json.loads(process.get("versions").body)
    assert versions["binderhub"].startswith("stand-in of binderhub-service")
    assert process.get("health").status == 503
    stream = process.build()
    created = cluster.created()
    assert created.namespace == "binderhub"
    created.ends("Succeeded")
    assert stream.transcript().image.endswith(f":{REF}")
    assert of_any_build(created.body, REPO, REF) == of_any_build(
        yaml.safe_load(printed), "https://git.example/r.git", "0123abc"
    )


def of_any_build(pod: dict[str, Any], repo: str, ref: str) -> dict[str, Any]:
    """Return what a pod is whatever is built."""
    name = pod["metadata"]["name"]
    (image,) = (
        word.partition("=")[2] for word in pod["spec"]["containers"][0]["args"] if word.startswith("--image=")
    )
    text = json.dumps({"labels": pod["metadata"]["labels"], "spec": pod["spec"]})
    for said, instead in ((image, "<image>"), (name, "<name>"), (repo, "<repo>"), (ref, "<ref>")):
        text = text.replace(said, instead)
    return json.loads(text)
