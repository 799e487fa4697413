"""forbidden-build-pod."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from validate.cluster.admission import verdicts
from validate.cluster.limits import refusals
from validate.cluster.podsecurity import Violation, namespace_level, namespace_version, violations
from validate.cluster.validation import contradictions
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_binder, the_build_pod

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from validate.cluster.objects import KubeObject, PodView
    from validate.overlay import Overlay
    from validate.place import Json

_DAEMONSET_CONTROLLER = "kube-system:daemon-set-controller"
_ENFORCE = "pod-security.kubernetes.io/enforce"


class ForbiddenBuildPod(OverlayRule):
    """The API server, or the build namespace, refuses the build pod, or docker-api.

    A build pod mounts a socket of the node and docker-api is privileged. Pod Security admits neither
    below the level `privileged`. A LimitRange, a ResourceQuota or an admission policy can refuse them as
    well, and so does any API server where a request is above its limit. BinderHub then ends each build at
    once with "Unhandled error watching for build events", and the reason stands in its log alone; a
    refused docker-api shows as events of its DaemonSet.

    Label the namespace `pod-security.kubernetes.io/enforce: privileged` (policies/admission takes
    back what that gives away), set `KubernetesBuildExecutor.resources` where a quota asks for them, or
    correct the policy.
    """

    id = "forbidden-build-pod"
    requires = ("unreachable-docker-host",)

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Ask everything that admits pods to the namespace, for the build pod and for docker-api."""
        binder = the_binder(overlay)
        account = (binder.pod.spec / "serviceAccountName").text or "default"
        build_pod = the_build_pod(overlay)
        for found in contradictions(build_pod):
            yield Breach(
                at=found.at,
                problem=f"the API server refuses the build pod: {found.sentence}",
                fix=f"correct it in {found.at.origin.file}",
            )
        pods = [_Admitted("the build pod", build_pod, f"{binder.object.namespace}:{account}")]
        if overlay.docker_api is not None:
            pods.append(_Admitted("docker-api", overlay.docker_api.object, _DAEMONSET_CONTROLLER))
        yield from _pod_security(overlay, pods)
        for pod in pods:
            yield from _limits(overlay, pod)
            yield from _policies(overlay, pod)


class _Admitted(NamedTuple):
    """What asks to be admitted: its name in sentences, what has the pod, and the account that creates it."""

    name: str
    owner: KubeObject
    creator: str

    @property
    def pod(self) -> PodView:
        """The pod."""
        pod = self.owner.pod
        assert pod is not None  # noqa: S101 - for the type checker: both have one
        return pod


def _pod_security(overlay: Overlay, pods: Sequence[_Admitted]) -> Iterator[Breach]:
    for namespace in overlay.of_kind("Namespace"):
        level = namespace_level(namespace.labels)
        inside = [pod for pod in pods if pod.owner.namespace == namespace.name]
        refused = [(pod, found) for pod in inside if (found := _first_violation(pod, namespace, overlay))]
        if refused:
            label = namespace.place.at("metadata", "labels", _ENFORCE)
            yield Breach(
                at=label,
                problem=f"the namespace {namespace.name} enforces {level}, which refuses "
                + " and ".join(f"{pod.name} ({violation.sentence})" for pod, violation in refused),
                fix=f"set {_ENFORCE} to privileged in {label.origin.file}",
                related=tuple(pod.pod.template.at(*violation.path) for pod, violation in refused),
            )


def _first_violation(pod: _Admitted, namespace: KubeObject, overlay: Overlay) -> Violation | None:
    level = namespace_level(namespace.labels)
    for kubernetes in overlay.facts.kubernetes:
        found = violations(level, pod.pod.template, namespace_version(namespace.labels, kubernetes))
        if found:
            return found[0]
    return None


def _limits(overlay: Overlay, pod: _Admitted) -> Iterator[Breach]:
    def there(kind: str) -> list[KubeObject]:
        return [item for item in overlay.of_kind(kind) if item.namespace == pod.owner.namespace]

    for refusal in refusals(pod.pod.spec, there("LimitRange"), there("ResourceQuota")):
        yield Breach(
            at=refusal.at,
            problem=f"{refusal.at.document.title} refuses {pod.name}: {refusal.sentence}",
            fix=f"correct it in {refusal.at.origin.file}, or the resources of {pod.name}",
            related=(pod.pod.spec / "containers",),
        )


def _policies(overlay: Overlay, pod: _Admitted) -> Iterator[Breach]:
    namespace = overlay.find("Namespace", pod.owner.namespace)
    metadata = {**(pod.pod.template / "metadata").mapping, "namespace": pod.owner.namespace}
    value: dict[str, Json] = {
        "apiVersion": "v1",
        "kind": "Pod",
        **pod.pod.template.mapping,
        "metadata": metadata,
    }
    for verdict in verdicts(
        overlay.objects,
        value,
        namespace_labels=namespace.labels if namespace is not None else {},
        username=f"system:serviceaccount:{pod.creator}",
    ):
        if verdict.action == "Deny":
            yield Breach(
                at=verdict.place,
                problem=f"{verdict.place.document.title} refuses {pod.name}: {verdict.message}",
                fix=f"correct the policy in {verdict.place.origin.file}, or {pod.name}",
                related=(pod.pod.template,),
            )
