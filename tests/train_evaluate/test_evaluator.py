from __future__ import annotations

import json
import logging
import math

import numpy as np
import pytest

import torchest
from torchest import columns as fc
from torchest.checkpoint.directory import latest_checkpoint
from torchest.train_evaluate.evaluator import Evaluator

QUIET = torchest.RunConfig(
    save_summary_steps=None, log_step_count_steps=None, keep_checkpoint_max=None
)


def data():
    return {"x": [1.0, 2.0]}, [2.0, 4.0]


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Recorder(torchest.Exporter):
    """Notes what it is called with, and exports as it is told."""

    def __init__(self, name="recorder", exports=lambda is_last: None):
        self._name = name
        self._exports = exports
        self.calls = []

    @property
    def name(self):
        return self._name

    def export(self, estimator, export_path, checkpoint_path, eval_result, is_the_final_export):
        step = int(checkpoint_path.rpartition("-")[2])
        assert eval_result["global_step"] == step
        self.calls.append((step, is_the_final_export))
        self.last = export_path, dict(eval_result)
        return self._exports(is_the_final_export)


@pytest.fixture
def model(tmp_path):
    return torchest.LinearRegressor([fc.numeric_column("x")], tmp_path, config=QUIET)


@pytest.fixture
def evaluations(model, monkeypatch):
    """The steps that are evaluated."""
    steps = []
    evaluate = model.evaluate

    def noted(*arguments, **keywords):
        actual = evaluate(*arguments, **keywords)
        steps.append(int(actual["global_step"]))
        return actual

    monkeypatch.setattr(model, "evaluate", noted)
    return steps


def train(model, steps=1):
    """The path of the checkpoint after some more steps."""
    return model.train(data, steps=steps).latest_checkpoint()


def evaluator(model, max_steps=None, clock=None, **spec):
    spec = torchest.EvalSpec(data, steps=1, **{"throttle_secs": 0, **spec})
    return Evaluator(model, spec, max_steps, clock or Clock())


def test_throttling_counts_from_the_start_of_the_last_evaluation(model, evaluations, caplog):
    caplog.set_level(logging.INFO, "torchest")
    clock = Clock()

    class TakesTenSeconds(torchest.SessionRunHook):
        def end(self, session):
            clock.now += 10

    actual = evaluator(model, clock=clock, throttle_secs=60, hooks=[TakesTenSeconds()])
    actual.at(train(model))  # from 0 s to 10 s
    clock.now = 1059.0
    actual.at(train(model))
    assert evaluations == [1]
    assert "Skip the evaluation of" in caplog.text
    assert "model.ckpt-2: the last one began 59 s ago, and throttle_secs=60." in caplog.text
    clock.now = 1060.0
    actual.at(train(model))
    assert evaluations == [1, 3]


def test_the_clock_is_monotonic_by_default(model, monkeypatch):
    monkeypatch.setattr("time.time", lambda: pytest.fail("the system's clock is asked"))
    actual = Evaluator(model, torchest.EvalSpec(data, throttle_secs=60), None)
    assert actual.seconds_to_wait() == 0


def test_an_unchanged_checkpoint_is_not_evaluated_twice_and_a_line_says_so(
    model, evaluations, caplog
):
    caplog.set_level(logging.INFO, "torchest")
    actual, path = evaluator(model), train(model)
    actual.at(path)
    actual.at(path)
    evaluator(model).finish(path)  # another process
    assert evaluations == [1]
    line = f"{path} was evaluated before and has not changed: it is not evaluated again."
    assert caplog.messages.count(line) == 2


def test_another_model_of_the_same_step_is_evaluated(model, evaluations, tmp_path):
    evaluator(model).finish(train(model))
    for path in tmp_path.glob("model.ckpt-*"):
        path.rename(tmp_path / f"old-{path.name}")
    (tmp_path / "checkpoint").unlink()
    model.train(lambda: ({"x": [5.0]}, [1.0]), steps=1)
    evaluator(model).finish(latest_checkpoint(tmp_path))
    assert evaluations == [1, 1]


def test_the_last_checkpoint_is_evaluated_whatever_the_throttle(model, evaluations):
    actual = evaluator(model, throttle_secs=600)
    actual.at(train(model))
    actual.finish(train(model))
    assert evaluations == [1, 2]


def test_max_steps_tells_the_last(model):
    exporter = Recorder()
    actual = evaluator(model, max_steps=2, exporters=exporter)
    actual.at(train(model))
    actual.at(train(model))
    assert exporter.calls == [(1, False), (2, True)]


def test_who_exported_nothing_is_told_when_a_checkpoint_turns_out_to_be_the_last(model):
    always, final = Recorder("always", lambda _: "a"), Recorder("final", lambda last: last or None)
    actual = evaluator(model, exporters=[always, final])
    path = train(model)
    actual.at(path)
    assert (actual.result["global_step"], actual.exports) == (1, ["a", None])
    actual.finish(path)
    assert (always.calls, final.calls) == ([(1, False)], [(1, False), (1, True)])
    assert (actual.result["global_step"], actual.exports) == (1, ["a", True])


def test_exports_that_a_kill_prevented_are_made_up_for_without_another_evaluation(
    model, evaluations, caplog
):
    caplog.set_level(logging.INFO, "torchest")

    def killed(_):
        raise KeyboardInterrupt

    first, second = Recorder("first", lambda _: "1"), Recorder("second", killed)
    path = train(model)
    with pytest.raises(KeyboardInterrupt):
        evaluator(model, exporters=[first, second]).at(path)
    again = [Recorder("first", lambda _: "1"), Recorder("second", lambda _: "2")]
    actual = evaluator(model, exporters=again)
    actual.at(path)
    assert evaluations == [1]
    assert (again[0].calls, again[1].calls) == ([], [(1, False)])
    assert actual.exports == [None, "2"]
    metrics = again[1].last[1]
    assert metrics == second.last[1] == actual.result
    assert isinstance(metrics["loss"], np.float32)
    assert "it is not evaluated again, only exported (second)." in caplog.text


def test_a_metric_that_is_nan_is_remembered(model, tmp_path):
    model = torchest.add_metrics(
        model, lambda labels: {"nan": torchest.metrics.mean(labels * math.nan)}
    )
    evaluator(model).at(train(model))
    exporter = Recorder()
    evaluator(model, exporters=exporter).finish(model.latest_checkpoint())
    assert math.isnan(exporter.last[1]["nan"])


def test_where_exports_go(model, tmp_path):
    exporter = Recorder("mine")
    evaluator(model, exporters=exporter).at(train(model))
    assert exporter.last[0] == f"{tmp_path}/export/mine"


def test_evaluations_of_each_name_are_remembered_apart(model, evaluations, tmp_path):
    path = train(model)
    evaluator(model, name="a").at(path)
    evaluator(model, name="b").at(path)
    evaluator(model, name="a").at(path)
    assert evaluations == [1, 1]
    known = json.loads((tmp_path / "eval_a/train_and_evaluate.json").read_text())
    assert known["metrics"]["global_step"] == 1


def test_a_damaged_memory_is_told_and_the_checkpoint_is_evaluated_again(
    model, evaluations, tmp_path, caplog
):
    path = train(model)
    evaluator(model).at(path)
    (tmp_path / "eval/train_and_evaluate.json").write_text("{")
    evaluator(model).at(path)
    assert evaluations == [1, 1]
    assert "train_and_evaluate.json is not readable" in caplog.text
