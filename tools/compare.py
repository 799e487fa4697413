"""Sets validate beside the pipelines that people use, on the same overlays: ``make compare``.

Each tool runs before and after each of ten edits; what it reports of the edit is the difference between
the two outputs, so nobody's opinion is in the table. The page is written anew from each run.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.bench import ENVIRONMENT, KUSTOMIZE, ROOT, SCHEMAS_OF, Command, medians, write_schemas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

PAGE = ROOT / "docs" / "explanation" / "comparison.md"
SOURCES = ("argocd", "base", "components", "overlays", "policies")
# Kustomize's encoding of a hash: an edit of a ConfigMap renames it, and that is no news.
_HASH = re.compile(r"-[bcdfghkmt2456789]{10}\b")


@dataclass(frozen=True)
class Edit:
    """One edit as somebody would make it in a pull request: ``before`` stands once in ``file``."""

    title: str
    file: str
    before: str
    after: str

    def make(self, tree: Path) -> frozenset[int]:
        """Make it in ``tree`` and return the lines on which a report of it would be at its place."""
        path = tree / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.before) != 1:
            sys.exit(f"error: {self.before!r} stands {text.count(self.before)} times in {self.file}")
        edited = text.replace(self.before, self.after)
        path.write_text(edited, encoding="utf-8")
        return edited_lines(text, edited)


EDITS = (
    Edit(
        "docker-api runs on other nodes than builds",
        "overlays/eks/daemonset.build-pool.yaml",
        "nodegroup: builds",
        "nodegroup: build",
    ),
    Edit(
        "`nodeSelector` for `node_selector` in BinderHub's configuration",
        "overlays/eks/config/50-eks.yaml",
        "node_selector:",
        "nodeSelector:",
    ),
    Edit(
        "builds mount another socket",
        "base/binderhub/config/00-base.yaml",
        "docker_host: /run/binderhub/binderhub/binderhub/docker-api.sock",
        "docker_host: /run/binderhub/docker-api.sock",
    ),
    Edit(
        "a Service selects the pods of two workloads",
        "base/binderhub/service.yaml",
        "selector:\n    app.kubernetes.io/component: binderhub",
        "selector:\n    app.kubernetes.io/name: binderhub-service",
    ),
    Edit(
        "a probe asks for `/health`",
        "base/binderhub/deployment.yaml",
        "readinessProbe:\n            httpGet:\n              path: /versions",
        "readinessProbe:\n            httpGet:\n              path: /health",
    ),
    Edit(
        "a patch of a name that nothing has",
        "overlays/eks/daemonset.build-pool.yaml",
        "name: docker-api",
        "name: docker-apis",
    ),
    Edit(
        "another key in the Secret that builds push with",
        "components/credentials-generated/kustomization.yaml",
        "- files/config.json",
        "- .dockerconfigjson=files/config.json",
    ),
    Edit(
        "a NetworkPolicy is dropped that lets docker-api out",
        "policies/network/kustomization.yaml",
        "  - allow-docker-api-to-internet.yaml\n",
        "",
    ),
    Edit(
        "BinderHub's image becomes `latest`",
        "base/images/kustomization.yaml",
        "newTag: 1.0.0-0.dev.git.3983.h383374de",
        "newTag: latest",
    ),
    Edit(
        "the readiness probe of docker-api is removed",
        "base/docker-api/daemonset.yaml",
        "          readinessProbe:\n            exec:\n              command: [docker, version]\n"
        "            periodSeconds: 10\n            timeoutSeconds: 10\n",
        "",
    ),
)


@dataclass(frozen=True)
class Entry:
    """One thing that a tool reports.

    Attributes:
        key: what makes it the same before and after an edit.
        shown: how the table names it.
        file: relative to the tree, empty where the tool names none of its files.
        line: in that file, 0 without one.
        waived: it is reported as accepted, and fails nothing.
    """

    key: tuple[str, ...]
    shown: str
    file: str = ""
    line: int = 0
    waived: bool = False


@dataclass(frozen=True)
class Tool:
    """A pipeline: ``command`` of (tree, scratch directory) is bash, ``read`` understands its output."""

    title: str
    version: str
    command: Callable[[Path, Path], str]
    read: Callable[[str], Iterator[Entry]]

    def measured(self, tree: Path, scratch: Path) -> Command:
        """Return the command as what is measured; findings are no obstacle."""
        return Command(("bash", "-c", self.command(tree, scratch)), accepted=(0, 1))

    def entries(self, tree: Path) -> Counter[Entry]:
        """Return what it reports of ``tree``."""
        with tempfile.TemporaryDirectory() as directory:
            words = ["bash", "-c", self.command(tree, Path(directory))]
            done = subprocess.run(
                words, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
            )
        if done.returncode not in (0, 1):
            sys.exit(f"error: {self.title} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        if not done.stdout.strip():
            # Kustomize has failed, and the pipeline with it.
            error = done.stderr.strip().replace(str(tree), "")
            return Counter([Entry(("kustomize", error), "`kustomize build` fails")])
        return Counter(self.read(done.stdout))


def edited_lines(before: str, after: str) -> frozenset[int]:
    """Return the lines of ``after`` that are new; of what was removed, the line that it stood under.

    Where nothing is indented less above it, that is line 1.
    """
    old, new = before.splitlines(), after.splitlines()
    lines: set[int] = set()
    for kind, first, _, start, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind in ("replace", "insert"):
            lines.update(range(start + 1, end + 1))
        elif kind == "delete":
            lines.add(_parent(new[:start], _indent(old[first])))
    return frozenset(lines)


def _parent(above: Sequence[str], indent: int) -> int:
    for number in range(len(above), 0, -1):
        line = above[number - 1]
        if line.strip() and not line.lstrip().startswith("#") and _indent(line) < indent:
            return number
    return 1


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def verdict(before: Counter[Entry], after: Counter[Entry], file: str, lines: Iterable[int]) -> str:
    """Return what a tool reports of an edit of ``file`` on ``lines``, as a cell of the table."""
    known = Counter(entry.key for entry in before.elements() if not entry.waived)
    waived = {entry.key for entry in before if entry.waived}
    keys = Counter(entry.key for entry in after.elements() if not entry.waived) - known
    fresh = sorted((entry for entry in after if entry.key in keys), key=lambda entry: entry.shown)
    accepted = set(lines)
    at_its_line = [entry for entry in fresh if entry.file == file and entry.line in accepted]
    if at_its_line:
        return f"at its line: {_names(at_its_line)}"
    if fresh:
        return f"elsewhere: {_names(fresh)}"
    if any(entry.waived and entry.key not in waived for entry in after):
        return "not reported: a waiver covers it"
    return "not reported"


def _names(entries: Iterable[Entry]) -> str:
    return ", ".join(dict.fromkeys(entry.shown for entry in entries))


def rendered(tool: str) -> Callable[[Path, Path], str]:
    """Return the pipeline that renders each overlay to a file and gives ``tool`` the directory."""

    def command(tree: Path, scratch: Path) -> str:
        kustomize = shlex.quote(str(KUSTOMIZE))
        build = f'{kustomize} build "$o" > {scratch}/"$(basename "$o")".yaml'
        loop = f"for o in {tree}/overlays/*/; do {build}; done"
        return f"set -e; {loop}; {tool} {scratch}"

    return command


def validate() -> Tool:
    """Return this repository's own."""
    words = shlex.join([sys.executable, "-m", "validate", "--no-cache", "--report", "json", "--root"])
    return Tool("validate", "this commit", lambda tree, _: f"{words} {tree}", read_validate)


