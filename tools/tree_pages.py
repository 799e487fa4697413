"""Writes what the reference says of overlays, components and ``cluster.yaml``: ``make pages``."""

from __future__ import annotations

import json
import os
import re
from itertools import groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from validate.discover import open_checkout
from validate.engine import read_overlay
from validate.kustomize.render import find_kustomize
from validate.place import unhashed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay

    Schema: TypeAlias = "dict[str, Any]"

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference"
SCHEMA = ROOT / "validate" / "cluster" / "cluster.schema.json"
BASES = ("docker-api", "registry", "images")
NOTICE = "<!-- Written by tools/tree_pages.py from {}: make pages -->"
_MOST_VALUES = 5
_LINK = re.compile(r"\[([^]]+)\]\(([^)#\s]+)\)")


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    kustomize = find_kustomize(ROOT)
    names = open_checkout(ROOT).overlays
    overlays = [read_overlay(ROOT, kustomize.start(ROOT, name)) for name in names]
    return {
        "overlays.md": "\n".join(_overlays(overlays)),
        "components.md": "\n".join(_components(overlays)),
        "cluster-yaml.md": "\n".join(_facts(json.loads(SCHEMA.read_text(encoding="utf-8")))),
    }


def _overlays(overlays: list[Overlay]) -> Iterator[str]:
    yield NOTICE.format("overlays/")
    yield "# Overlays\n"
    yield "One directory of `overlays/` is one cluster. These are there to be copied; tests run `kind`.\n"
    for overlay in overlays:
        text = (ROOT / overlay.name / "kustomization.yaml").read_text(encoding="utf-8")
        used = [PurePosixPath(path) for path in yaml.safe_load(text)["components"]]
        prefix = overlay.config.effective("BinderHub", "image_prefix") if overlay.config else ""
        components = [path.name for path in used if "base" not in path.parts]
        yield f"\n## {_name(overlay)}\n"
        yield f"{text.partition(chr(10))[0].removeprefix('# ')}\n"
        yield f"- Kubernetes {' and '.join(overlay.facts.kubernetes)}"
        yield f"- Node pools {', '.join(f'`{pool.name}`' for pool in overlay.facts.pools)}"
        yield f"- Images go to `{prefix}`"
        yield f"- Components {', '.join(f'[{name}](components.md#{name})' for name in components)}"
    columns = [{(item.kind, unhashed(item.name)) for item in overlay.objects} for overlay in overlays]
    common = set.intersection(*columns)
    yield "\n## What only some deploy\n"
    yield _row("Object", *(f"`{_name(overlay)}`" for overlay in overlays))
    yield _row(*["---"] * (len(overlays) + 1))
    for kind, name in sorted(set.union(*columns) - common):
        yield _row(f"{kind} `{name}`", *("yes" if (kind, name) in column else "" for column in columns))
    yield "\n## What all of them deploy\n"
    yield from (
        f"- {kind}: {', '.join(f'`{name}`' for _, name in names)}"
        for kind, names in groupby(sorted(common), key=itemgetter(0))
    )
    yield ""


def _components(overlays: list[Overlay]) -> Iterator[str]:
    yield NOTICE.format("the README of each")
    yield "# Components\n"
    yield "A component is one capability. An overlay lists it under `components:`, and patches its own.\n"
    for directory in sorted((ROOT / "components").iterdir()):
        inside = f"components/{directory.name}/"
        users = [overlay for overlay in overlays if any(file.startswith(inside) for file in overlay.reads)]
        used = [f"`{_name(overlay)}`" for overlay in users]
        yield from _section(directory)
        yield f"Used by {', '.join(used)}.\n" if used else "No overlay of this repository uses it.\n"
    yield "# The base\n"
    for name in BASES:
        yield from _section(ROOT / "base" / name)


def _section(directory: Path) -> Iterator[str]:
    _, _, body = (directory / "README.md").read_text(encoding="utf-8").partition("\n")
    yield f"## {directory.name}\n"
    yield f"`{directory.relative_to(ROOT).as_posix()}/`\n"
    yield _LINK.sub(lambda link: _relinked(link, directory), body).strip() + "\n"


def _relinked(link: re.Match[str], directory: Path) -> str:
    """Return a link of a README as this page writes it: READMEs are sections here, other files are names."""
    text, target = link.groups()
    if "://" in target:
        return link[0]
    path = Path(os.path.normpath(directory / target))
    if path.name == "README.md":
        return f"[{text}](#{path.parent.name})"
    if path.is_relative_to(ROOT / "docs"):
        return f"[{text}]({os.path.relpath(path, PAGES)})"
    return f"`{path.relative_to(ROOT).as_posix()}`"


def _facts(schema: Schema) -> Iterator[str]:
    yield NOTICE.format("validate/cluster/cluster.schema.json")
    yield "# cluster.yaml\n"
    yield "Facts about the cluster that an overlay is for, which manifests do not show. validate reads them,"
    yield "Argo CD reads `cluster` and `generatePaths`, nothing is applied. What is not said is unknown.\n"
    yield "| Field | | Type |"
    yield "|---|---|---|"
    yield from _fields(schema, "")


def _fields(schema: Schema, above: str) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        required = " Required." if name in schema.get("required", ()) else ""
        yield _row(f"`{above}{name}`", field["description"] + required, _type(field))
        yield from _fields(field.get("items", {}), f"{above}{name}[].")


def _type(field: Schema) -> str:
    values = field.get("enum") or field.get("items", {}).get("enum")
    if values:
        several = "list, from " if "items" in field else ""
        shown = values if len(values) <= _MOST_VALUES else (values[0], "...", values[-1])
        return several + ", ".join(f"`{value}`" for value in shown)
    if "items" in field:
        return f"list of {_type(field['items'])}s"
    if field.get("additionalProperties"):
        return f"mapping to {_type(field['additionalProperties'])}s"
    kind = field["type"]
    return {"object": "mapping"}.get(kind, kind) if isinstance(kind, str) else " or ".join(kind)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _name(overlay: Overlay) -> str:
    return PurePosixPath(overlay.name).name


def main() -> None:
    """Write the pages."""
    for name, text in pages().items():
        (PAGES / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
