"""The rules, one module each, in the order of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.rules.application_override import ApplicationOverride
from validate.rules.blocked_flow import BlockedFlow
from validate.rules.buffered_stream import BufferedStream
from validate.rules.build_pod_without_docker_api import BuildPodWithoutDockerApi
from validate.rules.credential_in_config import CredentialInConfig
from validate.rules.dangling_reference import DanglingReference
from validate.rules.dead_patch import DeadPatch
from validate.rules.deprecated_config import DeprecatedConfig
from validate.rules.divergent_image import DivergentImage
from validate.rules.duplicate_owner import DuplicateOwner
from validate.rules.excessive_role import ExcessiveRole
from validate.rules.forbidden_build_pod import ForbiddenBuildPod
from validate.rules.foreign_push_secret import ForeignPushSecret
from validate.rules.idle_docker_api import IdleDockerApi
from validate.rules.image_prefix_rewritten import ImagePrefixRewritten
from validate.rules.index_pushing_engine import IndexPushingEngine
from validate.rules.inexact_generate_paths import InexactGeneratePaths
from validate.rules.insufficient_role import InsufficientRole
from validate.rules.invalid_object import InvalidObject
from validate.rules.invalid_waiver import InvalidWaiver
from validate.rules.misdirected_service import MisdirectedService
from validate.rules.missing_push_secret import MissingPushSecret
from validate.rules.mounted_api_token import MountedApiToken
from validate.rules.open_build_api import OpenBuildApi
from validate.rules.open_metadata_endpoint import OpenMetadataEndpoint
from validate.rules.orphan_file import OrphanFile
from validate.rules.overlong_socket_path import OverlongSocketPath
from validate.rules.port_mismatch import PortMismatch
from validate.rules.privileged_container import PrivilegedContainer
from validate.rules.probe_needs_hub import ProbeNeedsHub
from validate.rules.push_without_registry import PushWithoutRegistry
from validate.rules.refused_by_policy import RefusedByPolicy
from validate.rules.secret_in_git import SecretInGit
from validate.rules.shadowed_config import ShadowedConfig
from validate.rules.shallow_image_prefix import ShallowImagePrefix
from validate.rules.shared_host_path import SharedHostPath
from validate.rules.shared_rate_limit import SharedRateLimit
from validate.rules.silent_config_failure import SilentConfigFailure
from validate.rules.socket_path_mismatch import SocketPathMismatch
from validate.rules.split_namespace import SplitNamespace
from validate.rules.sticky_build_without_label import StickyBuildWithoutLabel
from validate.rules.ui_mode import UiMode
from validate.rules.unbounded_docker_api import UnboundedDockerApi
from validate.rules.undone_patch import UndonePatch
from validate.rules.unhashed_reference import UnhashedReference
from validate.rules.unknown_config_class import UnknownConfigClass
from validate.rules.unknown_config_trait import UnknownConfigTrait
from validate.rules.unpinned_image import UnpinnedImage
from validate.rules.unprobed_docker_api import UnprobedDockerApi
from validate.rules.unreachable_docker_host import UnreachableDockerHost
from validate.rules.unreadable_registry import UnreadableRegistry
from validate.rules.unready_hub_wiring import UnreadyHubWiring
from validate.rules.unrenderable_overlay import UnrenderableOverlay
from validate.rules.unrepaired_socket_directory import UnrepairedSocketDirectory
from validate.rules.unsafe_prune import UnsafePrune
from validate.rules.unschedulable_build_pod import UnschedulableBuildPod
from validate.rules.unsynced_overlay import UnsyncedOverlay
from validate.rules.wave_order import WaveOrder
from validate.rules.wrong_config_type import WrongConfigType
from validate.rules.wrong_push_secret_key import WrongPushSecretKey

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
    ForbiddenBuildPod,
    UnboundedDockerApi,
    # Credentials and registry.
    MissingPushSecret,
    WrongPushSecretKey,
    ForeignPushSecret,
    UnreadableRegistry,
    ImagePrefixRewritten,
    ShallowImagePrefix,
    PushWithoutRegistry,
    SecretInGit,
    CredentialInConfig,
    # BinderHub's configuration.
    UnknownConfigClass,
    UnknownConfigTrait,
    WrongConfigType,
    DeprecatedConfig,
    ShadowedConfig,
    SilentConfigFailure,
    UiMode,
    PortMismatch,
    ProbeNeedsHub,
    OpenBuildApi,
    SharedRateLimit,
    BufferedStream,
    UnreadyHubWiring,
    # Objects and their wiring.
    MisdirectedService,
    DanglingReference,
    InsufficientRole,
    ExcessiveRole,
    MountedApiToken,
    BlockedFlow,
    OpenMetadataEndpoint,
    UnpinnedImage,
    DivergentImage,
    PrivilegedContainer,
    InvalidObject,
    RefusedByPolicy,
    # Kustomize and GitOps.
    UnrenderableOverlay,
    DeadPatch,
    OrphanFile,
    UndonePatch,
    UnhashedReference,
    DuplicateOwner,
    UnsyncedOverlay,
    InexactGeneratePaths,
    ApplicationOverride,
    UnsafePrune,
    WaveOrder,
    InvalidWaiver,
)
