"""The pod that BinderHub creates for a build.

It stands in no manifest: BinderHub makes it from its configuration when somebody asks for a build.
Models ``KubernetesBuildExecutor`` of BinderHub b9fad995, what it sends to the API server and how it
fails, with tests against pods recorded from it.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlparse

from msgspec import Struct, field

from validate.binderhub.names import build_name, image_name
from validate.binderhub.precedence import APPLICATION, Setting, Settings
from validate.binderhub.traits import TraitSchema
from validate.cluster.objects import KubeObject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from validate.binderhub.config import BinderHubConfig
    from validate.place import Json, Origin, Path, Place

EXECUTOR = "KubernetesBuildExecutor"
SOCKET_MOUNT = "/var/run/docker.sock"
CREDENTIALS_MOUNT = "/root/.docker/config.json"
CREDENTIALS_KEY = "config.json"
# No trait adds to them.
TOLERATED_TAINTS = ("hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated")
_COMPONENT = "binderhub-build"
_HOSTNAME = "kubernetes.io/hostname"
_CONTAINER: Path = ("spec", "containers", 0)
# What a build is like whose configuration alone is known.
_REPO = "https://git.example/r.git"
_REF = "0123abc"
_STICKY_NODE = {"spec": {"nodeName": "node-of-the-repository"}}
_HELPER_TOKEN = {"username": "from-the-helper", "password": "from-the-helper", "registry": "from-the-helper"}
_HELPER = "binderhub.registry.ExternalRegistryHelper"


class BuildPodError(Exception):
    """BinderHub creates no pod: ``<exception>: <message>``, as its log says."""


class BuildInputs(Struct, frozen=True):
    """What a build adds to the configuration.

    Attributes:
        name: of the build, and so of the pod.
        repo: URL of the repository.
        ref: resolved ref.
        image: name of the image with its tag.
        use_registry: ``BinderHub.use_registry``.
        registry_token: credentials that the registry class hands out for this push.
        git_credentials: those of the repository provider.
        pods: what the API server answers when asked for the pods labelled ``component=image-builder``.
    """

    name: str
    repo: str
    ref: str
    image: str
    use_registry: bool = True
    registry_token: Mapping[str, Json] = field(default_factory=dict)
    git_credentials: str = ""
    pods: Sequence[Mapping[str, Any]] = ()


class BuildPod(Struct, frozen=True, eq=False):
    """The pod of any build of one overlay.

    Attributes:
        object: the pod as one more object, each field written by the line of the configuration that
            decides it; None where BinderHub creates none.
        error: why it creates none.
        namespace: where it is created.
        socket_path: the path on the node that it mounts as its docker socket, None for no socket.
        push_secret: the Secret that it mounts as its docker configuration, empty for none.
    """

    object: KubeObject | None
    error: BuildPodError | None
    namespace: str
    socket_path: str | None = None
    push_secret: str = ""


class _BuildPodObject(KubeObject, frozen=True):
    """The build pod among rendered objects; its name changes with each build and says nothing."""

    @property
    def title(self) -> str:
        """``build pod``."""
        return "build pod"


def predict(config: Json, *, environment: Mapping[str, str], inputs: BuildInputs) -> dict[str, Json]:
    """Return ``{"namespace", "pod"}`` as BinderHub sends them to the API server.

    ``config`` maps classes to traits to values; a class inside ``BinderHub`` is the nested form.

    Raises:
        BuildPodError: BinderHub does not start with this configuration, or every build fails.
    """
    composed = _compose(Settings(config if isinstance(config, dict) else {}), environment, inputs)
    return {"namespace": composed.namespace, "pod": composed.pod}


def predict_build_pod(config: BinderHubConfig) -> BuildPod:
    """Return the pod that BinderHub will create with this configuration, for a build of no matter what."""
    problem = _no_executor(config)
    namespace = config.namespaces.builder
    if problem:
        return BuildPod(None, problem, namespace)
    try:
        composed = _compose(config.settings, config.environment, _any_build(config))
    except BuildPodError as error:
        return BuildPod(None, error, namespace)
    pod: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", **composed.pod}
    pod["metadata"] = {**pod["metadata"], "namespace": namespace}
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    return BuildPod(
        _BuildPodObject(pod, _Writers(config, composed.decided)),
        None,
        namespace,
        volumes["docker-socket"]["hostPath"]["path"] if "docker-socket" in volumes else None,
        volumes["docker-config"]["secret"]["secretName"] if "docker-config" in volumes else "",
    )


def rank_nodes(repo: str, pods: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the nodes of these pods, the one that builds of ``repo`` stick to first (rendezvous hashing).

    Raises:
        KeyError: a pod is not scheduled yet.
    """

    def score(node: str) -> int:
        return int.from_bytes(blake2b(f"{repo}-{node}".encode(), digest_size=8).digest(), "big")

    nodes = [str(pod["spec"]["nodeName"]) for pod in pods]
    return sorted(nodes, key=lambda node: (score(node), node), reverse=True)


