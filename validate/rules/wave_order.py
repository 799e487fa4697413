"""wave-order."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from validate.argocd.syncs import awaits_pods, is_hook, latest_wave, wave, wave_place
from validate.cluster.generated import stem
from validate.cluster.producers import producers
from validate.cluster.references import references
from validate.cluster.scope import is_cluster_wide
from validate.rules.rule import Breach, NotApplicable, OverlayRule, Severity
from validate.rules.subjects import the_push_secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from validate.cluster.objects import KubeObject
    from validate.overlay import Overlay, Workload

    # Kind, name and namespace of an object, or of one that a controller makes of it.
    _Name: TypeAlias = tuple[str, str, str]


class WaveOrder(OverlayRule):
    """Argo CD syncs objects before what they need.

    Argo CD applies wave after wave, and waits until a wave is healthy before it begins the next one.
    Inside of a wave it goes by kind. A workload whose ServiceAccount, configuration, credentials or claims
    come in a later wave never becomes healthy, so that wave never begins: the first sync hangs, whichever
    workload it is. BinderHub and docker-api answer with errors while their rights are missing. Objects of
    a Namespace that comes later are refused, and so is every pod while the parameters of an admission
    policy are missing. BinderHub in the wave of docker-api, or before it, takes builds that no node can
    run yet.

    The order is: the Namespace; rights, credentials and configuration; docker-api; BinderHub. Set
    `argocd.argoproj.io/sync-wave`, which is 0 where it is missing.
    """

    id = "wave-order"
    severity = Severity.WARNING

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Compare the waves of what needs something with the waves of what it needs."""
        objects = tuple(item for item in overlay.objects if not is_hook(item))
        ours = [one for one in (overlay.docker_api, overlay.binder) if one and not is_hook(one.object)]
        known = {one.object for one in ours}
        others = [item for item in objects if awaits_pods(item) and item not in known]
        if not ours and not others:
            raise NotApplicable("nothing here has pods that Argo CD waits for")
        yield from _homeless(objects)
        makers = {name: item for item in objects for name in _made_by(item)}
        if ours:
            yield from _the_system(overlay, ours, objects, makers)
        for item in others:
            late = [one for one in dict.fromkeys(_mounted(item, makers)) if wave(one) > wave(item)]
            if len(late) > 1:
                yield _early(item, late)
            else:
                yield from (_late(one, item, waits=True) for one in late)


def _the_system(
    overlay: Overlay,
    ours: Sequence[Workload],
    objects: tuple[KubeObject, ...],
    makers: Mapping[_Name, KubeObject],
) -> Iterator[Breach]:
    """Yield what comes too late for docker-api, and for BinderHub, which comes after it."""
    daemons, binder = ours[0].object, ours[-1].object
    reported: set[KubeObject] = set()
    for workload in ours:
        mounted = [*_mounted(workload.object, makers), *_asked_for(workload.object, objects, makers)]
        needs = dict.fromkeys((*mounted, *_wanted(overlay, workload, makers)))
        late = [item for item in needs if wave(item) > latest_wave(item, workload.object)]
        new = [item for item in late if item not in reported]
        if len(new) > 1:
            # Then it is the workload that is out of order, and nothing else.
            yield _early(workload.object, new, None if workload.object is daemons else daemons)
            return
        for item in new:
            yield _late(item, workload.object, waits=item in mounted)
        reported.update(new)
    if daemons is not binder and wave(binder) <= wave(daemons):
        yield _unready(binder, daemons)


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


def _made_by(item: KubeObject) -> Iterator[_Name]:
    for one in producers((item,)):
        if one.place is not None:
            yield one.kind, one.name, one.namespace


def _mounted(workload: KubeObject, makers: Mapping[_Name, KubeObject]) -> Iterator[KubeObject]:
    """Yield what the pods of a workload refer to: they do not start without it."""
    for one in references((workload,)):
        item = makers.get((one.kind, one.name, one.namespace))
        # A StatefulSet names a Service, which its pods do without until it is there.
        if item is not None and not one.optional and item.kind != "Service":
            yield item


