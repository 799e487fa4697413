"""The generated pages of the reference say what the tree says, and each component is part of something."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.tree_pages import PAGES, pages

ROOT = Path(__file__).resolve().parent.parent.parent
COMPONENTS = sorted(path.name for path in (ROOT / "components").iterdir())


def test_the_pages_are_those_that_make_pages_writes():
    assert {name: (PAGES / name).read_text(encoding="utf-8") for name in pages()} == pages()


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_is_rendered_by_an_overlay_or_by_a_guide_that_is_tried(component):
    """Else nobody knows that it still works: see test_how_tos.py."""
    line = re.compile(rf"^ *\+? +- \.\./\.\./components/{component}$", re.MULTILINE)
    places = (*ROOT.glob("overlays/*/kustomization.yaml"), *ROOT.glob("docs/how-to/*.md"))
    assert [place for place in places if line.search(place.read_text(encoding="utf-8"))]
