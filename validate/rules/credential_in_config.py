"""credential-in-config."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.binderhub.credentials import literal_credentials, variable_for
from validate.place import dotted
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay
    from validate.place import Place


class CredentialInConfig(OverlayRule):
    """A password, token or key is written out in BinderHub's configuration.

    The configuration is a ConfigMap, made of files in git: whoever reads either has the credential,
    and git keeps it when it is removed. `extra_envs` and `registry_credentials` stand in every build
    pod as well, where `kubectl get pod` shows them. That the cluster is disposable does not help: a
    token mostly opens more than the cluster.

    BinderHub takes the tokens of its providers from environment variables, which a Secret can give:
    `env` with `secretKeyRef` in a patch of the Deployment. Registry passwords belong into the docker
    configuration of `push_secret`. What builds need cannot come from a Secret: do without it.
    """

    id = "credential-in-config"
    requires = ("wrong-config-type",)

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look at each value by its name, and for a password in each address."""
        for place in literal_credentials(the_config(overlay).place):
            yield Breach(
                at=place,
                problem=f"{dotted(place.path)} is a credential in a ConfigMap, for everybody to read",
                fix=f"{_fix(place)}; remove it from {place.origin.file}, and revoke it, for git keeps it",
            )


def _fix(place: Place) -> str:
    variable = variable_for(place.path)
    if variable:
        return f"give BinderHub the environment variable {variable} from a Secret"
    if "extra_envs" in place.path:
        return "let builds do without it"
    if "password" in place.path:
        return "write it into the docker configuration of push_secret"
    return "keep it in a Secret"
