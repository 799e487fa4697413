"""Measures validate against what people run today, and how its cost grows: ``make bench``.

All figures come from one run on one machine, so the ratios hold where the seconds do not. The runs
that are compared take turns, so that a slow moment of the machine hits both. It never fails on a time.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from validate.kustomize.render import find_kustomize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
OVERLAYS = ROOT / "overlays"
KUSTOMIZE = ROOT / ".tools" / "kustomize"
# A generated repository has no tools of its own.
# What is measured is the work, not the memory of it.
ENVIRONMENT = os.environ | {"KUSTOMIZE": str(KUSTOMIZE), "VALIDATE_NO_CACHE": "1"}
SCHEMAS_OF = "1.34.0"
SMALL, LARGE = 30, 300
# One application, by docs/assets/speed_graph.png of github.com/dag-andersen/argocd-diff-preview v0.2.13.
PUBLISHED_SECONDS = 80.0
_SAMPLE_SECONDS = 0.02
IMAGES = ("base/images/kustomization.yaml", "base/images/config/05-images.yaml")
# Stands for one: nothing is pulled.
DIGEST = f"sha256:{0:064}"
# Nine objects, and an overlay of them.
TREE = ROOT / "tools" / "small"
PATCH = "deployment.memory.yaml"
SMALL_PARTS = (
    "base/binderhub/deployment.yaml",
    "base/binderhub/service.yaml",
    "base/binderhub/serviceaccount.yaml",
    "base/binderhub/role.yaml",
    "base/binderhub/rolebinding.yaml",
    "base/binderhub/config/binderhub_config.py",
    "base/binderhub/config/00-base.yaml",
    "base/docker-api/daemonset.yaml",
    "base/docker-api/config/daemon.json",
    "base/images/config/05-images.yaml",
    "base/registry/config/10-registry.yaml",
    "policies/pod-security/serviceaccount.yaml",
)


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        what: what was measured.
        value: in ``unit``.
        unit: ``s``, ``MB`` or empty for a ratio.
        target: what the value should not exceed, None where it only informs.
    """

    what: str
    value: float
    unit: str = ""
    target: float | None = None

    def __str__(self) -> str:
        """Return the line, with the verdict where there is a target."""
        line = f"  {self.what:<64} {self.value:>8.2f} {self.unit:<2}"
        if self.target is None:
            return line.rstrip()
        return f"{line}  target <= {self.target:g}: {'met' if self.value <= self.target else 'missed'}"


class Took(NamedTuple):
    """Seconds on the clock, and seconds of processor, which a busy machine does not stretch as much."""

    wall: float
    processor: float

    @classmethod
    def since(cls, began: float, before: resource.struct_rusage) -> Took:
        """Return the times since then, those of children that have ended."""
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return cls(time.perf_counter() - began, processor)

    @classmethod
    def median(cls, taken: Sequence[Took]) -> Took:
        """Return the median of each of the two."""
        return cls(*(statistics.median(times) for times in zip(*taken, strict=True)))


