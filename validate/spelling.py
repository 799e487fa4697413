"""What somebody meant by a word that does not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the one of ``known`` that is most like ``word``, the empty string where none is.

    ``cutoff`` is how much they must have in common, from 0 to 1: the ratio of ``difflib``.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - 2 ms, and only where something is wrong

    return next(iter(get_close_matches(word, list(known), 1, cutoff)), "")
