"""The benchmark program: its tasks, its stopwatch and its table; the sides are too slow for a test."""

from __future__ import annotations

import fnmatch
import importlib.util
import io
import json
import os
import subprocess
import tempfile

import pytest

from benchmarks.compare import __main__ as program
from benchmarks.compare import (
    checkpoint_reading,
    input_torchest,
    program_bare,
    program_torchest,
    saves,
    worker,
)
from benchmarks.compare.data import (
    NUMBERS,
    STRINGS,
    make_batches,
    make_flowers,
    make_number_batches,
    make_rows,
    write_csv,
)
from benchmarks.compare.report import Result, advantage, print_ratios, print_table
from benchmarks.compare.tasks import BARE, QUICK, TASKS, TENSORFLOW, TORCHEST, Task
from torchest import inputs


def test_all_workloads_are_there():
    assert {"train-linear-512", "train-wide-4096", "train-linear-4096-10M"} <= TASKS.keys()
    assert {"train-dnn-4096-bf16", "predict-dicts-linear-4096"} <= TASKS.keys()


def test_the_guides_programs_run_on_quiet_and_on_busy_cores():
    programs = {name for name in TASKS if name.startswith("program-")}
    quiet = {"program-titanic-32", "program-iris-256", "program-toy-2"}
    assert programs == quiet | {f"{name}-busy" for name in quiet}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_each_side_of_a_task_has_a_module(task):
    for side in task.sides:
        module = f"benchmarks.compare.{task.module}_{program.MODULES[side]}"
        assert importlib.util.find_spec(module) is not None, module


@pytest.mark.parametrize("pattern", QUICK)
def test_a_quick_run_names_tasks_that_are_there(pattern):
    assert fnmatch.filter(TASKS, pattern)


def test_a_quick_task_has_less_to_do():
    task = TASKS["program-iris-256"].quick()
    assert task.name == "program-iris-256"
    assert task.steps < TASKS["program-iris-256"].steps


@pytest.mark.parametrize("name", program_torchest.PROGRAMS)
def test_the_guides_programs_train(name, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    program_torchest.PROGRAMS[name](3)
    program_bare.PROGRAMS[name]()(3)


def test_function_calls_are_those_of_one_more_step():
    def step():
        return abs(-1)

    def steps(count):
        len([step() for _ in range(count)])

    assert program_torchest.calls_a_step(steps, 50) == 2


def test_flowers_are_the_same_in_every_process():
    numbers, kinds = make_flowers()
    again, _ = make_flowers()
    assert all((numbers[key] == again[key]).all() for key in numbers)
    assert set(kinds) == {0, 1, 2}


def test_rounds_in_fresh_processes_are_joined(monkeypatch):
    rounds = []

    def in_turns(task, sides, effort):
        rounds.append(sides)
        size = float(len(rounds))
        return [Result(task.name, "steps/s", side, [size], int(9 - size)) for side in sides]

    monkeypatch.setattr(program, "in_turns", in_turns)
    effort = program.Effort(3, 0.5, False)
    results = program.in_fresh_processes(TASKS["program-toy-2"], [TORCHEST, TENSORFLOW], effort)
    assert rounds == [[TORCHEST, TENSORFLOW], [TENSORFLOW, TORCHEST], [TORCHEST, TENSORFLOW]]
    assert [result.side for result in results] == [TORCHEST, TENSORFLOW]
    assert [result.values for result in results] == [[1, 2, 3]] * 2
    assert results[0].memory == 8


@pytest.mark.parametrize("start_together", [False, True])
def test_sides_measure_in_turns_and_whoever_comes_first_changes(start_together, monkeypatch):
    log = []

    class Worker:
        def __init__(self, side, task, effort):
            self.side = side

        def start(self):
            log.append(f"start {self.side}")

        def answer(self, key):
            log.append(f"{key} {self.side}")

        def measure(self):
            log.append(self.side)
            return {"value": float(len(log))}

        def end(self):
            return 100

    monkeypatch.setattr(program, "Worker", Worker)
    effort = program.Effort(2, 0.5, False, start_together)
    ours, theirs = program.in_turns(TASKS["train-linear-512"], ["a", "b"], effort)
    one_by_one = ["start a", "ready a", "start b", "ready b"]
    assert log[:4] == (
        ["start a", "start b", "ready a", "ready b"] if start_together else one_by_one
    )
    assert log[4:] == ["a", "b", "b", "a"]
    assert (ours.values, theirs.values) == ([5.0, 8.0], [6.0, 7.0])
    assert ours.memory == 100


def test_busy_cores_are_free_afterwards(monkeypatch):
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda command: started.append(popen(command)) or started[-1]
    )
    with program._busy_cores():
        assert started
        assert all(process.poll() is None for process in started)
    assert all(process.poll() is not None for process in started)


def test_a_side_that_ended_has_no_values():
    results = program._empty(Task("train"), [TORCHEST, BARE])
    program._add(results[TORCHEST], {"value": 2.0})
    program._add(results[BARE], None)
    assert [result.values for result in program._listed(results)] == [[2.0], []]


def test_rows_are_the_same_in_every_process():
    (features, labels), *_ = make_batches(8, 2)
    again, labels_again = make_batches(8, 2)[0]
    assert list(features) == [*STRINGS, *NUMBERS]
    assert all((features[key] == again[key]).all() for key in features)
    assert (labels == labels_again).all()


