"""wrong-push-secret-key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.binderhub.credentials import FILE
from validate.cluster.producers import ANY_NAMESPACE, producers
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_build_pod, the_push_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay


class WrongPushSecretKey(OverlayRule):
    """The Secret that build pods push with has no key `config.json`.

    A build pod mounts one key of it, `config.json`, as its docker configuration. For a key that is
    not there the kubelet makes an empty directory: the build runs to its end, and then the registry
    refuses an anonymous push.

    A Secret of type `kubernetes.io/dockerconfigjson`, as for `imagePullSecrets`, has the same content
    under `.dockerconfigjson` and does not do. Rename the key. In an ExternalSecret, write it under
    `target.template.data`.
    """

    id = "wrong-push-secret-key"
    requires = ("missing-push-secret",)

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Compare the keys of the Secret with the one that build pods mount."""
        secret = the_push_secret(overlay)
        places = (the_build_pod(overlay).namespace, ANY_NAMESPACE)
        found = [
            item
            for item in producers(overlay.objects, overlay.facts.provides)
            if (item.kind, item.name) == ("Secret", secret.text) and item.namespace in places
        ]
        if any(item.keys is None or FILE in item.keys for item in found):
            return
        listed = ", ".join(sorted(key for item in found for key in item.keys or ())) or "no key at all"
        declared = next((given.place for given in overlay.facts.provides if given.name == secret.text), None)
        place = next((item.place for item in found if item.place), None) or declared or secret
        place = next((place / part for part in ("stringData", "data") if (place / part).exists), place)
        yield Breach(
            at=place,
            problem=f"the Secret {secret.text} holds {listed}, and build pods mount its key {FILE}: "
            "every push is anonymous",
            fix=f"write the docker configuration under the key {FILE} in {place.origin.file}",
            related=(secret,),
        )
