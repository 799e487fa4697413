"""The playground: ``make up``, ``make build REPO=... REF=...``, ``make down``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.e2e.airgap.engine import Engine
from tests.e2e.errors import CannotRunError
from tests.e2e.streams import Event, EventStream, build_url

if TYPE_CHECKING:
    from tests.e2e.world import World

NAME = "binderhub-service"
DEMO_REPO = "git://git.e2e.svc/demo.git"


def up() -> None:
    """Make the cluster with everything in it, and say how to call it."""
    from tests.e2e.cluster import Cluster, Ports
    from tests.e2e.preflight import find_engine, free_port, require_port
    from tests.e2e.repositories import DEMO
    from tests.e2e.supply import Supply
    from tests.e2e.world import bring_up

    supply = Supply.chosen()
    ports = Ports(_port("PORT", 8585), _port("REGISTRY_PORT", 5001), free_port())
    own = find_engine(supply.store)
    if Cluster(NAME, ports=ports).exists():
        raise CannotRunError(
            f"the cluster {NAME} is there already; `make down` removes it, and then `make up` makes it anew"
        )
    try:
        require_port(ports.binderhub, "PORT")
        require_port(ports.registry, "REGISTRY_PORT")
        world = bring_up(NAME, supply, ports)
        world.repositories.commit("demo", DEMO)
    except BaseException:
        if own:
            own.stop()
        raise
    _say_how(world, own)


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


def down() -> None:
    """Remove the cluster and what was started for it; once more is fine."""
    from tests.e2e.airgap.store import Store, default_directory
    from tests.e2e.cluster import Cluster, Ports
    from tests.e2e.preflight import engine

    store = Store(default_directory())
    own = Engine(store.directory / "engine")
    with engine(store):
        Cluster(NAME, ports=Ports(0, 0, 0)).delete()
    own.stop()


def build(repo: str, ref: str) -> int:
    """Ask for a build and print what comes, as it comes; return 0 for an image, 1 for none."""
    base = f"http://127.0.0.1:{_port('PORT', 8585)}"
    try:
        stream = EventStream(build_url(base, "git", repo, ref), limit=3600, linger=0)
    except OSError as error:
        raise CannotRunError(
            f"nothing answers at {base} ({error}); `make up` starts it, PORT names another port"
        ) from error
    with stream, suppress(BrokenPipeError):
        for item in stream:
            if isinstance(item, Event):
                _print(item)
        transcript = stream.transcript()
    if transcript.image:
        print(f"\n{transcript.image}")
        return 0
    print("\nno image was built", file=sys.stderr)
    return 1


def _print(event: Event) -> None:
    message = event.message.rstrip("\n")
    if message or event.is_terminal:
        print(f"{event.seconds:7.1f} {event.phase:10} {message}".rstrip(), flush=True)


def clean_cache() -> None:
    """Remove the cache of the air-gapped supply."""
    from tests.e2e.airgap.store import default_directory

    directory = default_directory()
    Engine(directory / "engine").stop()
    shutil.rmtree(directory, ignore_errors=True)
    print(f"removed {directory}")


def _port(variable: str, usual: int) -> int:
    text = os.environ.get(variable) or str(usual)
    if not text.isdigit() or not 0 < int(text) < 1 << 16:
        raise CannotRunError(f"{variable} is {text!r}, which is no port; {variable}={usual} is usual")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands, and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.playground", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "down", "clean-cache"):
        commands.add_parser(name)
    asked = commands.add_parser("build")
    asked.add_argument("--repo", default=DEMO_REPO, help="URL of a git repository, as BinderHub sees it")
    asked.add_argument("--ref", default="main", help="a branch, tag or commit of it")
    options = parser.parse_args(arguments)
    try:
        match options.command:
            case "up":
                up()
            case "down":
                down()
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


if __name__ == "__main__":
    sys.exit(main())
