"""Values as YAML that every reader reads alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from validate.place import Json

# What every reader of YAML takes for a string: kubectl takes `1e3` and `y` for something else.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/._-]+")


def as_yaml(value: Json) -> str:
    """Return ``value`` as YAML that PyYAML and kubectl read alike: strings stay strings."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Writes what every reader of YAML reads alike."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML asks with it
        """Write a value out wherever it stands."""
        return True

    def text(self, data: str) -> yaml.Node:
        """Quote a string that some reader may take for something else."""
        style = None if _PLAIN.fullmatch(data) else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)


_Dumper.add_representer(str, _Dumper.text)
