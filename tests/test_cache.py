"""The cache: an overlay of which nothing changed is not checked again, and nothing else is believed.

Each run is a process of its own, forked from this one to spare the imports. A kustomize that notes what
it is asked to build tells which overlays were checked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import validate
from validate import engine
from validate.cache import Cache, open_cache
from validate.cli import main
from validate.discover import open_checkout
from validate.kustomize.render import find_kustomize

ROOT = Path(__file__).parent.parent
PACKAGE = Path(validate.__file__).parent

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "quay.io/example/web:1"}]}
"""
PATCH = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3}\n"
KIND = """\
resources: [../../base]
patches: [{path: deployment.replicas.yaml}]
configMapGenerator:
  - {name: fragments, files: [config/50-kind.yaml], envs: [kind.env]}
images: [{name: nobody-runs-it, newTag: "1"}]
"""
FILES = {
    "base/kustomization.yaml": "resources: [deployment.yaml]\n",
    "base/deployment.yaml": DEPLOYMENT,
    "overlays/kind/kustomization.yaml": KIND,
    "overlays/kind/deployment.replicas.yaml": PATCH,
    "overlays/kind/config/50-kind.yaml": "BinderHub: {}\n",
    "overlays/kind/kind.env": "a=1\n",
    "overlays/kind/cluster.yaml": "kubernetes: ['1.33']\n",
    "overlays/eks/kustomization.yaml": "resources: [settings.yaml]\n",
    "overlays/eks/settings.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n",
}
BOTH = ["overlays/eks", "overlays/kind"]


class Site:
    """A repository, a cache of its own, and the runs on them."""

    def __init__(self, root, home):
        self.root = root
        self.home = home
        self.entries = home / "cache" / "binderhub-service-validate"
        self.log = home / "builds"
        self.kustomize = home / "kustomize"
        self.kustomize.write_text(
            f'#!/bin/sh\n[ "$1" = build ] && sed -n "s/^resources: //p" "$2/kustomization.yaml" '
            f'>> {self.log}\nexec {find_kustomize(ROOT).path} "$@"\n'
        )
        self.kustomize.chmod(0o755)
        self.output, self.errors = home / "output", home / "errors"
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "CI"},
            "XDG_CACHE_HOME": str(home / "cache"),
            "KUSTOMIZE": str(self.kustomize),
            "VALIDATE_NO_CACHE": "",
        }
        self.age()

    def command(self, *words):
        return [sys.executable, "-m", "validate", "--root", str(self.root), *words]

    def run(self, *words, **environment):
        """Return status, report and messages of a run, and the overlays that it rendered."""
        self.log.write_text("")
        pid = os.fork()
        if pid == 0:
            self.become(words, environment)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return status, *self.said(), self.built_then()

    def become(self, words, environment):
        """Be a run, and never return into the test."""
        status = 99
        try:
            os.environ.clear()
            os.environ.update(self.environment | environment)
            with self.output.open("w") as sys.stdout, self.errors.open("w") as sys.stderr:
                status = main(["--root", str(self.root), *words])
        finally:
            os._exit(status)

    def said(self):
        return self.output.read_text(), self.errors.read_text()

    def run_edition(self, package):
        """Return the overlays that a run of another copy of validate renders."""
        self.log.write_text("")
        environment = {**self.environment, "PYTHONPATH": ""}
        subprocess.run(self.command(), cwd=package, env=environment, capture_output=True, check=False)
        return self.built_then()

    def built_then(self):
        built = {name for name in BOTH if f"/{name}'" in self.log.read_text()}
        return sorted(built)

    def built(self, *words, **environment):
        return self.run(*words, **environment)[3]

    def write(self, file, content):
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        self.age()

    def age(self):
        """Wait until a file that was just written is older than the next run, as far as clocks can tell.

        What is too young is not kept: a run would only be checked again.
        """
        time.sleep(0.06)


