"""Rights that lead further than they look, and rights that nobody uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.tokens import account_of, mounted_token, rights_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validate.cluster.objects import KubeObject
    from validate.cluster.rbac import Grant
    from validate.place import Place

_GROUP = "rbac.authorization.k8s.io"
_ALL = "*"
# Writing one of these is to choose what runs, and as whom.
_WORKLOADS = frozenset(
    "pods deployments daemonsets statefulsets replicasets replicationcontrollers jobs cronjobs".split()
)
_WRITING = frozenset({"create", "patch", "update"})
_READING = frozenset({"get", "list", "watch"})
# As default, pods run that are not of the tree.
_DEFAULT = "default"
# An account with one of these is there for the sake of a cloud, which asks no binding.
_CLOUDS = frozenset(
    {"eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account", "azure.workload.identity/client-id"}
)


def escalations(grant: Grant) -> Iterator[tuple[Place, str]]:
    """Yield what in a grant leads to the rights of others, with a clause that begins with a verb."""
    fields = {"verbs": grant.verbs, "resources": grant.resources, "apiGroups": grant.groups}
    wide = [field for field, values in fields.items() if _ALL in values]
    written = ", ".join(sorted(grant.resources & _WORKLOADS))
    if wide:
        yield grant.rule / wide[0], f"holds {wide[0]}: [*], which is more than it can need"
    elif not grant.names and written and grant.verbs & _WRITING:
        yield grant.rule / "resources", f"may write any of the {written}, and so run anything as docker-api"
    elif not grant.names and "secrets" in grant.resources and grant.verbs & _READING:
        yield grant.rule / "resources", "may read every Secret of the namespace"


def idle_rights(objects: Iterable[KubeObject], tokenless: KubeObject | None) -> Iterator[tuple[Place, str]]:
    """Yield the rights that nobody of the tree has or needs, each with a sentence.

    ``tokenless`` must have no token at all, so what it would be for is not asked.
    Users and groups are outside of it, and so are ServiceAccounts of other namespaces.
    """
    together = tuple(objects)
    misdirected = [*_idle_bindings(together), *_idle_roles(together)]
    # A token without rights is what a binding that missed it leaves behind.
    yield from misdirected or _idle_tokens(tuple(item for item in together if item is not tokenless))


def _idle_bindings(objects: tuple[KubeObject, ...]) -> Iterator[tuple[Place, str]]:
    accounts = {(item.namespace, item.name) for item in objects if item.kind == "ServiceAccount"}
    used = {(item.namespace, account_of(pod)) for item in objects if (pod := item.pod) is not None}
    for binding in _bindings(objects):
        subjects = list((binding.place / "subjects").each())
        if not subjects:
            yield binding.place / "subjects", f"{binding.title} gives its role to nobody"
        for subject in subjects:
            account = ((subject / "namespace").text or binding.namespace, (subject / "name").text)
            known = (subject / "kind").value == "ServiceAccount" and account in accounts
            if known and account not in used and account[1] != _DEFAULT:
                yield subject / "name", f"{binding.title} gives rights to {account[1]}, which no pod runs as"


def _idle_roles(objects: tuple[KubeObject, ...]) -> Iterator[tuple[Place, str]]:
    bound = {
        ((item.place / "roleRef" / "name").text, item.namespace)
        for item in _bindings(objects)
        if (item.place / "roleRef" / "kind").value == "Role"
    }
    names: dict[str, set[str]] = {}
    for item in objects:
        names.setdefault(f"{item.kind.lower()}s", set()).add(item.name)
    for role in (item for item in objects if item.group == _GROUP and item.kind == "Role"):
        if (role.name, role.namespace) not in bound:
            yield role.place / "metadata" / "name", f"no binding gives {role.title} to anybody"
        elif not (role.place / "rules").items:
            yield role.place / "rules", f"{role.title} allows nothing"
        for rule in (role.place / "rules").each():
            # What operators make has names that are not of the tree, and pods have none beforehand.
            about = [name.text for name in (rule / "resources").each()]
            if set(about) <= _WORKLOADS - {"pods", "replicasets"}:
                known = set().union(*(names.get(resource, set()) for resource in about))
                for name in (rule / "resourceNames").each():
                    if name.text not in known:
                        kinds = ", ".join(about)
                        yield name, f"{role.title} is about {name.text}, and none of the {kinds} is called so"


def _idle_tokens(objects: tuple[KubeObject, ...]) -> Iterator[tuple[Place, str]]:
    accounts = {
        (item.namespace, item.name)
        for item in objects
        if item.kind == "ServiceAccount" and not _CLOUDS & item.annotations.keys()
    }
    for pod in (item.pod for item in objects if item.pod is not None):
        account = account_of(pod)
        named = (pod.owner.namespace, account) in accounts and account != _DEFAULT
        if named and mounted_token(pod, objects) is not None and not rights_of(pod, objects).grants:
            yield (
                pod.spec / "serviceAccountName",
                f"{pod.owner.title} has a token of {account}, which no binding gives any right",
            )


def _bindings(objects: Iterable[KubeObject]) -> Iterator[KubeObject]:
    for item in objects:
        if item.group == _GROUP and item.kind in ("RoleBinding", "ClusterRoleBinding"):
            yield item
