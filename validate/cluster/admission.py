"""What the ValidatingAdmissionPolicies of the tree say of an object, before any API server is asked.

Follows ``staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/validating`` of Kubernetes 1.34.
Not modelled: ``authorizer``, cost limits, audit annotations, and most of the defaults that the API server
fills in before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from validate.cluster.cel import ExpressionError, Outcome, UnknownLibraryError, compile_expression
from validate.cluster.index import index_of
from validate.cluster.objects import KubeObject, string_map
from validate.cluster.selectors import selects
from validate.errors import CannotCheckError, SourceError
from validate.place import Json, Place, lookup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_GROUP = "admissionregistration.k8s.io"
_CLUSTER_WIDE = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    }
)


class Verdict(Struct, frozen=True, eq=False):
    """One objection of one policy, through one binding.

    Attributes:
        policy: name of the policy.
        binding: name of the binding.
        action: ``Deny``, ``Warn`` or ``Audit``.
        message: what the API server would answer.
        place: the validation that objects, or the condition or parameter reference that cannot be evaluated.
    """

    policy: str
    binding: str
    action: str
    message: str
    place: Place


class _Request(Struct, frozen=True):
    """An object on its way in, as policies see it."""

    value: dict[str, Json]
    operation: str
    username: str
    namespace_labels: Mapping[str, str]
    namespace_annotations: Mapping[str, str]
    subresource: str = ""

    @property
    def kind(self) -> str:
        return str(self.value.get("kind") or "")

    @property
    def group(self) -> str:
        return str(self.value.get("apiVersion") or "").rpartition("/")[0]

    @property
    def version(self) -> str:
        return str(self.value.get("apiVersion") or "").rpartition("/")[2]

    @property
    def resource(self) -> str:
        return _plural(self.kind)

    @property
    def namespace(self) -> str:
        return "" if self.kind in _CLUSTER_WIDE else str(lookup(self.value, ("metadata", "namespace")) or "")

    @property
    def labels(self) -> dict[str, str]:
        return string_map(lookup(self.value, ("metadata", "labels")))

    def variables(self) -> dict[str, Json]:
        """Return what expressions see, without parameters and composed variables."""
        namespace: Json = None
        if self.namespace:
            metadata: dict[str, Json] = {"name": self.namespace, "labels": {**self.namespace_labels}}
            if self.namespace_annotations:
                metadata["annotations"] = {**self.namespace_annotations}
            namespace = {"metadata": metadata}
        return {
            "object": self.value,
            "oldObject": None,
            "namespaceObject": namespace,
            "request": {
                "operation": self.operation,
                "name": str(lookup(self.value, ("metadata", "name")) or ""),
                "namespace": self.namespace,
                "kind": {"group": self.group, "version": self.version, "kind": self.kind},
                "resource": {"group": self.group, "version": self.version, "resource": self.resource},
                "subResource": self.subresource,
                "dryRun": False,
                "userInfo": {"username": self.username, "groups": _groups(self.username)},
            },
        }


class Bound(Struct, frozen=True, eq=False):
    """A policy through one binding, and the resources that any of its rules names."""

    policy: KubeObject
    binding: KubeObject
    resources: frozenset[str]

    def is_about(self, request: _Request) -> bool:
        """Whether the policy and the binding both ask for the request."""
        narrower = self.binding.place / "spec" / "matchResources"
        return self.is_constrained_to(request) and (
            not narrower.exists or _matches(narrower, request, bound=True)
        )

    def is_constrained_to(self, request: _Request) -> bool:
        """Whether the policy itself asks for the request, however it is bound."""
        known = "*" in self.resources or request.resource in self.resources
        return known and _matches(self.policy.place / "spec" / "matchConstraints", request)


class Objector(NamedTuple):
    """A policy that objects to a request through a binding; ``is_asked``: the policy asks for it."""

    policy: KubeObject
    binding: KubeObject
    is_asked: bool


class Admission(Struct, frozen=True, eq=False):
    """The policies of a tree, as they are bound there.

    Attributes:
        objects: everything in the tree; parameters are among it.
        bound: the policies, through each of their bindings.
        annotations: those of the namespaces in the tree, by name.
    """

    objects: tuple[KubeObject, ...]
    bound: tuple[Bound, ...]
    annotations: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, objects: Iterable[KubeObject]) -> Admission:
        """Find policies and bindings among ``objects``."""
        together = tuple(objects)
        ours = [item for item in together if item.group == _GROUP]
        policies = {item.name: item for item in ours if item.kind == "ValidatingAdmissionPolicy"}
        bound = []
        for binding in ours:
            policy = policies.get((binding.place / "spec" / "policyName").text)
            if binding.kind == "ValidatingAdmissionPolicyBinding" and policy is not None:
                rules = (policy.place / "spec" / "matchConstraints" / "resourceRules").each()
                names = (str(name) for rule in rules for name in (rule / "resources").items)
                bound.append(Bound(policy, binding, frozenset(name.partition("/")[0] for name in names)))
        annotations = {
            item.name: string_map(lookup(item.value, ("metadata", "annotations")))
            for item in together
            if item.kind == "Namespace"
        }
        return cls(together, tuple(bound), annotations)

    def verdicts(
        self,
        value: dict[str, Json],
        *,
        namespace_labels: Mapping[str, str],
        username: str = "",
        operation: str = "CREATE",
        subresource: str = "",
    ) -> Iterator[Verdict]:
        """Yield every objection to ``value``, each when it is asked for: to evaluate is what takes time.

        ``namespace_labels`` are those of the namespace that the object goes to; Kubernetes adds
        ``kubernetes.io/metadata.name`` to them, which is added here too. Its annotations are those of the
        Namespace in the tree. ``username`` is who asks, such as
        ``system:serviceaccount:<namespace>:<name>``; without it no policy may ask for it.

        Raises:
            SourceError: an expression that the API server would refuse, with its file and line.
            CannotCheckError: an expression that only an API server can evaluate.
        """
        request = self._request(value, namespace_labels, username, operation, subresource)
        for one in self.bound:
            if one.is_about(request):
                yield from _enforced(one.policy, one.binding, request, self.objects)

    def objectors(
        self, value: dict[str, Json], *, username: str, operation: str = "CREATE", subresource: str = ""
    ) -> Iterator[Objector]:
        """Yield each policy that would object to ``value`` if it were asked.

        Whether it is asked, and whether its objection counts, is left out.
        """
        request = self._request(value, {}, username, operation, subresource)
        for one in self.bound:
            if next(_objections(one.policy, one.binding, request, self.objects), None):
                yield Objector(one.policy, one.binding, is_asked=one.is_constrained_to(request))

    def _request(
        self,
        value: dict[str, Json],
        namespace_labels: Mapping[str, str],
        username: str,
        operation: str,
        subresource: str,
    ) -> _Request:
        namespace = str(lookup(value, ("metadata", "namespace")) or "")
        added = {"kubernetes.io/metadata.name": namespace} if namespace else {}
        labels, annotations = {**namespace_labels, **added}, self.annotations.get(namespace, {})
        return _Request(_with_defaults(value), operation, username, labels, annotations, subresource)


def verdicts(
    objects: Iterable[KubeObject],
    value: dict[str, Json],
    *,
    namespace_labels: Mapping[str, str],
    username: str = "",
    operation: str = "CREATE",
) -> list[Verdict]:
    """Return every objection to one object; see :meth:`Admission.verdicts`."""
    admission = Admission.of(objects)
    return list(
        admission.verdicts(value, namespace_labels=namespace_labels, username=username, operation=operation)
    )


class CreatedPod(Struct, frozen=True):
    """A pod that a controller creates, and the user name that it does so with."""

    value: dict[str, Json]
    username: str


# As controllers log in where each has its own credentials, which kubeadm, kind and the clouds see to.
_CONTROLLERS = {
    "CronJob": "job-controller",
    "DaemonSet": "daemon-set-controller",
    "Deployment": "replicaset-controller",
    "Job": "job-controller",
    "ReplicaSet": "replicaset-controller",
    "ReplicationController": "replication-controller",
    "StatefulSet": "statefulset-controller",
}


def created_pod(value: dict[str, Json]) -> CreatedPod | None:
    """Return the pod that the controller of a workload will create, None for what creates none."""
    item = KubeObject(value, lambda _: ())
    controller = _CONTROLLERS.get(item.kind)
    if item.pod is None or controller is None:
        return None
    template = item.pod.template.mapping
    metadata = template.get("metadata")
    named: dict[str, Json] = {
        **(metadata if isinstance(metadata, dict) else {}),
        "generateName": f"{item.name}-",
        "namespace": item.namespace,
    }
    pod: dict[str, Json] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": named,
        "spec": template.get("spec"),
    }
    return CreatedPod(pod, f"system:serviceaccount:kube-system:{controller}")


def _groups(username: str) -> list[Json]:
    prefix, _, account = username.partition("serviceaccount:")
    if prefix != "system:" or not account:
        return ["system:authenticated"]
    namespace = account.partition(":")[0]
    return ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]


def _with_defaults(value: dict[str, Json]) -> dict[str, Json]:
    """Return the object with the ServiceAccount that admission gives to a pod before policies see it."""
    spec = value.get("spec")
    if value.get("kind") != "Pod" or not isinstance(spec, dict) or spec.get("serviceAccountName"):
        return value
    return {**value, "spec": {**spec, "serviceAccountName": "default"}}


def _plural(kind: str) -> str:
    name = kind.lower()
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    if name == "endpoints":
        return name
    return f"{name}es" if name.endswith(("s", "x", "ch")) else f"{name}s"


def _matches(constraints: Place, request: _Request, *, bound: bool = False) -> bool:
    """Whether constraints admit the request; a policy needs rules, a binding (``bound``) only narrows."""
    rules = list((constraints / "resourceRules").each())
    ruled = any(_rule_matches(rule, constraints, request) for rule in rules)
    if not ruled and (rules or not bound):
        return False
    if any(
        _rule_matches(rule, constraints, request) for rule in (constraints / "excludeResourceRules").each()
    ):
        return False
    objects = constraints / "objectSelector"
    if objects.exists and not selects(objects, request.labels):
        return False
    namespaces = constraints / "namespaceSelector"
    if not namespaces.exists:
        return True
    if request.kind == "Namespace":
        return selects(namespaces, request.labels)
    return not request.namespace or selects(namespaces, request.namespace_labels)


def _rule_matches(rule: Place, constraints: Place, request: _Request) -> bool:
    # With the default, Equivalent, a request in another version of the kind is converted and then matches.
    exact = (constraints / "matchPolicy").text == "Exact"
    names = (rule / "resourceNames").items
    scope = (rule / "scope").text or "*"
    return (
        _lists(rule, "operations", request.operation)
        and _lists(rule, "apiGroups", request.group)
        and (not exact or _lists(rule, "apiVersions", request.version))
        and any(_resource_matches(str(name), request) for name in (rule / "resources").items)
        and (not names or lookup(request.value, ("metadata", "name")) in names)
        and scope in ("*", "Namespaced" if request.namespace else "Cluster")
    )


def _lists(rule: Place, field: str, wanted: str) -> bool:
    items = (rule / field).items
    return "*" in items or wanted in items


def _resource_matches(pattern: str, request: _Request) -> bool:
    """Whether a rule is about the resource, or the subresource of it: ``pods/log`` is about no pod."""
    name, _, subresource = pattern.partition("/")
    return name in ("*", request.resource) and subresource in (request.subresource, "*")


def _enforced(
    policy: KubeObject, binding: KubeObject, request: _Request, objects: Sequence[KubeObject]
) -> Iterator[Verdict]:
    actions = [str(action) for action in (binding.place / "spec" / "validationActions").items]
    for message, place in _objections(policy, binding, request, objects):
        for action in actions:
            yield Verdict(policy.name, binding.name, action, message, place)


def _objections(
    policy: KubeObject, binding: KubeObject, request: _Request, objects: Sequence[KubeObject]
) -> Iterator[tuple[str, Place]]:
    spec = policy.place / "spec"
    with_params = (spec / "paramKind").exists
    fails = ((spec / "failurePolicy").text or "Fail") == "Fail"
    reference = binding.place / "spec" / "paramRef"
    parameters: list[Json] = [None]
    if with_params and reference.exists:
        parameters = [*_parameters(spec / "paramKind", reference, request, objects)]
        if not parameters:
            if fails and (reference / "parameterNotFoundAction").text == "Deny":
                yield "no params found for policy binding with `Deny` parameterNotFoundAction", reference
            return
    for given in parameters:
        values = request.variables()
        if with_params:
            values["params"] = given
        yield from _judged(spec, values, with_params=with_params, fails=fails)


def _parameters(
    kind: Place, reference: Place, request: _Request, objects: Sequence[KubeObject]
) -> Iterator[Json]:
    """Yield the parameter objects of a binding: by name or selector, in its namespace or the object's."""
    api_version = (kind / "apiVersion").text
    name, selector = (reference / "name").text, reference / "selector"
    namespace = (reference / "namespace").text or request.namespace
    of_kind = index_of(tuple(objects)).of_kind((kind / "kind").text, api_version.rpartition("/")[0])
    for item in of_kind:
        if item.api_version != api_version or item.namespace not in ("", namespace):
            continue
        if item.name == name if name else selects(selector, item.labels):
            yield item.value


