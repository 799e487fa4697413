"""unhashed-reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.generated import generated, mentions
from validate.rules.rule import Breach, NotApplicable, OverlayRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay


class UnhashedReference(OverlayRule):
    """Text names a generated ConfigMap or Secret without the hash that its name ends in.

    Kustomize appends a hash of the content to the name of what it generates, and rewrites the name
    where a field refers to it: `volumes`, `envFrom`, `imagePullSecrets`. Arguments, environment
    variables and config files are text to it. They go on naming an object that does not exist, which
    shows when the program looks for it.

    Give the generator `disableNameSuffixHash: true`, which also means that a change of the content
    restarts nothing; or let a field refer to it, as `volumes` do, and name the path in the text.
    """

    id = "unhashed-reference"
    # They know that BinderHub's push_secret is a name, and so does what they say.
    requires = ("missing-push-secret", "dangling-reference")

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look for the names in all text."""
        if not any(generated(overlay.objects)):
            raise NotApplicable("nothing here has a hash in its name")
        for mention in mentions(overlay.objects, (one.name for one in overlay.facts.provides)):
            item, stem = mention.generated
            # As it is before the hash, which is another one in each overlay.
            entry = item.place.at("metadata", "name").pin()
            entry = entry._replace(title=f"{item.kind} {stem}", value=stem, writers=entry.writers[:1])
            yield Breach(
                at=mention.at,
                problem=f"this text names the {item.kind} {stem}, whose name ends in a hash when it is "
                "rendered: Kustomize rewrites references, not text, so nothing of that name exists",
                fix=f"set disableNameSuffixHash for {stem} in {entry.origin.file}, or correct "
                f"{mention.at.origin.file}",
                related=(entry,),
            )
