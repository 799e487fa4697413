"""invalid-object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.schemas import check_schema, is_known
from validate.cluster.validation import contradictions
from validate.rules.rule import Breach, OverlayRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validate.overlay import Overlay


class InvalidObject(OverlayRule):
    """The API server refuses an object, or drops a field that it does not know.

    A field with a wrong name or in the wrong place is dropped, or refused, depending on who applies
    the object: a limit that is not there, a probe that never runs. An API version that the next
    Kubernetes no longer has stops the sync on the day of the upgrade.

    Every object is checked against the strict schema of each version that `cluster.yaml` lists under
    `kubernetes`, the one that runs and the one that comes next. Custom resources are checked where
    their schema is published; of other kinds nothing is known here, and the report says so.

    Fields of the right type can contradict each other, and the API server refuses that too: a selector
    that does not select its own pods, a mount of a volume that the pod does not have, a request above
    its limit, two volumes at one path. And some fields are optional in the schemas and not in fact: an
    admission policy without operations, a backend without a port.
    """

    id = "invalid-object"

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Check every object against the schemas of the versions, then for what contradicts itself."""
        versions = overlay.facts.kubernetes
        for item in overlay.objects:
            errors = check_schema(item.value, versions).errors
            for error in errors:
                at = item.place.at(*error.path)
                some = set(error.versions) < set(versions)
                declares = some or error.path == ("apiVersion",)
                yield Breach(
                    at=at,
                    problem=f"{_who(error.versions, some=some)} refuses {item.title}: {error.sentence}",
                    fix=f"correct {at} in {at.origin.file}",
                    related=(overlay.facts.place / "kubernetes",) if declares else (),
                )
            # What has the wrong type contradicts anything.
            for at, sentence in () if errors else contradictions(item):
                yield Breach(
                    at=at,
                    problem=f"the API server refuses {item.title}: {sentence}",
                    fix=f"correct {at} in {at.origin.file}",
                )

    def notes(self, overlay: Overlay) -> Iterable[str]:
        """Name the kinds whose fields nobody here knows."""
        kinds = dict.fromkeys((item.api_version, item.kind) for item in overlay.objects)
        for api_version, kind in kinds:
            if not is_known(api_version, kind):
                yield f"there is no schema of {kind} ({api_version}), so its fields were not checked"


def _who(versions: tuple[str, ...], *, some: bool) -> str:
    if some:
        return f"the API server of Kubernetes {', '.join(versions)}"
    return "the API server" if versions[0][0].isdigit() else versions[0]
