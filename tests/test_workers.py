"""Processes that share items: every result once, no exception lost, nothing left behind."""

from __future__ import annotations

import os
import signal
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validate.errors import CannotCheckError, SourceError
from validate.workers import Workers


def squares(items):
    for item in items:
        yield item * item


def failing_at(item, error, items):
    for one in items:
        if one == item:
            raise error
        yield one


def dying(items):
    yield from items
    os.kill(os.getpid(), signal.SIGKILL)


def large(items):
    for item in items:
        yield bytes([item]) * 1_000_000


def with_footprint(directory, items):
    (directory / str(os.getpid())).touch()
    try:
        yield from items
        signal.pause()
    finally:
        (directory / str(os.getpid())).unlink()


def have_children():
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def results(task, items, processes):
    with Workers(task, items, processes) as workers:
        return list(workers)


@settings(max_examples=30, deadline=None)
@given(items=st.lists(st.integers(), max_size=20), processes=st.integers(0, 4))
def test_every_item_has_one_result_whatever_the_number_of_processes(items, processes):
    assert sorted(results(squares, items, processes)) == sorted(item * item for item in items)
    assert not have_children()


def test_results_larger_than_a_pipe_come_whole():
    assert sorted(results(large, [1, 2, 3, 4, 5], 2)) == [
        bytes([item]) * 1_000_000 for item in (1, 2, 3, 4, 5)
    ]


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_about_a_source_arrives_with_its_place(processes):
    error = SourceError("base/role.yaml", 7, "is not YAML; correct it")
    with pytest.raises(SourceError) as caught:
        results(partial(failing_at, 3, error), [1, 2, 3, 4], processes)
    assert (caught.value.file, caught.value.line, caught.value.problem) == (
        error.file,
        error.line,
        error.problem,
    )
    assert not have_children()


def test_an_exception_that_cannot_be_read_back_arrives_in_words():
    error = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    with pytest.raises(RuntimeError, match=r"UnicodeDecodeError: .* invalid start byte"):
        results(partial(failing_at, 1, error), [1, 2], 2)


def test_a_worker_that_is_killed_is_not_taken_for_one_that_is_done():
    with pytest.raises(CannotCheckError, match="was ended by signal 9; try again with --jobs 1"):
        results(dying, [1, 2, 3], 2)
    assert not have_children()


def test_workers_clean_up_when_nobody_wants_the_rest(tmp_path):
    with Workers(partial(with_footprint, tmp_path), [1, 2], 2) as workers:
        stream = iter(workers)
        assert {next(stream), next(stream)} == {1, 2}
        assert len(list(tmp_path.iterdir())) == 2
    assert not list(tmp_path.iterdir())
    assert not have_children()
