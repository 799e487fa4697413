"""Names of builds and images; the examples were recorded from BinderHub."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validate.binderhub.names import build_name, escape, image_name, lookup_name


def test_the_build_name_is_the_recorded_one() -> None:
    assert build_name("Rick-Morty", "1a2b3c4d5e6f") == "build-rick-2dmorty-a104b7-1a2-77"


def test_the_hash_in_a_build_name_is_that_of_the_unescaped_slug() -> None:
    name = build_name("binder-examples-requirements", "339cda9f")
    assert name.startswith("build-binder-2dexamples-2drequirements-55ab5c-339-")


def test_the_image_name_is_the_recorded_one() -> None:
    prefix = "registry.example.org/builds/r2d-"
    assert image_name(prefix, "Rick-Morty", "1a2b3c4d5e6f") == (
        "registry.example.org/builds/r2d-rick-2dmorty-a104b7:1a2b3c4d5e6f"
    )


def test_the_prefix_and_the_tag_are_rewritten_too() -> None:
    image = image_name("Registry.example.org/My_Project/r2d-", "x", "Ref_1")
    assert image.startswith("registry.example.org/my-project/r2d-x-")
    assert image.endswith(":ref-1")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("binder-examples", "binder-2dexamples"), ("A_b", "a-5fb"), ("é", "-c3-a9"), ("x1", "x1")],
)
def test_each_byte_of_another_character_is_escaped(text: str, escaped: str) -> None:
    assert escape(text) == escaped


@given(st.text(), st.text())
def test_a_build_name_is_a_label_of_kubernetes(slug: str, ref: str) -> None:
    name = build_name(slug, ref)
    assert len(name) <= 63
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)


@given(st.text(min_size=1, max_size=400))
def test_a_repository_name_is_never_longer_than_docker_allows(slug: str) -> None:
    name, _, tag = image_name("registry.example/p/r2d-", slug, "main").rpartition(":")
    assert (len(name) <= 255, tag) == (True, "main")


@pytest.mark.parametrize(
    ("image", "asked"),
    [
        ("registry.example.org/project/r2d-x", "project/r2d-x"),
        ("registry:5000/r2d-x", "r2d-x"),
        ("registry:5000/project/r2d-x", "project/r2d-x"),
        # Looks like an organisation of Docker Hub.
        ("registry/r2d-x", "registry/r2d-x"),
        # Is one, and does not look like it.
        ("my-org/r2d-x", "r2d-x"),
        ("org/r2d-x", "r2d-x"),
        ("docker.io/my-org/r2d-x", "my-org/r2d-x"),
        ("r2d-x", ""),
    ],
)
def test_binderhub_asks_the_registry_for(image: str, asked: str) -> None:
    assert lookup_name(image) == asked
