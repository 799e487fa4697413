"""The wrapper of runc changes what runc may not give, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
WRAPPER = ROOT / "tests" / "e2e" / "airgap" / "engine" / "runc-without-sys-resource"
RUNC = 'printf "%s\\n" "$@" >"$CALLED"; exit "${STATUS:-0}"'
KEPT = ["CAP_CHOWN", "CAP_SYS_ADMIN"]


@pytest.fixture
def runc(command, tmp_path, monkeypatch):
    """Run the wrapper in a bundle, and return the words that runc got."""
    monkeypatch.setenv("CALLED", str(tmp_path / "called"))
    command("runc", RUNC)
    (tmp_path / "bundle").mkdir()

    def call(*words, status=0):
        done = subprocess.run(
            [WRAPPER, *words], cwd=tmp_path / "bundle", env={**os.environ, "STATUS": str(status)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (status, "")
        return (tmp_path / "called").read_text().splitlines()

    return call


def process(**more):
    """A process of a privileged container, as the engine asks for it."""
    names = ("bounding", "effective", "permitted")
    return {
        "args": ["sh"],
        "capabilities": {name: ["CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_SYS_ADMIN"] for name in names},
        **more,
    }


def allowed(**more):
    """What of it can be had."""
    return process(**more) | {"capabilities": dict.fromkeys(("bounding", "effective", "permitted"), KEPT)}


@pytest.fixture
def bundle(tmp_path):
    """The configuration of a container."""

    class Bundle:
        file = tmp_path / "bundle" / "config.json"

        def write(self, **config):
            self.file.write_text(json.dumps(config))

        def read(self):
            return json.loads(self.file.read_text())

    return Bundle()


@pytest.mark.parametrize("where", ["here", "--bundle DIR", "--bundle=DIR", "-b DIR"])
@pytest.mark.parametrize("verb", ["create", "run"])
def test_a_container_is_made_without_the_capability(runc, bundle, tmp_path, verb, where):
    bundle.write(process=process(), root={"path": "rootfs"}, linux={"namespaces": []})
    option = [] if where == "here" else where.replace("DIR", str(tmp_path / "bundle")).split()
    words = ["--log", "/x", verb, *option, "--pid-file", "/y", "ab12"]
    assert runc(*words) == words
    assert bundle.read() == {
        "process": allowed(), "root": {"path": "rootfs"}, "linux": {"namespaces": []},
    }  # fmt: skip


@pytest.mark.parametrize(("asked", "given"), [(-999, 0), (-1, 0), (0, 0), (500, 500)])
def test_a_score_below_zero_is_zero(runc, bundle, asked, given):
    bundle.write(process=process(oomScoreAdj=asked))
    runc("create", "ab12")
    assert bundle.read() == {"process": allowed(oomScoreAdj=given)}


@pytest.mark.parametrize("asked", [{}, {"capabilities": None}, {"capabilities": {"bounding": None}}])
def test_a_process_that_asks_for_little_is_fine(runc, bundle, asked):
    bundle.write(process={"args": ["sh"], **asked})
    runc("create", "ab12")
    (names,) = list(bundle.read()["process"]["capabilities"].values()) or [[]]
    assert names == []


@pytest.mark.parametrize("option", ["--process FILE", "--process=FILE", "-p FILE"])
def test_a_process_in_a_container_is_started_without_it_too(runc, tmp_path, option):
    file = tmp_path / "process.json"
    file.write_text(json.dumps(process(oomScoreAdj=-5, cwd="/")))
    words = ["exec", *option.replace("FILE", str(file)).split(), "--detach", "ab12"]
    assert runc(*words) == words
    assert json.loads(file.read_text()) == allowed(oomScoreAdj=0, cwd="/")


@pytest.mark.parametrize(
    "words",
    [
        ["exec", "ab12", "sh", "-c", "echo"],
        ["--root", "/run/runc", "state", "ab12"],
        ["start", "ab12"],
        ["kill", "--all", "ab12", "9"],
        ["delete", "--force", "ab12"],
        ["--version"],
        ["features"],
        ["update", "--resources", "-", "ab12"],
        [],
    ],
    ids=" ".join,
)
def test_everything_else_is_runc_s_own_business(runc, bundle, words):
    bundle.write(process=process())
    before = bundle.file.read_bytes()
    assert runc(*words) == (words or [""])
    assert bundle.file.read_bytes() == before


def test_what_runc_ends_with_is_what_the_engine_hears(runc):
    runc("state", "ab12", status=7)
