"""What the air-gapped supply needs is installed once, by root, from Debian."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[3] / "tests" / "e2e" / "airgap" / "install"
APT_GET = 'echo "$*" >>"$CALLS"; [ "$1" != "$FAILING" ] || { echo "E: no network" >&2; exit 100; }'


@pytest.fixture
def run(tmp_path):
    """Return a function: runs the script with these commands and no others, and returns all that came."""
    directory = tmp_path / "path"
    directory.mkdir()
    for name, script in {
        "apt-get": APT_GET,
        "apt-cache": '[ "$2" = "$KNOWN" ]',
        "id": "echo ${ID:-0}",
    }.items():
        (directory / name).write_text(f"#!/bin/sh\n{script}\n")
        (directory / name).chmod(0o755)

    def call(*there, without=(), **environment):
        for name in there:
            (directory / name).write_text("#!/bin/sh\n")
            (directory / name).chmod(0o755)
        for name in without:
            (directory / name).unlink()
        calls = tmp_path / "calls"
        settings = {"PATH": str(directory), "CALLS": str(calls), "FAILING": "", "KNOWN": "", **environment}
        done = subprocess.run(
            ["/bin/sh", INSTALL], env=os.environ | settings, capture_output=True, text=True, check=False
        )
        assert done.stdout == ""
        return done.returncode, done.stderr, calls.read_text().splitlines() if calls.exists() else []

    return call


def packages(calls):
    """What is installed."""
    update, install = calls
    assert update == "update -qq"
    return install.removeprefix("install -qq --yes --no-install-recommends ").split()


def test_where_all_is_there_nothing_is_done_by_anybody(run):
    assert run("docker", "dockerd", "mmdebstrap", ID="1000") == (0, "", [])


def test_where_nothing_is_there_all_is_installed(run):
    status, err, calls = run()
    assert (status, err) == (0, "")
    assert packages(calls) == ["docker.io", "mmdebstrap"]


def test_where_the_docker_command_is_a_package_of_its_own_it_is_installed_too(run):
    assert packages(run(KNOWN="docker-cli")[2]) == ["docker.io", "docker-cli", "mmdebstrap"]


@pytest.mark.parametrize(
    ("there", "installed"),
    [
        (["docker", "dockerd"], ["mmdebstrap"]),
        (["docker", "mmdebstrap"], ["docker.io"]),
        (["dockerd", "mmdebstrap"], ["docker.io", "docker-cli"]),
    ],
)
def test_what_is_there_is_not_installed(run, there, installed):
    assert packages(run(*there, KNOWN="docker-cli")[2]) == installed


def test_nobody_but_root_installs(run):
    status, err, calls = run("docker", ID="1000")
    assert (status, err) == (2, f"error: only root can install packages: sudo {INSTALL}\n")
    assert calls == []


def test_a_machine_without_debian_packages_is_told_what_it_needs(run):
    status, err, calls = run(without=["apt-get"])
    assert (status, calls) == (2, [])
    assert err == (
        "error: this installs Debian packages, and there is no apt-get here; "
        "install a Docker engine and mmdebstrap\n"
    )


def test_package_lists_that_cannot_be_had_are_one_sentence(run):
    status, err, calls = run(FAILING="update")
    assert (status, calls) == (2, ["update -qq"])
    assert err == (
        "E: no network\n"
        "error: the package lists cannot be had; apt's sources have to name a mirror that answers\n"
    )


def test_a_package_that_cannot_be_installed_is_one_sentence(run):
    status, err, _ = run(FAILING="install")
    assert status == 2
    assert err == (
        "E: no network\nerror: apt-get cannot install docker.io mmdebstrap; what it says stands above\n"
    )
