"""What a pull request is told: one edit each, the whole text that somebody reads."""

from __future__ import annotations

import pytest

DOCKER_API = "base/docker-api/daemonset.yaml"
BINDERHUB = "base/binderhub/deployment.yaml"
EKS = "overlays/eks"


def narrow_docker_api(clone):
    clone.edit(f"{EKS}/daemonset.build-pool.yaml", ": builds", ": build")


def widen_the_role(clone):
    rule = '  - apiGroups: [""]\n    resources: [secrets]\n    verbs: [get, list]\n'
    clone.write("base/binderhub/role.yaml", (clone.root / "base/binderhub/role.yaml").read_text() + rule)


def open_the_network(clone):
    clone.remove("policies/network/default-deny.yaml")
    clone.edit("policies/network/kustomization.yaml", "  - default-deny.yaml\n", "")


def renew_the_build_image(clone):
    clone.edit("base/images/config/05-images.yaml", "repo2docker:2026.04.0", "repo2docker:2026.05.0")


def change_a_selector(clone):
    clone.edit(
        DOCKER_API,
        "    matchLabels:\n      app.kubernetes.io/component: docker-api\n",
        "    matchLabels:\n      app.kubernetes.io/component: docker-api\n      app: binder\n",
    )


def drop_a_component(clone):
    clone.edit(f"{EKS}/kustomization.yaml", "  - ../../components/image-cleaner\n", "")


def move_the_namespace(clone):
    clone.edit("overlays/kind/kustomization.yaml", "namespace: binderhub\n", "namespace: builds\n")


def stop_pruning(clone):
    clone.edit("argocd/applicationset.yaml", "          prune: true\n", "          prune: false\n")


def take_a_pool_away(clone):
    clone.edit(f"{EKS}/cluster.yaml", "  - name: builds\n", "  - name: others\n")
    clone.edit(f"{EKS}/cluster.yaml", "nodegroup: builds", "nodegroup: others")


def remove_an_overlay(clone):
    clone.remove("overlays/openstack")


CASES = [
    narrow_docker_api,
    widen_the_role,
    open_the_network,
    renew_the_build_image,
    change_a_selector,
    drop_a_component,
    move_the_namespace,
    stop_pruning,
    take_a_pool_away,
    remove_an_overlay,
]


@pytest.mark.parametrize("change", CASES, ids=lambda change: change.__name__)
def test_the_text_says_what_changes_what_happens_and_what_is_found(change, clone, expected):
    change(clone)
    status, output, errors = clone.diff()
    assert errors == ""
    expected(f"{change.__name__.replace('_', '-')}.txt", output, clone)
    assert status == (1 if "new error" in output.splitlines()[-1] else 0)