def _judged(
    spec: Place, values: dict[str, Json], *, with_params: bool, fails: bool
) -> Iterator[tuple[str, Place]]:
    values["variables"] = {}
    skipped, broken = False, []
    for condition in (spec / "matchConditions").each():
        outcome = _evaluated(condition / "expression", values, with_params=with_params)
        skipped = skipped or outcome.value is False
        if outcome.error:
            broken.append((f"{_quoted(condition)} resulted in error: {outcome.error}", condition))
    if skipped:
        return
    if broken:
        yield from broken if fails else ()
        return
    errors = _compose(spec / "variables", values, with_params=with_params)
    for validation in (spec / "validations").each():
        outcome = _evaluated(validation / "expression", values, with_params=with_params)
        if outcome.error and fails:
            cause = next(
                (error for name, error in errors.items() if f'"{name}"' in outcome.error), outcome.error
            )
            yield f"{_quoted(validation)} resulted in error: {cause}", validation
        elif not outcome.error and outcome.value is not True:
            yield _message(validation, values, with_params=with_params), validation


def _compose(variables: Place, values: dict[str, Json], *, with_params: bool) -> dict[str, str]:
    """Add the variables to ``values``, each of which may use those before it; return the errors by name.

    The API server evaluates a variable when an expression reads it. One that cannot be evaluated is
    left out here, so that reading it, and nothing else, is an error.
    """
    composed: dict[str, Json] = {}
    errors: dict[str, str] = {}
    values["variables"] = composed
    for variable in variables.each():
        outcome = _evaluated(variable / "expression", values, with_params=with_params)
        name = (variable / "name").text
        if outcome.error:
            errors[name] = outcome.error
        else:
            composed[name] = outcome.value
    return errors


