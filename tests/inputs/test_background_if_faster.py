"""Batches are made where that costs least: in the thread that uses them while it is quick, else in another."""

from __future__ import annotations

import itertools
import threading
import time
from types import SimpleNamespace

import pytest

from torchest.inputs import background


@pytest.fixture
def threads_of(monkeypatch):
    """Which threads make batches that take so many seconds, on two cores, by clocks that nothing else moves on."""
    now = SimpleNamespace(passed=0.0, of_thread=0.0, of_process=0.0)
    clocks = {
        "perf_counter": lambda: now.passed,
        "thread_time": lambda: now.of_thread,
        "process_time": lambda: now.of_process,
    }
    monkeypatch.setattr(background, "time", SimpleNamespace(**clocks))
    monkeypatch.setattr(background, "_number_of_cores", lambda: 2)

    def batches(durations, waits):
        for seconds in durations:
            now.passed += seconds
            now.of_thread += 0 if waits else seconds
            now.of_process += 0 if waits else seconds
            yield threading.get_ident()

    def made_in(*durations, waits=False, cores_in_steps=1.0, paused_at=None):
        actual = []
        for thread in background.in_background_if_faster(batches(durations, waits), 2):
            actual.append(thread)
            pause = 5 if len(actual) == paused_at else 0  # in which one core is taken
            now.passed += 0.01 + pause
            now.of_process += 0.01 * cores_in_steps + pause
        return actual

    return made_in


def test_quick_batches_are_made_in_this_thread(threads_of):
    assert set(threads_of(*[0.0014] * 1000)) == {threading.get_ident()}


def test_slow_batches_are_made_ahead_in_another_thread(threads_of):
    made_in = threads_of(*[0.005] * 80)
    assert made_in[0] == threading.get_ident()
    assert len(set(made_in)) == 2
    assert made_in[-1] != threading.get_ident()


def test_batches_that_become_slow_are_made_ahead_from_then_on(threads_of):
    made_in = threads_of(*[0.0] * 15, *[0.02] * 25)
    assert set(made_in[:15]) == {threading.get_ident()}
    assert made_in[-1] != threading.get_ident()


def test_quick_batches_stay_in_this_thread_when_the_machine_is_slow_for_moments(threads_of):
    assert set(threads_of(*[*[0.0] * 299, 0.05] * 4)) == {threading.get_ident()}


def test_batches_of_chunks_that_are_slow_to_read_are_made_ahead(threads_of):
    made_in = threads_of(*[0.0, 0.0, 0.0, 0.0, 0.1] * 8)
    assert made_in[0] == threading.get_ident()
    assert made_in[-1] != threading.get_ident()


@pytest.mark.parametrize("step", [None, 1, 100])
def test_batches_that_are_computed_stay_in_this_thread_where_steps_take_all_cores(threads_of, step):
    actual = threads_of(*[0.005] * 1000, cores_in_steps=1.9, paused_at=step)
    assert set(actual) == {threading.get_ident()}


def test_batches_that_take_longer_than_a_step_are_made_ahead_also_where_steps_take_all_cores(
    threads_of,
):
    assert len(set(threads_of(*[0.03] * 80, cores_in_steps=1.9))) == 2


def test_batches_that_are_waited_for_are_made_ahead_where_steps_take_all_cores(threads_of):
    assert len(set(threads_of(*[0.005] * 80, waits=True, cores_in_steps=1.9))) == 2


@pytest.mark.parametrize(("waits", "ahead"), [(True, 5), (False, 1)])
def test_long_waits_count_from_the_first_batch_and_long_computations_later(
    threads_of, waits, ahead
):
    made_in = threads_of(*[1.0] * 7, waits=waits)
    assert len([thread for thread in made_in if thread != threading.get_ident()]) == ahead


@pytest.mark.parametrize("seconds", [0, 0.05])
def test_an_error_comes_after_the_batches_before_it(seconds):
    def batches():
        for number in range(10):
            time.sleep(seconds)
            yield number
        raise ValueError("no more")

    ahead = background.in_background_if_faster(batches(), 2)
    assert list(itertools.islice(ahead, 10)) == list(range(10))
    with pytest.raises(ValueError, match="no more"):
        next(ahead)


@pytest.mark.parametrize("seconds", [0, 0.05])
def test_closing_ends_what_makes_the_batches(seconds):
    ended = threading.Event()

    def batches():
        try:
            for number in itertools.count():
                time.sleep(seconds)
                yield number
        finally:
            ended.set()

    made = batches()
    ahead = background.in_background_if_faster(made, 2)
    assert [next(ahead) for _ in range(15)] == list(range(15))
    ahead.close()
    made.close()
    assert ended.wait(5)
    assert not [t for t in threading.enumerate() if t.name == "torchest-background"]