def kubeconform(binary: Path, schemas: Path) -> Tool:
    """Return kubeconform, with a schema for each kind that has one."""
    location = f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    options = ["-strict", "-ignore-missing-schemas", "-output", "json", "-schema-location", location]
    tool = shlex.join([str(binary), *options])
    return Tool("kubeconform -strict", _version(binary), rendered(tool), read_kubeconform)


def checkov(binary: Path) -> Tool:
    """Return checkov with all its checks of Kubernetes."""
    options = ["--framework", "kubernetes", "--output", "json", "--quiet", "--skip-download", "--directory"]
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return Tool("checkov", version, rendered(shlex.join([str(binary), *options])), read_checkov)


def conftest(binary: Path) -> Tool:
    """Return conftest with the two rules of ``tools/rego``."""
    options = ["test", "--policy", str(ROOT / "tools" / "rego"), "--output", "json"]
    tool = shlex.join([str(binary), *options])
    return Tool("conftest, two rules", _version(binary), rendered(tool), read_conftest)


def _version(binary: Path) -> str:
    return binary.name.partition("-")[2]


def read_validate(output: str) -> Iterator[Entry]:
    """Yield the findings of a JSON report, those that are waived among them."""
    report = json.loads(output)
    for part, waived in (("findings", False), ("waived", True)):
        for finding in report[part]:
            at = finding["at"]
            key = (finding["overlay"], finding["rule"], at["object"], finding["problem"])
            yield Entry(key, f"`{finding['rule']}`", at["file"], at["line"], waived)


def read_kubeconform(output: str) -> Iterator[Entry]:
    """Yield the objects that are not valid."""
    for resource in json.loads(output)["resources"] or ():
        title = f"{resource['kind']} {_unhashed(resource['name'])}"
        yield Entry((Path(resource["filename"]).name, title, resource["msg"]), resource["status"])


def read_checkov(output: str) -> Iterator[Entry]:
    """Yield the failed checks; their lines are those of the rendered file, which nobody edits."""
    report: Any = json.loads(output)
    for check in report["results"]["failed_checks"]:
        key = (check["check_id"], check["file_path"], _unhashed(check["resource"]))
        yield Entry(key, f"{check['check_id']} ({check['check_name']})")


def read_conftest(output: str) -> Iterator[Entry]:
    """Yield the messages of the rules."""
    for result in json.loads(output):
        for failure in result.get("failures", ()):
            message = _unhashed(failure["msg"])
            yield Entry((Path(result["filename"]).name, message), message.rpartition(": ")[2])


def _unhashed(name: str) -> str:
    return _HASH.sub("", name)


