"""Where BinderHub builds, cleans up and counts: the truth table of what was observed."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from validate.binderhub.config import namespaces

TABLE = list(itertools.product([None, "env"], [None, "kube"], [None, "binder"], [None, "quota"]))


@pytest.mark.parametrize(("env", "kube", "binder", "quota"), TABLE)
def test_each_of_the_three_has_its_own_order_of_sources(
    env: str | None, kube: str | None, binder: str | None, quota: str | None
) -> None:
    config: dict[str, Any] = {"KubernetesBuildExecutor": {}, "BinderHub": {}, "KubernetesLaunchQuota": {}}
    if kube:
        config["KubernetesBuildExecutor"]["namespace"] = kube
    if binder:
        config["BinderHub"]["build_namespace"] = binder
    if quota:
        config["KubernetesLaunchQuota"]["namespace"] = quota
    found = namespaces(config, {"BUILD_NAMESPACE": env} if env else {})
    assert found == (
        binder or kube or env or "default",
        binder or env or "default",
        quota or env or "default",
    )


def test_a_nested_namespace_beats_the_deprecated_one_for_build_pods_only() -> None:
    config = {
        "BinderHub": {"build_namespace": "binder", "KubernetesBuildExecutor": {"namespace": "nested"}},
    }
    assert namespaces(config, {})[:2] == ("nested", "binder")