def _message(validation: Place, values: dict[str, Json], *, with_params: bool) -> str:
    """Return the message; one that is composed must be a line of text, else the plain one counts."""
    composed = validation / "messageExpression"
    if composed.exists:
        found = _evaluated(composed, values, with_params=with_params).value
        if isinstance(found, str) and found.strip() and "\n" not in found:
            return found.strip()
    written = (validation / "message").text.strip()
    return written or f"failed expression: {(validation / 'expression').text.strip()}"


def _quoted(entry: Place) -> str:
    return f"expression '{(entry / 'expression').text.strip()}'"


def _evaluated(expression: Place, values: Mapping[str, Json], *, with_params: bool) -> Outcome:
    text = expression.text
    if "userInfo" in text and not lookup(values["request"], ("userInfo", "username")):
        raise _only_an_api_server(expression, "request.userInfo")
    try:
        compiled = compile_expression(text, with_params=with_params)
    except UnknownLibraryError as missing:
        raise _only_an_api_server(expression, str(missing)) from None
    except ExpressionError as error:
        origin = expression.origin
        problem = f"has an expression that the API server refuses ({error}); correct it"
        raise SourceError(origin.file, origin.line, problem) from None
    return compiled.evaluate(values)


def _only_an_api_server(expression: Place, name: str) -> CannotCheckError:
    return CannotCheckError(
        f"{expression.origin}: the expression uses {name}, which only an API server can evaluate; "
        "write it without, or check this policy on a cluster"
    )
