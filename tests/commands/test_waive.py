"""A waiver is written where the others are, and only where it will count and has something to waive."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.conftest import DEPLOYMENT, FILES
from validate.commands.waive import appended
from validate.errors import CannotCheckError
from validate.waivers import FILE

OBJECT = "Deployment binder/web"
IMAGE = "docker.io/library/nginx:1.29"
TODAY = date.today()  # noqa: DTZ011 - as waivers expire
SOON = (TODAY + timedelta(days=30)).isoformat()
OTHER = """\
# Why there are waivers at all.
- rule: unpinned-image   # a comment
  overlay: 'overlays/other'
  object: "Deployment binder/other"
  reason: >-
    several
    lines
  owner: nobody
  expires: 2027-05-31
  image: docker.io/library/nginx:1
"""
ENTRY = {
    "rule": "unpinned-image",
    "overlay": "overlays/kind",
    "object": OBJECT,
    "image": IMAGE,
    "reason": "no digest",
    "owner": "team",
    "expires": SOON,
}


NOTHING = "finds nothing in '{}' in overlays/kind"
NO_LIST = (
    "policies/waivers.yaml is no list with a dash before each waiver, so none can be added at its end; "
    "write it as one"
)


def waive(run, *, files=None, **changes):
    told = {key: text for key, text in {**ENTRY, **changes}.items() if text is not None}
    positional = [told.pop(key) for key in ("rule", "overlay", "object")]
    options = [word for key, text in told.items() for word in (f"--{key}", text)]
    return run("waive", *positional, *options, files={**FILES, **(files or {})})


def test_a_waiver_is_written_after_the_others_and_then_counts(run):
    other = OTHER.replace("other", "kind", 1).replace("binder/other", "binder/x")
    assert waive(run, overlay="kind", files={FILE: other}) == (
        0,
        f"policies/waivers.yaml:11: waived until {SOON}\n",
        "",
    )
    assert Path(FILE).read_text(encoding="utf-8") == (
        f"{other}"
        "- rule: unpinned-image\n"
        "  overlay: overlays/kind\n"
        "  object: Deployment binder/web\n"
        '  image: "docker.io/library/nginx:1.29"\n'
        "  reason: no digest\n"
        "  owner: team\n"
        f"  expires: {SOON}\n"
    )


def test_a_waiver_makes_the_finding_a_waived_one(run):
    assert run("--rule", "unpinned-image")[0] == 1
    assert waive(run)[0] == 0
    status, output, _ = run("--rule", "unpinned-image", "--rule", "invalid-waiver")
    assert status == 0
    waived = f"waived[unpinned-image] until {SOON} by team\n  no digest\n  - {OBJECT} with {IMAGE}"
    assert waived in output


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"rule": "unpinned-images"},
            "there is no rule 'unpinned-images' (did you mean unpinned-image?); 'validate rules' lists them",
        ),
        ({"overlay": "kinds"}, "there is no overlay 'kinds' (did you mean kind?); name one of kind"),
        ({"expires": "2020-01-31"}, "--expires 2020-01-31 is past; a waiver counts until that day"),
        ({"expires": "next year"}, "--expires 'next year' is no day; write it as 2027-05-31"),
        ({"reason": " "}, "--reason is empty; a waiver without it counts for nothing"),
        ({"owner": ""}, "--owner is empty; a waiver without it counts for nothing"),
        (
            {"object": "Deployment web"},
            f"unpinned-image {NOTHING.format('Deployment web')}; name one of: Deployment binder/web",
        ),
        (
            {"rule": "secret-in-git"},
            f"secret-in-git {NOTHING.format(OBJECT)}; there is nothing to waive",
        ),
        (
            {"files": {FILE: "waivers: []\n"}},
            "policies/waivers.yaml:1: must be one list of waivers; begin each with a dash",
        ),
        ({"files": {FILE: "[]\n"}}, NO_LIST),
        (
            {"image": "docker.io/library/nginx:latest"},
            f"--image docker.io/library/nginx:latest is not found there; what is found: {IMAGE}",
        ),
        (
            {"files": {FILE: "a: [}\n"}},
            "policies/waivers.yaml:1: is not YAML (did not find expected node content)",
        ),
    ],
)
def test_a_waiver_that_would_not_count_is_not_written(run, changes, sentence):
    before = changes.get("files", {}).get(FILE)
    assert waive(run, **changes) == (2, "", f"error: {sentence}\n")
    assert (Path(FILE).read_text(encoding="utf-8") if before else Path(FILE).exists()) == (before or False)


def test_the_image_is_written_by_itself_where_there_is_one(run):
    assert waive(run, image=None)[0] == 0
    assert f'  image: "{IMAGE}"\n' in Path(FILE).read_text(encoding="utf-8")


def test_of_several_images_somebody_has_to_name_one(run):
    sidecar = f"{DEPLOYMENT}        - {{name: log, image: 'docker.io/library/busybox:1.37'}}\n"
    files = {**FILES, "overlays/kind/deployment.yaml": sidecar}
    assert waive(run, image=None, files=files) == (
        2,
        "",
        f"error: 2 images are found there; name one with --image: docker.io/library/busybox:1.37, {IMAGE}\n",
    )
    assert waive(run, files=files)[0] == 0
    status, output, _ = run("--rule", "unpinned-image", files=files)
    assert status == 1
    assert "docker.io/library/busybox:1.37 has no digest" in output
    assert "nginx:1.29 has no digest" not in output


GENERATED = {
    "overlays/kind/kustomization.yaml": "namespace: binder\nsecretGenerator:\n"
    "  - {name: web, literals: [password=correct-horse-battery-staple]}\n"
}


def test_a_generated_object_is_waived_whatever_its_hash_will_be(run):
    _, output, _ = run("--rule", "secret-in-git", files=GENERATED)
    title = re.search(r"Secret binder/web-[a-z0-9]{10}", output)[0]
    assert waive(run, rule="secret-in-git", object=title, image=None, files=GENERATED)[0] == 0
    assert "  object: Secret binder/web\n" in Path(FILE).read_text(encoding="utf-8")
    other = {name: text.replace("staple", "stable") for name, text in GENERATED.items()}
    status, output, _ = run("--rule", "secret-in-git", "--rule", "invalid-waiver", files=other)
    assert status == 0
    assert "  - Secret binder/web in overlays/kind\n" in output


def test_what_is_waived_already_is_not_waived_again(run):
    assert waive(run)[0] == 0
    again = ("waive", *(ENTRY[key] for key in ("rule", "overlay", "object")))
    more = ("--reason", "x", "--owner", "y", "--expires", SOON)
    assert run(*again, *more) == (
        2,
        "",
        "error: policies/waivers.yaml:1 waives that already; change it there\n",
    )


def test_a_waiver_of_a_day_counts_on_that_day(run):
    assert waive(run, expires=TODAY.isoformat())[0] == 0


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1).filter(str.strip)


@given(
    reason=TEXTS, owner=st.sampled_from(["yes", "null", "1", "0x1f", "a: b", "# a", "'", "- a", "~", "team"])
)
def test_whatever_a_reason_is_it_is_read_as_it_was_written(reason, owner):
    entry = {**ENTRY, "reason": reason, "owner": owner}
    for before in (
        "",
        "# nothing yet\n",
        OTHER,
        OTHER.removesuffix("\n"),
        "  " + OTHER.replace("\n", "\n  "),
    ):
        after = appended(before, entry)
        assert after.startswith(before)
        assert len(after.splitlines()) == len(before.splitlines()) + len(ENTRY) or "\u2028" in reason
        found = yaml.load(after, Loader=yaml.BaseLoader)  # noqa: S506 - strings alone
        assert found[-1] == entry
        assert len(found) == (2 if "rule" in before else 1)


@pytest.mark.parametrize(
    "before", ["[]\n", "[{rule: a}]\n", "- a: 1\n...\n---\n- b: 1\n", "a: 1\n", "text\n"]
)
def test_a_file_to_which_nothing_can_be_added_at_the_end_is_refused(before):
    with pytest.raises(CannotCheckError):
        appended(before, ENTRY)
