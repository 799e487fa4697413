"""What a Secret gives away to whoever reads the repository."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.cluster.objects import KubeObject
    from validate.place import Place

# Every value that SOPS has encrypted begins so: https://getsops.io/docs/
_ENCRYPTED = "ENC["
_PUBLIC = "-----BEGIN CERTIFICATE-----"


def literal_credentials(secret: KubeObject) -> Iterator[Place]:
    """Yield each entry of a Secret that stands in plain text (or base64) in a file.

    Entries that are empty, encrypted by SOPS, or certificates without a private key are none.
    """
    for field in ("data", "stringData"):
        for _, place in (secret.place / field).entries():
            text = _decoded(place.text) if field == "data" else place.text
            public = text.strip().startswith(_PUBLIC) and "PRIVATE KEY" not in text
            if text.strip() and not public and not place.text.startswith(_ENCRYPTED):
                yield place


def _decoded(text: str) -> str:
    try:
        return b64decode(text).decode("utf-8", "replace")
    except (Base64Error, ValueError):
        return text
