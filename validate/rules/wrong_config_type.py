"""wrong-config-type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.binderhub.sections import sections
from validate.binderhub.traits import TraitSchema
from validate.rules.rule import Breach, OverlayRule
from validate.rules.subjects import the_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay


class WrongConfigType(OverlayRule):
    """A trait has a value that BinderHub or the API server refuses.

    BinderHub ends at start over a value of the wrong type: the new pod never becomes ready. Others it
    takes and passes on to the API server, which refuses each build pod for it: a number in
    `extra_envs` or `node_selector` must be quoted, an amount in `resources` must be one of
    Kubernetes'. Whoever asks for a build then sees "Unhandled error watching for build events".

    Correct the value. Byte sizes of BinderHub's own are numbers with K, M, G or T: `512M`, never
    `512Mi`.
    """

    id = "wrong-config-type"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Try each value on its trait, and on the API server what BinderHub passes on."""
        schema = TraitSchema.load()
        for section in sections(the_config(overlay)):
            for name, place in section.traits:
                refusal = schema.refuses(section.class_name, name, place.value)
                if refusal:
                    yield Breach(
                        at=place,
                        problem=f"BinderHub refuses it: {refusal}",
                        fix=f"correct {name} in {place.origin.file}",
                    )
                    continue
                for path, problem in schema.problems_at_api_server(section.class_name, name, place.value):
                    wrong = place.at(*path)
                    yield Breach(
                        at=wrong,
                        problem=f"the API server will refuse every build pod: {problem}",
                        fix=f"correct {name} in {wrong.origin.file}",
                    )
