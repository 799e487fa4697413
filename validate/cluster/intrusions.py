"""What must not get into a namespace that admits privileged pods, tried against its admission policies.

Each attempt is a pod that the policies admit, with one thing added that leads to the node or lets an
unknown image in. So what refuses it refuses that one thing.
"""

from __future__ import annotations

import json
from copy import deepcopy
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from validate.cluster.admission import Admission
from validate.cluster.objects import KubeObject
from validate.errors import CannotCheckError
from validate.place import Origin, Writer, lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from validate.place import Path, Place

    Pod = dict[str, Any]

_GROUP = "admissionregistration.k8s.io"
_CONTROLLER = "system:serviceaccount:kube-system:replicaset-controller"
_ELSEWHERE = "registry.intruder.example/image:1"
_LISTS = {"containers": "", "initContainers": "init ", "ephemeralContainers": "ephemeral "}
_DENY, _CLOSED = "Deny", "Fail"
# Policies are asked without the overlay that they come from.
_NOWHERE = (Origin("", 1, 1, Writer.RESOURCE),)


class Household(NamedTuple):
    """Those who belong into the namespace, as far as policies may look at them.

    Attributes:
        namespace: its name.
        labels: its labels.
        binder: user name of BinderHub, which may create pods.
        daemon: docker-api's ServiceAccount.
        image: an image that may run.
        build_labels: the labels of build pods.
        socket: the path of the node that build pods mount.
        directories: those that docker-api mounts.
    """

    namespace: str
    labels: tuple[tuple[str, str], ...]
    binder: str
    daemon: str
    image: str
    build_labels: tuple[tuple[str, str], ...]
    socket: str
    directories: tuple[str, ...]


class Gap(NamedTuple):
    """Something that gets in.

    Attributes:
        what: a noun: ``a privileged container``.
        why: a clause: why nothing refuses it.
        at: what decides that, None where no policy is about it.
    """

    what: str
    why: str
    at: Place | None


class _Found(NamedTuple):
    """A gap without its overlay: which of the objects decides it, and which path in that."""

    what: str
    why: str
    number: int = -1
    path: Path = ()


class _Attempt(NamedTuple):
    """A pod that is admitted, what is changed in it, and how it is sent."""

    what: str
    control: Pod
    change: Callable[[Pod], object]
    username: str = _CONTROLLER
    operation: str = "CREATE"
    subresource: str = ""
    of_image: bool = False

    @property
    def pod(self) -> Pod:
        pod = deepcopy(self.control)
        self.change(pod)
        return pod

    @property
    def sent(self) -> dict[str, str]:
        return {"username": self.username, "operation": self.operation, "subresource": self.subresource}


def gaps(objects: Sequence[KubeObject], household: Household) -> Iterator[Gap]:
    """Yield what gets into the namespace and should not; images only where some policy is about them.

    Nothing where a policy cannot be evaluated, which is an error for whoever evaluates it for real.
    """
    policies = [item for item in objects if item.group == _GROUP]
    namespaces = (item for item in objects if item.kind == "Namespace")
    asked = [*policies, *namespaces, *_parameters(policies, objects)]
    # Overlays share their policies: what is the same is asked once.
    for found in _found(json.dumps([item.value for item in asked]), household):
        at = asked[found.number].place.at(*found.path) if found.number >= 0 else None
        yield Gap(found.what, found.why, at)


def _parameters(policies: Sequence[KubeObject], objects: Sequence[KubeObject]) -> Iterator[KubeObject]:
    """Yield what bindings may take as parameters: by its name, or by labels that anything may have."""
    kinds = {item.place.at("spec", "paramKind", "kind").text for item in policies}
    references = [item.place.at("spec", "paramRef") for item in policies]
    names = {(reference / "name").text for reference in references if reference.exists}
    return (item for item in objects if item.kind in kinds and (item.name in names or "" in names))


@lru_cache(maxsize=32)
def _found(policies: str, household: Household) -> tuple[_Found, ...]:
    objects = [KubeObject(value, lambda _: _NOWHERE) for value in json.loads(policies)]
    numbers = {id(item): number for number, item in enumerate(objects)}
    try:
        found = tuple(_gaps(Admission.of(objects), household))
    except CannotCheckError:
        return ()
    return tuple(
        _Found(gap.what, gap.why, numbers[id(gap.at.document)], gap.at.path)
        if gap.at is not None
        else _Found(gap.what, gap.why)
        for gap in found
    )


