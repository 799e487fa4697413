"""What a ServiceAccount may do, as the RBAC authorizer of Kubernetes decides it.

Follows ``pkg/apis/rbac/v1/evaluation_helpers.go`` and ``plugin/pkg/auth/authorizer/rbac`` of
Kubernetes 1.34: grants only add up, there is nothing that takes one away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from validate.cluster.index import index_of
from validate.cluster.selectors import selects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validate.cluster.objects import KubeObject
    from validate.place import Place

_GROUP = "rbac.authorization.k8s.io"
_ALL = "*"


class Need(Struct, frozen=True):
    """A call to the Kubernetes API that somebody makes.

    Attributes:
        verb: ``create``, ``list``, ...
        resource: plural name, ``pods/log`` with a subresource; all of them in the core group.
        call: when it is made, a clause.
        otherwise: what happens where it is refused, a clause.
    """

    verb: str
    resource: str
    call: str
    otherwise: str


_UNHANDLED = 'every build ends with "Unhandled error watching for build events"'
_UNATTENDED = f"{_UNHANDLED} while its pod keeps running unattended"
# Observed on a BinderHub of commit b9fad995 against a recorded API server. It makes no other calls.
BINDERHUB_NEEDS = (
    Need(
        "list",
        "pods",
        "before each build and once a minute in the cleaner",
        "every build fails at once and finished build pods are never removed",
    ),
    Need(
        "create",
        "pods",
        "for each build",
        _UNHANDLED,
    ),
    Need(
        "watch",
        "pods",
        "while a build runs",
        _UNATTENDED,
    ),
    Need(
        "delete",
        "pods",
        "after each build and in the cleaner",
        "builds that have pushed their image are reported as failed and their pods are left over",
    ),
    Need(
        "get",
        "pods/log",
        "once the build pod runs",
        _UNATTENDED,
    ),
)

# The part about pods of the roles that every cluster has (bootstrappolicy/testdata/cluster-roles.yaml).
_READ = frozenset({"get", "list", "watch"})
_WRITE = frozenset({"create", "delete", "deletecollection", "patch", "update"})
_INTERACTIVE = frozenset({"pods/attach", "pods/exec", "pods/portforward", "pods/proxy"})
_VIEW = ((_READ, frozenset({"pods", "pods/log", "pods/status"})),)
_EDIT = (
    *_VIEW,
    (_READ, _INTERACTIVE),
    (_WRITE, _INTERACTIVE | {"pods"}),
    (frozenset({"create"}), frozenset({"pods/eviction"})),
)
_BUILT_IN = {
    "cluster-admin": ((frozenset({_ALL}), frozenset({_ALL})),),
    "admin": _EDIT,
    "edit": _EDIT,
    "view": _VIEW,
}


class Subject(NamedTuple):
    """Somebody who may be granted something; ``namespace`` is empty for users and groups."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return it as people name it."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Grant(Struct, frozen=True):
    """One rule of a role that is bound to the ServiceAccount.

    Attributes:
        verbs: what may be done, ``*`` for anything; likewise ``groups``.
        groups: API groups of the resources.
        resources: ``pods``, ``pods/log``, ``*/log``, ``*``.
        names: names of the only objects that it is about, empty for all.
        namespace: where it holds, empty for everywhere.
        rule: the rule; the reference to the role where that is one that every cluster has.
        role_ref: the reference to the role in the binding.
    """

    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    names: frozenset[str]
    namespace: str
    rule: Place
    role_ref: Place

    def allows(self, verb: str, group: str, resource: str, namespace: str, name: str = "") -> bool:
        """Whether this grant alone allows the call; ``name`` is empty for calls about no one object."""
        subresource = resource.partition("/")[2]
        return (
            self.namespace in ("", namespace)
            and (_ALL in self.verbs or verb in self.verbs)
            and (_ALL in self.groups or group in self.groups)
            and (
                _ALL in self.resources
                or resource in self.resources
                or bool(subresource and f"*/{subresource}" in self.resources)
            )
            and (not self.names or name in self.names)
        )


class Grants(Struct, frozen=True):
    """Everything that one ServiceAccount is granted."""

    grants: tuple[Grant, ...]

    @classmethod
    def of(cls, objects: Iterable[KubeObject], service_account: str, namespace: str) -> Grants:
        """Return what ``objects`` grant to the ServiceAccount of that name and namespace."""
        return cls.of_subject(objects, Subject("ServiceAccount", namespace, service_account))

    @classmethod
    def of_subject(cls, objects: Iterable[KubeObject], subject: Subject) -> Grants:
        """Return what ``objects`` grant to a subject; to a ServiceAccount, what its groups have as well."""
        together = tuple(objects)
        found: list[Grant] = []
        index = index_of(together)
        for binding in (
            *index.of_kind("RoleBinding", _GROUP),
            *index.of_kind("ClusterRoleBinding", _GROUP),
        ):
            if any(_is_about(one, binding, subject) for one in (binding.place / "subjects").each()):
                found += _bound(binding, together)
        return cls(tuple(found))

    def allowed(self, verb: str, group: str, resource: str, namespace: str, name: str = "") -> bool:
        """Whether the call is allowed; ``resource`` as in ``pods/log`` where there is a subresource."""
        return any(grant.allows(verb, group, resource, namespace, name) for grant in self.grants)


def unmet(grants: Grants, namespace: str, needs: Iterable[Need] = BINDERHUB_NEEDS) -> Iterator[Need]:
    """Yield the needs that ``grants`` do not cover in ``namespace``."""
    return (need for need in needs if not grants.allowed(need.verb, "", need.resource, namespace))


