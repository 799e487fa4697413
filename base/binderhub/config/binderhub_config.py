"""Read BinderHub's configuration from config.d: YAML fragments, in the order of their names.

A fragment maps classes to traits to values. Mappings are merged, anything else is replaced. Anything
odd ends the process: BinderHub would run without what was meant, and say nothing.
"""

# ruff: noqa: INP001 - the key of a ConfigMap, in no package
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from traitlets.config import Config
from traitlets.utils.importstring import import_item

STRING, MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
JSON = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "seq", "map")}


class FragmentLoader(yaml.SafeLoader):
    """Accepts what JSON can say: no dates, no keys but strings, no key twice."""

    yaml_constructors = {  # noqa: RUF012 - PyYAML's own way to say it
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag in JSON or tag is None
    }

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """Check the keys as they are written: merge keys (<<) repeat some of them later, and may."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == MERGE:
                continue
            if key.tag != STRING:
                raise yaml.MarkedYAMLError(problem="a key is not a string", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return node


def read(file: Path) -> dict[str, Any]:
    """Return the classes of one fragment."""
    if file.suffix != ".yaml":
        raise ValueError(f"{file} is not a .yaml file")
    with file.open(encoding="utf-8") as text:
        classes = FragmentLoader(text).get_single_data()
    if not isinstance(classes, dict) or not classes:
        raise ValueError(f"{file} does not map classes to traits")
    for name, traits in classes.items():
        if not name[:1].isupper() or not isinstance(traits, dict):
            raise ValueError(f"{file}: {name} is not a class with a mapping of traits")
    return classes


def merged(first: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    """Return ``first`` with ``then`` merged into it; both stay as they are, for an anchor may share them."""
    result = dict(first)
    for key, value in then.items():
        known = result.get(key)
        result[key] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return result


def load(directory: Path) -> dict[str, Any]:
    """Return what the fragments in ``directory`` say together."""
    # A ConfigMap volume keeps its files in directories whose names begin with two dots.
    fragments = sorted(file for file in directory.iterdir() if not file.name.startswith(".."))
    if not fragments:
        raise FileNotFoundError(f"no fragment in {directory}")
    config: dict[str, Any] = {}
    for fragment in fragments:
        config = merged(config, read(fragment))
    # The one trait that wants classes themselves: BinderHub resolves the names of all others.
    providers = config.get("BinderHub", {}).get("repo_providers")
    if isinstance(providers, dict):
        config["BinderHub"]["repo_providers"] = {key: import_item(name) for key, name in providers.items()}
    return config


try:
    c.merge(  # noqa: F821 - traitlets provides it
        Config(load(Path(os.environ.get("BINDERHUB_CONFIG_DIRECTORY", "/etc/binderhub/config.d"))))
    )
except Exception as error:
    # traitlets drops a file that raises, and BinderHub runs with pure defaults; this it cannot catch.
    raise SystemExit(f"BinderHub's configuration cannot be read: {error}") from error
