"""Early stopping: when it stops is tf.estimator's, and outlives restarts and lost event files."""

from __future__ import annotations

import math

import numpy as np
import pytest
from reference_hooks import REFERENCE, Hook, estimator, input_fn

import torchest
from torchest import experimental
from torchest.evaluation_record import record_evaluation

EACH_STEP = {"run_every_secs": None, "run_every_steps": 1}
CASES = REFERENCE["stops"]
BETTER_AFTER_NAN = ("stop_if_no_increase_hook", "stop_if_no_decrease_hook")


def identity(case):
    return f"{case['function']}-{case['arguments']}-{case['sequence']}"


def last_step(model):
    return int(model.latest_checkpoint().rpartition("-")[2])


def stops_at(model, hook, steps):
    """The step at which a hook ends a training of so many steps from step 0."""
    model.train(input_fn, hooks=[hook], max_steps=steps)
    return last_step(model)


def evaluated(directory, evaluations):
    """An estimator whose evaluations are recorded: pairs of a step and a value of "loss"."""
    model = estimator(directory)
    (directory / "eval").mkdir(parents=True)
    for step, value in evaluations:
        record_evaluation(directory / "eval", step, None, {"loss": float(np.float32(value))})
    return model


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in CASES
        if not (case["sequence"] == "NaN first" and case["function"] in BETTER_AFTER_NAN)
    ],
    ids=identity,
)
def test_it_stops_when_tensorflow_does(tmp_path, case):
    model = evaluated(tmp_path, case["evaluations"])
    hook = getattr(experimental, case["function"])(model, "loss", **case["arguments"], **EACH_STEP)
    stopped = [
        step for (step, _), stop in zip(case["evaluations"], case["stops"], strict=True) if stop
    ]
    last = case["evaluations"][-1][0]
    assert stops_at(model, hook, last + 1) == (stopped[0] if stopped else last + 1)


def test_a_first_value_of_nan_is_no_best_value(tmp_path):
    model = evaluated(tmp_path, [(10, math.nan), (20, 0.4), (30, 0.3), (40, 0.5), (50, 0.6)])
    hook = experimental.stop_if_no_decrease_hook(model, "loss", 20, **EACH_STEP)
    assert stops_at(model, hook, 60) == 50


def test_nan_for_ever_is_no_progress(tmp_path):
    model = evaluated(tmp_path, [(10, math.nan), (20, math.nan), (30, math.nan)])
    hook = experimental.stop_if_no_increase_hook(model, "loss", 20, **EACH_STEP)
    assert stops_at(model, hook, 60) == 30


def test_train_and_evaluate_stops_when_the_loss_falls_no_more(tmp_path):
    model = estimator(tmp_path, save_checkpoints_steps=2)
    hook = experimental.stop_if_no_decrease_hook(model, "loss", 4, **EACH_STEP)
    train = torchest.TrainSpec(input_fn, max_steps=50, hooks=[hook])
    torchest.train_and_evaluate(model, train, torchest.EvalSpec(input_fn, throttle_secs=0))
    assert last_step(model) == 6  # the loss stays as it was at step 2


def test_patience_goes_on_after_a_restart_and_without_event_files(tmp_path):
    config = {"save_checkpoints_steps": 2}
    evaluation = torchest.EvalSpec(input_fn, throttle_secs=0)
    model = estimator(tmp_path, **config)
    torchest.train_and_evaluate(model, torchest.TrainSpec(input_fn, max_steps=4), evaluation)
    for path in tmp_path.rglob("events*"):
        path.unlink()

    again = estimator(tmp_path, **config)
    hook = experimental.stop_if_no_decrease_hook(again, "loss", 6, **EACH_STEP)
    train = torchest.TrainSpec(input_fn, max_steps=50, hooks=[hook])
    torchest.train_and_evaluate(again, train, evaluation)
    assert last_step(again) == 8  # best at step 2, which the first run saw


