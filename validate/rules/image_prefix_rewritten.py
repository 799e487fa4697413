"""image-prefix-rewritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.binderhub.names import rewrite
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay


class ImagePrefixRewritten(OverlayRule):
    """BinderHub rewrites the image prefix, and images go elsewhere.

    BinderHub writes the name of every image in lower case and with `-` for each `_`, its prefix and
    tag included. A project `My_Project` of a registry is then `my-project`: the push is refused, or
    goes to a project that nobody meant.

    Write the prefix as BinderHub will, and give the project in the registry that name.
    """

    id = "image-prefix-rewritten"
    requires = ("wrong-config-type",)

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Rewrite the prefix as BinderHub does."""
        prefix = the_config(overlay).trait("BinderHub", "image_prefix")
        written = rewrite(prefix.text)
        if written != prefix.text:
            yield Breach(
                at=prefix,
                problem=f"BinderHub makes {written} of the image prefix {prefix.text}: images go there",
                fix=f"write {written} in {prefix.origin.file}, and name the project in the registry so",
            )