def excess(
    grants: Grants, namespace: str, needs: Iterable[Need] = BINDERHUB_NEEDS
) -> Iterator[tuple[Place, str]]:
    """Yield what is granted beyond ``needs`` in ``namespace``: the place to cut, and a sentence."""
    wanted = {(need.verb, "", need.resource) for need in needs}
    for grant in grants.grants:
        if grant.namespace != namespace:
            where = f"namespace {grant.namespace}" if grant.namespace else "every namespace"
            yield grant.role_ref, f"holds in {where}, and is needed in {namespace} only"
        for verb in sorted(grant.verbs):
            spare = sorted(
                _worded(group, resource)
                for group in grant.groups
                for resource in grant.resources
                if (verb, group, resource) not in wanted
            )
            if spare:
                does = "do anything to" if verb == _ALL else verb
                yield _verb_place(grant, verb), f"may {does} {', '.join(spare)}, which nothing here calls for"


def subjects(objects: Iterable[KubeObject]) -> tuple[Subject, ...]:
    """Return whom bindings name, and the ServiceAccounts that pods run as, in order."""
    found: set[Subject] = set()
    for item in objects:
        if item.group == _GROUP and item.kind in ("RoleBinding", "ClusterRoleBinding"):
            found.update(_subject(subject, item) for subject in (item.place / "subjects").each())
        elif (pod := item.pod) is not None:
            account = (pod.spec / "serviceAccountName").text or "default"
            found.add(Subject("ServiceAccount", item.namespace, account))
    return tuple(sorted(found))


def _subject(subject: Place, binding: KubeObject) -> Subject:
    kind, name = (subject / "kind").text, (subject / "name").text
    if kind != "ServiceAccount":
        return Subject(kind, "", name)
    return Subject(kind, (subject / "namespace").text or binding.namespace, name)


def gained(before: Grants, after: Grants) -> Iterator[tuple[Grant, str]]:
    """Yield what ``after`` allows and ``before`` does not: the grant, and clauses that say what."""
    for grant in after.grants:
        where = f"in {grant.namespace}" if grant.namespace else "in every namespace"
        verbs: dict[tuple[str, ...], list[str]] = {}
        for verb in sorted(grant.verbs):
            new = {
                _worded(group, resource, name)
                for group in grant.groups
                for resource in grant.resources
                for name in grant.names or {""}
                if not before.allowed(verb, group, resource, grant.namespace, name)
            }
            if new:
                verbs.setdefault(tuple(sorted(new)), []).append("do anything to" if verb == _ALL else verb)
        for new_resources, words in verbs.items():
            yield grant, f"{', '.join(words)} {', '.join(new_resources)} {where}"


def _worded(group: str, resource: str, name: str = "") -> str:
    named = "every resource" if resource == _ALL else resource
    if name:
        named += f" {name}"
    if group == _ALL:
        return f"{named} of every API group"
    return f"{named} of {group}" if group else named


def _verb_place(grant: Grant, verb: str) -> Place:
    return next((place for place in (grant.rule / "verbs").each() if place.value == verb), grant.rule)


def _is_about(named: Place, binding: KubeObject, who: Subject) -> bool:
    """Whether a binding names the subject, or the user or a group that a ServiceAccount is as well."""
    # A RoleBinding's own namespace is the default; a ClusterRoleBinding has none.
    if _subject(named, binding) == who:
        return True
    if who.kind != "ServiceAccount":
        return False
    match (named / "kind").text:
        case "User":
            return (named / "name").text == f"system:serviceaccount:{who.namespace}:{who.name}"
        case "Group":
            return (named / "name").text in (
                "system:serviceaccounts",
                f"system:serviceaccounts:{who.namespace}",
                "system:authenticated",
            )
    return False


def _bound(binding: KubeObject, objects: tuple[KubeObject, ...]) -> Iterator[Grant]:
    role_ref = binding.place / "roleRef"
    kind, name = (role_ref / "kind").text, (role_ref / "name").text
    if binding.kind == "ClusterRoleBinding" and kind != "ClusterRole":
        return
    namespace = binding.namespace if binding.kind == "RoleBinding" else ""
    role = index_of(objects).get(kind, name, "" if kind == "ClusterRole" else binding.namespace, _GROUP)
    if role is not None:
        for rule in _rules(role, objects):
            yield _grant(rule, role_ref, namespace)
    elif kind == "ClusterRole":
        for verbs, resources in _BUILT_IN.get(name, ()):
            groups = frozenset({_ALL if _ALL in resources else ""})
            yield Grant(verbs, groups, resources, frozenset(), namespace, role_ref, role_ref)


def _rules(
    role: KubeObject, objects: tuple[KubeObject, ...], within: tuple[KubeObject, ...] = ()
) -> Iterator[Place]:
    """Yield the rules of a role; the controller replaces those of an aggregated one.

    ``within`` are the roles that are being aggregated: two may select each other.
    """
    aggregation = role.place / "aggregationRule"
    if not aggregation.exists:
        yield from (role.place / "rules").each()
        return
    within = (*within, role)
    selectors = [selector.value for selector in (aggregation / "clusterRoleSelectors").each()]
    roles = (item for item in objects if item.group == _GROUP and item.kind == "ClusterRole")
    for other in roles:
        if other not in within and any(selects(selector, other.labels) for selector in selectors):
            yield from _rules(other, objects, within)


def _grant(rule: Place, role_ref: Place, namespace: str) -> Grant:
    def names(field: str) -> frozenset[str]:
        return frozenset(str(name) for name in (rule / field).items)

    return Grant(
        verbs=names("verbs"),
        groups=names("apiGroups"),
        resources=names("resources"),
        names=names("resourceNames"),
        namespace=namespace,
        rule=rule,
        role_ref=role_ref,
    )