class _Composed(NamedTuple):
    """A pod, and the path in the configuration that decides what stands at a path in it, and below."""

    namespace: str
    pod: dict[str, Json]
    decided: dict[Path, Path]


class _Executor:
    """The traits of the build executor, set or not."""

    def __init__(self, loaded: Mapping[str, Setting], environment: Mapping[str, str]) -> None:
        self._loaded = loaded
        self._traits = TraitSchema.load().traits(EXECUTOR)
        self._environment = environment

    def path(self, trait: str) -> Path:
        """Where the configuration decides it: where it is set, or where it would be."""
        if trait == "resources" and trait not in self._loaded:
            trait = next((each for each in ("memory_limit", "memory_request") if each in self._loaded), trait)
        return self._loaded[trait].path if trait in self._loaded else (EXECUTOR, trait)

    def value(self, trait: str) -> Any:
        """Return its value, BinderHub's default where it is not set."""
        if trait in self._loaded:
            return self._loaded[trait].value
        if trait == "namespace":
            return self._environment.get("BUILD_NAMESPACE", "default")
        if trait == "resources":
            return self._resources_of_deprecated_traits()
        return self._traits[trait].default

    def _resources_of_deprecated_traits(self) -> Json:
        limit, request = self.value("memory_limit"), self.value("memory_request")
        return {
            "limits": {"memory": limit} if limit else {},
            "requests": {"memory": request} if limit or request else {},
        }


def _compose(settings: Settings, environment: Mapping[str, str], inputs: BuildInputs) -> _Composed:
    try:
        settings.load(APPLICATION)
        executor = _Executor(settings.load(EXECUTOR), environment)
        return _pod(executor, inputs)
    except Exception as error:  # Whatever BinderHub's own code raises on such a configuration.
        raise BuildPodError(f"{type(error).__name__}: {error}") from error


def _pod(executor: _Executor, inputs: BuildInputs) -> _Composed:
    push_secret = executor.value("push_secret") if inputs.use_registry else ""
    token = inputs.registry_token if inputs.use_registry else None
    credentials = token or executor.value("registry_credentials")
    volumes, mounts, volume_traits = _volumes(
        executor.value("docker_host"), "" if credentials else push_secret
    )
    args, arg_traits = _args(executor, inputs, push=bool(push_secret))
    env, env_paths = _env(executor, inputs, credentials)
    pod: dict[str, Json] = {
        "metadata": {
            "name": inputs.name,
            "labels": {"name": inputs.name, "component": _COMPONENT},
            "annotations": {"binder-repo": inputs.repo},
        },
        "spec": {
            "restartPolicy": "Never",
            "nodeSelector": executor.value("node_selector"),
            "tolerations": [
                {"key": key, "operator": "Equal", "value": "user", "effect": "NoSchedule"}
                for key in TOLERATED_TAINTS
            ],
            "affinity": _affinity(inputs, sticky=executor.value("sticky_builds")),
            "imagePullSecrets": [
                {} if name is None else {"name": name} for name in executor.value("image_pull_secrets")
            ],
            "volumes": volumes,
            "containers": [
                {
                    "name": "builder",
                    "image": executor.value("build_image"),
                    "args": args,
                    "env": env,
                    "resources": executor.value("resources"),
                    "volumeMounts": mounts,
                }
            ],
        },
    }
    decided: dict[Path, Path] = {
        ("metadata", "namespace"): executor.path("namespace"),
        ("spec", "nodeSelector"): executor.path("node_selector"),
        ("spec", "affinity"): executor.path("sticky_builds"),
        ("spec", "imagePullSecrets"): executor.path("image_pull_secrets"),
        (*_CONTAINER, "image"): executor.path("build_image"),
        (*_CONTAINER, "resources"): executor.path("resources"),
        (*_CONTAINER, "env"): executor.path("extra_envs"),
        **{(*_CONTAINER, "args", index): executor.path(trait) for index, trait in arg_traits.items()},
        **{(*_CONTAINER, "env", index): path for index, path in env_paths.items()},
    }
    for index, trait in enumerate(volume_traits):
        decided["spec", "volumes", index] = executor.path(trait)
        decided[(*_CONTAINER, "volumeMounts", index)] = executor.path(trait)
    return _Composed(executor.value("namespace"), pod, decided)