def _asked_for(
    workload: KubeObject, objects: tuple[KubeObject, ...], makers: Mapping[_Name, KubeObject]
) -> Iterator[KubeObject]:
    """Yield the parameters without which an admission policy refuses the pods of a workload."""
    policies = {item.name: item for item in objects if item.kind == "ValidatingAdmissionPolicy"}
    for item in objects:
        reference = item.place.at("spec", "paramRef")
        policy = policies.get(item.place.at("spec", "policyName").text)
        if policy is None or (reference / "parameterNotFoundAction").text != "Deny":
            continue
        kind = policy.place.at("spec", "paramKind", "kind").text
        # Without a namespace, they are those of the namespace of what is asked about.
        namespace = (reference / "namespace").text or workload.namespace
        made = makers.get((kind, (reference / "name").text, namespace))
        yield from (made,) if made else ()


def _wanted(overlay: Overlay, workload: Workload, makers: Mapping[_Name, KubeObject]) -> Iterator[KubeObject]:
    """Yield what a workload cannot work without: its rights and, for BinderHub, the Secret of build pods."""
    account = (workload.pod.spec / "serviceAccountName").text or "default"
    namespace = workload.object.namespace
    if workload is overlay.binder:
        with suppress(NotApplicable):
            secret = makers.get(("Secret", the_push_secret(overlay).text, namespace))
            yield from (secret,) if secret else ()
    for item in makers.values():
        if _binds(item, account, namespace):
            yield item
            role = item.place / "roleRef"
            for where in (item.namespace, ""):
                bound = makers.get(((role / "kind").text, (role / "name").text, where))
                yield from (bound,) if bound else ()


def _binds(item: KubeObject, account: str, namespace: str) -> bool:
    return item.kind in ("RoleBinding", "ClusterRoleBinding") and any(
        (subject / "name").value == account and (subject / "namespace").value in (namespace, None)
        for subject in (item.place / "subjects").each()
    )


def _late(item: KubeObject, workload: KubeObject, *, waits: bool) -> Breach:
    outcome = (
        "its pods wait for it, and the first sync waits for them" if waits else "it runs without until then"
    )
    # Without the hash, which is another one in each overlay.
    title = f"{item.kind} {stem(item)}"
    at = wave_place(item).pin()._replace(title=title)
    return Breach(
        at=at,
        problem=f"{title} comes in wave {wave(item)}, and {workload.title}, which needs it, in wave "
        f"{wave(workload)}: {outcome}",
        fix=f"give {title} a wave of {latest_wave(item, workload)} or less in {at.origin.file}",
        related=(wave_place(workload),),
    )


def _early(workload: KubeObject, late: Sequence[KubeObject], after: KubeObject | None = None) -> Breach:
    # What has to be there in an earlier wave says so; the others may share the wave of the workload.
    needed = max(wave(item) + wave(workload) - latest_wave(item, workload) for item in late)
    if after is not None:
        needed = max(needed, wave(after) + 1)
    return Breach(
        at=wave_place(workload),
        problem=f"{workload.title} comes in wave {wave(workload)}, before {len(late)} objects that it needs: "
        "the first sync waits for pods that cannot start, or cannot work",
        fix=f"give {workload.title} a wave of {needed} or more in {wave_place(workload).origin.file}",
        evidence="\n".join(f"wave {wave(item)}: {item.kind} {stem(item)}" for item in late),
    )


def _unready(binder: KubeObject, daemons: KubeObject) -> Breach:
    return Breach(
        at=wave_place(binder),
        problem=f"BinderHub comes in wave {wave(binder)}, and docker-api in wave {wave(daemons)}: BinderHub "
        "takes builds before any node can run them",
        fix=f"give {binder.title} a wave of {wave(daemons) + 1} or more in {wave_place(binder).origin.file}",
        related=(wave_place(daemons),),
    )
