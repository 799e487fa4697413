"""A reported line is the right one: edit the value there, render again, and look at what changed."""

from __future__ import annotations

import os
import random
import re
import shutil
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from validate.kustomize.files import FILE_NAMES
from validate.kustomize.render import find_kustomize
from validate.kustomize.tree import read_tree
from validate.place import Writer, dotted
from validate.source import load_rendered
from validate.trace import trace

ROOT = Path(__file__).parent.parent
FIXTURE = ROOT / "tests" / "kustomize" / "tree"
HASH = re.compile(r"-[bcdfghkmt2456789]{10}$")
# Of each way of writing, and in the fixture, which has every way, of each file that writes.
SAMPLE = 3
# How many one rendering tries. Each leaves a mark of its own: in a text, or by what it adds to a number.
BATCH = 8
FIRST = 1000
HASHED = re.compile(r"-[bcdfghkmt2456789]{10}\b")
# Which object or element is meant: a different value here is another object, not another field.
IDENTITY = {"apiVersion", "kind", "name", "containerPort", "mountPath", "key"}

TREES = [
    (FIXTURE, "overlay"),
    (FIXTURE, "prefixed"),
    *(
        (ROOT, f"overlays/{path.name}")
        for path in sorted((ROOT / "overlays").glob("*"))
        if any((path / name).is_file() for name in FILE_NAMES)
    ),
]


def scalars(value, path=()):
    if isinstance(value, dict):
        for key, below in value.items():
            yield from scalars(below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from scalars(below, (*path, index))
    else:
        yield path, value


def flat(values):
    """Map (kind, name without hash, path) to each scalar of the rendered objects."""
    result = {}
    for value in values:
        name = HASH.sub("", value["metadata"]["name"])
        if value["kind"] == "Namespace":
            name = ""
        for path, scalar in scalars(value):
            coded = value["kind"] == "Secret" and path[0] == "data"
            result[value["kind"], name, path] = b64decode(scalar).decode() if coded else scalar
    return result


def render(root, overlay):
    return find_kustomize(ROOT).build(root, overlay)


def traced(root, overlay):
    return trace(read_tree(root, overlay), overlay, render(root, overlay))


def edit(text, origin, scalar, number=0):
    """Return ``text`` with the value at ``origin`` marked by a number, None where no value is found there."""
    lines = text.splitlines(keepends=True)
    line = lines[origin.line - 1].rstrip("\n")
    if origin.writer == Writer.GENERATOR and origin.column == 1:
        lines[origin.line - 1] = f"{line}{mark(number)}\n"
        return "".join(lines)
    head, tail = line[: origin.column - 1], line[origin.column - 1 :]
    match = re.match(r"""("[^"]*"|'[^']*'|[^\s,{}\[\]#][^,{}\[\]#]*)""", tail)
    if match is None:
        return None
    word = match.group().rstrip()
    rest = tail[len(word) :]
    quote = word[-1] if word[-1] in "\"'" and len(word) > 1 else ""
    inner = word.strip(quote) if quote else word
    if isinstance(scalar, bool):
        changed = "false" if inner == "true" else "true"
    elif isinstance(scalar, int) and inner.lstrip("-").isdigit():
        # Not of the text: a mode is written in octal.
        changed = str(scalar + FIRST + number)
    else:
        changed = inner + mark(number)
    lines[origin.line - 1] = f"{head}{quote}{changed}{quote}{rest}\n"
    return "".join(lines)


def mark(number):
    return f"-e{number}e"


def bears(before, after, number):
    """Whether a value changed by the edit of that number: None where it could be any."""
    if isinstance(after, str):
        return None if HASHED.search(after) else mark(number) in after
    if isinstance(after, int) and isinstance(before, int) and not isinstance(after, bool):
        return after == before + FIRST + number
    return None


def batches(chosen):
    """Yield lists of numbered fields on lines of their own, so that each rendering tries several."""
    left = list(enumerate(chosen))
    while left:
        batch, lines = [], set()
        for numbered in left:
            _, (_, _, scalar, origin) = numbered
            # Truth values have no room for a mark.
            line = "truth" if isinstance(scalar, bool) else (origin.file, origin.line)
            if len(batch) < BATCH and line not in lines:
                batch.append(numbered)
                lines.add(line)
        left = [numbered for numbered in left if numbered not in batch]
        yield batch


def sample(objects, root):
    """Choose fields of each kind of writer, and each file that writes, the same at every run."""
    groups = {}
    for item in objects:
        for path, scalar in scalars(item.value):
            if path[-1] in IDENTITY or scalar is None or scalar == "":
                continue
            origin = item.writers(path)[0]
            if origin.writer == Writer.DEFAULT:
                continue
            groups.setdefault((origin.writer, Path(origin.file).name if root == FIXTURE else ""), []).append(
                (item, path, scalar, origin)
            )
    chooser = random.Random(20260420)  # noqa: S311 - a sample, not a secret
    for _, group in sorted(groups.items()):
        yield from chooser.sample(group, min(SAMPLE, len(group)))


def where(item, path, scalar, origin):
    return f"{item.title} {dotted(path)} = {scalar!r}, reported at {origin} ({origin.writer})"


@pytest.mark.parametrize(("root", "overlay"), TREES, ids=lambda value: str(value).rpartition("/")[2])
def test_editing_the_reported_line_changes_that_field_and_only_what_was_reported_with_it(
    root, overlay, tmp_path
):
    before = traced(root, overlay)
    baseline = flat(item.value for item in before.objects)
    writers = {}
    for item in before.objects:
        name = "" if item.kind == "Namespace" else HASH.sub("", item.name)
        writers[item.kind, name] = item
    chosen = list(sample(before.objects, root))

    def check(batch):
        copy = tmp_path / str(batch[0][0])
        for file in before.reads:
            target = Path(os.path.normpath(copy / "tree" / "tree" / file))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / file, target)
        here = copy / "tree" / "tree"
        for number, (item, path, scalar, origin) in batch:
            source = here / origin.file
            changed_text = edit(source.read_text(), origin, scalar, number)
            assert changed_text is not None, f"no value there: {where(item, path, scalar, origin)}"
            source.write_text(changed_text)
        after = flat(load_rendered(render(here, overlay)))
        shutil.rmtree(copy)
        different = {key for key in baseline.keys() | after.keys() if baseline.get(key) != after.get(key)}
        for number, (item, path, scalar, origin) in batch:
            name = "" if item.kind == "Namespace" else HASH.sub("", item.name)
            here = item.kind, name, path
            assert here in different, f"unchanged by an edit: {where(item, path, scalar, origin)}"
            assert bears(baseline[here], after[here], number) is not False, f"changed by another edit: {here}"
        for key in different:
            kind, name, path = key
            lines = {(one.file, one.line) for one in writers[kind, name].writers(path)}
            told = [(origin.file, origin.line) in lines for _, (_, _, _, origin) in batch]
            assert any(told), f"{kind} {name} {dotted(path)} changed, and no line of it was edited"
            for (number, field), known in zip(batch, told, strict=True):
                marked = bears(baseline.get(key), after.get(key), number)
                assert known or not marked, f"{kind} {name} {dotted(path)} changed with {where(*field)}"
        return {origin.writer for _, (_, _, _, origin) in batch}

    with ThreadPoolExecutor(2) as pool:
        seen = set().union(*pool.map(check, batches(chosen)))
    assert len(seen) >= 4, seen