def _gaps(admission: Admission, household: Household) -> Iterator[Gap]:
    attempts = list(_attempts(household))
    images = [attempt for attempt in attempts if attempt.of_image]
    if not _object_to(images, admission):
        attempts = [attempt for attempt in attempts if not attempt.of_image]
        yield from _beginning_with_nothing(admission, images)
    idle = list(_unbound(admission))
    yield from idle
    refused: dict[tuple[object, ...], bool] = {}
    for attempt in attempts:
        asked = partial(_refused, admission, attempt, dict(household.labels))
        # Many attempts change the same pod.
        control = (id(attempt.control), *attempt.sent.values())
        if control not in refused:
            refused[control] = asked(attempt.control)
        # Where the pod is refused as it is, nothing is learned of what is changed in it.
        if not refused[control] and not asked(attempt.pod):
            gap = _gap(admission, attempt)
            # It may be what an idle policy is for.
            if gap.at is not None or not idle:
                yield gap
    yield from _without_parameters(admission)


def _object_to(attempts: Sequence[_Attempt], admission: Admission) -> bool:
    return any(next(admission.objectors(one.pod, **one.sent), None) for one in attempts)


def _beginning_with_nothing(admission: Admission, images: Sequence[_Attempt]) -> Iterator[Gap]:
    """Yield the empty entries without which a policy would object to some image.

    They are entries of parameters, or annotations of the namespace.
    """
    for number, item in enumerate(admission.objects):
        path = ("metadata", "annotations") if item.kind == "Namespace" else ("data",)
        for key, entry in item.place.at(*path).entries():
            if entry.value != "":
                continue
            value = deepcopy(item.value)
            entries = lookup(value, path)
            if isinstance(entries, dict):
                del entries[key]
            without = KubeObject(value, lambda _: _NOWHERE)
            others = (*admission.objects[:number], without, *admission.objects[number + 1 :])
            if _object_to(images, Admission.of(others)):
                why = f"{key} of {item.title} is empty, and every image begins with that"
                yield Gap("every image", why, entry)


def _attempts(household: Household) -> Iterator[_Attempt]:
    for key, sort in _LISTS.items():
        control = _plain(household, key)
        sent = ("UPDATE", "ephemeralcontainers") if key == "ephemeralContainers" else ("CREATE", "")
        privileged = {"securityContext": {"privileged": True}}
        yield _Attempt(f"a privileged {sort}container", control, _into(key, privileged), _CONTROLLER, *sent)
        image = {"image": _ELSEWHERE}
        what = f"an {sort}container with an image from anywhere"
        yield _Attempt(what, control, _into(key, image), _CONTROLLER, *sent, of_image=True)
    plain = _plain(household, "containers")
    capable = {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}
    yield _Attempt("a container with an added capability", plain, _into("containers", capable))
    changed = (
        "the image of a running pod, changed to one from anywhere",
        plain,
        _into("containers", {"image": _ELSEWHERE}),
    )
    yield _Attempt(*changed, operation="UPDATE", of_image=True)
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        yield _Attempt(f"a pod with {field}", plain, _with({field: True}))
    root = {"hostPath": {"path": "/"}}
    yield _Attempt("a pod that mounts the root of the node", plain, _mounting(root))
    yield _Attempt("docker-api with the root of the node mounted", _daemon(household), _mounting(root))
    build, binder = _build(household), household.binder
    yield _Attempt("a build pod that mounts the root of the node", build, _mounting(root), binder)
    yield _Attempt("a build pod with the socket of another namespace", build, _other_socket, binder)
    yield _Attempt("a build pod with a directory for a socket", build, _no_socket, binder)
    yield _Attempt(
        "a pod of BinderHub under docker-api's ServiceAccount",
        build,
        _with({"serviceAccountName": household.daemon, "volumes": []}),
        binder,
    )
    yield _Attempt("a pod of BinderHub that is no build pod", build, _unlabelled, binder)


