"""``validate build-pod``: the pod that BinderHub would create, which is in no manifest."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from validate.commands.options import add_root, open_named
from validate.discover import select
from validate.engine import read_overlay
from validate.errors import CannotCheckError
from validate.finding import CLEAN
from validate.kustomize.render import find_kustomize

if TYPE_CHECKING:
    import argparse

    from validate.place import Json

# BinderHub writes credentials into these.
_CREDENTIALS = {"CONTAINER_ENGINE_REGISTRY_CREDENTIALS", "GIT_CREDENTIAL_ENV"}
_HIDDEN = "not shown: it may hold a credential"
# What every reader of YAML takes for a string: kubectl takes `1e3` and `y` for something else.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/._-]+")


def configure(parser: argparse.ArgumentParser) -> None:
    """Take an overlay."""
    parser.add_argument("overlay", help="name or path of the overlay")
    add_root(parser)


def run(options: argparse.Namespace) -> int:
    """Print the pod as YAML that ``kubectl create`` accepts.

    Raises:
        CannotCheckError: the overlay cannot be rendered, deploys no BinderHub, or one that creates no pod.
    """
    checkout = open_named(options)
    (name,) = select(checkout, [options.overlay], Path.cwd())
    overlay = read_overlay(checkout.root, find_kustomize(checkout.root).start(checkout.root, name))
    found = overlay.build_pod
    if found is None:
        problem = f"{name} deploys no BinderHub that reads a configuration, so nothing creates build pods"
        raise CannotCheckError(f"{problem}; include base/binderhub")
    if found.object is None:
        raise CannotCheckError(f"BinderHub creates no build pod in {name} ({found.error}); validate {name}")
    sys.stdout.write(f"# The pod of a build in {name}; a real one has its own repository, ref and image.\n")
    sys.stdout.write(as_yaml(_without_credentials(found.object.value)))
    return CLEAN


def as_yaml(value: Json) -> str:
    """Return ``value`` as YAML that PyYAML and kubectl read alike: strings stay strings."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _without_credentials(value: Json) -> Json:
    if isinstance(value, list):
        return [_without_credentials(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("name") in _CREDENTIALS and "value" in value:
        return {**value, "value": _HIDDEN}
    return {key: _without_credentials(item) for key, item in value.items()}


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
