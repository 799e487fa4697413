"""What the API server refuses though every field has the right type: fields that contradict each other.

Facts from Kubernetes 1.34: ``pkg/apis/core/validation``, ``pkg/apis/apps/validation``,
``pkg/apis/batch/validation``, ``pkg/apis/networking/validation``, ``pkg/apis/policy/validation`` and
``pkg/apis/admissionregistration/validation``.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_network
from typing import TYPE_CHECKING, NamedTuple

from validate.cluster.limits import parse_quantity
from validate.cluster.selectors import selects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.cluster.objects import ContainerView, KubeObject, PodView
    from validate.place import Place

_ALWAYS = ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController")
_ENDING = ("Job", "CronJob")
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
# What --service-node-port-range of the API server is by default.
_NODE_PORTS = range(30000, 32768)
_ADMIN = ("SYS_ADMIN", "CAP_SYS_ADMIN")


class Contradiction(NamedTuple):
    """Something that the API server refuses: where, and why in a sentence."""

    at: Place
    sentence: str


def contradictions(item: KubeObject) -> Iterator[Contradiction]:
    """Yield what is wrong with an object whose fields have the right types."""
    pod = item.pod
    yield from _required(item)
    if pod is not None:
        yield from _selector(item, pod)
        yield from _restart_policy(item, pod)
        yield from _volumes(pod)
        yield from _unique_names(pod)
        for container in pod.all_containers:
            yield from _mounts(item, pod, container)
            yield from _amounts(container)
            yield from _probes(container)
            yield from _privilege(container)
    elif item.kind == "Service":
        yield from _node_ports(item)
    elif item.kind == "NetworkPolicy":
        yield from _blocks(item)
    elif item.kind == "PodDisruptionBudget":
        yield from _budget(item)


# Fields that the schemas leave optional, and that nothing can be without: of each place, one of several.
_REQUIRED: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "Service": (("spec", ("ports",)),),
    "Ingress": (
        ("spec", ("rules", "defaultBackend")),
        ("spec.rules[].http.paths[]", ("path",)),
        ("spec.rules[].http.paths[].backend", ("service", "resource")),
        ("spec.rules[].http.paths[].backend.service", ("port",)),
        ("spec.rules[].http.paths[].backend.service.port", ("name", "number")),
    ),
    "Role": (("rules[]", ("apiGroups",)), ("rules[]", ("resources",))),
    "ClusterRole": (("rules[]", ("resources", "nonResourceURLs")),),
    "ValidatingAdmissionPolicy": (
        ("spec", ("matchConstraints",)),
        ("spec", ("validations", "auditAnnotations")),
        ("spec.matchConstraints", ("resourceRules",)),
        *(
            ("spec.matchConstraints.resourceRules[]", (field,))
            for field in ("operations", "apiGroups", "apiVersions", "resources")
        ),
    ),
    "ValidatingAdmissionPolicyBinding": (
        ("spec", ("policyName",)),
        ("spec", ("validationActions",)),
        ("spec.paramRef", ("name", "selector")),
        ("spec.paramRef", ("parameterNotFoundAction",)),
    ),
}
_REQUIRED_OF_PODS = (
    ("containers[]", ("image",)),
    ("initContainers[]", ("image",)),
    ("volumes[].secret", ("secretName",)),
    ("volumes[].configMap", ("name",)),
)


def _required(item: KubeObject) -> Iterator[Contradiction]:
    roots = [(item.place, _REQUIRED.get(item.kind, ()))]
    if item.pod is not None:
        roots.append((item.pod.spec, _REQUIRED_OF_PODS))
    if item.kind == "Service" and _needs_no_port(item.place / "spec"):
        roots = []
    for root, rows in roots:
        for path, fields in rows:
            for place in _all(root, path):
                if not any((place / field).value not in (None, "", [], {}) for field in fields):
                    yield Contradiction(place / fields[0], f"it has no {' and no '.join(fields)}")


def _needs_no_port(spec: Place) -> bool:
    return (spec / "type").value == "ExternalName" or (spec / "clusterIP").value == "None"


def _all(root: Place, path: str) -> Iterator[Place]:
    """Yield the places that a path leads to, with each element of a list for ``[]``; those that exist."""
    places = [root]
    for step in path.split("."):
        key, _, _ = step.partition("[")
        places = [place / key for place in places]
        if step.endswith("[]"):
            places = [element for place in places for element in place.each()]
    # What a policy says stands under spec, which is missing itself where nothing is said.
    yield from (place for place in places if place.exists or path == "spec")


def _selector(item: KubeObject, pod: PodView) -> Iterator[Contradiction]:
    selector = item.place / "spec" / "selector"
    if item.kind in _ALWAYS[:4] and selector.exists and not selects(selector, pod.labels):
        yield Contradiction(selector, "its selector does not select the pods of its own template")


def _restart_policy(item: KubeObject, pod: PodView) -> Iterator[Contradiction]:
    policy = pod.spec / "restartPolicy"
    if item.kind in _ALWAYS and policy.exists and policy.text != "Always":
        yield Contradiction(policy, f"restartPolicy is {policy.text}, and a {item.kind} needs Always")
    elif item.kind in _ENDING and policy.text not in ("OnFailure", "Never"):
        found = policy.text if policy.exists else "Always, the default"
        yield Contradiction(policy, f"restartPolicy is {found}, and a {item.kind} needs OnFailure or Never")


def _volumes(pod: PodView) -> Iterator[Contradiction]:
    for volume in (pod.spec / "volumes").each():
        kinds = sorted(key for key, value in volume.mapping.items() if key != "name" and value is not None)
        if len(kinds) > 1:
            name = (volume / "name").text
            yield Contradiction(volume, f"the volume {name} is of two kinds, {' and '.join(kinds)}")


def _unique_names(pod: PodView) -> Iterator[Contradiction]:
    lists = {
        "containers": [container.place for container in pod.all_containers],
        "volumes": list((pod.spec / "volumes").each()),
    }
    for what, entries in lists.items():
        yield from _repeated([entry / "name" for entry in entries], f"two {what} are named")


def _repeated(places: list[Place], problem: str) -> Iterator[Contradiction]:
    counted = Counter(place.text for place in places if place.exists)
    seen: set[str] = set()
    for place in places:
        if counted[place.text] > 1 and place.text in seen:
            yield Contradiction(place, f"{problem} {place.text}")
        seen.add(place.text)


def _mounts(item: KubeObject, pod: PodView, container: ContainerView) -> Iterator[Contradiction]:
    claims = (item.place / "spec" / "volumeClaimTemplates").each()
    known = {(volume / "name").text for volume in (pod.spec / "volumes").each()}
    known |= {claim.at("metadata", "name").text for claim in claims}
    for mount in container.mounts:
        name = mount / "name"
        if name.exists and name.text not in known:
            yield Contradiction(
                name, f"{container.name} mounts the volume {name.text}, which the pod does not have"
            )
    paths = [mount / "mountPath" for mount in container.mounts]
    yield from _repeated(paths, f"{container.name} mounts two volumes at")
    yield from _repeated([port / "name" for port in container.ports], f"{container.name} has two ports named")


def _amounts(container: ContainerView) -> Iterator[Contradiction]:
    resources = container.place / "resources"
    for name, request in (resources / "requests").mapping.items():
        limit = resources / "limits" / name
        if not limit.exists:
            continue
        try:
            too_much = parse_quantity(request) > parse_quantity(limit.value)
        except ValueError:
            continue
        if too_much:
            yield Contradiction(
                limit, f"{container.name} requests {request} of {name}, more than its limit of {limit.value}"
            )


def _probes(container: ContainerView) -> Iterator[Contradiction]:
    for name in _PROBES:
        probe = container.place / name
        handlers = [handler for handler in _HANDLERS if probe.mapping.get(handler) is not None]
        if probe.exists and len(handlers) != 1:
            found = " and ".join(handlers) or "nothing"
            yield Contradiction(
                probe, f"the {name} of {container.name} asks {found}, and a probe asks one thing"
            )


def _privilege(container: ContainerView) -> Iterator[Contradiction]:
    context = container.place / "securityContext"
    if (context / "allowPrivilegeEscalation").value is not False:
        return
    added = context.at("capabilities", "add")
    if (context / "privileged").value is True:
        problem = f"{container.name} is privileged and may not escalate its privileges"
        yield Contradiction(context / "privileged", problem)
    elif any(str(name) in _ADMIN for name in added.items):
        problem = f"{container.name} has the capability SYS_ADMIN and may not escalate its privileges"
        yield Contradiction(added, problem)


def _node_ports(item: KubeObject) -> Iterator[Contradiction]:
    for port in item.place.at("spec", "ports").each():
        number = port / "nodePort"
        if isinstance(number.value, int) and number.value not in _NODE_PORTS:
            first, last = _NODE_PORTS[0], _NODE_PORTS[-1]
            yield Contradiction(number, f"a nodePort is from {first} to {last}, and not {number.value}")


def _blocks(item: KubeObject) -> Iterator[Contradiction]:
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for rule in (item.place / "spec" / direction).each():
            for peer in (rule / peers).each():
                block = peer / "ipBlock"
                if block.exists:
                    yield from _block(block)


def _block(block: Place) -> Iterator[Contradiction]:
    cidr = block / "cidr"
    try:
        whole = ip_network(cidr.text, strict=False)
    except ValueError:
        yield Contradiction(cidr, f"{cidr.text!r} is no block of addresses")
        return
    for one in (block / "except").each():
        try:
            part = ip_network(one.text, strict=False)
        except ValueError:
            yield Contradiction(one, f"{one.text!r} is no block of addresses")
            continue
        inside = part.version == whole.version and part != whole and part.subnet_of(whole)  # type: ignore[arg-type]
        if not inside:
            yield Contradiction(one, f"the exception {one.text} is no part of {cidr.text}")


def _budget(item: KubeObject) -> Iterator[Contradiction]:
    spec = item.place / "spec"
    if (spec / "minAvailable").exists and (spec / "maxUnavailable").exists:
        yield Contradiction(spec / "minAvailable", "minAvailable and maxUnavailable exclude each other")
