"""Calls of hooks and listeners, and the steps at which hooks act, are those of tf.estimator.

One thing differs: a checkpoint is saved after the hooks' `after_run` of its step, so that it has their state and the
random numbers that they drew, wherever the hook that saves stands in the list.
"""

from __future__ import annotations

import contextlib
import itertools

import pytest
import torch
from reference_hooks import (
    REFERENCE,
    Hook,
    Listener,
    estimator,
    expected_steps,
    input_fn,
)
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import torchest
from torchest import inputs

CALLS = {entry["run"]: entry["calls"] for entry in REFERENCE["calls"]}


def train(model, calls, *, rows=100, steps=None, hook=None, stop=-1):
    hooks = [Hook("A", calls, **(hook or {})), Hook("B", calls)]
    listeners = [Listener("L", calls), Listener("M", calls, stop)]
    model.train(lambda: input_fn(rows), hooks, steps, saving_listeners=listeners)


def from_step_3(model, calls):
    model.train(input_fn, steps=3)
    train(model, calls, steps=2)


def evaluate(model, calls):
    model.train(input_fn, steps=3)
    model.evaluate(input_fn, steps=2, hooks=[Hook("A", calls), Hook("B", calls)])


def predict(model, calls):
    model.train(input_fn, steps=3)
    list(model.predict(lambda: input_fn(2), hooks=[Hook("A", calls), Hook("B", calls)]))


def own_saver(model, calls):
    saver = torchest.CheckpointSaverHook(
        model.model_dir, save_steps=3, listeners=[Listener("own", calls)]
    )
    hooks = [Hook("A", calls), saver, Hook("B", calls)]
    listeners = [Listener("L", calls), Listener("M", calls)]
    model.train(input_fn, hooks, steps=4, saving_listeners=listeners)


RUNS = {
    "train(steps=3), saving every 2 steps": lambda m, calls: train(m, calls, steps=3),
    "train, an input of 2 batches": lambda m, calls: train(m, calls, rows=2),
    "A asks for a stop in its second after_run": lambda m, calls: train(m, calls, hook={"stop": 2}),
    "M's after_save returns True at step 2": lambda m, calls: train(m, calls, stop=2),
    "M's after_save returns True at step 0": lambda m, calls: train(m, calls, steps=3, stop=0),
    "A fails in its second after_run": lambda m, calls: train(m, calls, hook={"fail": 2}),
    "train(steps=2) from step 3": from_step_3,
    "evaluate(steps=2) at step 3": evaluate,
    "predict of 2 batches at step 3": predict,
    "train(steps=4) with a CheckpointSaverHook of the user's between A and B": own_saver,
}


def with_saves_after_steps(calls):
    """TensorFlow's calls with listeners before hooks at the beginning and the end, and after them in steps."""
    moments, moment = [], ""
    for call in reversed(calls):  # listeners are called in the moment of the hook that follows
        moment = call.split()[0][2:] if call[0] in "AB" else moment
        moments.insert(0, moment)
    ordered = []
    for moment, group in itertools.groupby(zip(moments, calls, strict=True), lambda pair: pair[0]):
        in_group = [call for _, call in group]
        hooks = [call for call in in_group if call[0] in "AB"]
        saves = [call for call in in_group if call[0] not in "AB"]
        ordered += hooks + saves if moment == "after_run" else saves + hooks
    return ordered


@pytest.mark.parametrize("run", CALLS)
def test_calls_are_tensorflows_but_for_saves_after_steps(tmp_path, run):
    calls = []
    with contextlib.suppress(ValueError):
        RUNS[run](estimator(tmp_path, save_checkpoints_steps=2), calls)
    expected = with_saves_after_steps(CALLS[run])
    if run == "A fails in its second after_run":
        expected = expected[: expected.index("A.after_run 1") + 1]  # what comes after is not saved
    assert calls == expected


def events(directory, tag):
    reader = EventAccumulator(str(directory)).Reload()
    return [event.step for event in reader.Scalars(tag)]


@pytest.mark.parametrize(
    ("hook", "tag"), [("SummarySaverHook", "loss"), ("StepCounterHook", "global_step/sec")]
)
def test_events_are_written_at_tensorflows_steps(tmp_path, hook, tag):
    (expected,) = expected_steps(hook)

    def run(directory, steps):
        estimator(directory, **expected["arguments"]).train(input_fn, steps=steps)
        return events(directory, tag)

    assert run(tmp_path / "alone", 7) == expected["first"]
    before = run(tmp_path / "both", 4)
    assert run(tmp_path / "both", 7)[len(before) :] == expected["second"]


