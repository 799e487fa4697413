"""The playground: ``make up``, ``make build REPO=... REF=...``, ``make down``, ``make clean-cache``."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import sys
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.airgap.engine import Engine, engine_answers
from tests.e2e.errors import CannotRunError
from tests.e2e.streams import ACCEPT, Comment, Event, EventStream, build_url

if TYPE_CHECKING:
    from tests.e2e.cluster import Ports
    from tests.e2e.supply import Supply
    from tests.e2e.world import World

NAME = "binderhub-service"
DEMO_REPO = "git://git.e2e.svc/demo.git"
_PORT, _REGISTRY_PORT = 8585, 5001
_HOUR = 3600
_BUILD_POD = "component=binderhub-build"
# A cluster says here where it listens: tests/e2e/cluster.py.
_MEMORY = Path(__file__).resolve().parents[2] / ".pytest-kind" / NAME / "cluster.json"


def up() -> None:
    """Make the cluster with everything in it, and say how to call it."""
    from tests.e2e.cluster import Ports
    from tests.e2e.preflight import find_engine, free_port
    from tests.e2e.supply import Supply

    supply = Supply.chosen()
    ports = Ports(_port("PORT", _PORT), _port("REGISTRY_PORT", _REGISTRY_PORT), free_port())
    if ports.binderhub == ports.registry:
        raise CannotRunError(f"PORT and REGISTRY_PORT are both {ports.registry}; they have to differ")
    was_running = Engine(supply.store.directory / "engine").runs
    own = find_engine(supply.store)
    try:
        _require_nothing_there(ports)
        world = _make(supply, ports)
    except BaseException:
        if own and not was_running:
            own.stop()
        raise
    _say_how(world, own)


def _require_nothing_there(ports: Ports) -> None:
    from tests.e2e.cluster import Cluster
    from tests.e2e.preflight import require_port

    if Cluster(NAME, ports=ports).exists():
        raise CannotRunError(f"the cluster {NAME} is there already; `make down` removes it")
    require_port(ports.binderhub, "PORT")
    require_port(ports.registry, "REGISTRY_PORT")


def _make(supply: Supply, ports: Ports) -> World:
    """Return the cluster, with a repository to build; nothing is left of one that does not come up."""
    from kubernetes.client import ApiException

    from tests.e2e.kube import reason
    from tests.e2e.repositories import DEMO
    from tests.e2e.world import bring_up

    try:
        with ExitStack() as undo:
            world = bring_up(NAME, supply, ports)
            undo.callback(world.cluster.delete)
            world.repositories.commit("demo", DEMO)
            undo.pop_all()
    except (AssertionError, ApiException) as error:
        said = reason(error) if isinstance(error, ApiException) else error
        raise CannotRunError(
            f"what overlays/kind installs does not come up, and the cluster is removed again: {said}; "
            "`make validate` may know why, and `make e2e ARGS=--keep-cluster` keeps it to be looked at"
        ) from error
    return world


def _say_how(world: World, own: Engine | None) -> None:
    print(f"\nBinderHub answers at {world.url}")
    for source in world.sources:
        print(f"  {source}")
    print("\n  make build                        builds the demo repository, and shows how")
    print("  make build REPO=URL REF=BRANCH    builds another one")
    print("  make down                         removes it all")
    print(f"\n  export KUBECONFIG={world.cluster.kubeconfig_path}")
    if own:
        print(f"  export DOCKER_HOST={own.host}")


def down(name: str) -> None:
    """Remove a cluster and what was started for it; once more is fine."""
    from tests.e2e.airgap.store import Store, default_directory
    from tests.e2e.cluster import Cluster, Ports
    from tests.e2e.preflight import engine

    store = Store(default_directory())
    with engine(store):
        cluster = Cluster(name, ports=Ports(0, 0, 0))
        is_there = cluster.exists()
        cluster.delete()
        others = cluster.all_names()
    print(f"the cluster {name} is removed" if is_there else f"there is no cluster {name}")
    if others:
        print(f"  still there: {', '.join(others)}; make down CLUSTER=NAME removes one of this project")
    else:
        Engine(store.directory / "engine").stop()


def build(repo: str, ref: str) -> int:
    """Ask for a build and print what comes, as it comes; return 0 for an image, 1 for none."""
    base = f"http://127.0.0.1:{_port('PORT', _port_of_the_cluster())}"
    try:
        stream = EventStream(build_url(base, "git", repo, ref), limit=_HOUR, linger=0)
    except (OSError, HTTPException) as error:
        raise CannotRunError(
            f"no BinderHub answers at {base} ({str(error).strip()}); "
            "`make up` starts one, and PORT names another port"
        ) from error
    with stream:
        if ACCEPT not in stream.content_type:
            raise CannotRunError(
                f"what answers at {base} is no BinderHub (status {stream.status}, no events); "
                "`make up` starts one, and PORT names another port"
            )
        for item in stream:
            _print(item, waiting=all(event.phase == "waiting" for event in stream.events))
    image = stream.transcript().image
    print(
        f"\n{image}"
        if image
        else "\nno image was built; docs/how-to/troubleshooting.md says what it can mean"
    )
    return 0 if image else 1


def _print(item: Event | Comment, *, waiting: bool) -> None:
    if isinstance(item, Comment):
        # BinderHub does not say why a pod does not start.
        if waiting:
            print(
                f"{item.seconds:7.1f} what for: kubectl -n binderhub describe pods -l {_BUILD_POD}",
                flush=True,
            )
        return
    message = item.message.rstrip("\n")
    if message or item.is_terminal:
        print(f"{item.seconds:7.1f} {item.phase:10} {message}".rstrip(), flush=True)


def clean_cache() -> None:
    """Remove the cache of the air-gapped supply."""
    from tests.e2e.airgap.store import default_directory
    from tests.e2e.supply import remove_nodes

    directory = default_directory()
    if Engine(directory / "engine").runs:
        raise CannotRunError(
            f"the engine of the cache {directory} runs, and may have a cluster; `make down` ends both"
        )
    # One that the machine has itself.
    if engine_answers():
        remove_nodes()
    if not directory.exists():
        print(f"there is no {directory}")
        return
    try:
        shutil.rmtree(directory)
    except OSError as error:
        raise CannotRunError(
            f"{directory} cannot be removed whole ({error.filename}: {error.strerror}); "
            "what is left belongs to somebody else, perhaps to root"
        ) from error
    print(f"{directory} is removed")


def _port(variable: str, usual: int) -> int:
    text = os.environ.get(variable) or str(usual)
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) < 1 << 16:
        raise CannotRunError(f"{variable} is {text!r}, which is no port; {variable}={usual} is usual")
    return int(text)


def _port_of_the_cluster() -> int:
    """Return the port that ``make up`` was told, the usual one where nothing says so."""
    try:
        return int(json.loads(_MEMORY.read_text(encoding="utf-8"))["ports"][0])
    except (OSError, ValueError, LookupError, TypeError):
        return _PORT


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands, and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.playground", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "clean-cache"):
        commands.add_parser(name)
    removed = commands.add_parser("down")
    removed.add_argument("--cluster", default=NAME, help="its name")
    asked = commands.add_parser("build")
    asked.add_argument("--repo", default=DEMO_REPO, help="URL of a git repository, as BinderHub sees it")
    asked.add_argument("--ref", default="main", help="a branch, tag or commit of it")
    options = parser.parse_args(arguments)
    try:
        match options.command:
            case "up":
                up()
            case "down":
                down(options.cluster)
            case "clean-cache":
                clean_cache()
            case "build":
                return build(options.repo, options.ref)
    except CannotRunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def run() -> int:
    """Be the whole process."""
    # Whoever ends it with a signal wants to have nothing left as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return main()
    except BrokenPipeError:
        # Nobody reads any more; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(run())
