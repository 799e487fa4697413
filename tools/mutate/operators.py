"""Operators: the ways to break a value, each with the values that it fits.

``paths`` is a regular expression that is searched for in ``file:path`` of a value. Nothing here knows
what validate finds: an operator is what people do wrong, or what somebody would like to smuggle in.
"""

# ruff: noqa: E501 - one operator to a line
from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from tools.mutate.mutant import Kind

if TYPE_CHECKING:
    from validate.place import Json, Scalar


class Rewrite(NamedTuple):
    """The first match of ``pattern`` in a text becomes ``new``, as in :func:`re.sub`."""

    kind: Kind
    paths: str
    pattern: str
    new: str


class Write(NamedTuple):
    """The value, a scalar, becomes ``new``."""

    kind: Kind
    paths: str
    new: Scalar


class Give(NamedTuple):
    """The value, a mapping, gets an entry that it has not."""

    kind: Kind
    paths: str
    name: str
    value: Json


class Append(NamedTuple):
    """The value, a list, gets one more item."""

    kind: Kind
    paths: str
    item: Json


Operator: TypeAlias = Rewrite | Write | Give | Append


class Sort(NamedTuple):
    """Values that mean the same sort of thing, and are taken for one another.

    Attributes:
        name: for people.
        paths: of the values, as for operators.
    """

    name: str
    paths: str


# Of every value, removing it takes something away; of these it takes away what was given or excepted.
GIVEN = re.compile(r"\.((verbs|rules|egress|ingress)(\[[^]]*\])?|(to|from|ports)\[[^]]*\])$")
# A network policy without peers or without ports means all of them.
EXCEPTED = re.compile(
    r"\.(except|resourceNames|validations|matchConstraints)(\[[^]]*\])?$"
    r"|spec\.(egress|ingress)\[[^]]*\]\.(to|from|ports)$"
)

# Names that something else refers to, or that refer to something else.
NAMES = re.compile(
    r"(metadata\.name|roleRef\.name|subjects\[[^]]*\]\.name|serviceAccountRef\.name|generatorRef\.name"
    r"|secretStoreRef\.name|configMap\.name|secretName|serviceAccountName|policyName|paramRef\.name"
    r"|containers\[[^]]*\]\.name|initContainers\[[^]]*\]\.name|[vV]olumes?(Mounts)?\[[^]]*\]\.name"
    r"|ports\[[^]]*\]\.name|env\[[^]]*\]\.name|push_secret|target\.name|secretKey|service\.name|port\.name"
    r"|ingressClassName|Generator\[[^]]*\]\.name|provides\[[^]]*\]\.name"
    r"|variables\[[^]]*\]\.name|resourceNames\[[^]]*\]|remoteRef\.(key|property)|spec\.project"
    r"|nodePools\[[^]]*\]\.name|namespaces\[[^]]*\]\.name|images\[[^]]*\]\.name)$"
)
KEYS = re.compile(
    r"\.(labels|matchLabels|nodeSelector|node_selector|selector|annotations|data|extra_envs|pairs\[[^]]*\])\.[^\[\]]*$"
)
# Classes and traits of BinderHub.
TRAITS = re.compile(r"/config/\d\d-[a-z-]+\.yaml:[A-Z]\w+(\.\w+)?$")

