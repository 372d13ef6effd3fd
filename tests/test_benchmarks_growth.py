"""The plot of speeds over growing work: its points, its clock and its picture."""

from __future__ import annotations

import json
import subprocess
import tempfile
from types import SimpleNamespace

import pytest

from benchmarks import growth, growth_point
from benchmarks.growth_point import Point


def sizes(panel):
    return {size for line in growth.LINES if line.panel == panel for size in line.points}


def test_work_grows_from_little_to_much():
    assert {1, 65_536} <= sizes("batch size")
    assert {1, 1000} <= sizes("columns")
    assert {10_000, 10_000_000} <= sizes("buckets of a column")
    assert {1, 2, 3} <= sizes("processes")


def test_a_line_varies_one_thing():
    (line,) = (line for line in growth.LINES if line.label == "linear, numbers")
    assert line.points[300] == Point(strings=0, numbers=300)


@pytest.mark.parametrize("point", [Point(rows=4, strings=30, numbers=15), Point("dnn", rows=1)])
def test_a_point_trains(point, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(growth_point, "_ROWS_IN_MEMORY", 8)
    small = Point(**{**json.loads(point.json()), "buckets": 10, "seconds": 0})
    assert growth_point.rows_a_second(small) > 0


def test_columns_beyond_the_rows_own_have_the_same_values_again(monkeypatch):
    monkeypatch.setattr(growth_point, "_ROWS_IN_MEMORY", 8)
    batches = growth_point.make_batches(Point(rows=4, strings=27, numbers=1), seed=0)
    features, labels = batches[0]
    assert len(batches) == 2
    assert len(features) == 28
    assert (features["C26"] == features["C0"]).all()
    assert labels.shape == (4,)


def test_the_clock_leaves_out_the_warm_up(monkeypatch):
    now, stops = [0.0], []
    monkeypatch.setattr(growth_point.time, "perf_counter", lambda: now[0])
    speed = growth_point.Speed(seconds=1.0)
    for _ in range(9):
        now[0] += 5 if not stops and speed._steps < 0 else 0.25
        speed.after_run(SimpleNamespace(request_stop=lambda: stops.append(True)), None)
    assert speed.steps_a_second == pytest.approx(4)
    assert stops == [True]


def test_several_ranks_start_by_torchrun(monkeypatch):
    commands = []

    def run(command, **options):
        commands.append(command)
        return SimpleNamespace(stdout='warnings\n{"rows/s": 12.5}\n')

    monkeypatch.setattr(subprocess, "run", run)
    assert growth.speed_of(Point()) == 12.5
    assert growth.speed_of(Point(ranks=3)) == 12.5
    assert "torch.distributed.run" not in commands[0]
    assert "--nproc-per-node=3" in commands[1]


def test_a_training_that_fails_has_no_speed(monkeypatch, capsys):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=""))
    assert growth.speed_of(Point()) is None
    growth.print_table([growth.Result("columns", "linear", 1000, None)])
    assert capsys.readouterr().out.splitlines()[-1] == "| columns | linear | 1,000 | failed |"


def test_the_plot_has_a_panel_for_each_kind_of_growth(tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    results = [
        growth.Result(line.panel, line.label, size, 1e5 / size if size < 1000 else None)
        for line in growth.LINES
        for size in line.points
    ]
    growth.write_plot(results, "commit abc", str(tmp_path / "growth.png"))
    assert (tmp_path / "growth.png").stat().st_size > 10_000
