"""What a pod holds that is worth stealing: tokens of the Kubernetes API, and Secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.index import index_of
from validate.cluster.rbac import Grants

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validate.cluster.objects import KubeObject, PodView
    from validate.place import Place

AUTOMOUNT = "automountServiceAccountToken"


def account_of(pod: PodView) -> str:
    """Return the name of the ServiceAccount that a pod runs as."""
    return (pod.spec / "serviceAccountName").text or "default"


def mounted_token(pod: PodView, objects: Iterable[KubeObject]) -> Place | None:
    """Return what makes the pod mount a token, None where it mounts none."""
    for volume in (pod.spec / "volumes").each():
        for source in volume.at("projected", "sources").each():
            if (source / "serviceAccountToken").exists:
                return source / "serviceAccountToken"
    own = pod.spec / AUTOMOUNT
    if own.value is None:
        index = index_of(tuple(objects))
        account = index.get("ServiceAccount", account_of(pod), pod.owner.namespace)
        namespace = index.get("Namespace", pod.owner.namespace)
        if account is not None:
            own = account.place / AUTOMOUNT
        elif namespace is not None:
            # Nobody has described the ServiceAccount that every namespace gets.
            own = namespace.place.at("metadata", "name")
    return None if own.value is False else own


def rights_of(pod: PodView, objects: Iterable[KubeObject]) -> Grants:
    """Return what the pod may do at the API, nothing where it holds no token."""
    together = tuple(objects)
    if mounted_token(pod, together) is None:
        return Grants(())
    return Grants.of(together, account_of(pod), pod.owner.namespace)


def secrets_in(pod: PodView) -> Iterator[Place]:
    """Yield where a pod names a Secret that it mounts or reads into its environment."""
    for volume in (pod.spec / "volumes").each():
        yield from (
            place
            for place in (
                volume.at("secret", "secretName"),
                *(source.at("secret", "name") for source in volume.at("projected", "sources").each()),
            )
            if place.exists
        )
    for container in pod.all_containers:
        for entry in (container.place / "env").each():
            if (name := entry.at("valueFrom", "secretKeyRef", "name")).exists:
                yield name
        for source in (container.place / "envFrom").each():
            if (name := source.at("secretRef", "name")).exists:
                yield name