def edited(directory: Path, edit: Edit | None) -> tuple[Path, frozenset[int]]:
    """Copy what overlays are made of to a directory and make an edit in it; return it and the lines."""
    tree = directory / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    for name in SOURCES:
        shutil.copytree(ROOT / name, tree / name)
    return tree, edit.make(tree) if edit else frozenset()


def compare(tools: Sequence[Tool], rounds: int) -> tuple[list[float], list[list[str]], list[str]]:
    """Return the seconds of each tool on the unedited tree, a row of verdicts an edit, and what stands."""
    with tempfile.TemporaryDirectory() as directory:
        tree, _ = edited(Path(directory), None)
        scratch = Path(directory) / "rendered"
        scratch.mkdir()
        times = medians([tool.measured(tree, scratch) for tool in tools], rounds)
        before = [tool.entries(tree) for tool in tools]
        rows = []
        for edit in EDITS:
            tree, lines = edited(Path(directory), edit)
            after = [tool.entries(tree) for tool in tools]
            rows.append([verdict(old, new, edit.file, lines) for old, new in zip(before, after, strict=True)])
    standing = [
        f"{tool.title}: {_names(sorted(old, key=lambda entry: entry.shown))}"
        for tool, old in zip(tools[1:], before[1:], strict=True)
        if old
    ]
    return [took.wall for took in times], rows, standing


def page(  # noqa: PLR0913 - the parts of the page
    tools: Sequence[Tool],
    times: Sequence[float],
    rows: Sequence[Sequence[str]],
    standing: Sequence[str],
    missing: str,
    *,
    rounds: int,
) -> str:
    """Return the page."""
    overlays = len(list((ROOT / "overlays").glob("*/kustomization.yaml")))
    kustomize = KUSTOMIZE.resolve().name.partition("-")[2]
    reported = [sum(row[column].startswith(("at", "else")) for row in rows) for column in range(len(tools))]
    placed = [sum(row[column].startswith("at") for row in rows) for column in range(len(tools))]
    figures = zip(tools, times, reported, placed, strict=True)
    lines = [
        "# validate beside other tools",
        "",
        "<!-- Written by tools/compare.py from a run of all of them: make compare -->",
        "",
        f"Four pipelines over the {overlays} overlays of this repository, on {datetime.now(UTC):%d %B %Y}.",
        f"The machine has {os.cpu_count()} cores ({platform.system()}, {platform.machine()}), and Python is",
        f"{platform.python_version()}. It did other work too: at the end, its load average was",
        f"{os.getloadavg()[0]:.1f}.",
        "So the seconds are worth less than their order. The tools took turns, after one run to warm up;",
        f"each figure is the median, and the number of runs was {rounds}.",
        "",
        f"All but validate read what `kustomize build` ({kustomize}) renders, and their time includes it.",
        f"kubeconform has the strict schemas of Kubernetes {SCHEMAS_OF}{missing}.",
        "checkov runs all its checks of Kubernetes. conftest has two rules: no image without a tag or with",
        "`latest`, and no privileged container.",
        "",
        "| Tool | Version | Seconds | Reported | At its line |",
        "|---|---|---:|---:|---:|",
        *(
            f"| {tool.title} | {tool.version} | {wall:.2f} | {count} of {len(rows)} | {at} of {len(rows)} |"
            for tool, wall, count, at in figures
        ),
        "",
        "## What each reports of an edit",
        "",
        "Each edit is made alone. A tool reports it where its output has something that it had not before.",
        '"At its line" is the file and line of the edit; of what was removed, the line that it stood under.',
        '"Elsewhere" is any other place, a rendered object or none.',
        "",
        f"| Edit | {' | '.join(tool.title for tool in tools)} |",
        "|---|" + "---|" * len(tools),
        *(
            f"| {edit.title} (`{edit.file}`) | {' | '.join(row)} |"
            for edit, row in zip(EDITS, rows, strict=True)
        ),
        "",
        "## How to read this",
        "",
        "The edits are ours. Most are about how the parts of this system fit, which no general tool knows.",
        "kubeconform asks about the shape of objects, and conftest what it is told: more Rego rules would",
        "report more. Waivers accept images by tag here, each one tag of one image.",
        "",
        "Of the overlays as they are, the others report:",
        "",
        *(f"- {line}" for line in standing),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the tools and write the page."""
    parser = argparse.ArgumentParser(description="set validate beside other tools; see 'make compare'")
    for name in ("kubeconform", "checkov", "conftest"):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE", help="its command")
    parser.add_argument("--rounds", type=int, default=3, help="runs of which the median counts (%(default)s)")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as schemas:
        kinds = write_schemas(Path(schemas))
        tools = (
            validate(),
            kubeconform(options.kubeconform.absolute(), Path(schemas)),
            checkov(options.checkov.absolute()),
            conftest(options.conftest.absolute()),
        )
        times, rows, standing = compare(tools, options.rounds)
    missing = f", and skips these kinds: {', '.join(kinds)}" if kinds else ""
    PAGE.write_text(page(tools, times, rows, standing, missing, rounds=options.rounds), encoding="utf-8")
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