def _plain(household: Household, key: str) -> Pod:
    """Return a pod that asks for nothing, with one container in that list."""
    container = {"name": "main", "image": household.image}
    spec: Pod = {"serviceAccountName": "default", "containers": [{**container}]}
    if key != "containers":
        spec[key] = [{**container, "name": "other"}]
    metadata = {"name": "attempt", "namespace": household.namespace, "labels": {"app": "attempt"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _daemon(household: Household) -> Pod:
    """Return the pod of docker-api, as far as it leads to the node."""
    pod = _plain(household, "containers")
    pod["spec"]["serviceAccountName"] = household.daemon
    pod["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    pod["spec"]["volumes"] = [
        {"name": f"directory-{number}", "hostPath": {"path": path, "type": "DirectoryOrCreate"}}
        for number, path in enumerate(household.directories)
    ]
    return pod


def _build(household: Household) -> Pod:
    """Return the pod of a build, likewise."""
    pod = _plain(household, "containers")
    pod["metadata"]["labels"] = dict(household.build_labels)
    pod["spec"]["volumes"] = [
        {"name": "docker-socket", "hostPath": {"path": household.socket, "type": "Socket"}}
    ]
    return pod


def _into(key: str, fields: Mapping[str, Any]) -> Callable[[Pod], object]:
    return lambda pod: pod["spec"][key][0].update(fields)


def _with(fields: Mapping[str, Any]) -> Callable[[Pod], object]:
    return lambda pod: pod["spec"].update(fields)


def _mounting(source: Mapping[str, Any]) -> Callable[[Pod], object]:
    return lambda pod: pod["spec"].setdefault("volumes", []).append({"name": "attempt", **source})


def _sockets(pod: Pod) -> Iterator[Pod]:
    return (volume["hostPath"] for volume in pod["spec"].get("volumes", ()) if "hostPath" in volume)


def _other_socket(pod: Pod) -> None:
    for socket in _sockets(pod):
        socket["path"] = socket["path"].replace(f"/{pod['metadata']['namespace']}/", "/elsewhere/")


def _unlabelled(pod: Pod) -> None:
    pod["metadata"].update(labels={})
    pod["spec"].update(volumes=[])


def _no_socket(pod: Pod) -> None:
    for socket in _sockets(pod):
        socket["type"] = "Directory"


def _refused(admission: Admission, attempt: _Attempt, labels: Mapping[str, str], pod: Pod) -> bool:
    """Whether a policy refuses it that does so whatever happens."""
    closed = {
        one.policy.name
        for one in admission.bound
        if (one.policy.place.at("spec", "failurePolicy").text or _CLOSED) == _CLOSED
    }
    return any(
        verdict.action == _DENY and verdict.policy in closed
        for verdict in admission.verdicts(pod, namespace_labels=labels, **attempt.sent)
    )


def _gap(admission: Admission, attempt: _Attempt) -> Gap:
    """Say why nothing refuses it: of policies that object, what keeps the first from being heard."""
    one = next(admission.objectors(attempt.pod, **attempt.sent), None)
    if one is None:
        return Gap(attempt.what, "no admission policy refuses it", None)
    actions = one.binding.place.at("spec", "validationActions")
    failure = one.policy.place.at("spec", "failurePolicy")
    if _DENY not in actions.items:
        said = ", ".join(map(str, actions.items))
        return Gap(attempt.what, f"{one.policy.title} is bound with {said}, which refuses nothing", actions)
    if failure.text not in ("", _CLOSED):
        why = f"{one.policy.title} admits what it cannot evaluate"
        return Gap(attempt.what, why, failure)
    asking = ("matchResources", one.binding) if one.is_asked else ("matchConstraints", one.policy)
    at = asking[1].place.at("spec", asking[0])
    return Gap(attempt.what, f"{one.policy.title} is not asked about it", at)


def _unbound(admission: Admission) -> Iterator[Gap]:
    """Yield the policies that are there and refuse nothing."""
    bound = {id(one.policy) for one in admission.bound}
    for item in admission.objects:
        if item.kind == "ValidatingAdmissionPolicy" and id(item) not in bound:
            at = item.place.at("metadata", "name")
            yield Gap("what it refuses", f"no binding binds {item.title}", at)


def _without_parameters(admission: Admission) -> Iterator[Gap]:
    """Yield the bindings that let everything through once their parameters are gone."""
    for one in admission.bound:
        reference = one.binding.place.at("spec", "paramRef")
        action = reference / "parameterNotFoundAction"
        if (
            reference.exists
            and action.text != _DENY
            and _DENY in one.binding.place.at("spec", "validationActions").items
        ):
            name = (reference / "name").text
            yield Gap(
                "everything", f"{one.binding.title} admits it once the ConfigMap {name} is gone", action
            )
