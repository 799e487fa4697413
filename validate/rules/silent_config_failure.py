"""silent-config-failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.binderhub.config import DIRECTORY, RAISE_VARIABLE
from validate.edits import put, write
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_binder
from validate.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.cluster.objects import ContainerView
    from validate.overlay import Overlay
    from validate.place import Place


class SilentConfigFailure(OverlayRule):
    """BinderHub would run without its configuration, and say nothing.

    Where the file of `--config` is not there, BinderHub runs with pure defaults: the web interface on,
    images for Docker Hub, the socket of the node's own docker. Where the file raises an error, the same,
    and one line in the log. `/versions`, which the probes ask, answers 200 all the while.

    Three things prevent it: a `--config` that names a file which a volume puts there, fragments in
    `/etc/binderhub/config.d`, and the environment variable
    `TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR=1`, which makes an error end the process.
    """

    id = "silent-config-failure"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Follow the configuration from the arguments through the mounts to the fragments."""
        container = the_binder(overlay).container
        mounts = container.place / "volumeMounts"
        config = overlay.config
        if config is None:
            at = _astray(container, mounts)
            yield Breach(
                at=at,
                problem=f"no volume puts a fragment of the configuration into {DIRECTORY}: "
                "BinderHub does not run with what is written for it",
                fix=f"mount the ConfigMap of the fragments at {DIRECTORY} in {at.origin.file}",
            )
            return
        argument = config.config_file or container.place / "args"
        if not config.config_file_mounted:
            what = f"with --config {config.config_path}, and no volume puts a file there"
            if config.config_file is None:
                what = "without --config"
            yield Breach(
                at=argument,
                problem=f"BinderHub is started {what}: it runs with defaults",
                fix=f"name the loader that a volume mounts, in {argument.origin.file}",
                related=(mounts,),
            )
        if not config.raises_on_error:
            variable = container.env(RAISE_VARIABLE)
            env = container.place / "env"
            place = variable / "value" if variable is not None else env
            missing = put(env, {"name": RAISE_VARIABLE, "value": "1"})
            yield Breach(
                at=place,
                problem=f"{RAISE_VARIABLE} is not 1: after an error in its configuration "
                "BinderHub runs with defaults",
                fix=f'set it to "1" in {place.origin.file}',
                edits=write(place, "1") if variable is not None and place.exists else missing,
            )


def _astray(container: ContainerView, mounts: Place) -> Place:
    """Return the path that is almost that of the fragments, where something is mounted; else the mounts."""
    paths = {(mount / "mountPath").text: mount / "mountPath" for mount in container.mounts}
    near = nearest(DIRECTORY, paths, cutoff=0.8)
    return paths[near] if near else mounts
