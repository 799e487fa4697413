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

# What runs in every cluster, and is privileged there.
_KUBE_SYSTEM = "kube-system"
_DAEMON_SETS = f"system:serviceaccount:{_KUBE_SYSTEM}:daemon-set-controller"
_KUBE_PROXY: dict[str, Json] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "kube-proxy", "namespace": _KUBE_SYSTEM, "labels": {"k8s-app": "kube-proxy"}},
    "spec": {
        "serviceAccountName": "kube-proxy",
        "hostNetwork": True,
        "containers": [
            {
                "name": "kube-proxy",
                "image": "registry.k8s.io/kube-proxy:v1.34.0",
                "securityContext": {"privileged": True},
                "volumeMounts": [{"name": "modules", "mountPath": "/lib/modules", "readOnly": True}],
            }
        ],
        "volumes": [{"name": "modules", "hostPath": {"path": "/lib/modules"}}],
    },
}


class RefusedByPolicy(OverlayRule):
    """Our own admission policies refuse an object, or a pod that it makes, or let in what leads to the node.

    `policies/admission` holds on the cluster what this repository promises. What is written against it
    fails there: an object stops the sync, and the pods of a Deployment are refused one by one, with
    nothing but an event of its ReplicaSet to show for it.

    Each policy is evaluated here as the API server does it. Change the object, or the policy if what
    it says is no longer meant. Images are allowed by an annotation `declared-registries/...` of the
    Namespace.

    The namespace admits privileged pods, for docker-api, and BinderHub may create pods in it. So the
    policies are also asked about what must not get in: privileged containers of every sort, the network
    and the directories of the node, the socket of another installation, docker-api's ServiceAccount in
    other hands, images of registries that nobody declared. Where a policy is there for that and lets it in,
    it is not bound, not asked, or does not fail closed. And they are asked about a kube-proxy in kube-system:
    a binding without a `namespaceSelector` reaches it.
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
        yield from _elsewhere(admission)


def _elsewhere(admission: Admission) -> Iterator[Breach]:
    """Yield the policies that reach beyond this installation, to what every cluster lives on."""
    labels = {"kubernetes.io/metadata.name": _KUBE_SYSTEM}
    refused = admission.verdicts(_KUBE_PROXY, namespace_labels=labels, username=_DAEMON_SETS)
    for name in dict.fromkeys(verdict.policy for verdict in refused if verdict.action == "Deny"):
        for one in (one for one in admission.bound if one.policy.name == name):
            at = one.binding.place.at("spec", "matchResources")
            yield Breach(
                at=at,
                problem=f"the policy {name} is asked in every namespace, and refuses kube-proxy in "
                f"{_KUBE_SYSTEM}: a node that starts anew has no network",
                fix=f"add matchResources with a namespaceSelector in {at.origin.file}",
                related=(one.policy.place.at("spec", "matchConstraints"),),
            )


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
            fix=f"correct that in {at.origin.file}"
            if at is not fallback
            else "refuse it in policies/admission",
            evidence="\n".join(whats) if more else "",
        )


def _namespace_labels(overlay: Overlay, name: str) -> dict[str, str]:
    namespace = overlay.find("Namespace", name)
    if namespace is not None:
        return namespace.labels
    return next((dict(given.labels) for given in overlay.facts.namespaces if given.name == name), {})
