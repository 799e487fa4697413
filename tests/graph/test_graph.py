"""The picture of a system: what is on it, that it can be read, and that the one in the docs is today's."""

from __future__ import annotations

import re
import shutil
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from validate.cli import main
from validate.engine import examine_with_waivers
from validate.graph import mermaid, svg
from validate.graph.picture import Part, draw, settled

ROOT = Path(__file__).parent.parent.parent
OVERLAYS = sorted(path.parent.name for path in (ROOT / "overlays").glob("*/kustomization.yaml"))
EXPECTED = Path(__file__).parent / "expected"
PARTS = ("argocd", "base", "components", "overlays", "policies")


@pytest.fixture
def tree(tmp_path):
    for part in PARTS:
        shutil.copytree(ROOT / part, tmp_path / part)
    return tmp_path


def edit(root, file, old, new):
    path = root / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def break_it(root):
    edit(root, "overlays/eks/daemonset.build-pool.yaml", ": builds", ": build")
    edit(root, "policies/network/allow-build-pods-to-internet.yaml", "- port: 443", "- port: 444")
    edit(root, "policies/network/allow-docker-api-to-internet.yaml", "169.254.0.0/16, ", "")


def picture_of(root, name):
    overlay, findings = examine_with_waivers(root, f"overlays/{name}")
    return draw(overlay, findings, findings[:1]), findings


@pytest.mark.parametrize("name", OVERLAYS)
def test_each_overlay_is_as_it_should_be(name):
    picture, findings = picture_of(ROOT, name)
    assert findings == ()
    assert [arrow for arrow in picture.arrows if not arrow.is_fine] == []
    parts = {box.part for box in picture.boxes}
    assert parts == set(Part)
    denied = {(arrow.source, arrow.target) for arrow in picture.arrows if not arrow.allowed}
    assert {("others", "binder"), ("build", "metadata"), ("daemon", "metadata")} <= denied


def test_what_is_wrong_is_marked_where_it_is(tree):
    break_it(tree)
    picture, findings = picture_of(tree, "eks")
    rules = {one.number: one.rule for one in picture.legend}
    marked = {box.id: [rules[mark.number] for mark in box.marks] for box in picture.boxes if box.marks}
    assert marked == {
        "daemon": ["build-pod-without-docker-api"],
        "metadata": ["open-metadata-endpoint"],
        "githosts": ["blocked-flow"],
    }
    wrong = {(arrow.source, arrow.target, arrow.allowed) for arrow in picture.arrows if not arrow.is_fine}
    assert wrong == {("build", "githosts", False), ("daemon", "metadata", True)}
    assert picture.node == "no declared pool admits both"
    assert [one.is_new for one in picture.legend] == [True, False, False]
    kept = settled(picture, findings, findings[1:], findings[2:])
    assert [(one.number, one.rule, one.is_new) for one in kept.legend] == [
        (1, findings[1].rule, False),
        (2, findings[2].rule, True),
    ]
    assert [mark for box in kept.boxes for mark in box.marks if mark.is_new] != []


def test_mermaid_is_what_it_was(tree, request):
    break_it(tree)
    text = mermaid.render(picture_of(tree, "eks")[0])
    file = EXPECTED / "broken-eks.mermaid"
    if request.config.getoption("--update-expected"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_box_lies_on_another_and_all_are_in_the_picture(name):
    drawing = svg._Drawing(picture_of(ROOT, name)[0])  # noqa: SLF001 - places are no part of the text
    frames = list(drawing.frames.values())
    for one, two in combinations(frames, 2):
        apart = one.right <= two.x or two.right <= one.x or one.bottom <= two.y or two.bottom <= one.y
        assert apart
    for frame in frames:
        assert frame.x >= 0
        assert frame.right <= svg.WIDTH
        assert frame.y >= 0
        assert frame.bottom <= drawing.bottom


def test_the_svg_is_xml_and_needs_nothing_from_elsewhere(tree):
    break_it(tree)
    text = svg.render(picture_of(tree, "eks")[0])
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own
    assert re.findall(r"https?://[^\s\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"url\(|@import|href|<script|<image", text)


def test_no_name_writes_markup_into_a_picture():
    overlay, _ = examine_with_waivers(ROOT, "overlays/eks")
    picture = draw(overlay)
    odd = '</text><script>x</script>"`{}#&\x1b\n'
    spoilt = type(picture)(odd, odd, odd, picture.boxes, picture.arrows, (odd,), ())
    assert "<script>" not in svg.render(spoilt)
    ET.fromstring(svg.render(spoilt))  # noqa: S314 - our own
    assert "<script>" not in mermaid.render(spoilt)


def test_the_picture_in_the_docs_is_of_today(tmp_path):
    file = tmp_path / "system.svg"
    assert main(["graph", "eks", "--root", str(ROOT), "--output", str(file)]) == 0
    shown = (ROOT / "docs" / "assets" / "system.svg").read_text(encoding="utf-8")
    assert file.read_text(encoding="utf-8") == shown, "make pages draws it anew"


def test_the_command_writes_mermaid_unless_told_otherwise(capsys):
    assert main(["graph", "kind", "--root", str(ROOT)]) == 0
    assert capsys.readouterr().out.startswith("%% overlays/kind: who takes part")
    assert main(["graph", "kind", "--root", str(ROOT), "--format", "svg"]) == 0
    assert capsys.readouterr().out.startswith("<svg ")


def test_without_binderhub_there_is_no_picture(repository, capsys):
    root = repository({})
    assert main(["graph", "kind", "--root", str(root)]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith(
        "error: overlays/kind deploys no BinderHub that reads a configuration, so there "
    )
    assert errors.endswith(" is no system to draw; include base/binderhub\n")


def test_an_overlay_that_cannot_be_rendered_has_no_picture(repository, capsys):
    root = repository({"overlays/kind/kustomization.yaml": "resources: [nothing.yaml]\n"})
    assert main(["graph", "kind", "--root", str(root)]) == 2
    assert capsys.readouterr().err.startswith("error: overlays/kind/kustomization.yaml:1: ")