@pytest.fixture
def site(repository, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    return Site(repository(FILES), home)


@pytest.fixture
def warm(site):
    """A site with an entry for each overlay."""
    assert site.built() == BOTH
    return site


def test_what_is_unchanged_is_not_rendered_again_and_the_report_is_the_same(site):
    cold, again = site.run(), site.run()
    assert cold[3] == BOTH
    assert again == (*cold[:3], [])
    assert "error[dead-patch] overlays/kind/kustomization.yaml:5" in cold[1]


def test_every_format_is_the_same_from_the_cache(warm):
    for name in ("text", "json", "sarif", "junit", "github", "markdown"):
        fresh = warm.run("--report", name, "--no-cache")
        kept = warm.run("--report", name)
        assert (fresh[3], kept[3]) == (BOTH, [])
        assert kept[:3] == fresh[:3]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("base/kustomization.yaml", "resources: [deployment.yaml]\nnamespace: web\n"),
        ("base/deployment.yaml", DEPLOYMENT.replace("web:1", "web:2")),
        ("overlays/kind/kustomization.yaml", KIND.replace("nobody", "somebody")),
        ("overlays/kind/deployment.replicas.yaml", PATCH.replace("3", "4")),
        ("overlays/kind/config/50-kind.yaml", "BinderHub: {debug: true}\n"),
        ("overlays/kind/kind.env", "a=2\n"),
        ("overlays/kind/cluster.yaml", "kubernetes: ['1.34']\n"),
    ],
)
def test_a_file_that_changed_makes_its_overlay_checked_again_and_no_other(warm, file, content):
    before = (warm.root / file).stat()
    warm.write(file, content)
    os.utime(warm.root / file, ns=(before.st_atime_ns, before.st_mtime_ns))
    warm.age()
    changed = warm.run()
    assert changed[3] == ["overlays/kind"]
    assert warm.run("--no-cache")[:3] == changed[:3]
    assert warm.run() == (*changed[:3], [])


@pytest.mark.parametrize(
    ("file", "content", "overlay"),
    [
        ("overlays/eks/cluster.yaml", "kubernetes: ['1.33']\n", "overlays/eks"),
        ("overlays/eks/kustomization.yml", "resources: []\n", "overlays/eks"),
        ("base/Kustomization", "resources: []\n", "overlays/kind"),
    ],
)
def test_a_file_that_was_not_there_and_would_have_been_read_makes_it_checked_again(
    warm, file, content, overlay
):
    warm.write(file, content)
    assert warm.built() == [overlay]


@pytest.mark.parametrize("file", ["overlays/kind/cluster.yaml", "overlays/kind/kind.env"])
def test_a_file_that_is_gone_makes_it_checked_again(warm, file):
    (warm.root / file).unlink()
    changed = warm.run()
    assert changed[3] == ["overlays/kind"]
    assert warm.run("--no-cache")[:3] == changed[:3]


def test_a_file_that_became_a_link_to_the_same_content_is_checked_again(warm):
    file = warm.root / "overlays/kind/kind.env"
    elsewhere = warm.home / "kind.env"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    changed = warm.run()
    assert changed[3] == ["overlays/kind"]
    assert "error[unrenderable-overlay]" in changed[1]


def test_a_file_that_was_only_touched_changes_nothing(warm):
    os.utime(warm.root / "base/deployment.yaml", (1, 1))
    assert warm.built() == []


def test_other_rules_have_entries_of_their_own(warm):
    assert warm.built("--rule", "dead-patch") == BOTH
    assert warm.built("--rule", "dead-patch") == []
    assert warm.built() == []


def test_one_overlay_has_the_entry_of_a_run_of_all(warm):
    assert warm.built("kind") == []


def test_what_a_repository_rule_says_depends_on_all_overlays_changed_or_not(warm):
    same = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shared}\n"
    warm.write("base/deployment.yaml", f"{DEPLOYMENT}---\n{same}")
    assert warm.built() == ["overlays/kind"]
    warm.write("overlays/eks/settings.yaml", same)
    changed = warm.run()
    assert changed[3] == ["overlays/eks"]
    assert changed[:3] == warm.run("--no-cache")[:3]


