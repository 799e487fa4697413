"""secret-in-git."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.secrets import literal_credentials
from validate.rules.rule import Breach, NotApplicable, OverlayRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay


class SecretInGit(OverlayRule):
    """A credential is in the repository, for everybody who can read it.

    Whoever clones the repository, now or in years, has what was ever committed to it. A Secret is
    base64, which is no encryption, and deleting it afterwards does not take it out of the history:
    the credential has to be revoked.

    Fetch it from a secret store (`components/credentials-*`), seal it, or encrypt it with SOPS.
    An overlay whose cluster is thrown away after use says `disposable: true` in `cluster.yaml`, and
    may hold credentials that are worth nothing elsewhere.
    """

    id = "secret-in-git"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look into every Secret that is rendered from files of the repository."""
        if overlay.facts.disposable:
            raise NotApplicable("the cluster is disposable")
        for item in overlay.of_kind("Secret"):
            for place in literal_credentials(item):
                yield Breach(
                    at=place,
                    problem=f"{item.title} has its key {place.path[-1]} from a file of this repository, "
                    "where it is as good as published",
                    fix=f"take it out of {place.origin.file}, revoke it, and fetch it from a secret store",
                )
