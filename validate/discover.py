"""Discover: from a directory to the repository around it, and from words to the overlays they name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from validate.errors import CannotCheckError
from validate.kustomize.files import find_kustomization
from validate.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_DIRECTORY = "overlays"
# The install that belongs to no cluster: the kustomization at the top.
_NEUTRAL = "."
_MOST_NAMES = 20


class Checkout(NamedTuple):
    """A working tree of the repository.

    Attributes:
        root: absolute, without symbolic links.
        overlays: ``overlays/kind``, by name.
        unfinished: directories in ``overlays/`` without a kustomization, which nothing can check.
    """

    root: Path
    overlays: tuple[str, ...]
    unfinished: tuple[str, ...] = ()


def find_root(start: Path) -> Path:
    """Return the nearest directory, from ``start`` upwards, that has ``overlays/``.

    Raises:
        CannotCheckError: there is none.
    """
    start = start.resolve()
    for directory in (start, *start.parents):
        if (directory / _DIRECTORY).is_dir():
            return directory
    way_out = "run validate in a checkout of the repository, or name one with --root"
    raise CannotCheckError(f"neither {start} nor a directory above it has {_DIRECTORY}/; {way_out}")


def open_checkout(root: Path) -> Checkout:
    """Return the working tree at ``root``, with at least one overlay.

    Raises:
        CannotCheckError: there is no overlay.
    """
    root = root.resolve()
    directory = root / _DIRECTORY
    if not directory.is_dir():
        raise CannotCheckError(f"{root} has no {_DIRECTORY}/; name a checkout of the repository")
    names = [
        f"{_DIRECTORY}/{path.name}"
        for path in sorted(directory.iterdir())
        if path.is_dir() and not path.name.startswith(".")
    ]
    overlays = tuple(name for name in names if find_kustomization(root, name))
    if not overlays:
        problem = f"{directory} has no directory with a kustomization.yaml, so there is nothing to check"
        raise CannotCheckError(f"{problem}; add an overlay")
    return Checkout(root, overlays, tuple(name for name in names if name not in overlays))


def select(checkout: Checkout, words: Iterable[str], directory: Path) -> tuple[str, ...]:
    """Return the overlays that ``words`` name, all of them where there are no words.

    A word is a name (``kind``) or a path (``overlays/kind``, ``./kind/``) from ``directory`` or from
    the repository; the repository itself is its neutral install.

    Raises:
        CannotCheckError: a word names no overlay; with the nearest name, and all of them.
    """
    chosen = {_find(checkout, word, directory) for word in words}
    return tuple(sorted(chosen)) or checkout.overlays


def _find(checkout: Checkout, word: str, directory: Path) -> str:
    here = directory if directory.resolve().is_relative_to(checkout.root) else checkout.root
    path = os.path.relpath((here / word).resolve(), checkout.root)
    meant = [f"{_DIRECTORY}/{word.rstrip('/')}", path, os.path.normpath(word)]
    found = next((one for one in meant if one in checkout.overlays), None)
    if found:
        return found
    if path == _NEUTRAL and find_kustomization(checkout.root, _NEUTRAL):
        return _NEUTRAL
    unfinished = next((one for one in meant if one in checkout.unfinished), None)
    if unfinished:
        raise CannotCheckError(f"{unfinished} has no kustomization.yaml; add one")
    raise CannotCheckError(f"there is no overlay {word!r}{_nearest(checkout, word)}; {_all(checkout)}")


def _nearest(checkout: Checkout, word: str) -> str:
    near = nearest(os.path.basename(word.rstrip("/")), _names(checkout))  # noqa: PTH119 - any text
    return f" (did you mean {near}?)" if near else ""


def _all(checkout: Checkout) -> str:
    names = _names(checkout)
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"name one of {', '.join(names[:_MOST_NAMES])}{more}"


def _names(checkout: Checkout) -> list[str]:
    return [overlay.removeprefix(f"{_DIRECTORY}/") for overlay in checkout.overlays]
