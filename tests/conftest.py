"""Options of the test run, and small repositories to run in."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# How long an example takes says more about the machine than about the code. Forty of each keep `make test`
# near a minute; HYPOTHESIS_EXAMPLES asks for more.
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "40"))
settings.register_profile("validate", deadline=None, max_examples=EXAMPLES)
settings.load_profile("validate")

CONFIGMAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: binder
data:
  colour: blue
"""


def pytest_configure() -> None:
    """Interrupt what the tests start as a person does, also where the run was started in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-expected",
        action="store_true",
        help="write the findings that the bad cases of rules have now to their expected.txt",
    )


@pytest.fixture(scope="session", autouse=True)
def _kustomize() -> Iterator[None]:
    """Use the kustomize of this repository in temporary ones too, unless another one is named."""
    patch = pytest.MonkeyPatch()
    tool = Path(__file__).parent.parent / ".tools" / "kustomize"
    if "KUSTOMIZE" not in os.environ and tool.exists():
        patch.setenv("KUSTOMIZE", str(tool))
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def _no_cache() -> Iterator[None]:
    """Check everything in each test, and leave the cache of whoever runs the tests alone."""
    patch = pytest.MonkeyPatch()
    patch.setenv("VALIDATE_NO_CACHE", "1")
    yield
    patch.undo()


@pytest.fixture
def repository(tmp_path: Path) -> Callable[[Mapping[str, str | bytes]], Path]:
    """Return a function that writes a repository: ``overlays/kind`` with a ConfigMap, and more files."""

    def write(files: Mapping[str, str | bytes]) -> Path:
        root = tmp_path / "repository"
        start = {
            "overlays/kind/kustomization.yaml": "resources: [configmap.yaml]\n",
            "overlays/kind/configmap.yaml": CONFIGMAP,
        }
        for name, content in {**start, **files}.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return root

    return write
