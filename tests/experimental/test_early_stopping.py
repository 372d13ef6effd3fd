"""Early stopping: when it stops is tf.estimator's, and outlives restarts and lost event files."""

from __future__ import annotations

import math

import numpy as np
import pytest
from reference_hooks import REFERENCE, Hook, estimator, input_fn

import torchest
from torchest import experimental
from torchest.modes.evaluation_record import record_evaluation

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
        match=r"stop_if_lower_hook: metric_name='los' is not a metric .* Did you mean 'loss'\?",
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


HOOKS = {  # they never want to stop
    "stop_if_higher_hook": {"metric_name": "loss", "threshold": 1e9},
    "stop_if_lower_hook": {"metric_name": "loss", "threshold": -1e9},
    "stop_if_no_increase_hook": {"metric_name": "loss", "max_steps_without_increase": 100},
    "stop_if_no_decrease_hook": {"metric_name": "loss", "max_steps_without_decrease": 100},
}


def warnings_in(caplog):
    return [
        record.getMessage() for record in caplog.records if "could not end" in record.getMessage()
    ]


@pytest.mark.parametrize("function", HOOKS)
def test_a_hook_that_reads_another_evaluation_says_where_there_are_some(tmp_path, caplog, function):
    model = estimator(tmp_path, save_checkpoints_steps=2)
    hook = getattr(experimental, function)(model, **HOOKS[function], **EACH_STEP)
    train = torchest.TrainSpec(input_fn, max_steps=6, hooks=[hook])
    evaluation = torchest.EvalSpec(input_fn, name="val", throttle_secs=0)
    torchest.train_and_evaluate(model, train, evaluation)
    (message,) = warnings_in(caplog)
    assert message == (
        f"{function} could not end this training: it reads 'loss' in '{tmp_path}/eval', where there is no evaluation. "
        f"But '{tmp_path}/eval_val' has those of steps 2 to 6 (eval_dir=estimator.eval_dir('val'))."
    )


@pytest.mark.parametrize("function", HOOKS)
def test_a_hook_in_a_training_without_evaluations_says_so(tmp_path, caplog, function):
    model = estimator(tmp_path)
    hook = getattr(experimental, function)(model, **HOOKS[function])
    model.train(input_fn, hooks=[hook], steps=3)
    (message,) = warnings_in(caplog)
    assert message.startswith(
        f"{function} could not end this training: it reads 'loss' in '{tmp_path}/eval', where there is no evaluation. "
        "train alone makes none: use train_and_evaluate"
    )


def test_a_hook_whose_min_steps_no_evaluation_reaches_says_so(tmp_path, caplog):
    model = evaluated(tmp_path, [(2, 0.5), (4, 0.5)])
    hook = experimental.stop_if_no_decrease_hook(model, "loss", 100, min_steps=50, **EACH_STEP)
    model.train(input_fn, hooks=[hook], steps=6)
    (message,) = warnings_in(caplog)
    assert "there are evaluations of steps 2 to 4; those of min_steps=50 to 6, the last" in message


def test_a_hook_whose_only_evaluation_is_that_of_the_end_says_so(tmp_path, caplog):
    model = evaluated(tmp_path, [(6, 0.5)])
    hook = experimental.stop_if_no_decrease_hook(model, "loss", 100, **EACH_STEP)
    model.train(input_fn, hooks=[hook], steps=6)
    (message,) = warnings_in(caplog)
    assert "the only evaluation of this training is of its last step, 6" in message


def test_a_hook_that_looks_more_rarely_than_training_takes_says_so(tmp_path, caplog):
    """Evaluations of another process, of which nothing tells the hook."""

    class OfAnotherProcess(torchest.SessionRunHook):
        def after_run(self, run_context, run_values):
            if run_context.session.global_step == 4:
                (tmp_path / "model" / "eval").mkdir(exist_ok=True)
                written = '{"evaluations": {"3": {"metrics": {"loss": 1.0}}}}'
                (tmp_path / "model" / "eval" / "evaluations.json").write_text(written)

    model = estimator(tmp_path / "model")
    hook = experimental.stop_if_higher_hook(model, "loss", 0.5)
    model.train(input_fn, hooks=[hook, OfAnotherProcess()], steps=8)
    (message,) = warnings_in(caplog)
    assert "there are evaluations of step 3, and it looked before they were made" in message
    assert "run_every_secs=60" in message


