"""A reported line is the right one: edit the value there, render again, and look at what changed."""

from __future__ import annotations

import os
import random
import re
import shutil
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
            result[value["kind"], name, path] = scalar
    return result


def render(root, overlay):
    return find_kustomize(ROOT).build(root, overlay)


def traced(root, overlay):
    return trace(read_tree(root, overlay), overlay, render(root, overlay))


def edit(text, origin, scalar):
    """Return ``text`` with the value at ``origin`` changed, None where no value is found there."""
    lines = text.splitlines(keepends=True)
    line = lines[origin.line - 1].rstrip("\n")
    if origin.writer == Writer.GENERATOR and origin.column == 1:
        lines[origin.line - 1] = line + "1\n"
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
        changed = str(int(inner) + 1)
    else:
        changed = inner + "1"
    lines[origin.line - 1] = f"{head}{quote}{changed}{quote}{rest}\n"
    return "".join(lines)


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

    def check(number_and_field):
        number, (item, path, scalar, origin) = number_and_field
        copy = tmp_path / str(number)
        for file in before.reads:
            target = Path(os.path.normpath(copy / "tree" / "tree" / file))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / file, target)
        here = copy / "tree" / "tree"
        source = here / origin.file
        changed_text = edit(source.read_text(), origin, scalar)
        where = f"{item.title} {dotted(path)} = {scalar!r}, reported at {origin} ({origin.writer})"
        assert changed_text is not None, f"no value there: {where}"
        source.write_text(changed_text)
        after = flat(load_rendered(render(here, overlay)))
        shutil.rmtree(copy)
        different = {key for key in baseline.keys() | after.keys() if baseline.get(key) != after.get(key)}
        name = "" if item.kind == "Namespace" else HASH.sub("", item.name)
        assert (item.kind, name, path) in different, f"unchanged by an edit: {where}"
        for kind, other, changed in different:
            lines = {(one.file, one.line) for one in writers[kind, other].writers(changed)}
            assert (origin.file, origin.line) in lines, (
                f"{kind} {other} {dotted(changed)} changed with {where}"
            )
        return origin.writer

    with ThreadPoolExecutor(2) as pool:
        seen = set(pool.map(check, enumerate(chosen)))
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
