"""The one way validate says that it could not check something: a sentence, and exit status 2."""

from __future__ import annotations


class CannotCheckError(Exception):
    """Something outside the rules stands in the way: no overlay, no kustomize, no permission.

    The message is one sentence for a person: what is wrong, where, and the way out. It becomes
    exit status 2. What is wrong *with an overlay* is a finding instead (``unrenderable-overlay``).
    """


class SourceError(CannotCheckError):
    """A file of the repository that cannot be read: not UTF-8, not YAML, not the shape it must have.

    Raised with the place, so that it can become a finding of the overlay that reads the file.

    Attributes:
        file: posix path relative to the repository.
        line: 1-based, 1 where the whole file is meant.
        problem: what is wrong and the way out, without the place.
    """

    def __init__(self, file: str, line: int, problem: str) -> None:
        """Say ``problem`` of ``file``, at ``line``."""
        super().__init__(f"{file}:{line}: {problem}")
        self.file = file
        self.line = line
        self.problem = problem

    def __reduce__(self) -> tuple[type[SourceError], tuple[str, int, str]]:
        """Let it cross a process boundary, which an exception with a message of its own making cannot."""
        return SourceError, (self.file, self.line, self.problem)
