"""``validate graph``: a picture of the system as an overlay deploys it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from validate.commands.files import write
from validate.commands.options import Output, add_root, open_named
from validate.discover import select
from validate.errors import CannotCheckError
from validate.finding import CLEAN

if TYPE_CHECKING:
    import argparse

FORMATS = {
    "mermaid": "text that GitHub, GitLab and many editors draw",
    "svg": "one file, for light and dark pages",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Take an overlay, and as what to draw it."""
    add = parser.add_argument
    add("overlay", help="name or path of the overlay")
    add("--format", choices=tuple(FORMATS), help="without, svg for a file of that name, else mermaid")
    add("--output", type=Path, metavar="FILE", help="without, standard output")
    add_root(parser)


def run(options: argparse.Namespace) -> int:
    """Draw the overlay, with what is found in it marked in place; findings are no failure here.

    Raises:
        CannotCheckError: the overlay cannot be rendered, or deploys no BinderHub.
    """
    from validate.engine import examine_with_waivers  # noqa: PLC0415 - help needs no rule
    from validate.graph.picture import draw  # noqa: PLC0415 - likewise

    checkout = open_named(options)
    (name,) = select(checkout, [options.overlay], Path.cwd())
    overlay, findings = examine_with_waivers(checkout.root, name)
    picture = draw(overlay, findings)
    if picture is None:
        problem = f"{name} deploys no BinderHub that reads a configuration, so there is no system to draw"
        raise CannotCheckError(f"{problem}; include base/binderhub")
    output = Output(options.format or _by_name(options.output), options.output)
    if output.format == "svg":
        from validate.graph import svg as drawer  # noqa: PLC0415 - only one of them is needed
    else:
        from validate.graph import mermaid as drawer  # type: ignore[no-redef] # noqa: PLC0415 - likewise
    text = drawer.render(picture)
    if output.file is None:
        sys.stdout.write(text)
    else:
        write(output.file, text)
    return CLEAN


def _by_name(file: Path | None) -> str:
    return "svg" if file is not None and file.suffix == ".svg" else "mermaid"