def test_a_training_that_was_stopped_is_not_gone_on_with_when_it_is_started_again(tmp_path):
    def run():
        model = estimator(tmp_path, save_checkpoints_steps=2)
        hook = experimental.stop_if_no_decrease_hook(model, "loss", 4, **EACH_STEP)
        train = torchest.TrainSpec(input_fn, max_steps=50, hooks=[hook])
        torchest.train_and_evaluate(model, train, torchest.EvalSpec(input_fn, throttle_secs=0))
        return model

    run()
    assert last_step(run()) == 6


def test_evaluations_of_later_steps_do_not_count(tmp_path):
    model = evaluated(tmp_path, [(20, 0.9)])
    hook = experimental.stop_if_higher_hook(model, "loss", 0.5, **EACH_STEP)
    assert stops_at(model, hook, 19) == 19


def test_another_directory_of_evaluations_can_be_watched(tmp_path):
    other = evaluated(tmp_path / "other", [(3, 0.9)])
    model = estimator(tmp_path / "model")
    hook = experimental.stop_if_higher_hook(
        model, "loss", 0.5, eval_dir=other.eval_dir(), **EACH_STEP
    )
    assert stops_at(model, hook, 10) == 3


def test_a_misspelt_metric_is_answered_with_the_nearest(tmp_path):
    model = evaluated(tmp_path, [(1, 0.5)])
    hook = experimental.stop_if_lower_hook(model, "los", 0.1, **EACH_STEP)
    with pytest.raises(
        ValueError,
        match=r"stop_if_lower_hook: metric_name='los' is no metric .* Did you mean 'loss'\?",
    ):
        model.train(input_fn, hooks=[hook], steps=2)


def test_a_function_is_asked_after_the_first_step_and_then_every_so_many(tmp_path):
    asked = []
    calls = []
    model = estimator(tmp_path)
    hook = experimental.make_early_stopping_hook(
        model,
        lambda: bool(asked.append(len([call for call in calls if "after_run" in call]))),
        run_every_secs=None,
        run_every_steps=3,
    )
    model.train(input_fn, hooks=[Hook("A", calls), hook], steps=8)
    assert asked == [1, 4, 7]


def test_a_function_that_says_stop_at_once_leaves_one_step(tmp_path, caplog):
    caplog.set_level("INFO", "torchest")
    model = estimator(tmp_path)
    hook = experimental.make_early_stopping_hook(model, lambda: True)
    assert stops_at(model, hook, 8) == 1
    assert "Requesting early stopping at global step 1." in caplog.text


def test_stop_at_a_checkpoints_step_is_a_stop_at_the_step(tmp_path):
    model = estimator(tmp_path)
    hook = experimental.make_stop_at_checkpoint_step_hook(model, last_step=3)
    assert stops_at(model, hook, 8) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda model: experimental.make_early_stopping_hook("model", lambda: True),
            "make_early_stopping_hook: estimator='model' must be a torchest.Estimator",
        ),
        (
            lambda model: experimental.make_early_stopping_hook(model, True),
            "make_early_stopping_hook: should_stop_fn=True must be a function",
        ),
        (
            lambda model: experimental.stop_if_higher_hook(model, "loss", 1, run_every_steps=5),
            "stop_if_higher_hook: run_every_secs=60 and run_every_steps=5: give exactly one",
        ),
        (
            lambda model: experimental.stop_if_no_decrease_hook(
                model, "loss", 1, run_every_secs=None
            ),
            "stop_if_no_decrease_hook: run_every_secs=None and run_every_steps=None: give exactly one",
        ),
        (
            lambda model: experimental.stop_if_no_increase_hook("m", "loss", 1),
            "stop_if_no_increase_hook: estimator='m' must be",
        ),
        (
            lambda model: experimental.make_stop_at_checkpoint_step_hook("m", 1),
            "make_stop_at_checkpoint_step_hook: estimator='m' must be",
        ),
    ],
)
def test_wrong_use(tmp_path, make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make(estimator(tmp_path))