@dataclass(frozen=True)
class Command:
    """A command to measure, with the exit statuses that mean that it did its work.

    ``cache``: the directory of its cache, None where it does without.
    """

    words: tuple[str, ...]
    accepted: tuple[int, ...]
    cache: Path | None = None

    def took(self) -> Took:
        """Run it and return its times, those of its children included."""
        environment = ENVIRONMENT | ({"XDG_CACHE_HOME": str(self.cache)} if self.cache else {})
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        done = subprocess.run(
            self.words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        took = Took.since(began, before)
        if done.returncode not in self.accepted:
            output = (done.stdout + done.stderr)[-2000:]
            sys.exit(f"error: {shlex.join(self.words)} ended with {done.returncode}:\n{output}")
        return took


MAKE_VALIDATE = Command(("make", "validate"), accepted=(0,))


def validate(tree: Path, *more: str) -> Command:
    """Return the command that validates a generated repository, in which nothing is found."""
    return Command((sys.executable, "-m", "validate", "--root", str(tree), *more), accepted=(0,))


def kubeconform(binary: Path, schemas: Path) -> Command:
    """Return the loop that people run today over the overlays of this tree."""
    location = f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    check = [str(binary), "-strict", "-ignore-missing-schemas", "-schema-location", location]
    kustomize = shlex.quote(str(KUSTOMIZE))
    loop = f"set -eo pipefail; for o in overlays/*/; do {kustomize} build $o | {shlex.join(check)}; done"
    return Command(("bash", "-c", loop), accepted=(0,))


def medians(commands: Sequence[Command], rounds: int) -> list[Took]:
    """Return the median times of each command; they take turns, after one round to warm up."""
    rounds_taken = [[command.took() for command in commands] for _ in range(rounds + 1)]
    return [Took.median(taken) for taken in zip(*rounds_taken[1:], strict=True)]


def write_schemas(directory: Path) -> list[str]:
    """Write a self-contained strict schema for each kind that is rendered; return the kinds without one.

    kubeconform would otherwise parse a document of all definitions for each object, and lose for a
    reason that is not its own.
    """
    package = find_spec("kubernetes_validate")
    if package is None or package.origin is None:
        sys.exit("error: kubernetes-validate is not installed; run 'make bench'")
    source = Path(package.origin).parent / "kubernetes-json-schema" / f"v{SCHEMAS_OF}-local-strict"
    definitions = json.loads((source / "_definitions.json").read_bytes())["$defs"]
    missing = []
    for version, kind in sorted(_rendered_kinds()):
        group, _, revision = version.rpartition("/")
        # kubeconform's own naming: the first label of the group.
        parts = (kind.lower(), group.partition(".")[0], revision)
        name = "-".join(part for part in parts if part) + ".json"
        if not (source / name).is_file():
            missing.append(f"{version} {kind}")
            continue
        schema = inlined(json.loads((source / name).read_bytes()), definitions, ())
        (directory / name).write_text(json.dumps(schema), encoding="utf-8")
    return missing


def _rendered_kinds() -> set[tuple[str, str]]:
    kinds = set()
    for overlay in sorted(OVERLAYS.glob("*/kustomization.yaml")):
        build = [str(KUSTOMIZE), "build", str(overlay.parent)]
        text = subprocess.run(build, capture_output=True, text=True, check=True).stdout
        for document in text.split("\n---\n"):
            version = re.search(r"^apiVersion: (\S+)$", document, re.MULTILINE)
            kind = re.search(r"^kind: (\S+)$", document, re.MULTILINE)
            if version and kind:
                kinds.add((version[1], kind[1]))
    return kinds


def inlined(schema: Any, definitions: dict[str, Any], above: tuple[str, ...]) -> Any:
    """Return ``schema`` with its references replaced by what they mean; a recursive one admits anything."""
    if isinstance(schema, list):
        return [inlined(item, definitions, above) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return {} if name in above else inlined(definitions[name], definitions, (*above, name))
    prose = {"description"} if isinstance(schema.get("description"), str) else set()
    return {key: inlined(schema[key], definitions, above) for key in schema.keys() - prose}


def generate(tree: Path, count: int) -> None:
    """Write a repository of ``count`` overlays: copies of this one's, no two of which render alike.

    Its images are pinned, as those of a fork are: the waivers name the overlays of this repository.
    """
    for part in ("base", "components", "policies", "argocd"):
        shutil.copytree(ROOT / part, tree / part)
    (tree / "policies" / "waivers.yaml").unlink()
    for file in IMAGES:
        text = (ROOT / file).read_text(encoding="utf-8")
        pinned = re.sub(r"^( *(?:newTag|build_image): .*)$", rf"\1@{DIGEST}", text, flags=re.MULTILINE)
        (tree / file).write_text(pinned, encoding="utf-8")
    overlays = sorted(path.parent for path in OVERLAYS.glob("*/kustomization.yaml"))
    for number in range(count):
        overlay = overlays[number % len(overlays)]
        copy = tree / "overlays" / f"{overlay.name}-{number:03}"
        shutil.copytree(overlay, copy)
        with (copy / "kustomization.yaml").open("a", encoding="utf-8") as kustomization:
            kustomization.write(f'commonAnnotations:\n  example.org/copy: "{number}"\n')


def generate_small(tree: Path, count: int) -> None:
    """Write a repository of ``count`` overlays of nine objects, in which no rule finds anything."""
    shutil.copytree(TREE / "base", tree / "base")
    for part in SMALL_PARTS:
        target = tree / "base" / Path(*Path(part).parts[1:])
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / part, target)
    for number in range(count):
        overlay = tree / "overlays" / f"small-{number:03}"
        shutil.copytree(TREE / "overlay", overlay)
        ask_for(overlay, memory=300 + number)


def ask_for(overlay: Path, *, memory: int) -> None:
    """Let a small overlay ask for that many MiB of memory."""
    text = (TREE / "overlay" / PATCH).read_text(encoding="utf-8")
    (overlay / PATCH).write_text(text.replace("256Mi", f"{memory}Mi"), encoding="utf-8")


def peak_memory(command: Command) -> float | None:
    """Return the most MB that the command and its children hold at a time, None without ``/proc``."""
    if not Path("/proc/self/smaps_rollup").exists():
        return None
    peak = 0.0
    with subprocess.Popen(
        command.words, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            peak = max(peak, memory(process.pid))
            time.sleep(_SAMPLE_SECONDS)
    return peak


def memory(pid: int) -> float:
    """Return the MB that a process and its descendants hold.

    The kernel's proportional set sizes count a page that forked processes share once among them.
    """
    total = 0.0
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:  # it has ended
        return total
    found = re.search(r"^Pss:\s+(\d+) kB$", rollup, re.MULTILINE)
    if found:
        total += int(found[1]) / 1024
    return total + sum(memory(int(child)) for child in children)


def compare(binary: Path, rounds: int) -> Iterator[Figure]:
    """Yield validate on this repository against kustomize and kubeconform on the same overlays."""
    with tempfile.TemporaryDirectory() as directory:
        missing = write_schemas(Path(directory))
        if missing:
            print(f"kubeconform has no schema for these and skips them: {', '.join(missing)}")
        ours, theirs = medians([MAKE_VALIDATE, kubeconform(binary, Path(directory))], rounds)
    count = len(list(OVERLAYS.glob("*/kustomization.yaml")))
    yield Figure(f"make validate, {count} overlays", ours.wall, "s", target=0.6)
    yield Figure("for o in overlays/*; kustomize build | kubeconform -strict", theirs.wall, "s")
    yield Figure("the first as a part of the second", ours.wall / theirs.wall, target=0.5)
    yield Figure("the same of processor time", ours.processor / theirs.processor)


def grow(rounds: int) -> Iterator[Figure]:
    """Yield validate on generated repositories, one ten times the other."""
    with generated(generate) as trees:
        small, large = medians([validate(tree) for tree in trees], rounds)
        yield from times(f"python -m validate, {SMALL} generated overlays", small)
        yield from times(f"python -m validate, {LARGE} generated overlays", large)
        yield Figure(f"{LARGE} overlays against {SMALL}", large.wall / small.wall, target=11)
        yield Figure("the same of processor time", large.processor / small.processor)
        peak = peak_memory(validate(trees[1]))
        if peak is not None:
            yield Figure(f"memory at its peak, children included, {LARGE} overlays", peak, "MB", target=300)


def grow_small(rounds: int) -> Iterator[Figure]:
    """Yield validate on generated repositories of nine objects an overlay, and after one change."""
    with generated(generate_small) as trees:
        small, large = medians([validate(tree) for tree in trees], rounds)
        yield from times(f"{SMALL} overlays of 9 objects, cold", small, target=1.0)
        yield from times("Kustomize alone, as validate calls it, on the same", rendering(trees[0]))
        yield from times(
            "one of them has changed, with the cache", after_changes(trees[0], rounds), target=0.25
        )
        yield Figure(f"{LARGE} of them against {SMALL}", large.wall / small.wall, target=11)
        peak = peak_memory(validate(trees[1]))
        if peak is not None:
            yield Figure(f"memory at its peak, {LARGE} of them", peak, "MB", target=500)


def times(what: str, took: Took, target: float | None = None) -> Iterator[Figure]:
    """Yield both times of a command; the target is for the clock."""
    yield Figure(what, took.wall, "s", target)
    yield Figure("the same of processor time", took.processor, "s")


@contextmanager
def generated(write: Callable[[Path, int], None]) -> Iterator[tuple[Path, Path]]:
    """Give a small and a large repository."""
    with tempfile.TemporaryDirectory() as directory:
        small, large = Path(directory) / str(SMALL), Path(directory) / str(LARGE)
        write(small, SMALL)
        write(large, LARGE)
        yield small, large


def rendering(tree: Path) -> Took:
    """Return the times of rendering every overlay as validate does, on all cores, and of nothing else."""
    kustomize = find_kustomize(ROOT)
    overlays = [f"overlays/{overlay.name}" for overlay in (tree / "overlays").iterdir()]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(partial(kustomize.build, tree), overlays))
    return Took.since(began, before)


def after_changes(tree: Path, rounds: int) -> Took:
    """Return the median times of a run with a cache after one overlay has changed."""
    command = replace(validate(tree, "--cache"), cache=tree / ".cache")
    command.took()
    taken = []
    for number in range(rounds):
        ask_for(tree / "overlays" / "small-000", memory=1000 + number)
        taken.append(command.took())
    return Took.median(taken)


def compare_revisions(rounds: int) -> Iterator[Figure]:
    """Yield validate diff on a repository of nine objects an overlay: one changes, then all of them."""
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory) / "repository"
        generate_small(tree, SMALL)
        commit_all(tree)
        one = tree / "overlays" / "small-000"
        cached = replace(difference(tree), cache=Path(directory) / "cache")
        ask_for(one, memory=1000)
        cached.took()
        yield from times(
            f"validate diff, one overlay of {SMALL} has changed, with the cache",
            changing(cached, lambda number: ask_for(one, memory=1001 + number), rounds),
            target=0.5,
        )
        # What runs is compared between overlays, so that all of them have to be looked at.
        yield from times(
            "the image of one has changed, without the cache",
            changing(difference(tree), lambda number: run_image(one, f"28.3.{number}-dind"), rounds),
            target=1.5,
        )
        restore_all(tree)
        yield from times(
            f"base/ has changed, and with it all {SMALL}, without the cache",
            changing(difference(tree), lambda number: ask_in_base(tree, memory=600 + number), rounds),
            target=2.5,
        )
    yield Figure("argocd-diff-preview, one application, as it publishes", PUBLISHED_SECONDS, "s")


