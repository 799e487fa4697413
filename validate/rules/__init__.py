"""The rules, one module each, in the order of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.rules.build_pod_without_docker_api import BuildPodWithoutDockerApi
from validate.rules.dead_patch import DeadPatch
from validate.rules.idle_docker_api import IdleDockerApi
from validate.rules.index_pushing_engine import IndexPushingEngine
from validate.rules.overlong_socket_path import OverlongSocketPath
from validate.rules.shared_host_path import SharedHostPath
from validate.rules.socket_path_mismatch import SocketPathMismatch
from validate.rules.split_namespace import SplitNamespace
from validate.rules.sticky_build_without_label import StickyBuildWithoutLabel
from validate.rules.unbounded_docker_api import UnboundedDockerApi
from validate.rules.unprobed_docker_api import UnprobedDockerApi
from validate.rules.unreachable_docker_host import UnreachableDockerHost
from validate.rules.unrenderable_overlay import UnrenderableOverlay
from validate.rules.unrepaired_socket_directory import UnrepairedSocketDirectory
from validate.rules.unschedulable_build_pod import UnschedulableBuildPod
from validate.rules.unsynced_overlay import UnsyncedOverlay

if TYPE_CHECKING:
    from validate.rules.rule import Rule

RULES: tuple[type[Rule], ...] = (
    # Build pods meet docker-api.
    BuildPodWithoutDockerApi,
    UnschedulableBuildPod,
    IdleDockerApi,
    SocketPathMismatch,
    OverlongSocketPath,
    UnreachableDockerHost,
    SharedHostPath,
    UnrepairedSocketDirectory,
    UnprobedDockerApi,
    StickyBuildWithoutLabel,
    IndexPushingEngine,
    SplitNamespace,
    UnboundedDockerApi,
    # Kustomize and GitOps.
    UnrenderableOverlay,
    DeadPatch,
    UnsyncedOverlay,
)