SORTS = (
    Sort("component", r"app\.kubernetes\.io/component$"),
    Sort("value of the label component", r"(matchLabels|labels)\.component$"),
    Sort(
        "namespace",
        r"(kubernetes\.io/metadata\.name|(overlays/\w+/|^)kustomization\.yaml:namespace|destination\.namespace)$",
    ),
    Sort("pool", r"(nodegroup|agentpool|gke-nodepool)$"),
    Sort("port", r"\.(port|containerPort|targetPort|nodePort)$"),
    Sort("ConfigMap", r"(configMap\.name|paramRef\.name|configMapGenerator\[[^]]*\]\.name)$"),
    Sort("Secret", r"(secretName|push_secret|target\.name|secretGenerator\[[^]]*\]\.name)$"),
    Sort("ServiceAccount", r"(serviceAccountName|subjects\[[^]]*\]\.name)$"),
    Sort("Role", r"(roleRef\.name|role\.yaml:metadata\.name)$"),
    Sort("policy", r"policyName$"),
    Sort("path in a container", r"mountPath$"),
    Sort("path on a node", r"hostPath\.path$"),
    Sort("volume", r"volumeMounts\[[^]]*\]\.name$"),
    Sort("registry", r"(image_prefix|\.config\.json)$"),
    Sort("image", r"\.image$"),
    Sort("tag", r"\.newTag$"),
    Sort("wave", r"sync-wave$"),
    Sort("workload", r"overlays/.*(deployment|daemonset|cronjob)\S*:metadata\.name$"),
    Sort("field of the pod", r"fieldPath$"),
    Sort("key of a Secret", r"secretKey$"),
    Sort("file", r"kustomization\.yaml:.*(files|resources|components)\[[^]]*\]$"),
    Sort("resource of the API", r"rules\[[^]]*\]\.resources\[[^]]*\]$"),
    Sort("path in the repository", r"generatePaths\[[^]]*\]$"),
    Sort("version of Kubernetes", r"cluster\.yaml:kubernetes\[[^]]*\]$"),
    Sort("taint", r"(taints|tolerations)\[[^]]*\]\.key$"),
)

_POD = r"(base|components)/.*:spec(\.jobTemplate\.spec)?\.template\.spec$"

