"""Waivers: findings that somebody answers for, with a reason and until a day.

``policies/waivers.yaml`` is a list of mappings; these keys are mandatory::

    - rule: unpinned-image
      overlay: overlays/eks
      object: Deployment binderhub/binderhub
      reason: no digest of the upstream tag is known yet
      owner: platform-team
      expires: 2027-05-31

A rule that judges images asks for one more, ``image``: what somebody answers for is that image, and
another tag of it is another risk. A generated object is named with the hash of its content or without.

A waiver that is not as it should be waives nothing, and is a finding of ``invalid-waiver`` itself.
"""

from __future__ import annotations

import os
from datetime import date
from typing import TYPE_CHECKING

from msgspec import Struct

from validate.errors import SourceError
from validate.place import Writer, unhashed
from validate.source import SourceDocument, read_documents

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterable

    from validate.place import Place, Spot

FILE = "policies/waivers.yaml"
KEYS = ("rule", "overlay", "object", "reason", "owner", "expires")
# Where a rule asks for it (Rule.waived_with).
MORE_KEYS = ("image",)


class Waiver(Struct, frozen=True, eq=False):
    """One entry of the file; a key that is missing or no text is the empty string.

    Attributes:
        expires: the last day on which it counts, as it is written (``2027-05-31``).
        image: the image that it accepts, where the rule judges images.
        spot: the entry in the file.
    """

    rule: str
    overlay: str
    object: str
    reason: str
    owner: str
    expires: str
    image: str
    spot: Spot

    def missing(self, besides: Iterable[str] = ()) -> tuple[str, ...]:
        """Return the keys that it should have and has not: those of all waivers, and some of its rule."""
        return tuple(key for key in (*KEYS, *besides) if not getattr(self, key))

    @property
    def last_day(self) -> date | None:
        """The last day on which it counts, None where that is no date."""
        try:
            return date.fromisoformat(self.expires)
        except ValueError:
            return None

    @property
    def subject(self) -> str:
        """What it is about, for people."""
        return f"{self.object} with {self.image}" if self.image else self.object

    def counts(self, today: date) -> bool:
        """Whether it is complete and has not expired."""
        return not self.missing() and self.last_day is not None and today <= self.last_day

    def covers(self, rule: str, overlay: str, title: str, image: str = "") -> bool:
        """Whether it speaks of a finding of that rule, in that overlay, about the object of that title.

        Where the finding is about an ``image``, only of that one.
        """
        named = (self.rule, self.overlay, unhashed(self.object), self.image)
        return named == (rule, overlay, unhashed(title), image)


def read_waivers(root: pathlib.Path) -> tuple[Waiver, ...]:
    """Return the waivers of the repository, none where it has no such file.

    Raises:
        SourceError: the file is no YAML, or no list of mappings.
    """
    # What is there and is no file is an error.
    if not os.path.lexists(root / FILE):
        return ()
    documents = read_documents(root, FILE, Writer.SOURCE)
    if not documents:
        return ()
    if len(documents) > 1 or not isinstance(documents[0].value, list):
        raise SourceError(FILE, 1, "must be one list of waivers; begin each with a dash")
    return tuple(_read(entry) for entry in SourceDocument(FILE, documents[0]).place.each())


def _read(entry: Place) -> Waiver:
    if not isinstance(entry.value, dict):
        problem = f"has an entry that is no mapping; write it with the keys {', '.join(KEYS)}"
        raise SourceError(FILE, entry.origin.line, problem)
    unknown = next((key for key, _ in entry.entries() if key not in (*KEYS, *MORE_KEYS)), None)
    if unknown is not None:
        line = (entry / unknown).origin.line
        more = f", and for some rules {', '.join(MORE_KEYS)}"
        raise SourceError(FILE, line, f"has the key {unknown!r}; a waiver has {', '.join(KEYS)}{more}")
    texts = {key: (entry / key).text.strip() for key in (*KEYS, *MORE_KEYS)}
    return Waiver(**texts, spot=entry.pin())