def test_the_fixture_has_every_kind_of_writer():
    seen = {
        origin.writer
        for item in traced(FIXTURE, "prefixed").objects
        for path, _ in scalars(item.value)
        for origin in item.writers(path)
    }
    assert seen >= {
        Writer.RESOURCE,
        Writer.STRATEGIC_MERGE,
        Writer.JSON_PATCH,
        Writer.GENERATOR,
        Writer.NAMESPACE,
        Writer.NAME_PREFIX,
        Writer.NAME_SUFFIX,
        Writer.LABELS,
        Writer.ANNOTATIONS,
        Writer.IMAGES,
        Writer.REPLICAS,
    }


@pytest.mark.parametrize(("root", "overlay"), TREES, ids=lambda value: str(value).rpartition("/")[2])
def test_the_tree_agrees_with_kustomize_about_every_value(root, overlay):
    tree = read_tree(root, overlay)
    rendered = {}
    for value in load_rendered(render(root, overlay)):
        rendered[value["kind"], HASH.sub("", value["metadata"]["name"])] = value
    assert len(rendered) == len(tree.items)
    renamed = {item.names[0] for item in tree.items if item.hashed or len(item.names) > 1}
    for item in tree.items:
        mine = dict(scalars(item.field.plain()))
        theirs = dict(scalars(rendered[item.kind, item.name]))
        different = {
            path: (mine.get(path), theirs.get(path))
            for path in mine.keys() | theirs.keys()
            if mine.get(path) != theirs.get(path)
            and not (path == ("metadata", "name") and item.hashed)
            and mine.get(path) not in renamed
        }
        assert different == {}, f"{item.kind} {item.name}"


@pytest.mark.parametrize(("root", "overlay"), TREES, ids=lambda value: str(value).rpartition("/")[2])
def test_the_fast_rendering_equals_the_plain_one(root, overlay):
    kustomize = find_kustomize(ROOT)
    assert kustomize.build(root, overlay) == kustomize.build(root, overlay, plain=True)
