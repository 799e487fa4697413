"""The pages beside the end-to-end tests name what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e import preflight, supply
from tests.e2e.airgap.programs import KUBERNETES

ROOT = Path(__file__).parents[2]
E2E = ROOT / "tests" / "e2e"
PAGES = sorted(E2E.rglob("README.md"))
SOURCES = "\n".join(file.read_text(encoding="utf-8") for file in E2E.rglob("*.py"))
TARGETS = set(
    re.findall(r"^([a-z0-9-]+):.* ## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
)


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def relative(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_a_link_leads_to_a_file(page):
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text(page)) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_a_command_of_make_is_a_target(page):
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text(page), re.MULTILINE | re.DOTALL))
    named = re.findall(r"`make ([\w-]+)", text(page)) + re.findall(
        r"^.*\bmake ([\w-]+)", blocks, re.MULTILINE
    )
    assert set(named) <= TARGETS


def test_every_module_of_tests_says_what_it_shows():
    named = set(re.findall(r"`(test_\w+\.py)`", text(E2E / "README.md")))
    assert named == {file.name for file in E2E.glob("test_*.py")}


@pytest.mark.parametrize(
    "page", [E2E / "README.md", ROOT / "docs" / "how-to" / "playground.md"], ids=relative
)
def test_a_variable_is_one_that_is_read(page):
    named = set(re.findall(r"^\| `([A-Z_]+)`", text(page), re.MULTILINE)) - {"KUSTOMIZE", "KIND"}
    assert named
    assert {name for name in named if f'"{name}"' not in SOURCES} == set()


@pytest.mark.parametrize(
    "page",
    [
        E2E / "README.md",
        ROOT / "docs" / "how-to" / "playground.md",
        ROOT / "docs" / "tutorials" / "build-an-image.md",
    ],
    ids=relative,
)
def test_what_a_page_asks_for_is_what_is_required(page):
    assert re.findall(r"(\d+) GiB of memory[^.]*? (\d+)(?: GiB)? of disk", text(page)) == [
        (str(preflight.MEMORY_GIB), str(preflight.DISK_GIB))
    ]


def test_every_option_is_one_of_pytest():
    options = set(re.findall(r"^\| `(--[a-z-]+)", text(E2E / "README.md"), re.MULTILINE))
    assert options == {"--keep-cluster", "--cluster-name", "--export-logs"}
    assert '"--export-logs"' in SOURCES


def test_every_choice_of_a_supply_is_explained():
    assert set(
        re.findall(r"^\| `([a-z]+)`(?:, or nothing)? \|", text(E2E / "README.md"), re.MULTILINE)
    ) >= set(supply.Choice)


def test_every_stand_in_says_what_it_is():
    table = set(re.findall(r"^\| `([^`]+)` \|", text(E2E / "airgap" / "README.md"), re.MULTILINE))
    assert table >= {*supply._STAND_INS, "kindest/node", "registry.k8s.io/..."}  # noqa: SLF001


def test_every_module_of_the_supply_says_what_it_is():
    page = text(E2E / "airgap" / "README.md")
    modules = {file.name for file in (E2E / "airgap").glob("*.py")}
    assert {name for name in modules if f"`{name}`" not in page} == set()


def test_the_version_of_kubernetes_is_the_one_that_is_built():
    page = text(E2E / "airgap" / "README.md")
    assert f"Kubernetes {KUBERNETES.removeprefix('v')} from Go modules" in page