def test_a_new_edition_of_a_rule_checks_everything_again(warm):
    copy = warm.home / "edition"
    shutil.copytree(PACKAGE, copy / "validate", ignore=shutil.ignore_patterns("__pycache__"))
    assert warm.run_edition(copy) == BOTH
    assert warm.run_edition(copy) == []
    rule = copy / "validate" / "rules" / "dead_patch.py"
    before = rule.stat()
    rule.write_text(rule.read_text().replace("changes nothing", "changes nought!"))
    os.utime(rule, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert rule.stat().st_size == before.st_size
    assert warm.run_edition(copy) == BOTH


def test_another_kustomize_checks_everything_again(warm):
    text = warm.kustomize.read_text()
    warm.kustomize.write_text(f"{text}# another\n")
    assert warm.built() == BOTH
    assert warm.built() == []


def test_without_kustomize_nothing_is_believed(warm):
    status, _, errors, _ = warm.run(KUSTOMIZE="", PATH="", HOME="/nonexistent")
    assert (status, errors.partition(";")[0]) == (2, "error: kustomize is not installed")


@pytest.mark.parametrize("name", ["CI", "VALIDATE_NO_CACHE"])
def test_an_environment_variable_turns_it_off_and_the_option_on(site, name):
    assert site.built(**{name: "true"}) == BOTH
    assert not site.entries.exists()
    assert site.built("--cache", **{name: "true"}) == BOTH
    assert site.built("--cache", **{name: "true"}) == []
    assert site.built(**{name: "true"}) == BOTH


def test_an_overlay_that_cannot_be_rendered_is_checked_in_every_run(site):
    site.write("overlays/eks/settings.yaml", "a: [")
    assert [site.run()[0], site.built()] == [1, ["overlays/eks"]]


def test_an_overlay_with_what_is_not_followed_is_checked_in_every_run(site):
    site.write("overlays/eks/transformer.yaml", TRANSFORMER)
    site.write(
        "overlays/eks/kustomization.yaml", "resources: [settings.yaml]\ntransformers: [transformer.yaml]\n"
    )
    assert [site.built(), site.built()] == [BOTH, ["overlays/eks"]]


TRANSFORMER = """\
apiVersion: builtin
kind: PrefixTransformer
metadata: {name: prefix}
prefix: x-
fieldSpecs: [{path: metadata/name}]
"""


def damaged(content):
    """Return ways in which an entry can be something else, by name."""
    seal, states, record = content.split(b"\n")
    middle = len(record) // 2
    return {
        "empty": b"",
        "truncated": content[:-1],
        "cut in the middle": content[: len(content) // 2],
        "only the seal": seal,
        "one bit": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "no findings": content.replace(b"breached", b"holds").replace(b"holds", b"waived"),
        "other states": b"\n".join((seal, b"[]", record)),
        "another record": b"\n".join((seal, states, b"[[],null]")),
        "a pickle": b"cos\nsystem\n(S'touch owned'\ntR.",
        "no text": bytes(range(256)),
        "zeros": b"\0" * len(content),
    }


def test_an_entry_that_is_damaged_is_not_believed(warm):
    report = warm.run()[:3]
    whole = {path: path.read_bytes() for path in warm.entries.glob("*.entry")}
    for way in damaged(next(iter(whole.values()))):
        for path, content in whole.items():
            path.write_bytes(damaged(content)[way])
        assert (way, warm.run()) == (way, (*report, BOTH))
    assert warm.built() == []


def test_an_entry_of_another_overlay_or_repository_is_not_believed(warm, tmp_path):
    one, other = sorted(warm.entries.glob("*.entry"))
    one.write_bytes(other.read_bytes())
    assert len(warm.built()) == 1
    copy = tmp_path / "copy"
    shutil.copytree(warm.root, copy)
    warm.root = copy
    assert warm.built() == BOTH


def test_a_sealed_entry_that_names_code_is_refused_before_it_runs(warm):
    cache = opened(warm)
    for name in BOTH:
        path = cache._path(name)  # noqa: SLF001 - what somebody makes who has read the source
        states = path.read_text().split("\n")[1]
        text = f'{states}\n[["os:system"],[0,"touch {warm.home}/owned"]]'
        path.write_text(f"{cache._seal(name, text)}\n{text}")  # noqa: SLF001 - likewise
    assert opened(warm).restore(BOTH) == {}
    assert not (warm.home / "owned").exists()


def opened(site) -> Cache:
    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.setenv("XDG_CACHE_HOME", site.environment["XDG_CACHE_HOME"])
        context.setenv("KUSTOMIZE", site.environment["KUSTOMIZE"])
        return open_cache(site.root, [])


@pytest.mark.parametrize("kind", ["fifo", "directory", "link"])
def test_what_is_no_plain_file_is_neither_waited_for_nor_followed(warm, kind):
    for entry in warm.entries.glob("*.entry"):
        aside = warm.home / entry.name
        entry.rename(aside)
        if kind == "fifo":
            os.mkfifo(entry)
        elif kind == "directory":
            entry.mkdir()
        else:
            entry.symlink_to(aside)
    assert warm.built() == BOTH


def test_a_file_that_changes_during_a_run_is_not_kept(site):
    text = site.kustomize.read_text()
    site.kustomize.write_text(
        text.replace("exec", f'[ "$1" = build ] && touch {site.root}/base/deployment.yaml\nexec')
    )
    site.age()
    assert [site.built(), site.built()] == [BOTH, ["overlays/kind"]]


def test_runs_beside_one_another_agree_and_leave_whole_entries(site):
    runs = [
        subprocess.Popen(
            site.command("--jobs", "1"),
            cwd=ROOT,
            env=site.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    outputs = [run.communicate() for run in runs]
    assert len(set(outputs)) == 1
    assert outputs[0][1] == b""
    assert sorted(path.suffix for path in site.entries.iterdir()) == [".entry", ".entry"]
    assert site.run()[1:] == (outputs[0][0].decode(), "", [])


@pytest.mark.parametrize("place", ["/proc/none", "/dev/null", "{home}/kustomize"])
def test_a_directory_that_cannot_be_made_is_said_once_and_changes_nothing_else(site, place):
    place = place.format(home=site.home)
    fresh = site.run("--no-cache")
    status, report, errors, built = site.run(XDG_CACHE_HOME=place)
    assert (status, report, built) == (fresh[0], fresh[1], BOTH)
    (note,) = errors.splitlines()
    assert note.startswith(f"note: every overlay is checked anew: {place}/binderhub-service-validate cannot")


def test_a_directory_that_others_can_write_to_is_not_believed(warm):
    warm.entries.chmod(0o777)
    status, _, errors, built = warm.run()
    assert (status, built) == (1, BOTH)
    (note,) = errors.splitlines()
    assert note.endswith(f"others can write to {warm.entries}")


def test_only_its_owner_can_read_what_is_kept(warm):
    assert warm.entries.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in warm.entries.iterdir()} == {0o600}


def test_the_oldest_entries_go_when_there_are_too_many(warm, monkeypatch):
    monkeypatch.setattr("validate.cache._MOST_ENTRIES", 3)
    for number in range(5):
        path = warm.entries / f"{number}.entry"
        path.write_text("")
        os.utime(path, (number, number))
    (warm.entries / ".abandoned.entry.1").write_text("")
    os.utime(warm.entries / ".abandoned.entry.1", (0, 0))
    (warm.entries / ".1234.entry.2").write_text("")
    own = {path.name for path in warm.entries.glob("*.entry")} - {f"{number}.entry" for number in range(5)}
    opened(warm).prune()
    assert {path.name for path in warm.entries.iterdir()} == {*own, "4.entry", ".1234.entry.2"} - {
        ".abandoned.entry.1"
    }


def test_the_engine_keeps_nothing_unless_it_is_given_a_cache(site, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(site.home / "cache"))
    checkout = open_checkout(site.root)
    engine.check(checkout, checkout.overlays, processes=1)
    assert not site.entries.exists()


def test_every_overlay_of_this_repository_is_kept_and_comes_back_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = tmp_path / "copy"
    for part in ("argocd", "base", "components", "config", "overlays", "policies"):
        shutil.copytree(ROOT / part, root / part)
    time.sleep(0.06)
    checkout = open_checkout(root)
    cold = engine.check(checkout, checkout.overlays, cache=open_cache(checkout.root, []))
    cache = open_cache(checkout.root, [])
    assert cache.changed(checkout.overlays) == ()
    kept = engine.check(checkout, checkout.overlays, cache=cache)
    assert (kept.parts, kept.findings) == (cold.parts, cold.findings)
    assert [one.finding for one in kept.waived] == [one.finding for one in cold.waived]
