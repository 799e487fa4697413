"""renovate.json: each pattern still finds what it is there to update."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
CONFIG = json.loads((ROOT / ".github" / "renovate.json").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def manager(part: str) -> dict[str, list[str]]:
    """Return the one custom manager whose files have that in their name."""
    (found,) = [one for one in CONFIG["customManagers"] if part in one["managerFilePatterns"][0]]
    return found


def files(patterns: list[str]) -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = listed.stdout.splitlines()
    return [ROOT / name for name in names if any(re.search(each.strip("/"), name) for each in patterns)]


def python(pattern: str) -> str:
    """Return a JavaScript pattern as Python writes it."""
    return pattern.replace("(?<", "(?P<")


@pytest.mark.parametrize("custom", CONFIG["customManagers"], ids=lambda one: one["description"])
def test_a_pattern_of_renovate_finds_a_version(custom):
    texts = [file.read_text(encoding="utf-8") for file in files(custom["managerFilePatterns"])]
    for pattern in custom["matchStrings"]:
        found = [match for text in texts for match in re.finditer(python(pattern), text)]
        assert all(match["depName"] and match["currentValue"] for match in found)
        assert found


@pytest.mark.parametrize("name", ["quay.io/jupyterhub/repo2docker", "registry.example.org:5000/repo2docker"])
@pytest.mark.parametrize("digest", [None, "sha256:" + "0" * 64])
def test_the_image_of_build_pods_is_found_with_and_without_a_digest(name, digest):
    pattern = python(manager("base/images/config")["matchStrings"][0])
    image = f"{name}:2026.04.0@{digest}" if digest else f"{name}:2026.04.0"
    match = re.search(pattern, f"  build_image: {image}\n")
    assert match
    assert match.groupdict() == {"depName": name, "currentValue": "2026.04.0", "currentDigest": digest}


def test_every_marked_version_of_the_makefile_is_found():
    (pattern,) = manager("Makefile")["matchStrings"]
    assert len(re.findall(python(pattern), MAKEFILE)) == MAKEFILE.count("# renovate:")


def test_renovate_and_make_lock_use_one_uv():
    assert f"UV_VERSION := {CONFIG['constraints']['uv']}\n" in MAKEFILE


def test_images_have_their_tags_in_one_place():
    """A tag elsewhere would be updated apart from the others, or not at all."""
    tags = yaml.safe_load((ROOT / "base" / "images" / "kustomization.yaml").read_text(encoding="utf-8"))
    named = {image["name"] for image in tags["images"]}
    for manifest in (*ROOT.glob("base/**/*.yaml"), *ROOT.glob("components/**/*.yaml")):
        for image in re.findall(r"^ *-? *image: (\S+)$", manifest.read_text(encoding="utf-8"), re.MULTILINE):
            assert image in named, manifest
