"""refused-by-policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.admission import Admission, created_pod
from validate.cluster.intrusions import Household, gaps
from validate.cluster.podsecurity import Level, namespace_level
from validate.cluster.tokens import account_of
from validate.rules.rule import Breach, NotApplicable, OverlayRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay
    from validate.place import Json, Place

# Argo CD's own name for what applies manifests: https://argo-cd.readthedocs.io/en/stable/operator-manual/installation/
_APPLIES = "system:serviceaccount:argocd:argocd-application-controller"


class RefusedByPolicy(OverlayRule):
    """Our own admission policies refuse an object, or a pod that it makes, or let in what leads to the node.

    `policies/admission` holds on the cluster what this repository promises. What is written against it
    fails there: an object stops the sync, and the pods of a Deployment are refused one by one, with
    nothing but an event of its ReplicaSet to show for it.

    Each policy is evaluated here as the API server does it. Change the object, or the policy if what
    it says is no longer meant. Images are allowed by an entry in the ConfigMap `declared-registries`.

    The namespace admits privileged pods, for docker-api, and BinderHub may create pods in it. So the
    policies are also asked about what must not get in: privileged containers of every sort, the network
    and the directories of the node, the socket of another installation, docker-api's ServiceAccount in
    other hands, images of registries that nobody declared. Where a policy is there for that and lets it in,
    it is not bound, not asked, or does not fail closed.
    """

    id = "refused-by-policy"
    requires = ("invalid-object", "dangling-reference", "forbidden-build-pod", "privileged-container")

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Ask every policy about every object, and about the pods that controllers create from them."""
        if not any(overlay.of_kind("ValidatingAdmissionPolicyBinding")):
            raise NotApplicable("no admission policy is bound here")
        admission = Admission.of(overlay.objects)
        # forbidden-build-pod has asked about the pods of docker-api.
        judged = overlay.docker_api.object if overlay.docker_api else None
        for item in overlay.objects:
            labels = _namespace_labels(overlay, item.namespace)
            asked: list[tuple[str, Place, dict[str, Json], str]] = [
                (item.title, item.place, item.value, _APPLIES)
            ]
            pod = created_pod(item.value)
            if pod is not None and item.pod is not None and item is not judged:
                asked.append((f"the pods of {item.title}", item.pod.spec, pod.value, pod.username))
            for name, at, value, username in asked:
                for verdict in admission.verdicts(value, namespace_labels=labels, username=username):
                    if verdict.action == "Deny":
                        yield Breach(
                            at=at,
                            problem=f"the policy {verdict.policy} refuses {name}: {verdict.message}",
                            fix=f"change {item.title} in {at.origin.file}, or the policy in "
                            f"{verdict.place.origin.file}",
                            related=(verdict.place,),
                        )
        yield from _intrusions(overlay)


def _intrusions(overlay: Overlay) -> Iterator[Breach]:
    """Yield what gets into the build namespace beside those who belong there, each cause once."""
    build = overlay.build_pod.object if overlay.build_pod else None
    if build is None or overlay.binder is None or overlay.docker_api is None:
        return
    namespace, labels = build.namespace, _namespace_labels(overlay, build.namespace)
    if namespace_level(labels) is not Level.PRIVILEGED:
        return
    daemon = overlay.docker_api
    paths = (volume.at("hostPath", "path").text for volume in (daemon.pod.spec / "volumes").each())
    household = Household(
        namespace,
        tuple(labels.items()),
        f"system:serviceaccount:{overlay.binder.object.namespace}:{account_of(overlay.binder.pod)}",
        account_of(daemon.pod),
        daemon.container.image,
        tuple((key, value) for key, value in build.labels.items() if key != "name"),
        overlay.build_pod.socket_path or "" if overlay.build_pod else "",
        tuple(filter(None, paths)),
    )
    found = list(gaps(overlay.objects, household))
    owner = overlay.find("Namespace", namespace)
    fallback = owner.place.at("metadata", "labels") if owner else build.place
    for why in dict.fromkeys(gap.why for gap in found):
        whats = [gap.what for gap in found if gap.why == why]
        at = next(gap.at for gap in found if gap.why == why) or fallback
        more = f" (and {len(whats) - 1} more)" if whats[1:] else ""
        yield Breach(
            at=at,
            problem=f"{whats[0]}{more} gets into the namespace {namespace}: {why}",
            fix=f"refuse it in {at.origin.file}" if at is not fallback else "refuse it in policies/admission",
            evidence="\n".join(whats) if more else "",
        )


def _namespace_labels(overlay: Overlay, name: str) -> dict[str, str]:
    namespace = overlay.find("Namespace", name)
    if namespace is not None:
        return namespace.labels
    return next((dict(given.labels) for given in overlay.facts.namespaces if given.name == name), {})
