"""The benchmark program: its tasks, its stopwatch and its table; the sides are too slow for a test."""

from __future__ import annotations

import io
import json

import pytest

from benchmarks.compare import worker
from benchmarks.compare.data import NUMBERS, STRINGS, make_batches
from benchmarks.compare.report import Result, advantage, print_table
from benchmarks.compare.tasks import TASKS, TENSORFLOW, TORCHEST


def test_all_workloads_are_there():
    assert {"train-linear-512", "train-wide-4096", "train-linear-4096-10M"} <= TASKS.keys()
    assert {"train-dnn-4096-bf16", "predict-dicts-linear-4096"} <= TASKS.keys()


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
