"""Python packages as a layer of an image, every file with the hash that a lock file names."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.e2e.airgap.archives import Layer
from tests.e2e.airgap.store import Part

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.airgap.store import Workbench

# That of Debian trixie, whose own packages the layer lies beside.
PYTHON = "3.13"
SITE_PACKAGES = f"/usr/local/lib/python{PYTHON}/dist-packages"


def python_packages(name: str, lock: Path, *, title: str) -> Part:
    """Return a layer with what ``lock`` names, where the Python of Debian trixie looks for it."""
    options = [
        "--no-deps",
        "--no-compile",
        "--only-binary=:all:",
        "--python-version",
        PYTHON,
        "--require-hashes",
    ]

    def build(bench: Workbench) -> None:
        site = bench.scratch / "site"
        bench.run(
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
            *options, "--requirement", lock, "--target", site,
        )  # fmt: skip
        with Layer(bench.target) as layer:
            layer.tree(SITE_PACKAGES, site)

    return Part(f"{name}.layer.tar", title, 0.3, build, (lock, *options, SITE_PACKAGES))
