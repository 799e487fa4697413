"""Files that a command writes: whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from validate.errors import CannotCheckError

if TYPE_CHECKING:
    from pathlib import Path


def write(file: Path, text: str) -> None:
    """Write ``text`` to ``file``: whoever reads it sees what it was before, or all of it.

    Raises:
        CannotCheckError: it cannot be written; what was there is as it was.
    """
    try:
        if file.exists() and not file.is_file():  # a pipe or a terminal: there is nothing to replace
            file.write_text(text, encoding="utf-8")
        else:
            _replace(file.resolve(), text)
    except OSError as error:
        problem = f"{file} cannot be written ({error.strerror})"
        raise CannotCheckError(f"{problem}; name a file in a directory that exists and is yours") from None


def _replace(file: Path, text: str) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with draft.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        if file.exists():
            draft.chmod(file.stat().st_mode)
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
