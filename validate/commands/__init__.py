"""What validate does besides checking: one module for each command, imported when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    import argparse

# By name, and in the order of the help. A new command is a line here and a module of that name.
COMMANDS = {
    "diff": "say what a change does: on the clusters, and to the findings",
    "graph": "draw the system as an overlay deploys it, as Mermaid or SVG",
    "rules": "list the rules",
    "build-pod": "print the pod that BinderHub would create for a build",
    "schema": "print a JSON Schema: of config fragments, cluster.yaml or a JSON report",
    "fix": "mend the findings that can be mended with certainty",
    "waive": "answer for a finding in policies/waivers.yaml",
}


class Command(Protocol):
    """What the module of a command has."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of the command."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it, and return the exit status.

        Raises:
            CannotCheckError: it cannot be done.
        """


def load(name: str) -> Command:
    """Return the command of that name, one of :data:`COMMANDS`."""
    return cast("Command", import_module(f"{__name__}.{name.replace('-', '_')}"))
