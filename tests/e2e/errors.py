"""The one way the end-to-end tools say that they cannot do something: a sentence, and exit status 2."""

from __future__ import annotations


class CannotRunError(Exception):
    """Something outside the project stands in the way: no engine, no disk, a port that is taken.

    The message is one sentence for a person: what is wrong, and the way out.
    """
