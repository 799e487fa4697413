"""missing-push-secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.producers import ANY_NAMESPACE, producers
from validate.rules.rule import Breach, NotApplicable, OverlayRule
from validate.rules.subjects import the_build_pod, the_config, the_push_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.cluster.producers import Producer
    from validate.overlay import Overlay
    from validate.place import Place


class MissingPushSecret(OverlayRule):
    """Build pods have no Secret to push with.

    BinderHub gives each build pod the Secret that `KubernetesBuildExecutor.push_secret` names. The
    kubelet mounts it, so it must be in the namespace of the build pods, under that very name. Where
    it is not, every build pod stays in ContainerCreating and whoever asked for a build sees nothing:
    on mybinder.org a renamed Secret did that for two hours (jupyterhub/binderhub pull request 1293).
    An empty `push_secret` is the other way round: builds end well, and their images never leave the
    node.

    Secrets count, and what becomes one: ExternalSecret, SealedSecret, and what `cluster.yaml` lists
    under `provides`. The name stands in text that Kustomize does not rewrite: a `secretGenerator`
    needs `disableNameSuffixHash`.
    """

    id = "missing-push-secret"
    requires = ("split-namespace",)

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look for the Secret in the namespace of the build pods."""
        pod = the_build_pod(overlay)
        config = the_config(overlay)
        if not config.effective("BinderHub", "use_registry"):
            raise NotApplicable("use_registry is false, so build pods push nothing")
        if "--push" not in pod.place.at("spec", "containers", 0, "args").items:
            trait = config.trait("KubernetesBuildExecutor", "push_secret")
            yield Breach(
                at=trait,
                problem="push_secret is empty, so build pods push nothing: no image reaches the registry, "
                "and everything is built again each time",
                fix=f"name a Secret with registry credentials in {trait.origin.file}",
            )
            return
        secret = the_push_secret(overlay)
        known = [item for item in producers(overlay.objects, overlay.facts.provides) if item.kind == "Secret"]
        here = [item for item in known if item.namespace in (pod.namespace, ANY_NAMESPACE)]
        if not any(item.name == secret.text and item.creates for item in here):
            yield _breach(secret, pod.namespace, here, known)


def _breach(secret: Place, namespace: str, here: list[Producer], known: list[Producer]) -> Breach:
    names = ", ".join(sorted({item.name for item in here})) or "none"
    fix = f"bring a Secret of that name to {namespace}, or correct push_secret in {secret.origin.file}"
    near = next((item.place for item in known if item.name == secret.text), None)
    hashed = next((item.place for item in here if item.name.startswith(f"{secret.text}-")), None)
    if hashed and not near:
        fix = f"keep the hash out of its name (disableNameSuffixHash) in {hashed.origin.file}"
    related = near or hashed
    return Breach(
        at=secret,
        problem=f"build pods mount the Secret {secret.text}, which nothing puts into {namespace}: "
        "each waits in ContainerCreating, and nobody is told",
        fix=fix,
        evidence=f"Secrets of {namespace}: {names}",
        related=(related,) if related else (),
    )
