"""The table at the end of a run: what it took, beside what it may take."""

from __future__ import annotations

import pytest

from tests.e2e import measures
from tests.e2e.measures import Measures


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Measures of a machine whose use of memory and disk is what the test says."""
    used = {"memory": 2.0, "disk": 10.0}
    monkeypatch.setattr(measures, "_SAMPLE_SECONDS", 0.01)
    monkeypatch.setattr(measures, "_memory_used", lambda: used["memory"] * 1024**3)
    monkeypatch.setattr(measures, "_disk_used", lambda _: used["disk"] * 1024**3)
    return Measures(tmp_path), used


def test_a_table_says_what_each_stage_took_and_may_take(run):
    run, _ = run
    run.finish()
    run.seconds.update({"cluster up": 44.04, "images loaded": 74.7, "Argo CD up": 36.9, "whole suite": 501.3})
    run.memory, run.space = 1.84, 7.0
    assert list(run.table()) == [
        "                                     took   may take",
        "whole suite                       501.3 s      900 s",
        "cluster up                         44.0 s       60 s",
        "images loaded                      74.7 s       60 s",
        "Argo CD up                         36.9 s",
        "memory beyond the start           1.8 GiB     12 GiB",
        "disk beyond the start             7.0 GiB     25 GiB",
    ]


def test_stages_are_measured_in_the_order_in_which_they_end(run):
    run, _ = run
    for name in ("supply", "cluster up"):
        with run.stage(name):
            pass
    run.finish()
    assert list(run.seconds) == ["supply", "cluster up", "whole suite"]
    assert all(seconds >= 0 for seconds in run.seconds.values())


def test_a_stage_that_fails_is_not_measured(run):
    run, _ = run
    with pytest.raises(RuntimeError), run.stage("cluster up"):
        raise RuntimeError
    run.finish()
    assert list(run.seconds) == ["whole suite"]


def test_the_most_that_was_used_counts_and_only_what_came_on_top(run):
    run, used = run
    for memory, disk in ((5.0, 17.0), (3.0, 11.0)):
        used.update(memory=memory, disk=disk)
        peak = max(memory - 2.0, run.memory), max(disk - 10.0, run.space)
        while (run.memory, run.space) != peak:
            run._done.wait(0.01)  # noqa: SLF001 - until the sampler has looked
    run.finish()
    assert (run.memory, run.space) == (3.0, 7.0)
