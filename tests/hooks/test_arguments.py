"""Every hook refuses wrong values of its arguments with one sentence that names the argument and the value."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from reference_hooks import estimator, input_fn

import torchest
from torchest import experimental
from torchest.utils.checks import shown

STEPS = [0, -1, math.nan, math.inf, 1.5, "3", [], object(), True]
SECONDS = [-1, math.nan, math.inf, "3", [], object(), True]
FLAGS = [0, -1, math.nan, 1.5, "False", None, [], object()]
TEXTS = [0, math.nan, 1.5, None, [], object(), True, "", b"a"]
PATHS = [0, math.nan, 1.5, None, [], object(), True, "", "a\0b"]
FUNCTIONS = [0, math.nan, 1.5, "3", [], object(), True]
LISTS = [0, 1.5, "3", object(), [object()], {"a": 1}, True]
NAMES = [0, math.nan, 1.5, "loss", None, [], object(), True, [1], {"a": 1}]
NUMBERS = [math.nan, math.inf, "3", None, [], object(), True]
WRITERS = [0, 1.5, "3", [], object(), True]
ONLY_NONE = [0, 1.5, "3", [], object(), True]


def optional(values):
    """The wrong values of an argument that may be None."""
    return [value for value in values if value is not None]


SAVER, LOGGING, PROFILER = "CheckpointSaverHook", "LoggingTensorHook", "ProfilerHook"
STEP_COUNTER, SUMMARIES, IN_MEMORY = "StepCounterHook", "SummarySaverHook", "InMemoryEvaluatorHook"
EARLY = {
    "stop_if_higher_hook": "threshold",
    "stop_if_lower_hook": "threshold",
    "stop_if_no_increase_hook": "max_steps_without_increase",
    "stop_if_no_decrease_hook": "max_steps_without_decrease",
}
NEVER = {"run_every_secs": None}
WRONG = [
    ("SecondOrStepTimer", {}, "every_secs", SECONDS),
    ("SecondOrStepTimer", {}, "every_steps", STEPS),
    (SAVER, {"save_steps": 1}, "checkpoint_dir", PATHS),
    (SAVER, {"checkpoint_dir": "a"}, "save_secs", SECONDS),
    (SAVER, {"checkpoint_dir": "a"}, "save_steps", STEPS),
    (SAVER, {"checkpoint_dir": "a", "save_steps": 1}, "saver", FUNCTIONS),
    (SAVER, {"checkpoint_dir": "a", "save_steps": 1}, "checkpoint_basename", TEXTS),
    (SAVER, {"checkpoint_dir": "a", "save_steps": 1}, "scaffold", ONLY_NONE),
    (SAVER, {"checkpoint_dir": "a", "save_steps": 1}, "listeners", LISTS),
    (SAVER, {"checkpoint_dir": "a", "save_steps": 1}, "save_graph_def", FLAGS),
    ("EmbeddingProjectorHook", {}, "output_dir", PATHS),
    ("FeedFnHook", {}, "feed_fn", [*FUNCTIONS, len]),
    ("FinalOpsHook", {}, "final_ops", [0, math.nan, 1.5, object(), True, [1], {"a": 1.5}, b"a"]),
    ("FinalOpsHook", {"final_ops": "loss"}, "final_ops_feed_dict", ONLY_NONE),
    ("GlobalStepWaiterHook", {}, "wait_until_step", [*STEPS[1:], None]),
    ("NanTensorHook", {}, "loss_tensor", TEXTS),
    ("NanTensorHook", {"loss_tensor": "loss"}, "fail_on_nan_loss", FLAGS),
    (PROFILER, {}, "save_steps", STEPS),
    (PROFILER, {}, "save_secs", SECONDS),
    (PROFILER, {"save_steps": 1}, "output_dir", [path for path in PATHS if path != ""]),
    (PROFILER, {"save_steps": 1}, "show_dataflow", FLAGS),
    (PROFILER, {"save_steps": 1}, "show_memory", FLAGS),
    (LOGGING, {"every_n_iter": 1}, "tensors", NAMES),
    (LOGGING, {"tensors": ["loss"]}, "every_n_iter", STEPS),
    (LOGGING, {"tensors": ["loss"]}, "every_n_secs", SECONDS),
    (LOGGING, {"tensors": ["loss"], "every_n_iter": 1}, "at_end", FLAGS),
    (LOGGING, {"tensors": ["loss"], "every_n_iter": 1}, "formatter", FUNCTIONS),
    ("StopAtStepHook", {}, "num_steps", STEPS),
    ("StopAtStepHook", {}, "last_step", STEPS),
    (STEP_COUNTER, {}, "every_n_steps", STEPS),
    (STEP_COUNTER, {"every_n_steps": None}, "every_n_secs", SECONDS),
    (STEP_COUNTER, {}, "output_dir", optional(PATHS)),
    (STEP_COUNTER, {}, "summary_writer", WRITERS),
    (SUMMARIES, {"output_dir": "a"}, "save_steps", STEPS),
    (SUMMARIES, {"output_dir": "a"}, "save_secs", SECONDS),
    (SUMMARIES, {"save_steps": 1}, "output_dir", optional(PATHS)),
    (SUMMARIES, {"save_steps": 1}, "summary_writer", WRITERS),
    (SUMMARIES, {"save_steps": 1, "output_dir": "a"}, "scaffold", ONLY_NONE),
    (SUMMARIES, {"save_steps": 1, "output_dir": "a"}, "summary_op", optional(NAMES)),
    (IN_MEMORY, {"input_fn": input_fn}, "estimator", [0, 1.5, "3", None, [], object(), True]),
    (IN_MEMORY, {}, "input_fn", [*FUNCTIONS, None]),
    (IN_MEMORY, {"input_fn": input_fn}, "steps", STEPS),
    (IN_MEMORY, {"input_fn": input_fn}, "hooks", LISTS),
    (IN_MEMORY, {"input_fn": input_fn}, "name", [0, math.nan, 1.5, [], object(), True, b"a"]),
    (IN_MEMORY, {"input_fn": input_fn}, "every_n_iter", [*STEPS, None]),
    ("make_early_stopping_hook", {}, "should_stop_fn", [*FUNCTIONS, None]),
    ("make_early_stopping_hook", {"should_stop_fn": bool}, "run_every_secs", SECONDS),
    ("make_early_stopping_hook", {"should_stop_fn": bool, **NEVER}, "run_every_steps", STEPS),
    ("make_stop_at_checkpoint_step_hook", {}, "last_step", [*STEPS, None]),
    (
        "make_stop_at_checkpoint_step_hook",
        {"last_step": 1},
        "wait_after_file_check_secs",
        [*SECONDS, None],
    ),
]
for name, limit in EARLY.items():
    limits = NUMBERS if limit == "threshold" else [*STEPS, None]
    right = {"metric_name": "loss", limit: 1}
    WRONG += [
        (name, {limit: 1}, "metric_name", TEXTS),
        (name, {"metric_name": "loss"}, limit, limits),
        (name, right, "eval_dir", optional(PATHS)),
        (name, right, "min_steps", [*STEPS[1:], None]),
        (name, right, "run_every_secs", SECONDS),
        (name, {**right, **NEVER}, "run_every_steps", STEPS),
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return estimator(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize(
    ("name", "right", "argument", "values"),
    WRONG,
    ids=[f"{name}-{argument}" for name, _, argument, _ in WRONG],
)
def test_a_wrong_value_is_refused_by_name(model, name, right, argument, values):
    make = getattr(torchest, name, None) or getattr(experimental, name)
    is_experimental = not hasattr(torchest, name)
    own = {"estimator": model} if is_experimental and argument != "estimator" else {}
    for value in values:
        items = value if argument in ("listeners", "hooks") and value.__class__ is list else [value]
        message = "|".join(re.escape(shown(item)) for item in items)
        with pytest.raises(
            (ValueError, TypeError), match=rf"{argument}(=| has )({message})"
        ) as caught:
            make(**own, **right, **{argument: value})
        assert type(caught.value) in (ValueError, TypeError)
        assert name in str(caught.value) or name == "SecondOrStepTimer"


@pytest.mark.parametrize("method", ["should_trigger_for_step", "update_last_triggered_step"])
def test_a_timer_is_asked_about_whole_steps(method):
    call = getattr(torchest.SecondOrStepTimer(every_steps=2), method)
    for value in [math.nan, math.inf, 1.5, "3", None, [], object(), True]:
        with pytest.raises(ValueError, match=f"step={re.escape(shown(value))} must be a whole"):
            call(value)
    call(np.int64(3))


@pytest.mark.parametrize("name", EARLY)
def test_a_hook_for_something_else_than_an_estimator_is_refused(name):
    for value in (0, 1.5, "model", None, [], object(), True):
        with pytest.raises(TypeError, match=f"{name}: estimator={re.escape(shown(value))} must be"):
            getattr(experimental, name)(value, "loss", 1)


@pytest.mark.parametrize("steps", [np.int64(3), 3.0])
def test_steps_may_be_numbers_of_numpy_and_whole_floats(model, steps):
    torchest.LoggingTensorHook(["loss"], every_n_iter=steps)
    torchest.StopAtStepHook(num_steps=steps)
    experimental.stop_if_no_decrease_hook(model, "loss", steps, min_steps=steps)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: torchest.LoggingTensorHook(["loss"]),
            r"LoggingTensorHook: every_n_secs=None and every_n_iter=None: give exactly one",
        ),
        (
            lambda: torchest.LoggingTensorHook(["loss"], 5, 5.0),
            r"LoggingTensorHook: every_n_secs=5.0 and every_n_iter=5: give exactly one",
        ),
        (
            lambda: torchest.CheckpointSaverHook("a"),
            r"CheckpointSaverHook: save_secs=None and save_steps=None: give exactly one",
        ),
        (
            lambda: torchest.StepCounterHook(every_n_steps=None),
            r"StepCounterHook: every_n_secs=None and every_n_steps=None: give exactly one",
        ),
        (
            lambda: torchest.SummarySaverHook(output_dir="a"),
            r"SummarySaverHook: save_secs=None and save_steps=None: give exactly one",
        ),
        (
            torchest.ProfilerHook,
            r"ProfilerHook: save_secs=None and save_steps=None: give exactly one",
        ),
        (
            torchest.StopAtStepHook,
            r"StopAtStepHook: num_steps=None and last_step=None: give exactly one",
        ),
    ],
)
def test_periods_are_named_as_the_hook_calls_them(make, message):
    with pytest.raises(ValueError, match=message):
        make()
