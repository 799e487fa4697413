"""``validate schema``: the JSON Schemas that this repository publishes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import validate
from validate.binderhub.fragment_schema import fragment_schema
from validate.finding import CLEAN

if TYPE_CHECKING:
    import argparse

_FILES = {
    "cluster": "cluster/cluster.schema.json",
    "report": "report/report.schema.json",
    "diff": "report/diff/diff.schema.json",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the name of a schema."""
    parser.add_argument(
        "schema",
        choices=("fragment", *_FILES),
        help="fragment: of BinderHub's configuration; cluster: of cluster.yaml; report: of --report json; "
        "diff: of diff --report json",
    )


def run(options: argparse.Namespace) -> int:
    """Print the schema; that of fragments is made anew from BinderHub's recorded traits."""
    if options.schema == "fragment":
        text = json.dumps(fragment_schema(), indent=1) + "\n"
    else:
        text = (Path(validate.__file__).parent / _FILES[options.schema]).read_text(encoding="utf-8")
    sys.stdout.write(text)
    return CLEAN
