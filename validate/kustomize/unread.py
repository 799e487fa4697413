"""Manifests that are part of nothing: no overlay reads them, and no other kustomization does."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from validate.errors import SourceError
from validate.kustomize.files import FILE_NAMES, find_kustomization
from validate.kustomize.reach import mentioned

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Collection, Iterable, Iterator

_DIRECTORIES = ("base", "components", "policies")
# Applied by hand, where it has a kustomization.
_APPLIED = "argocd"
# What Kustomize makes objects and their content of. Everything else (pictures, prose, OWNERS) is for people.
_SUFFIXES = frozenset(
    ".yaml .yml .json .toml .env .properties .ini .cfg .conf .sh .py .crt .pem .tpl .tmpl".split()
)
# Read by validate and by Argo CD, not by Kustomize.
_OTHERS = frozenset({"cluster.yaml", "waivers.yaml"})
# For the chart of a JupyterHub: what its README asks people to give to it.
_HELM_VALUES = "values"


def unread_files(root: pathlib.Path, overlays: Iterable[str], reads: Collection[str]) -> tuple[str, ...]:
    """Return the manifests that neither ``reads`` has nor any kustomization outside of it names.

    A kustomization that nobody reads is one of them; its files are not, since they go with it. That of
    a component is none: components are what may be added.
    ``overlays`` are directories of overlays, ``reads`` what they read; all paths are relative to
    ``root``.
    """
    applied = find_kustomization(root, _APPLIED)
    tops = (*_DIRECTORIES, *overlays, *([_APPLIED] if applied else ()))
    left = [file for top in tops for file in _manifests(root, top) if file not in reads]
    neutral = find_kustomization(root, ".")
    elsewhere = [file for file in left if PurePosixPath(file).name in FILE_NAMES]
    named = {
        path
        for kustomization in (*elsewhere, *([neutral] if neutral else ()))
        for path in _named(root, kustomization)
    }
    return tuple(file for file in left if file not in named and file != applied and not _on_offer(file))


def _on_offer(file: str) -> bool:
    """Whether it is the kustomization of a component: an overlay may use it, and none has to."""
    match PurePosixPath(file).parts:
        case ("components", _, name):
            return name in FILE_NAMES
    return False


def _manifests(root: pathlib.Path, directory: str) -> Iterator[str]:
    """Yield the files below a directory that could be part of a manifest, by name."""
    try:
        entries = sorted(os.scandir(root / directory), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        path = f"{directory}/{entry.name}"
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _manifests(root, path)
        elif _is_manifest(entry.name):
            yield path


def _is_manifest(name: str) -> bool:
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - for each of thousands of names
    if name in _OTHERS or _HELM_VALUES in stem.split(".") or stem.startswith(f"{_HELM_VALUES}-"):
        return False
    return suffix in _SUFFIXES or name in FILE_NAMES


def _named(root: pathlib.Path, kustomization: str) -> Iterator[str]:
    """Yield the paths that a kustomization may name: any text in it that leads somewhere."""
    try:
        mentions = mentioned(root, kustomization)
    except SourceError:
        return
    for mention in mentions:
        yield find_kustomization(root, mention.path) or mention.path
