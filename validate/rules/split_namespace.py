"""split-namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.binderhub.config import NAMESPACE_VARIABLE
from validate.edits import put, remove, write
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_binder, the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay
    from validate.place import Json

_VARIABLE: dict[str, Json] = {
    "name": NAMESPACE_VARIABLE,
    "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}},
}
# Which trait moves which part of BinderHub.
_TRAITS = {
    "builds": ("KubernetesBuildExecutor", "namespace"),
    "cleans up": ("BinderHub", "build_namespace"),
    "counts for its quota": ("KubernetesLaunchQuota", "namespace"),
}


class SplitNamespace(OverlayRule):
    """BinderHub builds in one namespace and cleans up, or counts, in another.

    Three parts of BinderHub have a namespace each: what creates build pods, what removes finished
    ones, and what counts for the quota. `KubernetesBuildExecutor.namespace` moves the first and not
    the others. Finished build pods then stay for ever, or BinderHub asks for pods in `default`, where
    it has no rights, once a minute (jupyterhub/binderhub issues 810, 1075, 1116). Only the
    environment variable `BUILD_NAMESPACE` moves all three.

    Set `BUILD_NAMESPACE` from `metadata.namespace` in the Deployment, and no namespace in the
    configuration.
    """

    id = "split-namespace"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Compare the three namespaces, and see that the variable is set."""
        config = the_config(overlay)
        container = the_binder(overlay).container
        if config.build_namespace_env is None:
            env, slip = container.place / "env", container.slip(NAMESPACE_VARIABLE)
            meant = f" ({slip.text} is)" if slip else ""
            yield Breach(
                at=slip or env,
                problem=f"BUILD_NAMESPACE is not set{meant}: BinderHub cleans up and counts in the namespace "
                "default",
                fix=f"set it from the field metadata.namespace in {env.origin.file}",
                edits=write(slip, NAMESPACE_VARIABLE) if slip else put(env, _VARIABLE),
            )
            return
        if len(set(config.namespaces)) == 1:
            return
        where = dict(zip(_TRAITS, config.namespaces, strict=True))
        deciding = [config.trait(*trait) for trait in _TRAITS.values()]
        place = next(one for one in deciding if one.exists)
        yield Breach(
            at=place,
            problem="BinderHub " + ", ".join(f"{what} in {namespace}" for what, namespace in where.items()),
            fix=f"remove the namespace from {place.origin.file}: BUILD_NAMESPACE moves all three",
            related=(config.build_namespace_env,),
            edits=remove(place),
        )