def test_the_ratio_is_the_median_of_the_rounds_ratios(capsys):
    ours = Result("train-linear-512", "rows/s", TORCHEST, [20.0, 90.0, 40.0])
    theirs = Result("train-linear-512", "rows/s", TENSORFLOW, [10.0, 30.0, 10.0])
    assert advantage(ours, theirs) == 3.0
    print_table([ours, theirs, Result("train-linear-512", "rows/s", "nobody")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[3] == "| train-linear-512 | tf.estimator | 10 | 10 | 30 | rows/s | 3.00× |  |"
    assert "failed" in lines[4]


def test_the_table_of_ratios_has_one_line_for_each_task(capsys):
    ours = Result("train-linear-512", "rows/s", TORCHEST, [3000.0])
    theirs = Result("train-linear-512", "rows/s", TENSORFLOW, [1000.0])
    limit = Result("train-linear-512", "rows/s", BARE, [6000.0])
    print_ratios([ours, theirs, limit, Result("predict", "s a call", TORCHEST)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:] == ["| train-linear-512 | 3,000 | rows/s | 3.00× | 0.50× bare torch |"]


def test_less_time_is_an_advantage():
    ours = Result("first-step-linear-512", "s", TORCHEST, [2.0])
    assert advantage(ours, Result("first-step-linear-512", "s", TENSORFLOW, [6.0])) == 3.0


def test_a_stopwatch_measures_between_requests(monkeypatch):
    said, now = [], [0.0]
    monkeypatch.setattr(worker, "say", said.append)
    monkeypatch.setattr(worker.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(worker.sys, "stdin", io.StringIO("go\n"))
    stopwatch = worker.Stopwatch(rows=100, seconds=1.0)
    for _ in range(60):
        now[0] += 0.1
        if not stopwatch.tick():
            break
    assert said[0] == {"ready": True}
    assert said[1]["value"] == pytest.approx(1000)
    assert list(said[2]) == ["memory"]
    json.dumps(said)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is moved."""
    now = [100.0]
    monkeypatch.setattr(saves.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(saves.time, "time_ns", lambda: int(now[0] * 1e9))
    return now


@pytest.mark.parametrize(
    ("steps_of_writing", "listeners_are_told_first"), [(0, True), (5, True), (0, False)]
)
def test_a_checkpoint_ends_when_it_is_listed_and_listeners_have_been_told(
    steps_of_writing, listeners_are_told_first, clock, monkeypatch, tmp_path
):
    said = []
    monkeypatch.setattr(saves, "say", said.append)
    monkeypatch.setattr(worker, "say", said.append)
    monkeypatch.setattr(worker.sys, "stdin", io.StringIO("go\n"))
    meter = saves.SaveMeter(str(tmp_path), 1000)
    index = tmp_path / "checkpoint"

    def write_index():
        index.touch()
        os.utime(index, (clock[0], clock[0]))

    def step(seconds):
        clock[0] += seconds
        return meter.after_step()

    meter.before_save()  # at the start of training, which nobody asked for
    write_index()
    meter.after_save()
    assert all(step(0.25) for _ in range(12))
    meter.before_save()
    clock[0] += 2  # training halts
    first, last = meter.after_save, write_index
    if not listeners_are_told_first:
        first, last = last, first
    first()
    for _ in range(steps_of_writing):
        assert step(0.25)
    last()
    assert not step(0.25)
    assert said[0] == {"ready": True}
    assert said[1]["value"] == pytest.approx(2 + 0.25 * steps_of_writing)
    assert said[1]["halted"] == pytest.approx(2)
    assert list(said[2]) == ["memory"]


def test_restoring_ends_with_the_first_step(clock):
    def train():
        clock[0] += 3
        raise saves.Restored

    assert saves.seconds_to_restore(train) == 3


def test_state_is_weights_and_two_slots():
    task = {"buckets": 3_200_000}
    assert saves.state_bytes(task) == 3 * 4 * (26 * 3_200_000 + 13 + 1)


def test_a_whole_file_is_read(tmp_path):
    path = tmp_path / "state"
    path.write_bytes(bytes(100))
    assert checkpoint_reading.read(path) > 0


@pytest.mark.parametrize(("columns", "shape"), [(1000, (8,)), (1, (8, 1000))])
def test_a_thousand_numbers_in_one_column_or_many(columns, shape):
    batches = make_number_batches(8, columns, 2)
    assert [len(features) for features, _ in batches] == [columns] * 2
    assert batches[0][0]["x0"].shape == shape


def test_a_csv_file_has_the_rows(tmp_path):
    write_csv(tmp_path / "rows.csv", 5)
    dataset = inputs.make_csv_dataset(
        tmp_path / "rows.csv", 5, label_name="label", num_epochs=1, shuffle=False
    )
    features, labels = next(iter(dataset))
    expected, expected_labels = make_rows(5)
    assert list(features) == [*STRINGS, *NUMBERS]
    assert features["C1"].to_pylist() == expected["C1"].astype("U").tolist()
    assert features["I1"] == pytest.approx(expected["I1"], abs=1e-6)
    assert labels.tolist() == expected_labels.tolist()


@pytest.mark.parametrize(
    ("model", "rows", "source"),
    [("titanic", 32, "cached"), ("titanic", 32, "shuffled"), ("iris", 256, "batches")],
)
def test_batches_of_the_guides_data_have_no_end(model, rows, source):
    batches = iter(input_torchest.endless({"model": model, "rows": rows, "source": source}))
    input_torchest.take(batches, 30)
    _, labels = next(batches)
    assert 0 < len(labels) <= rows
