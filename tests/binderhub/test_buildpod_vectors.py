"""Build pods recorded from BinderHub b9fad995: one configuration each, and what it sent to the API server."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from validate.binderhub.buildpod import BuildInputs, BuildPodError, predict

VECTORS = json.loads(
    Path(os.environ.get("BUILD_POD_VECTORS") or Path(__file__).with_name("build-pod-vectors.json")).read_text(
        "utf-8"
    )
)


def predicted(config: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    build = BuildInputs(
        name="build-r-1",
        repo="https://git.example/r.git",
        ref="0123abc",
        image="registry.example/p/r:0123abc",
        **inputs,
    )
    try:
        return predict(config, environment={"BUILD_NAMESPACE": "env-ns"}, inputs=build)
    except BuildPodError as error:
        return {"error": str(error)}


def without_order_of_mappings(result: dict[str, Any]) -> dict[str, Any]:
    """The recording has sorted keys: mappings whose order shows in a list or a text lost it."""
    result = json.loads(json.dumps(result))
    for container in result.get("pod", {}).get("spec", {}).get("containers", []):
        for variable in container["env"]:
            if variable["name"] == "CONTAINER_ENGINE_REGISTRY_CREDENTIALS":
                variable["value"] = json.loads(variable["value"])
        container["env"].sort(key=lambda variable: variable["name"])
    return result


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"vector-{vector['id']}")
def test_the_predicted_pod_is_the_recorded_vector(vector: dict[str, Any]) -> None:
    result = predicted(vector["config"], vector["inputs"])
    assert without_order_of_mappings(result) == without_order_of_mappings(vector["result"])


def test_the_vectors_hold_pods_and_errors() -> None:
    kinds = {"error" if "error" in vector["result"] else "pod" for vector in VECTORS}
    assert kinds == {"error", "pod"}