def _volumes(docker_host: str | None, secret: str) -> tuple[list[Json], list[Json], list[str]]:
    """Return volumes, their mounts, and the trait that decides each."""
    volumes: list[Json] = []
    mounts: list[Json] = []
    traits: list[str] = []
    if docker_host is not None:
        path = urlparse(docker_host).path
        volumes.append({"name": "docker-socket", "hostPath": {"path": path, "type": "Socket"}})
        mounts.append({"name": "docker-socket", "mountPath": SOCKET_MOUNT})
        traits.append("docker_host")
    if secret:
        volumes.append({"name": "docker-config", "secret": {"secretName": secret}})
        mounts.append({"name": "docker-config", "mountPath": CREDENTIALS_MOUNT, "subPath": CREDENTIALS_KEY})
        traits.append("push_secret")
    return volumes, mounts, traits


def _args(executor: _Executor, inputs: BuildInputs, *, push: bool) -> tuple[list[Json], dict[int, str]]:
    """Return the arguments, and by index the traits that decide some of them."""
    args: list[Json] = [
        "jupyter-repo2docker",
        f"--ref={inputs.ref}",
        f"--image={inputs.image}",
        "--no-clean",
        "--no-run",
        "--json-logs",
        "--user-name=jovyan",
        "--user-id=1000",
    ]
    traits: dict[int, str] = {}

    def add(trait: str, words: Iterable[str]) -> None:
        for word in words:
            traits[len(args)] = trait
            args.append(word)

    appendix = executor.value("appendix")
    add("appendix", ["--appendix", appendix] if appendix else [])
    add("push_secret", ["--push"] if push else [])
    add("repo2docker_extra_args", executor.value("repo2docker_extra_args"))
    args.append(inputs.repo)
    return args, traits


def _env(
    executor: _Executor, inputs: BuildInputs, credentials: Mapping[str, Json]
) -> tuple[list[Json], dict[int, Path]]:
    """Return the environment, and by index the paths in the configuration that decide it."""
    extra, path = executor.value("extra_envs"), executor.path("extra_envs")
    env: list[Json] = [
        {"name": name} if value is None else {"name": name, "value": value} for name, value in extra.items()
    ]
    paths: dict[int, Path] = {index: (*path, name) for index, name in enumerate(extra)}
    if inputs.git_credentials:
        env.append({"name": "GIT_CREDENTIAL_ENV", "value": inputs.git_credentials})
    if credentials:
        paths[len(env)] = executor.path("registry_credentials")
        env.append({"name": "CONTAINER_ENGINE_REGISTRY_CREDENTIALS", "value": json.dumps(credentials)})
    return env, paths


def _affinity(inputs: BuildInputs, *, sticky: bool) -> Json:
    if sticky:
        # IndexError: BinderHub takes the first of no node at all.
        best = rank_nodes(inputs.repo, inputs.pods)[0]
        term: Json = {"matchExpressions": [{"key": _HOSTNAME, "operator": "In", "values": [best]}]}
        return {
            "nodeAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": term}]
            }
        }
    others: Json = {
        "topologyKey": _HOSTNAME,
        "labelSelector": {"matchLabels": {"component": _COMPONENT}},
    }
    return {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": others}]
        }
    }


def _no_executor(config: BinderHubConfig) -> BuildPodError | None:
    schema = TraitSchema.load()
    path = config.trait(APPLICATION, "build_class").text
    for known in schema.classes.values():
        if known.path == path and EXECUTOR not in known.sections:
            return BuildPodError(f"no build pod: BinderHub.build_class is {path}")
    return None


def _any_build(config: BinderHubConfig) -> BuildInputs:
    prefix = config.trait(APPLICATION, "image_prefix").text
    is_helper = config.trait(APPLICATION, "registry_class").text == _HELPER
    return BuildInputs(
        build_name(_REPO, _REF),
        _REPO,
        _REF,
        image_name(prefix, _REPO, _REF),
        use_registry=bool(config.effective(APPLICATION, "use_registry")),
        registry_token=_HELPER_TOKEN if is_helper else {},
        # That there is such a pod is for a rule to say; the node of none is known here.
        pods=(_STICKY_NODE,),
    )


class _Writers:
    """Finds the lines of the configuration that decide a field of the pod."""

    def __init__(self, config: BinderHubConfig, decided: Mapping[Path, Path]) -> None:
        self._config = config
        self._decided: dict[Path, Place] = {
            path: config.place.at(*decides) for path, decides in decided.items()
        }
        namespace = config.namespace_place
        if namespace is not None:
            self._decided["metadata", "namespace"] = namespace

    def __call__(self, path: Path) -> tuple[Origin, ...]:
        for length in range(len(path), 0, -1):
            place = self._decided.get(path[:length])
            if place is not None:
                return place.document.writers((*place.path, *path[length:]))
        # What no trait decides is there because BinderHub is: where its configuration begins.
        return self._config.writers(())[-1:]
