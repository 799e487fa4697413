"""Breaking: edits that take something away, or point it elsewhere, made of every value that they fit.

An operator is a kind, a pattern for the path of a value, and the new value. Nothing is drawn at
random: the same sources give the same mutants.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from tools.mutate.mutant import Kind, Mutant
from tools.mutate.sources import settings
from validate.edits import Add, Remove, Rename, Replace
from validate.rewrite import EditError, rewrite

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tools.mutate.sources import Setting
    from validate.edits import Edit
    from validate.place import Json, Scalar

# Of a list of like exceptions one entry stands for all.
_WAIVERS = "policies/waivers.yaml"


class Sort(NamedTuple):
    """Values that mean the same sort of thing, and are taken for one another.

    Attributes:
        name: for people.
        paths: of the values; the file stands in front, with a colon.
    """

    name: str
    paths: re.Pattern[str]


class Operator(NamedTuple):
    """One way to break a value: where ``paths`` fits ``file:path``, write ``new``.

    ``new`` is the value itself, or ``(pattern, replacement)`` for a part of a text. With ``add``,
    the value is a mapping and gets that entry.
    """

    kind: Kind
    paths: str
    new: Json | tuple[str, str]
    add: str = ""


_POD = r":spec\.template\.spec|:spec\.jobTemplate\.spec\.template\.spec"
_NETWORK = r"(network|restart|registry|metadata|binderhub|hub|vpc).*\.yaml"
_IN_CONFIG = r"/config/\d\d-[a-z-]+\.yaml:"

# Removing these gives less than was given; removing anything else is a plain drop.
_GIVEN = re.compile(r"\.(verbs|ports|to|from|egress|ingress|resourceNames|rules)(\[[^]]*\])?$")
_EXCEPTED = re.compile(r"\.(except)(\[[^]]*\])?$")

_NAMES = re.compile(
    r"(metadata\.name|roleRef\.name|subjects\[[^]]*\]\.name|serviceAccountRef\.name|generatorRef\.name"
    r"|secretStoreRef\.name|configMap\.name|secretName|serviceAccountName|policyName|paramRef\.name"
    r"|containers\[[^]]*\]\.name|initContainers\[[^]]*\]\.name|[vV]olumes?(Mounts)?\[[^]]*\]\.name"
    r"|ports\[[^]]*\]\.name|env\[[^]]*\]\.name|push_secret|target\.name|secretKey|service\.name|port\.name"
    r"|ingressClassName|Generator\[[^]]*\]\.name|patches\[[^]]*\]\.target\.name|provides\[[^]]*\]\.name"
    r"|variables\[[^]]*\]\.name|resourceNames\[[^]]*\]|remoteRef\.(key|property)|spec\.project"
    r"|template\.metadata\.name|nodePools\[[^]]*\]\.name|namespaces\[[^]]*\]\.name)$"
)
_KEYS = re.compile(
    r"\.(labels|matchLabels|nodeSelector|node_selector|selector|annotations|data|extra_envs|pairs\[[^]]*\])\.[^\[\]]*$"
)
_FRAGMENT_KEYS = re.compile(_IN_CONFIG + r"[A-Z]\w+(\.\w+)?$")

_SORTS = (
    Sort("component", re.compile(r"app\.kubernetes\.io/component$")),
    Sort("name of a label's value", re.compile(r"(matchLabels|labels)\.component$")),
    Sort(
        "namespace",
        re.compile(
            r"(kubernetes\.io/metadata\.name|^overlays/\w+/kustomization\.yaml:namespace|destination\.namespace)$"
        ),
    ),
    Sort("pool", re.compile(r"(nodegroup|agentpool|gke-nodepool)$")),
    Sort("port", re.compile(r"\.(port|containerPort|targetPort|nodePort)$")),
    Sort("ConfigMap", re.compile(r"(configMap\.name|paramRef\.name|configMapGenerator\[[^]]*\]\.name)$")),
    Sort("Secret", re.compile(r"(secretName|push_secret|target\.name|secretGenerator\[[^]]*\]\.name)$")),
    Sort("ServiceAccount", re.compile(r"(serviceAccountName|subjects\[[^]]*\]\.name)$")),
    Sort("Role", re.compile(r"(roleRef\.name|role\.yaml:metadata\.name)$")),
    Sort("policy", re.compile(r"policyName$")),
    Sort("path in a container", re.compile(r"mountPath$")),
    Sort("path on a node", re.compile(r"hostPath\.path$")),
    Sort("volume", re.compile(r"volumeMounts\[[^]]*\]\.name$")),
    Sort("registry", re.compile(r"(image_prefix|\.config\.json)$")),
    Sort("wave", re.compile(r"sync-wave$")),
    Sort("workload", re.compile(r"overlays/.*(deployment|daemonset|cronjob)\S*:metadata\.name$")),
    Sort("capability of a field", re.compile(r"fieldPath$")),
    Sort("key of a Secret", re.compile(r"secretKey$")),
    Sort("file", re.compile(r"(files|resources|components)\[[^]]*\]$")),
    Sort("path in the repository", re.compile(r"generatePaths\[[^]]*\]$")),
    Sort("kubernetes", re.compile(r"cluster\.yaml:kubernetes\[[^]]*\]$")),
    Sort("taint", re.compile(r"(taints|tolerations)\[[^]]*\]\.key$")),
)

_OPERATORS = (
    # What points somewhere points somewhere else.
    Operator(Kind.RETARGET, r"(matchLabels|nodeSelector|node_selector|metadata\.labels|spec\.selector)\.[^\[\]]*$", (r"^(.*)$", r"\1-2")),
    Operator(Kind.RETARGET, r"nodePools\[[^]]*\]\.labels\.[^\[\]]*$", (r"^(.*)$", r"\1-2")),
    Operator(Kind.RETARGET, r"(mountPath|hostPath\.path|data-root|subPathExpr|\.path|docker_host)$", (r"^(/.*|\$.*)$", r"\1-2")),
    Operator(Kind.RETARGET, r"subPathExpr$", (r"\(NAMESPACE\)/", r"")),
    Operator(Kind.RETARGET, r"docker_host$", (r"^/", r"tcp://")),
    Operator(Kind.RETARGET, r"docker_host$", (r"/binderhub/docker-api", r"/docker-api")),
    Operator(Kind.RETARGET, r"docker_host$", (r"/binderhub/binderhub", r"/other/binderhub")),
    Operator(Kind.RETARGET, r"args\[[^]]*\]$", (r"(\w)$", r"\1-2")),
    Operator(Kind.RETARGET, r"args\[--host[^]]*\]$", (r"unix://.*", r"tcp://0.0.0.0:2376")),
    Operator(Kind.RETARGET, r"command\[(docker|version)\]$", (r"$", r"x")),
    Operator(Kind.RETARGET, r"env\[[^]]*\]\.value$", (r"^(/.*|unix:.*|http:.*)$", r"\1-2")),
    Operator(Kind.RETARGET, r"env\[JUPYTERHUB_API_URL\]\.value$", (r"8081", r"8080")),
    Operator(Kind.RETARGET, r"env\[JUPYTERHUB_API_URL\]\.value$", (r"jupyterhub\.svc", r"hub.svc")),
    Operator(Kind.RETARGET, r"fieldPath$", (r"namespace", r"name")),
    Operator(Kind.RETARGET, r"(image|build_image)$", (r"^[a-z.]+/", r"registry.example.net/")),
    Operator(Kind.RETARGET, r"image$", (r":28\.3\.3", r":29.0.0")),
    Operator(Kind.RETARGET, r"(image|build_image)$", (r":[^:]*$", r":latest")),
    Operator(Kind.RETARGET, r"build_image$", (r"2026\.04\.0", r"2022.02.0")),
    Operator(Kind.RETARGET, r"image_prefix$", (r"^[^/]*", r"registry.example.net")),
    Operator(Kind.RETARGET, r"image_prefix$", (r"binderhub/r2d-|r2d-", r"R2D_")),
    Operator(Kind.RETARGET, r"image_prefix$", (r"/.*", r"/r2d-")),
    Operator(Kind.RETARGET, r"\.config\.json$", (r"https://[^\"]*", r"https://registry.example.net")),
    Operator(Kind.RETARGET, r"\.config\.json$", (r"https://", r"")),
    Operator(Kind.RETARGET, r"\.config\.json$", (r"\.password", r".passwd")),
    Operator(Kind.RETARGET, r"auths\..*\.auth$", (r"^", r"Zm9v")),
    Operator(Kind.RETARGET, r"(metadata\.name|namespace)$", (r"^(binderhub|kube-system|jupyterhub|ingress-nginx)$", r"\1-other")),
    Operator(Kind.RETARGET, r"Probe\.httpGet\.path$", (r"versions", r"health")),
    Operator(Kind.RETARGET, r"Probe\.httpGet\.path$", (r"^/services/binder", r"")),
    Operator(Kind.RETARGET, r"(Probe\.(httpGet|tcpSocket)\.port|targetPort|ports\[http\]\.port)$", (r"^(http|registry)$", r"web")),
    Operator(Kind.RETARGET, r"base_url$", "/binder/"),
    Operator(Kind.RETARGET, r"cidr$", "198.51.100.0/24"),
    Operator(Kind.RETARGET, r"roleRef\.kind$", "ClusterRole"),
    Operator(Kind.RETARGET, r"(secretStoreRef|generatorRef|sourceRef)\.kind$", (r"^(.*)$", r"\1s")),
    Operator(Kind.RETARGET, r"subjects\[[^]]*\]\.kind$", "User"),
    Operator(Kind.RETARGET, r"\.topologyKey$", (r"$", r"-2")),
    Operator(Kind.RETARGET, r"(repoURL|sourceRepos\[[^]]*\])$", (r"platform", r"other")),
    Operator(Kind.RETARGET, r"(argocd/.*files\[[^]]*\]\.path)$", "overlay/*/cluster.yaml"),
    Operator(Kind.RETARGET, r"argocd/.*source\.path$", (r"\.path\.path", r".path.basename")),
    Operator(Kind.RETARGET, r"argocd/.*(generate-paths)$", (r"generatePaths", r"paths")),
    Operator(Kind.RETARGET, r"argocd/.*(generate-paths)$", "."),
    Operator(Kind.RETARGET, r"argocd/.*(targetRevision|revision)$", "develop"),
    Operator(Kind.RETARGET, r"patches\[[^]]*\]\.target\.kind$", "Service"),
    Operator(Kind.RETARGET, r"patches\[[^]]*\]\.path$", (r"\.yaml$", r"-2.yaml")),
    Operator(Kind.RETARGET, r"networkpolicy.*\]\.path$", (r"/to/0", r"/to/1")),
    Operator(Kind.RETARGET, r"overlays/.*\[replace\]\.path$|\[/spec[^]]*\]\.path$", (r"/0/", r"/1/")),
    Operator(Kind.RETARGET, r"registry_class$", "binderhub.registry.FakeRegistry"),
    Operator(Kind.RETARGET, r"registry_class$", "binderhub.registry.GoogleArtefactRegistry"),
    Operator(Kind.RETARGET, r"policies/admission.*expression$", (r'"docker-api"', r'"docker"')),
    Operator(Kind.RETARGET, r"policies/admission.*expression$", (r'"binderhub-build"', r'"build"')),
    Operator(Kind.RETARGET, r"policies/admission.*expression$", (r"/run/binderhub", r"/run/binder")),
    Operator(Kind.RETARGET, r"policies/admission.*expression$", (r"params\.data\[k\]", r"params.data[k] + 'x'")),
    Operator(Kind.RETARGET, r"policies/admission/declared-registries.yaml:data\.[^.]*$", (r"^[a-z.]+", r"registry.example.net")),
    Operator(Kind.RETARGET, r"taints\[[^]]*\]\.(key|value)$", (r"$", r"-2")),
    Operator(Kind.RETARGET, r"enforce$", "restricted"),
    Operator(Kind.RETARGET, r"provides\[[^]]*\]\.keys\[[^]]*\]$", (r"$", r"-2")),
    Operator(Kind.RETARGET, r"storage-driver$", "vfs"),
    Operator(Kind.RETARGET, r"matchExpressions\[[^]]*\]\.values\[[^]]*\]$", (r"$", r"-2")),
    # What was refused is admitted.
    Operator(Kind.LOOSEN, r"verbs\[[^]]*\]$", "*"),
    Operator(Kind.LOOSEN, r"rules\[[^]]*\]\.resources\[[^]]*\]$", "*"),
    Operator(Kind.LOOSEN, r"rules\[[^]]*\]\.apiGroups\[[^]]*\]$", "*"),
    Operator(Kind.LOOSEN, r"tolerations\[[^]]*\]\.operator$", "Exists"),
    Operator(Kind.LOOSEN, r"automountServiceAccountToken$", new=True),
    Operator(Kind.LOOSEN, r"allowPrivilegeEscalation$", new=True),
    Operator(Kind.LOOSEN, r"(readOnlyRootFilesystem|runAsNonRoot)$", new=False),
    Operator(Kind.LOOSEN, r"ontainers\[[^]]*\]\.securityContext$", new=True, add="privileged"),
    Operator(Kind.LOOSEN, r"securityContext\.capabilities$", ["SYS_ADMIN"], add="add"),
    Operator(Kind.LOOSEN, r"(:spec|jobTemplate\.spec)\.template\.spec$", new=True, add="hostNetwork"),
    Operator(Kind.LOOSEN, r"(:spec|jobTemplate\.spec)\.template\.spec$", new=True, add="hostPID"),
    Operator(Kind.LOOSEN, r"runAsUser$", 0),
    Operator(Kind.LOOSEN, r"seccompProfile\.type$", "Unconfined"),
    Operator(Kind.LOOSEN, r"validationActions\[[^]]*\]$", "Audit"),
    Operator(Kind.LOOSEN, r"failurePolicy$", "Ignore"),
    Operator(Kind.LOOSEN, r"parameterNotFoundAction$", "Allow"),
    Operator(Kind.LOOSEN, r"policies/admission.*validations\[[^]]*\]\.expression$", "true"),
    Operator(Kind.LOOSEN, r"policies/admission.*operations\[CREATE\]$", "DELETE"),
    Operator(Kind.LOOSEN, r"cidr$", "0.0.0.0/0"),
    Operator(Kind.LOOSEN, r"except\[[^]]*\]$", (r"^.*$", "192.0.2.0/24")),
    Operator(Kind.LOOSEN, r"disposable$", new=True),
    Operator(Kind.LOOSEN, r"destinations\[[^]]*\]\.namespace$", "*"),
    Operator(Kind.LOOSEN, r"clusterResourceWhitelist\[[^]]*\]\.kind$", "*"),
    Operator(Kind.LOOSEN, r"generatePaths\[\.\]$", "/"),
    Operator(Kind.LOOSEN, r"syncOptions\[PruneLast[^]]*\]$", "PruneLast=false"),
    Operator(Kind.LOOSEN, r"syncOptions\[FailOnShared[^]]*\]$", "FailOnSharedResource=false"),
    Operator(Kind.LOOSEN, r"preserveResourcesOnDeletion$", new=False),
    Operator(Kind.LOOSEN, r"sync-options$", "Prune=true"),
    Operator(Kind.LOOSEN, r"auth_enabled$", new=False),
    Operator(Kind.LOOSEN, r"enable_api_only_mode$", new=False),
    Operator(Kind.LOOSEN, r"use_registry$", new=False),
    Operator(Kind.LOOSEN, r"containerd-snapshotter$", new=True),
    Operator(Kind.LOOSEN, r"BUILDX_NO_DEFAULT_ATTESTATIONS$", "0"),
    Operator(Kind.LOOSEN, r"TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR\]\.value$", "0"),
    Operator(Kind.LOOSEN, r"gc\.enabled$", new=False),
    Operator(Kind.LOOSEN, r"proxy-buffering$", (r"^(off|false)$", "on")),
    Operator(Kind.LOOSEN, r"hostPath\.type$", "Directory"),
    Operator(Kind.LOOSEN, r"defaultMode$", 0o666),
    Operator(Kind.LOOSEN, r"config/50-[a-z]+\.yaml:BinderHub$", "quay.io/example:secret", add="banned_specs_token"),
    Operator(Kind.LOOSEN, r"extra_envs$", "hunter2hunter2", add="REGISTRY_PASSWORD"),
    # What was admitted is refused.
    Operator(Kind.TIGHTEN, r"(base|overlays)/.*(nodeSelector|node_selector)$", "fast", add="example.org/disk"),
    Operator(Kind.TIGHTEN, r"(podSelector\.matchLabels|namespaceSelector\.matchLabels|:spec\.selector)$", "fast", add="example.org/disk"),
    Operator(Kind.TIGHTEN, r"selector\.matchLabels$", "fast", add="example.org/disk"),
    Operator(Kind.TIGHTEN, r"podSelector$", {"app": "other"}, add="matchLabels"),
    Operator(Kind.TIGHTEN, r"nodePools\[[^]]*\]\.taints$", [{"key": "example.org/disk", "value": "fast", "effect": "NoSchedule"}]),
    Operator(Kind.TIGHTEN, r"(taints|tolerations)\[[^]]*\]\.effect$", "NoExecute"),
    Operator(Kind.TIGHTEN, r"tolerations\[[^]]*\]\.value$", "admin"),
    Operator(Kind.TIGHTEN, r"except\[[^]]*\]$", "0.0.0.0/1"),
    Operator(Kind.TIGHTEN, r"pod-security.*\.(enforce)$", "baseline"),
    Operator(Kind.TIGHTEN, r"policyTypes\[Ingress\]$", "Egress"),
    Operator(Kind.TIGHTEN, r"policies/network/.*protocol$", "SCTP"),
    Operator(Kind.TIGHTEN, r"verbs\[[^]]*\]$", "get"),
    Operator(Kind.TIGHTEN, r"destinations\[[^]]*\]\.namespace$", "other"),
    Operator(Kind.TIGHTEN, r"clusterResourceWhitelist\[[^]]*\]\.group$", "example.org"),
    Operator(Kind.TIGHTEN, r"resources\.limits\.memory$", "4Mi"),
    Operator(Kind.TIGHTEN, r"resources\.limits\.cpu$", "1m"),
    Operator(Kind.TIGHTEN, r"poddisruptionbudget.*maxUnavailable$", 0),
    Operator(Kind.TIGHTEN, r"privileged$", new=False),
    Operator(Kind.TIGHTEN, r"replicas$", 0),
    Operator(Kind.TIGHTEN, r"data-root|data\]\.mountPath$", "/run/docker-api"),
    Operator(Kind.TIGHTEN, r"proxy-read-timeout$", (r"^\d+", "20")),
    Operator(Kind.TIGHTEN, r"kubernetes\[[^]]*\]$", "1.25"),
)  # fmt: skip


def mutants(sources: Mapping[str, str]) -> list[Mutant]:
    """Return every mutant of the sources once, in the order of files and lines."""
    everything = [
        setting for file, text in sources.items() for setting in settings(file, text) if _is_judged(setting)
    ]
    made: dict[tuple[str, str | None], Mutant] = {}
    for kind, setting, change, edit in _edits(everything):
        try:
            text = rewrite(sources[setting.file], edit)
        except EditError:
            continue
        if text != sources[setting.file]:
            new = Mutant(kind, setting.file, setting.path, setting.at.line, change, {setting.file: text})
            made.setdefault((setting.file, text), new)
    order = list(sources)
    return sorted(made.values(), key=lambda one: (order.index(one.file), one.line))


def _is_judged(setting: Setting) -> bool:
    """Whether a value is part of what is judged: one waiver stands for all that are like it."""
    if setting.file == _WAIVERS:
        return setting.path.startswith("[0]")
    return True


def _edits(everything: Iterable[Setting]) -> Iterator[tuple[Kind, Setting, str, Edit]]:
    """Yield the edits; of two that write the same, the first counts, so what is most telling comes first."""
    everything = list(everything)
    yield from _swaps(everything)
    for setting in everything:
        where = f"{setting.file}:{setting.path}"
        for operator in _OPERATORS:
            if re.search(operator.paths, where):
                yield from _operated(operator, setting)
        yield from _renames(setting, where)
    for setting in everything:
        if setting.key not in {"apiVersion", "kind"} or "Ref" in setting.path:
            kind = _kind_of_drop(setting.path)
            yield kind, setting, "removed", Remove(setting.at, setting.key)


def _swaps(everything: Iterable[Setting]) -> Iterator[tuple[Kind, Setting, str, Edit]]:
    """Yield each value of a sort replaced by the next one of that sort, as people mix them up."""
    for sort in _SORTS:
        found = [
            one
            for one in everything
            if sort.paths.search(f"{one.file}:{one.path}") and not isinstance(one.value, dict | list)
        ]
        known: dict[type, list[Scalar]] = defaultdict(list)
        for one in found:
            if one.value not in known[type(one.value)]:
                known[type(one.value)].append(one.value)  # type: ignore[arg-type] - no dict or list
        for one in found:
            others = known[type(one.value)]
            new = others[(others.index(one.value) + 1) % len(others)]  # type: ignore[arg-type] - likewise
            yield Kind.SWAP, one, _change(one.value, new), Replace(one.at, one.value, new)  # type: ignore[arg-type]


def _operated(operator: Operator, setting: Setting) -> Iterator[tuple[Kind, Setting, str, Edit]]:
    old = setting.value
    if operator.add:
        if isinstance(old, dict) and operator.add not in old:
            new = operator.new
            assert not isinstance(new, tuple)  # noqa: S101 - only texts are rewritten in part
            change = f"{operator.add}: {json.dumps(new)} added"
            yield operator.kind, setting, change, Add(setting.at, setting.key, operator.add, new)
        return
    if isinstance(operator.new, tuple):
        if isinstance(old, str) and re.search(operator.new[0], old):
            new_text = re.sub(*operator.new, old, count=1)
            yield operator.kind, setting, _change(old, new_text), Replace(setting.at, old, new_text)
    elif not isinstance(old, dict | list) and not isinstance(operator.new, dict | list):
        yield operator.kind, setting, _change(old, operator.new), Replace(setting.at, old, operator.new)


def _renames(setting: Setting, where: str) -> Iterator[tuple[Kind, Setting, str, Edit]]:
    old = setting.value
    if _NAMES.search(where) and isinstance(old, str) and old:
        new = f"{old}_2" if old.isupper() else f"{old}2"
        yield Kind.RENAME, setting, _change(old, new), Replace(setting.at, old, new)
    if setting.key is None:
        return
    if _FRAGMENT_KEYS.search(where):
        for wrong in (_camel(setting.key), setting.key[:-1], f"{setting.key}s"):
            yield (
                Kind.RENAME,
                setting,
                f"key {_change(setting.key, wrong)}",
                Rename(setting.at, setting.key, wrong),
            )
    elif _KEYS.search(where) and isinstance(old, str):
        wrong = f"{setting.key}-2" if not setting.key.isupper() else f"{setting.key}_2"
        yield (
            Kind.RENAME,
            setting,
            f"key {_change(setting.key, wrong)}",
            Rename(setting.at, setting.key, wrong),
        )


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def _kind_of_drop(path: str) -> Kind:
    if _EXCEPTED.search(path):
        return Kind.LOOSEN
    return Kind.TIGHTEN if _GIVEN.search(path) else Kind.DROP


def _change(old: Json, new: Json) -> str:
    return f"{_shown(old)} -> {_shown(new)}"


def _shown(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."
