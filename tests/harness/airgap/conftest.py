"""A store of its own for each test, and parts that are built in a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.airgap.store import Part, Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.airgap.store import Workbench


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty store."""
    return Store(tmp_path / "cache")


@pytest.fixture
def built() -> list[str]:
    """Return the names of the parts that were built, in order."""
    return []


@pytest.fixture
def part(built: list[str]) -> Callable[..., Part]:
    """Return a function that makes a part: a file with its name in it, unless ``build`` says otherwise."""

    def make(name: str = "part", *needs: Part, build: Callable[[Workbench], None] | None = None, **more):
        def write(bench: Workbench) -> None:
            bench.target.write_text(name)

        def note(bench: Workbench) -> None:
            built.append(name)
            (build or write)(bench)

        settings = {"title": f"the {name}", "minutes": 1.0, "inputs": (), **more}
        return Part(name, build=note, needs=needs, **settings)

    return make