def difference(tree: Path) -> Command:
    """Return the command that compares a repository with what is committed; what it finds is no obstacle."""
    words = (sys.executable, "-m", "validate", "diff", "HEAD", "--root", str(tree))
    return Command(words, accepted=(0, 1))


def changing(command: Command, change: Callable[[int], None], rounds: int) -> Took:
    """Return the median times of a command, each after another change."""
    taken = []
    for number in range(rounds):
        change(number)
        taken.append(command.took())
    return Took.median(taken)


def run_image(overlay: Path, tag: str) -> None:
    """Let an overlay run another image of docker-api."""
    text = git(overlay, "show", "HEAD:./kustomization.yaml")
    images = f"images: [{{name: docker.io/library/docker, newTag: '{tag}'}}]\n"
    (overlay / "kustomization.yaml").write_text(f"{text}\n{images}", encoding="utf-8")


def ask_in_base(tree: Path, *, memory: int) -> None:
    """Let docker-api ask for that many MiB of memory in every overlay."""
    text = git(tree, "show", "HEAD:base/docker-api/daemonset.yaml")
    changed = text.replace("memory: 512Mi", f"memory: {memory}Mi", 1)
    if changed == text:
        sys.exit("error: docker-api asks for another amount of memory; correct tools/bench.py")
    (tree / "base" / "docker-api" / "daemonset.yaml").write_text(f"{changed}\n", encoding="utf-8")


