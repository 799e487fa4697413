"""``validate build-pod``: the pod that BinderHub would create, which is in no manifest."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from validate.commands.options import add_root, open_named
from validate.discover import select
from validate.dump import as_yaml
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


def _without_credentials(value: Json) -> Json:
    if isinstance(value, list):
        return [_without_credentials(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("name") in _CREDENTIALS and "value" in value:
        return {**value, "value": _HIDDEN}
    return {key: _without_credentials(item) for key, item in value.items()}
