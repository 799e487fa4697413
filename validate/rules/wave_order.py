"""wave-order."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from validate.argocd.syncs import is_hook, latest_wave, wave, wave_place
from validate.cluster.producers import producers
from validate.cluster.references import references
from validate.cluster.scope import is_cluster_wide
from validate.rules.rule import Breach, NotApplicable, OverlayRule, Severity
from validate.rules.subjects import the_push_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.cluster.objects import KubeObject
    from validate.overlay import Overlay, Workload


class WaveOrder(OverlayRule):
    """Argo CD syncs objects before what they need.

    Argo CD applies wave after wave, and waits until a wave is healthy before it begins the next one.
    Inside of a wave it goes by kind. A workload whose ServiceAccount, rights, configuration or
    credentials come in a later wave never becomes healthy, so that wave never begins: the first sync
    hangs. Objects of a Namespace that comes later are refused. BinderHub in the wave of docker-api, or
    before it, takes builds that no node can run yet.

    The order is: the Namespace; rights, credentials and configuration; docker-api; BinderHub. Set
    `argocd.argoproj.io/sync-wave`, which is 0 where it is missing.
    """

    id = "wave-order"
    severity = Severity.WARNING

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Compare the waves of what needs something with the waves of what it needs."""
        objects = tuple(item for item in overlay.objects if not is_hook(item))
        workloads = [one for one in (overlay.docker_api, overlay.binder) if one and not is_hook(one.object)]
        if not workloads:
            raise NotApplicable("nothing here runs BinderHub or docker-api")
        yield from _homeless(objects)
        reported: set[KubeObject] = set()
        for workload in workloads:
            mounted = _mounted(workload, objects)
            for item in (*mounted, *_wanted(overlay, workload, objects)):
                if item not in reported and wave(item) > latest_wave(item, workload.object):
                    reported.add(item)
                    yield _late(item, workload.object, waits=item in mounted)
        if overlay.docker_api and overlay.binder:
            daemons, binder = overlay.docker_api.object, overlay.binder.object
            if wave(binder) <= wave(daemons) and len(workloads) > 1:
                yield _early(binder, daemons)


def _homeless(objects: tuple[KubeObject, ...]) -> Iterator[Breach]:
    """Yield Namespaces that come after what is in them."""
    for namespace in (item for item in objects if item.kind == "Namespace"):
        inside = (item for item in objects if item.namespace == namespace.name)
        first = min((item for item in inside if not is_cluster_wide(item.kind)), key=wave, default=None)
        if first and wave(first) < wave(namespace):
            at = wave_place(namespace)
            yield Breach(
                at=at,
                problem=f"{namespace.title} comes in wave {wave(namespace)}, and {first.title} in wave "
                f"{wave(first)}: the API server refuses what has no namespace yet, and the sync fails",
                fix=f"give the Namespace a wave of {wave(first)} or less in {at.origin.file}",
                related=(wave_place(first),),
            )


def _mounted(workload: Workload, objects: tuple[KubeObject, ...]) -> list[KubeObject]:
    """Return what the pods of a workload refer to: they do not start without it."""
    named = {(one.kind, one.name) for one in references((workload.object,)) if not one.optional}
    return [item for item in objects if _makes(item, named, workload.object.namespace)]


def _wanted(overlay: Overlay, workload: Workload, objects: tuple[KubeObject, ...]) -> Iterator[KubeObject]:
    """Yield what a workload cannot work without: its rights and, for BinderHub, the Secret of build pods."""
    account = (workload.pod.spec / "serviceAccountName").text or "default"
    namespace = workload.object.namespace
    pushes = set()
    if workload is overlay.binder:
        with suppress(NotApplicable):
            pushes.add(("Secret", the_push_secret(overlay).text))
    for item in objects:
        if _makes(item, pushes, namespace) or _grants(item, account, namespace, objects):
            yield item


def _makes(item: KubeObject, named: set[tuple[str, str]], namespace: str) -> bool:
    return any((one.kind, one.name) in named and one.namespace == namespace for one in producers((item,)))


def _grants(item: KubeObject, account: str, namespace: str, objects: tuple[KubeObject, ...]) -> bool:
    """Whether it is a binding of the ServiceAccount, or a role that one of these binds."""
    if item.kind in ("Role", "ClusterRole"):
        return any(
            (one.place / "roleRef" / "name").value == item.name
            and (one.place / "roleRef" / "kind").value == item.kind
            and one.namespace in ("", item.namespace or one.namespace)
            for one in objects
            if _grants_to(one, account, namespace)
        )
    return _grants_to(item, account, namespace)


def _grants_to(binding: KubeObject, account: str, namespace: str) -> bool:
    return binding.kind in ("RoleBinding", "ClusterRoleBinding") and any(
        (subject / "name").value == account and (subject / "namespace").value in (namespace, None)
        for subject in (binding.place / "subjects").each()
    )


def _late(item: KubeObject, workload: KubeObject, *, waits: bool) -> Breach:
    outcome = (
        "its pods wait for it, and the first sync waits for them" if waits else "it runs without until then"
    )
    return Breach(
        at=wave_place(item),
        problem=f"{item.title} comes in wave {wave(item)}, and {workload.title}, which needs it, in wave "
        f"{wave(workload)}: {outcome}",
        fix=f"give {item.title} a wave of {latest_wave(item, workload)} or less in "
        f"{wave_place(item).origin.file}",
        related=(wave_place(workload),),
    )


def _early(binder: KubeObject, daemons: KubeObject) -> Breach:
    return Breach(
        at=wave_place(binder),
        problem=f"BinderHub comes in wave {wave(binder)}, and docker-api in wave {wave(daemons)}: BinderHub "
        "takes builds before any node can run them",
        fix=f"give {binder.title} a wave of {wave(daemons) + 1} or more in {wave_place(binder).origin.file}",
        related=(wave_place(daemons),),
    )
