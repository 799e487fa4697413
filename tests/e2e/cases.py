"""The cases of the rules, as overlays that can be rendered, judged, and asked of a cluster."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from validate import engine
from validate.discover import Checkout
from validate.kustomize.render import find_kustomize

if TYPE_CHECKING:
    from validate.finding import Report
    from validate.overlay import Overlay

_RULES = Path(__file__).parents[1] / "rules"


def cases(rule: str, verdict: str = "*") -> list[Path]:
    """Return the cases of a rule, ``good-...``, ``bad-...`` or both."""
    return sorted((_RULES / "cases" / rule).glob(f"{verdict}-*"))


def checkout(case: Path, root: Path) -> Checkout:
    """Write a case over the tree of the cases into ``root``."""
    shutil.copytree(_RULES / "tree", root / "base")
    overlay = root / "overlays" / case.name
    shutil.copytree(case, overlay)
    if not (overlay / "cluster.yaml").exists():
        shutil.copy(_RULES / "tree" / "cluster.yaml", overlay)
    return Checkout(root, (f"overlays/{case.name}",))


def overlay_of(case: Path, root: Path) -> Overlay:
    """Return a case as the rules see it."""
    found = checkout(case, root)
    return engine.read_overlay(root, find_kustomize(root).start(root, found.overlays[0]))


def report_on(case: Path, root: Path) -> Report:
    """Return what validate says of a case."""
    found = checkout(case, root)
    return engine.check(found, found.overlays, processes=1)
