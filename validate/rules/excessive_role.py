"""excessive-role."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.rbac import excess
from validate.cluster.rights import escalations, idle_rights
from validate.cluster.tokens import rights_of
from validate.rules.rule import Breach, OverlayRule, Severity
from validate.rules.subjects import the_binder, the_grants

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.cluster.rbac import Grants
    from validate.overlay import Overlay
    from validate.place import Path, Place


class ExcessiveRole(OverlayRule):
    """BinderHub may do more than it ever does, or rights are given that nobody needs.

    BinderHub answers requests of strangers, and its token is that of its ServiceAccount. Whoever
    takes it over may do what the role says: with `secrets` read the push credentials, with
    `pods/exec` enter docker-api, with a ClusterRole do so in every namespace.

    BinderHub calls the API server for five things: `create`, `delete`, `list`, `watch` on `pods`, and
    `get` on `pods/log`, all in the namespace of the build pods. Grant these in a Role.

    Whoever else holds rights in this namespace is as near to docker-api: who may write a workload, without
    naming which, may write one that runs as docker-api. A Role that no binding gives to anybody, a
    binding to a ServiceAccount that no pod runs as, and a token that no binding gives any right, are
    without a use: mostly, somebody else was meant, and goes without.
    """

    id = "excessive-role"
    severity = Severity.WARNING
    requires = ("split-namespace", "dangling-reference")

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Compare what is granted with the calls that BinderHub makes."""
        grants, namespace = the_grants(overlay)
        spare: dict[tuple[str, Path], list[tuple[Place, str]]] = {}
        for place, sentence in excess(grants, namespace):
            above = place.path[:-1] if isinstance(place.path[-1], int) else place.path
            group = spare.setdefault((place.document.title, above), [])
            if sentence not in (said for _, said in group):
                group.append((place, sentence))
        for group in spare.values():
            yield _spare(group, namespace)
        if not spare:
            yield from _cluster_roles(grants, namespace)
        yield from _of_others(overlay)
        # Without any grant, the role of BinderHub is what insufficient-role is about.
        daemon = overlay.docker_api.object if overlay.docker_api else None
        for place, problem in idle_rights(overlay.objects, daemon) if grants.grants else ():
            yield Breach(
                at=place,
                problem=problem,
                fix=f"complete it in {place.origin.file}, or delete what nobody needs",
            )


def _of_others(overlay: Overlay) -> Iterator[Breach]:
    """Yield the rights of other pods that lead to those of docker-api."""
    binder = the_binder(overlay).object
    seen = set()
    for pod in overlay.pods:
        for grant in rights_of(pod, overlay.objects).grants if pod.owner is not binder else ():
            for at, sentence in escalations(grant):
                if at.origin not in seen:
                    seen.add(at.origin)
                    yield Breach(
                        at=at,
                        problem=f"{pod.owner.title} {sentence}",
                        fix=f"grant what it calls, and name the objects, in {at.origin.file}",
                    )


def _spare(group: list[tuple[Place, str]], namespace: str) -> Breach:
    place, sentence = group[0]
    subject = "what BinderHub is granted" if sentence.startswith("holds") else "BinderHub"
    more = f" (and {len(group) - 1} more)" if group[1:] else ""
    return Breach(
        at=place,
        problem=f"{subject} {sentence}{more}",
        fix=f"correct {place.origin.file}: grant the five calls alone, and in {namespace} alone",
        evidence="\n".join(said for _, said in group) if more else "",
    )


def _cluster_roles(grants: Grants, namespace: str) -> Iterator[Breach]:
    references = {grant.role_ref.document.title: grant.role_ref for grant in grants.grants}
    for reference in references.values():
        kind = reference / "kind"
        if kind.value == "ClusterRole":
            yield Breach(
                at=kind,
                problem="BinderHub has its rights from a ClusterRole: whoever widens it widens them",
                fix=f"bind a Role of {namespace} in {kind.origin.file}",
            )
