"""insufficient-role."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from validate.cluster.rbac import BINDERHUB_NEEDS, unmet
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_binder, the_grants
from validate.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validate.cluster.rbac import Grants, Need
    from validate.overlay import Overlay
    from validate.place import Place


class InsufficientRole(OverlayRule):
    """BinderHub may not do what every build needs.

    BinderHub creates a pod for each build, watches it, reads its log and deletes it, and it lists pods
    to remove what was left over. Where the API server refuses one of these calls, BinderHub starts and
    looks healthy all the same. Builds then fail with "Unhandled error", or their pods run on with
    nobody watching, and only BinderHub's log says why (jupyterhub/binderhub issues 1075 and 1116).

    Grant exactly this in the namespace of the build pods: `create`, `delete`, `list`, `watch` on
    `pods`, and `get` on `pods/log`.
    """

    id = "insufficient-role"
    requires = ("split-namespace", "dangling-reference")

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Ask for each call that BinderHub makes, as the API server would."""
        grants, namespace = the_grants(overlay)
        if not grants.grants:
            yield _not_bound(overlay, namespace)
            return
        refused = [(_where(need, grants, namespace), need) for need in unmet(grants, namespace)]
        for _, group in groupby(refused, key=lambda entry: (entry[0].document.title, entry[0].path)):
            places, needs = zip(*group, strict=True)
            place = places[0]
            names = ", whatever the name of the pod," if place.path[-1] == "resourceNames" else ""
            yield Breach(
                at=place,
                problem=f"BinderHub may not {_worded(needs)} in {namespace}: {needs[0].otherwise}",
                fix=f"grant {_worded(needs)}{names} in {place.origin.file}",
                evidence="\n".join(f"{need.verb} {need.resource}: {need.call}" for need in needs),
            )


def _not_bound(overlay: Overlay, namespace: str) -> Breach:
    binder = the_binder(overlay)
    account = binder.pod.spec / "serviceAccountName"
    name = account.text or "default"
    return Breach(
        at=account,
        problem=f"no RoleBinding grants anything to the ServiceAccount {name} that BinderHub runs as: "
        f"{BINDERHUB_NEEDS[0].otherwise}",
        fix=f"add a RoleBinding in {namespace} of a Role that grants {_worded(BINDERHUB_NEEDS)} "
        f"to {name} of {binder.object.namespace}",
    )


def _where(need: Need, grants: Grants, namespace: str) -> Place:
    """Return what to change: a resource of almost that name, else what to widen.

    That is a rule about the resource, else any rule, else the binding.
    """
    here = [grant for grant in grants.grants if grant.namespace in ("", namespace)]
    for grant in here:
        if need.resource in grant.resources and "" in grant.groups:
            narrow = need.verb in grant.verbs and grant.names
            return grant.rule / ("resourceNames" if narrow else "verbs")
    named = {place.text: place for grant in here for place in (grant.rule / "resources").each()}
    near = nearest(need.resource, named, cutoff=0.8)
    if near:
        return named[near]
    return here[0].rule if here else grants.grants[0].role_ref


def _worded(needs: Iterable[Need]) -> str:
    """Return ``list, create pods and get pods/log``."""
    by_resource = groupby(needs, key=lambda need: need.resource)
    return " and ".join(f"{', '.join(need.verb for need in group)} {name}" for name, group in by_resource)