def test_a_function_that_is_asked_once_is_told_of(tmp_path, caplog):
    model = estimator(tmp_path)
    hook = experimental.make_early_stopping_hook(model, lambda: False)
    model.train(input_fn, hooks=[hook], steps=8)
    (message,) = warnings_in(caplog)
    assert message.startswith(
        "make_early_stopping_hook could not end this training: should_stop_fn was called once, after the first of 8 "
        "steps, as run_every_secs=60 is longer than the training."
    )


def test_a_hook_that_could_act_says_nothing(tmp_path, caplog):
    model = evaluated(tmp_path, [(2, 0.5)])
    hooks = [
        getattr(experimental, function)(model, **HOOKS[function], **EACH_STEP) for function in HOOKS
    ]
    asked = experimental.make_early_stopping_hook(model, lambda: False, **EACH_STEP)
    model.train(input_fn, hooks=[*hooks, asked], steps=6)
    stops = experimental.stop_if_higher_hook(model, "loss", 0.4)
    model.train(input_fn, hooks=[stops], steps=6)
    assert warnings_in(caplog) == []


@pytest.mark.parametrize("period", [{}, {"run_every_secs": None, "run_every_steps": 1000}])
@pytest.mark.parametrize(
    ("function", "arguments", "last"),
    [
        ("stop_if_higher_hook", {"threshold": 0.5}, 2),
        ("stop_if_lower_hook", {"threshold": 100.0}, 2),
        ("stop_if_no_increase_hook", {"max_steps_without_increase": 4}, 6),
        ("stop_if_no_decrease_hook", {"max_steps_without_decrease": 4}, 6),
    ],
)
def test_in_train_and_evaluate_a_hook_looks_at_each_evaluation(
    tmp_path, function, arguments, last, period
):
    model = estimator(tmp_path, save_checkpoints_steps=2)
    hook = getattr(experimental, function)(model, "loss", **arguments, **period)
    train = torchest.TrainSpec(input_fn, max_steps=50, hooks=[hook])
    torchest.train_and_evaluate(model, train, torchest.EvalSpec(input_fn, throttle_secs=0))
    assert last_step(model) == last


def test_in_train_and_evaluate_a_function_is_asked_after_each_evaluation(tmp_path):
    model = estimator(tmp_path, save_checkpoints_steps=2)
    asked = []
    hook = experimental.make_early_stopping_hook(
        model, lambda: bool(asked.append(last_step(model)))
    )
    train = torchest.TrainSpec(input_fn, max_steps=7, hooks=[hook])
    torchest.train_and_evaluate(model, train, torchest.EvalSpec(input_fn, throttle_secs=0))
    assert asked == [0, 2, 4, 6]


def test_a_hook_looks_at_the_evaluations_of_an_in_memory_evaluator(tmp_path):
    model = estimator(tmp_path)
    evaluator = experimental.InMemoryEvaluatorHook(model, input_fn, every_n_iter=3)
    hook = experimental.stop_if_no_decrease_hook(model, "loss", 6)
    model.train(input_fn, hooks=[evaluator, hook], steps=50)
    assert last_step(model) == 6


def test_a_kill_between_an_evaluation_and_the_stop_that_it_leads_to_changes_nothing(
    tmp_path, monkeypatch
):
    """The evaluation is not made again, but the function is asked again."""

    class KilledError(Exception):
        pass

    def killed_at_step_2(hook, session):
        if session.global_step == 2:
            raise KilledError("step 2")

    def run():
        model = estimator(tmp_path, save_checkpoints_steps=2)
        hook = experimental.make_early_stopping_hook(
            model, (tmp_path / "eval" / "evaluations.json").exists
        )
        train = torchest.TrainSpec(input_fn, max_steps=9, hooks=[hook])
        torchest.train_and_evaluate(model, train, torchest.EvalSpec(input_fn, throttle_secs=0))
        return last_step(model)

    with monkeypatch.context() as patch:
        look = "torchest.experimental.early_stopping._StopHook._look_if_evaluated"
        patch.setattr(look, killed_at_step_2)
        with pytest.raises(KilledError, match="step 2"):
            run()
    assert run() == 2
