"""refused-by-policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.admission import Admission, created_pod
from validate.rules.rule import Breach, NotApplicable, OverlayRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay
    from validate.place import Json, Place

# Argo CD's own name for what applies manifests: https://argo-cd.readthedocs.io/en/stable/operator-manual/installation/
_APPLIES = "system:serviceaccount:argocd:argocd-application-controller"


class RefusedByPolicy(OverlayRule):
    """Our own admission policies refuse an object, or a pod that it makes.

    `policies/admission` holds on the cluster what this repository promises. What is written against it
    fails there: an object stops the sync, and the pods of a Deployment are refused one by one, with
    nothing but an event of its ReplicaSet to show for it.

    Each policy is evaluated here as the API server does it. Change the object, or the policy if what
    it says is no longer meant. Images are allowed by an entry in the ConfigMap `declared-registries`.
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


def _namespace_labels(overlay: Overlay, name: str) -> dict[str, str]:
    namespace = overlay.find("Namespace", name)
    if namespace is not None:
        return namespace.labels
    return next((dict(given.labels) for given in overlay.facts.namespaces if given.name == name), {})