_RETARGETING: tuple[Operator, ...] = (
    Rewrite(Kind.RETARGET, r"(matchLabels|nodeSelector|node_selector|metadata\.labels|spec\.selector)\.[^\[\]]*$", r"$", "-2"),
    Rewrite(Kind.RETARGET, r"nodePools\[[^]]*\]\.labels\.[^\[\]]*$", r"$", "-2"),
    Rewrite(Kind.RETARGET, r"(mountPath|hostPath\.path|data-root|subPathExpr|Probe\.httpGet\.path|docker_host)$", r"$", "-2"),
    Rewrite(Kind.RETARGET, r"subPathExpr$", r"\$\(NAMESPACE\)/", ""),
    Rewrite(Kind.RETARGET, r"docker_host$", r"^/", "tcp://"),
    Rewrite(Kind.RETARGET, r"docker_host$", r"/binderhub/docker-api", "/docker-api"),
    Rewrite(Kind.RETARGET, r"docker_host$", r"/binderhub/binderhub/", "/other/binderhub/"),
    Rewrite(Kind.RETARGET, r"(args|command)\[[^]]*[\w/]\]$", r"(?<=\w)$", "-2"),
    Rewrite(Kind.RETARGET, r"args\[--host[^]]*\]$", r"unix://.*", "tcp://0.0.0.0:2376"),
    Rewrite(Kind.RETARGET, r"env\[[^]]*\]\.value$", r"(?<=\D)$", "-2"),
    Rewrite(Kind.RETARGET, r"env\[JUPYTERHUB_API_URL\]\.value$", r"8081", "8080"),
    Rewrite(Kind.RETARGET, r"env\[JUPYTERHUB_API_URL\]\.value$", r"jupyterhub\.svc", "hub.svc"),
    Rewrite(Kind.RETARGET, r"fieldPath$", r"metadata.*", "spec.nodeName"),
    Rewrite(Kind.RETARGET, r"(image|build_image)$", r"^[a-z.]+/", "registry.example.net/"),
    Rewrite(Kind.RETARGET, r"newTag$", r"^28\.3\.3", "29.0.0"),
    Write(Kind.RETARGET, r"newTag$", "latest"),
    Rewrite(Kind.RETARGET, r"build_image$", r":[^:]*$", ":latest"),
    Rewrite(Kind.RETARGET, r"build_image$", r"2026\.04\.0", "2022.02.0"),
    Rewrite(Kind.RETARGET, r"image_prefix$", r"^[^/]*", "registry.example.net"),
    Rewrite(Kind.RETARGET, r"image_prefix$", r"(binderhub/)?r2d-", "R2D_"),
    Rewrite(Kind.RETARGET, r"image_prefix$", r"/.*", "/r2d-"),
    Rewrite(Kind.RETARGET, r"\.config\.json$", r"https://[^\"]*", "https://registry.example.net"),
    Rewrite(Kind.RETARGET, r"\.config\.json$", r"https://", ""),
    Rewrite(Kind.RETARGET, r"\.config\.json$", r"\.password", ".passwd"),
    Rewrite(Kind.RETARGET, r"auths\..*\.auth$", r"^", "Zm9v"),
    Rewrite(Kind.RETARGET, r"(metadata\.name|namespace)$", r"^(binderhub|kube-system|jupyterhub|ingress-nginx)$", r"\1-other"),
    Rewrite(Kind.RETARGET, r"Probe\.httpGet\.path$", r"versions", "health"),
    Rewrite(Kind.RETARGET, r"Probe\.httpGet\.path$", r"^/services/binder", ""),
    Rewrite(Kind.RETARGET, r"(Probe\.(httpGet|tcpSocket)\.port|targetPort|ports\[http\]\.port|port\.name)$", r"^(http|registry)$", "web"),
    Write(Kind.RETARGET, r"base_url$", "/binder/"),
    Write(Kind.RETARGET, r"cidr$", "198.51.100.0/24"),
    Write(Kind.RETARGET, r"roleRef\.kind$", "ClusterRole"),
    Rewrite(Kind.RETARGET, r"(secretStoreRef|generatorRef|sourceRef)\.kind$", r"$", "s"),
    Write(Kind.RETARGET, r"subjects\[[^]]*\]\.kind$", "User"),
    Rewrite(Kind.RETARGET, r"\.topologyKey$", r"$", "-2"),
    Rewrite(Kind.RETARGET, r"(repoURL|sourceRepos\[[^]]*\])$", r"platform", "other"),
    Write(Kind.RETARGET, r"argocd/.*files\[[^]]*\]\.path$", "overlay/*/cluster.yaml"),
    Rewrite(Kind.RETARGET, r"argocd/.*source\.path$", r"\.path\.path", ".path.basename"),
    Rewrite(Kind.RETARGET, r"argocd/.*destination\.name$", r"\{\{.*\}\}", "in-cluster"),
    Rewrite(Kind.RETARGET, r"argocd/.*template\.metadata\.name$", r"-\{\{.*\}\}", ""),
    Rewrite(Kind.RETARGET, r"argocd/.*generate-paths$", r"generatePaths", "paths"),
    Write(Kind.RETARGET, r"argocd/.*generate-paths$", "."),
    Write(Kind.RETARGET, r"argocd/.*(targetRevision|revision)$", "develop"),
    Write(Kind.RETARGET, r"patches\[[^]]*\]\.target\.kind$", "Service"),
    Rewrite(Kind.RETARGET, r"patches\[[^]]*\]\.target\.name$", r"$", "-2"),
    Rewrite(Kind.RETARGET, r"patches\[[^]]*\]\.path$", r"\.yaml$", "-2.yaml"),
    Rewrite(Kind.RETARGET, r"overlays/.*:\[[^]]*\]\.path$", r"/0/", "/1/"),
    Write(Kind.RETARGET, r"registry_class$", "binderhub.registry.FakeRegistry"),
    Write(Kind.RETARGET, r"registry_class$", "binderhub.registry.GoogleArtefactRegistry"),
    Rewrite(Kind.RETARGET, r"policies/admission.*expression$", r'"docker-api"', '"docker"'),
    Rewrite(Kind.RETARGET, r"policies/admission.*expression$", r'"binderhub-build"', '"build"'),
    Rewrite(Kind.RETARGET, r"policies/admission.*expression$", r"/run/binderhub", "/run/binder"),
    Rewrite(Kind.RETARGET, r"policies/admission.*expression$", r"variables\.annotations\[k\]", "variables.annotations[k] + 'x'"),
    Rewrite(Kind.RETARGET, r"declared-registries/[\w-]+$", r"^[a-z.]+", "registry.example.net"),
    Rewrite(Kind.RETARGET, r"taints\[[^]]*\]\.(key|value)$", r"$", "-2"),
    Rewrite(Kind.RETARGET, r"provides\[[^]]*\]\.keys\[[^]]*\]$", r"$", "-2"),
    Write(Kind.RETARGET, r"storage-driver$", "vfs"),
    Rewrite(Kind.RETARGET, r"matchExpressions\[[^]]*\]\.values\[[^]]*\]$", r"$", "-2"),
    Rewrite(Kind.RETARGET, r"hosts?(\[[^]]*\])?$", r"^binder\.", "other."),
)  # fmt: skip