def commit_all(tree: Path) -> None:
    """Make a git repository of a tree, with all of it in one commit."""
    git(tree, "init", "--quiet", "--initial-branch", "main")
    git(tree, "add", "--all")
    git(tree, "-c", "user.name=bench", "-c", "user.email=bench@example.org", "commit", "--quiet", "-m", "all")


def restore_all(tree: Path) -> None:
    """Let the tree be what was committed."""
    git(tree, "checkout", "--quiet", "--", ".")


def git(directory: Path, *words: str) -> str:
    """Return what git says in that directory."""
    done = subprocess.run(["git", *words], cwd=directory, capture_output=True, text=True, check=True)  # noqa: S607 - the user's
    return done.stdout.strip()


def main() -> None:
    """Measure, print one table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description="measure validate; see 'make bench'")
    parser.add_argument(
        "--kubeconform", type=Path, required=True, metavar="FILE", help="the binary to compare with"
    )
    parser.add_argument("--rounds", type=int, default=7, help="runs of which the median counts (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()

    few = max(1, options.rounds // 3)
    figures = [*compare(options.kubeconform.resolve(), options.rounds), *grow(few), *grow_small(few)]
    figures += compare_revisions(few)
    print(f"medians on {os.cpu_count()} cores, schemas of Kubernetes {SCHEMAS_OF}:")
    print(*figures, sep="\n")
    if options.json:
        text = json.dumps([asdict(figure) for figure in figures], indent=2)
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
