"""Where kustomizations stand: names and paths alone, for those who must know before anything is read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pathlib

FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")


def find_kustomization(root: pathlib.Path, directory: str) -> str | None:
    """Return the kustomization file of a directory (both relative to ``root``), None without one."""
    for name in FILE_NAMES:
        file = join(directory, name)
        if (root / file).is_file():
            return file
    return None


def join(directory: str, path: str) -> str:
    """Return ``path`` as it is meant in a kustomization of ``directory``, relative to the repository."""
    return os.path.normpath(os.path.join(directory, path)).replace(os.sep, "/")  # noqa: PTH118 - not a path of this machine