_LOOSENING: tuple[Operator, ...] = (
    Write(Kind.LOOSEN, r"verbs\[[^]]*\]$", "*"),
    Write(Kind.LOOSEN, r"role\.yaml:rules\[[^]]*\]\.(resources|apiGroups)\[[^]]*\]$", "*"),
    Write(Kind.LOOSEN, r"tolerations\[[^]]*\]\.operator$", "Exists"),
    Write(Kind.LOOSEN, r"automountServiceAccountToken$", new=True),
    Write(Kind.LOOSEN, r"allowPrivilegeEscalation$", new=True),
    Write(Kind.LOOSEN, r"(readOnlyRootFilesystem|runAsNonRoot|readOnly)$", new=False),
    Give(Kind.LOOSEN, r"ontainers\[[^]]*\]\.securityContext$", "privileged", value=True),
    Give(Kind.LOOSEN, r"securityContext\.capabilities$", "add", ["SYS_ADMIN"]),
    Give(Kind.LOOSEN, _POD, "hostNetwork", value=True),
    Give(Kind.LOOSEN, _POD, "hostPID", value=True),
    Write(Kind.LOOSEN, r"runAsUser$", 0),
    Write(Kind.LOOSEN, r"seccompProfile\.type$", "Unconfined"),
    Write(Kind.LOOSEN, r"validationActions\[[^]]*\]$", "Audit"),
    Write(Kind.LOOSEN, r"failurePolicy$", "Ignore"),
    Write(Kind.LOOSEN, r"parameterNotFoundAction$", "Allow"),
    Write(Kind.LOOSEN, r"policies/admission.*validations\[[^]]*\]\.expression$", "true"),
    Write(Kind.LOOSEN, r"policies/admission.*operations\[CREATE\]$", "DELETE"),
    Write(Kind.LOOSEN, r"declared-registries/[\w-]+$", ""),
    Write(Kind.LOOSEN, r"cidr$", "0.0.0.0/0"),
    Write(Kind.LOOSEN, r"except\[[^]]*\]$", "192.0.2.0/24"),
    Write(Kind.LOOSEN, r"disposable$", new=True),
    Write(Kind.LOOSEN, r"destinations\[[^]]*\]\.namespace$", "*"),
    Write(Kind.LOOSEN, r"clusterResourceWhitelist\[[^]]*\]\.(group|kind)$", "*"),
    Write(Kind.LOOSEN, r"sourceRepos\[[^]]*\]$", "*"),
    Write(Kind.LOOSEN, r"generatePaths\[\.\]$", "/"),
    Rewrite(Kind.LOOSEN, r"syncOptions\[(PruneLast|FailOnShared)[^]]*\]$", r"=true", "=false"),
    Write(Kind.LOOSEN, r"preserveResourcesOnDeletion$", new=False),
    Rewrite(Kind.LOOSEN, r"sync-options$", r"Prune=false", "Prune=true"),
    Write(Kind.LOOSEN, r"auth_enabled$", new=False),
    Write(Kind.LOOSEN, r"enable_api_only_mode$", new=False),
    Write(Kind.LOOSEN, r"use_registry$", new=False),
    Write(Kind.LOOSEN, r"containerd-snapshotter$", new=True),
    Write(Kind.LOOSEN, r"BUILDX_NO_DEFAULT_ATTESTATIONS$", "0"),
    Write(Kind.LOOSEN, r"TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR\]\.value$", "0"),
    Write(Kind.LOOSEN, r"gc\.enabled$", new=False),
    Rewrite(Kind.LOOSEN, r"proxy-buffering$", r"off|false", "on"),
    Write(Kind.LOOSEN, r"hostPath\.type$", "Directory"),
    Write(Kind.LOOSEN, r"defaultMode$", 0o666),
    Give(Kind.LOOSEN, r"config/50-[a-z]+\.yaml:BinderHub$", "build_token_secret", "0123456789abcdef0123456789abcdef"),
    Give(Kind.LOOSEN, r"extra_envs$", "REGISTRY_PASSWORD", "hunter2hunter2"),
    Append(Kind.LOOSEN, r"(tolerations|daemonset.*template\.spec\.tolerations)$", {"operator": "Exists"}),
    Append(Kind.LOOSEN, r"role\.yaml:rules$", {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}),
    Append(Kind.LOOSEN, r"networkpolic\S*:spec\.egress$|policies/network/.*:spec\.(egress|ingress)$", {}),
    Write(Kind.LOOSEN, r"sizeLimit$", "100Ti"),
    Write(Kind.LOOSEN, r"limits\.memory$", "10Ti"),
)  # fmt: skip

