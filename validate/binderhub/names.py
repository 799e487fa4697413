"""Names that BinderHub gives to builds and images, and the one by which it asks a registry."""

from __future__ import annotations

import re
from hashlib import sha256

# A label has at most 63 characters; the parts of a build name add up to that.
_LONGEST_SLUG, _SLUG_HASH, _LONGEST_REF, _REF_HASH = 43, 6, 3, 2
_LONGEST_IMAGE = 255
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_DOCKER_HUB_NAME = r"[a-z0-9]{4,40}/[a-z0-9._-]{2,255}"


def escape(text: str) -> str:
    """Return ``text`` in lower case, ``-xx`` for each byte of whatever is no ASCII letter or digit."""
    return "".join(
        char if char in _PLAIN else "".join(f"-{byte:02x}" for byte in char.encode()) for char in text
    ).lower()


def build_name(slug: str, ref: str) -> str:
    """Return the name of a build, which is also the name and the label ``name`` of its pod."""
    return (
        f"build-{escape(slug)[:_LONGEST_SLUG]}-{_digest(slug)[:_SLUG_HASH]}"
        f"-{escape(ref)[:_LONGEST_REF]}-{_digest(ref)[:_REF_HASH]}"
    )


def image_name(prefix: str, slug: str, ref: str) -> str:
    """Return the image that a build pushes, ``prefix`` and tag rewritten like the rest."""
    room = _LONGEST_IMAGE - len(prefix) - _SLUG_HASH - 1
    return rewrite(f"{prefix}{escape(slug)[:room]}-{_digest(slug)[:_SLUG_HASH]}:{ref}")


def rewrite(image: str) -> str:
    """Return ``image`` as BinderHub rewrites every image name: lower case, and ``-`` for ``_``."""
    return image.replace("_", "-").lower()


def lookup_name(image: str) -> str:
    """Return the repository by which BinderHub asks its registry for ``image`` (without tag).

    Not the repository that docker pushes to, where a name looks like one of Docker Hub and is none, or
    is one of Docker Hub and does not look like it.
    """
    return image if re.fullmatch(_DOCKER_HUB_NAME, image) else image.partition("/")[2]


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