@pytest.mark.parametrize("expected", expected_steps("CheckpointSaverHook"))
def test_checkpoints_are_written_at_tensorflows_steps(tmp_path, expected):
    def run(directory, steps):
        calls = []
        config = {"save_checkpoints_steps": expected["arguments"]["save_steps"]}
        estimator(directory, **config).train(
            input_fn, steps=steps, saving_listeners=[Listener("L", calls)]
        )
        return [int(call.split()[1]) for call in calls if "after_save" in call]

    assert run(tmp_path / "alone", 7) == expected["first"]
    run(tmp_path / "both", 4)
    assert run(tmp_path / "both", 7) == expected["second"]


@pytest.mark.parametrize("expected", expected_steps("LoggingTensorHook"))
def test_values_are_logged_at_tensorflows_steps(tmp_path, caplog, expected):
    caplog.set_level("INFO", "torchest")

    def run(directory, steps):
        caplog.clear()
        hook = torchest.LoggingTensorHook({"step": "global_step"}, **expected["arguments"])
        estimator(directory).train(input_fn, [hook], steps=steps)
        lines = [record.getMessage() for record in caplog.records]
        return [int(line.split()[2]) for line in lines if line.startswith("step = ")]

    assert run(tmp_path / "alone", 7) == expected["first"]
    run(tmp_path / "both", 4)
    assert run(tmp_path / "both", 7) == expected["second"]


def test_traces_are_written_at_tensorflows_steps(tmp_path):
    (expected,) = expected_steps("ProfilerHook")

    def run(directory, steps):
        traces = directory / f"traces of {steps}"
        hook = torchest.ProfilerHook(**expected["arguments"], output_dir=traces)
        estimator(directory).train(input_fn, [hook], steps=steps)
        return sorted(int(path.name.split("-")[1].split(".")[0]) for path in traces.iterdir())

    assert run(tmp_path / "alone", 7) == expected["first"]
    run(tmp_path / "both", 4)
    assert run(tmp_path / "both", 7) == expected["second"]


@pytest.mark.parametrize("expected", expected_steps("StopAtStepHook"))
def test_training_stops_at_tensorflows_steps(tmp_path, expected):
    def run(directory, steps):
        hook = torchest.StopAtStepHook(**expected["arguments"])
        model = estimator(directory).train(input_fn, [hook], steps=steps)
        return [int(model.latest_checkpoint().rpartition("-")[2])]

    assert run(tmp_path / "alone", 7) == expected["first"]
    run(tmp_path / "both", 4)
    assert run(tmp_path / "both", 7) == expected["second"]


def test_listeners_that_would_never_be_called_are_an_error(tmp_path):
    model = estimator(tmp_path, save_checkpoints_steps=None, save_checkpoints_secs=None)
    with pytest.raises(ValueError, match=r"saving_listeners=.* would never be called"):
        model.train(input_fn, steps=1, saving_listeners=[Listener("L", [])])


def test_the_users_saver_saves_nothing_of_a_nan(tmp_path):
    calls = []
    model = estimator(tmp_path)
    saver = torchest.CheckpointSaverHook(model.model_dir, save_steps=1)
    labels = torch.tensor([10.0, 11.0, float("nan"), 13.0])

    def nan_input_fn():
        return inputs.Dataset.from_tensor_slices(({"x": labels}, labels)).batch(1)

    with pytest.raises(torchest.NanLossDuringTrainingError):
        model.train(nan_input_fn, [saver], saving_listeners=[Listener("L", calls)])
    assert [call for call in calls if "after_save" in call] == [
        f"L.after_save {step}" for step in (0, 1, 2)
    ]


def test_a_saver_may_be_used_again_with_other_listeners(tmp_path):
    calls = []
    model = estimator(tmp_path)
    saver = torchest.CheckpointSaverHook(model.model_dir, save_steps=2)
    model.train(input_fn, [saver], steps=2, saving_listeners=[Listener("L", calls)])
    model.train(input_fn, [saver], steps=2, saving_listeners=[Listener("M", calls)])
    assert [call for call in calls if "after_save" in call] == [
        "L.after_save 0", "L.after_save 2", "M.after_save 2", "M.after_save 4"
    ]  # fmt: skip