_TIGHTENING: tuple[Operator, ...] = (
    Give(Kind.TIGHTEN, r"(base|overlays)/.*(nodeSelector|node_selector)$", "example.org/disk", "fast"),
    Give(Kind.TIGHTEN, r"((podSelector|namespaceSelector|selector)\.matchLabels|service\.yaml:spec\.selector)$", "example.org/disk", "fast"),
    Give(Kind.TIGHTEN, r"podSelector$", "matchLabels", {"app": "other"}),
    Append(Kind.TIGHTEN, r"nodePools\[[^]]*\]\.taints$", {"key": "example.org/disk", "value": "fast", "effect": "NoSchedule"}),
    Write(Kind.TIGHTEN, r"(taints|tolerations)\[[^]]*\]\.effect$", "NoExecute"),
    Write(Kind.TIGHTEN, r"tolerations\[[^]]*\]\.value$", "admin"),
    Write(Kind.TIGHTEN, r"except\[[^]]*\]$", "0.0.0.0/1"),
    Write(Kind.TIGHTEN, r"enforce$", "baseline"),
    Write(Kind.TIGHTEN, r"enforce$", "restricted"),
    Write(Kind.TIGHTEN, r"policyTypes\[Ingress\]$", "Egress"),
    Write(Kind.TIGHTEN, r"protocol$", "SCTP"),
    Write(Kind.TIGHTEN, r"verbs\[[^]]*\]$", "get"),
    Write(Kind.TIGHTEN, r"destinations\[[^]]*\]\.namespace$", "other"),
    Write(Kind.TIGHTEN, r"clusterResourceWhitelist\[[^]]*\]\.group$", "example.org"),
    Write(Kind.TIGHTEN, r"limits\.memory$", "4Mi"),
    Write(Kind.TIGHTEN, r"limits\.cpu$", "1m"),
    Write(Kind.TIGHTEN, r"poddisruptionbudget.*maxUnavailable$", 0),
    Write(Kind.TIGHTEN, r"\.privileged$", new=False),
    Write(Kind.TIGHTEN, r"replicas$", 0),
    Write(Kind.TIGHTEN, r"data\]\.mountPath$", "/run/docker-api"),
    Rewrite(Kind.TIGHTEN, r"proxy-(read|send)-timeout$", r"^\d+", "20"),
    Write(Kind.TIGHTEN, r"cluster\.yaml:kubernetes\[[^]]*\]$", "1.25"),
    Write(Kind.TIGHTEN, r"sizeLimit$", "1Ki"),
    Write(Kind.TIGHTEN, r"RateLimiter\.limit$", 1),
    Write(Kind.TIGHTEN, r"activeDeadlineSeconds$", 1),
    Write(Kind.TIGHTEN, r"mtu$", 100),
)  # fmt: skip

OPERATORS = (*_RETARGETING, *_LOOSENING, *_TIGHTENING)
