"""Write hooks.json: when tf.estimator calls hooks and listeners, and at which steps its own hooks act.

Every run trains a model of one weight with learning rate 0, so that its loss is the number of the batch's
only row: row k, counted from 0, is 10 + k.

"calls" are sequences of calls. Each has "run" (what is done), and "calls", a list of texts: the name of a
hook or listener, the method, and for a listener's saves and end, and for a hook's `after_run`, the global
step that it is told; `after_run` shows the step that a hook fetched, which is the one before the step.

"steps" say at which steps the hooks of tf.estimator act in a run of 7 steps, and in one that goes on from
step 4 to step 11: "hook", its "arguments", and "first" and "second", the global steps of what it wrote
(for LoggingTensorHook the values of the fetched global step that it logged).

TensorFlow promises nothing about whether a fetched global step is read before or after the step. Nearly always it is
the one before; where a run of this script shows another one, run it again.

"stops" are decisions of early stopping: "function" with "arguments" is asked after each evaluation whether
training is to stop. "evaluations" are the global steps and values, and "stops" the answers.

"evaluator" holds the iterations after which InMemoryEvaluatorHook evaluated, by "every_n_iter" and "steps".
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf
from write_json import write_json

v1 = tf.compat.v1
ROWS = 100


def model_fn(features: Any, labels: Any, mode: str) -> Any:
    weight = v1.get_variable("weight", initializer=1.0)
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, predictions=weight * features["x"])
    loss = tf.reduce_sum(weight * labels)
    step = v1.train.get_or_create_global_step()
    train_op = v1.train.GradientDescentOptimizer(0.0).minimize(loss, global_step=step)
    v1.summary.scalar("loss", loss)
    metrics = {"mean_label": v1.metrics.mean(labels)}
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=metrics)


def input_fn(rows: int = ROWS) -> Any:
    labels = tf.range(rows, dtype=tf.float32) + 10.0
    return tf.data.Dataset.from_tensor_slices(({"x": labels}, labels)).batch(1)


def estimator(directory: str, **config: Any) -> Any:
    # with several threads a fetched global step is often the one after the step
    one_thread = v1.ConfigProto(inter_op_parallelism_threads=1, intra_op_parallelism_threads=1)
    return tf.estimator.Estimator(
        model_fn, directory, tf.estimator.RunConfig(session_config=one_thread, **config)
    )


class Hook(tf.estimator.SessionRunHook):
    """Notes its calls; may ask for a stop in its n-th `after_run`, or fail there."""

    def __init__(self, name: str, calls: list[str], stop: int = 0, fail: int = 0) -> None:
        self.name, self.calls, self.stop, self.fail = name, calls, stop, fail
        self.runs = 0

    def begin(self) -> None:
        self.calls.append(f"{self.name}.begin")

    def after_create_session(self, session: Any, coord: Any) -> None:
        self.calls.append(f"{self.name}.after_create_session")

    def before_run(self, run_context: Any) -> Any:
        self.calls.append(f"{self.name}.before_run")
        return tf.estimator.SessionRunArgs(v1.train.get_global_step())

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.calls.append(f"{self.name}.after_run {run_values.results}")
        self.runs += 1
        if self.runs == self.stop:
            run_context.request_stop()
        if self.runs == self.fail:
            raise ValueError("a hook fails")

    def end(self, session: Any) -> None:
        self.calls.append(f"{self.name}.end")


class Listener(tf.estimator.CheckpointSaverListener):
    """Notes its calls; may ask for a stop after the save of a step."""

    def __init__(self, name: str, calls: list[str], stop: int = -1) -> None:
        self.name, self.calls, self.stop = name, calls, stop

    def begin(self) -> None:
        self.calls.append(f"{self.name}.begin")

    def before_save(self, session: Any, global_step_value: int) -> None:
        self.calls.append(f"{self.name}.before_save {global_step_value}")

    def after_save(self, session: Any, global_step_value: int) -> Any:
        self.calls.append(f"{self.name}.after_save {global_step_value}")
        return True if global_step_value == self.stop else None

    def end(self, session: Any, global_step_value: int) -> None:
        self.calls.append(f"{self.name}.end {global_step_value}")


def calls() -> list[dict[str, Any]]:
    actual = []

    def run(what: str, act: Any) -> None:
        noted: list[str] = []
        with tempfile.TemporaryDirectory() as directory, contextlib.suppress(ValueError):
            act(noted, estimator(directory, save_checkpoints_steps=2))
        actual.append({"run": what, "calls": noted})

    def hooks(noted: list[str], **options: Any) -> list[Hook]:
        return [Hook("A", noted, **options), Hook("B", noted)]

    def listeners(noted: list[str], **options: Any) -> list[Listener]:
        return [Listener("L", noted), Listener("M", noted, **options)]

    run(
        "train(steps=3), saving every 2 steps",
        lambda noted, model: model.train(
            input_fn, hooks(noted), steps=3, saving_listeners=listeners(noted)
        ),
    )
    run(
        "train, an input of 2 batches",
        lambda noted, model: model.train(
            lambda: input_fn(2), hooks(noted), saving_listeners=listeners(noted)
        ),
    )
    run(
        "A asks for a stop in its second after_run",
        lambda noted, model: model.train(
            input_fn, hooks(noted, stop=2), saving_listeners=listeners(noted)
        ),
    )
    run(
        "M's after_save returns True at step 2",
        lambda noted, model: model.train(
            input_fn, hooks(noted), saving_listeners=listeners(noted, stop=2)
        ),
    )
    run(
        "M's after_save returns True at step 0",
        lambda noted, model: model.train(
            input_fn, hooks(noted), steps=3, saving_listeners=listeners(noted, stop=0)
        ),
    )
    run(
        "A fails in its second after_run",
        lambda noted, model: model.train(
            input_fn, hooks(noted, fail=2), saving_listeners=listeners(noted)
        ),
    )

    def twice(noted: list[str], model: Any) -> None:
        model.train(input_fn, steps=3)
        model.train(input_fn, hooks(noted), steps=2, saving_listeners=listeners(noted))

    run("train(steps=2) from step 3", twice)

    def evaluate(noted: list[str], model: Any) -> None:
        model.train(input_fn, steps=3)
        model.evaluate(input_fn, steps=2, hooks=hooks(noted))

    run("evaluate(steps=2) at step 3", evaluate)

    def predict(noted: list[str], model: Any) -> None:
        model.train(input_fn, steps=3)
        list(model.predict(lambda: input_fn(2), hooks=hooks(noted)))

    run("predict of 2 batches at step 3", predict)

    def own_saver(noted: list[str], model: Any) -> None:
        saver = tf.estimator.CheckpointSaverHook(
            model.model_dir, save_steps=3, listeners=[Listener("own", noted)]
        )
        a, b = hooks(noted)
        model.train(input_fn, [a, saver, b], steps=4, saving_listeners=listeners(noted))

    run("train(steps=4) with a CheckpointSaverHook of the user's between A and B", own_saver)
    return actual


def events(directory: str, tag: str) -> list[int]:
    return [
        event.step
        for path in sorted(Path(directory).glob("events*"))
        for event in v1.train.summary_iterator(str(path))
        for value in event.summary.value
        if value.tag == tag
    ]


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def logged() -> Any:
    handler = Lines()
    logger = tf.get_logger()
    logger.addHandler(handler)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)


QUIET = {"save_summary_steps": None, "log_step_count_steps": None}


def two_runs(name: str, arguments: dict[str, Any], run: Any) -> dict[str, Any]:
    """What `run(directory, count)` finds in a run of 7 steps, and in one that goes on from step 4."""
    with tempfile.TemporaryDirectory() as directory:
        alone = run(directory, 7)
    with tempfile.TemporaryDirectory() as directory:
        before = run(directory, 4)
        second = run(directory, 7)
    second = second[len(before) :] if second[: len(before)] == before else second
    return {"hook": name, "arguments": arguments, "first": alone, "second": second}


def of_config(name: str, options: dict[str, Any], tag: str) -> dict[str, Any]:
    """The steps of the events that a hook writes which the estimator adds by itself."""

    def run(directory: str, count: int) -> list[int]:
        estimator(directory, **{**QUIET, **options}).train(input_fn, steps=count)
        return events(directory, tag)

    return two_runs(name, options, run)


def of_saver(save_steps: int) -> dict[str, Any]:
    def run(directory: str, count: int) -> list[int]:
        noted: list[str] = []
        estimator(directory, save_checkpoints_steps=save_steps, **QUIET).train(
            input_fn, steps=count, saving_listeners=[Listener("L", noted)]
        )
        return [int(call.split()[1]) for call in noted if "after_save" in call]

    return two_runs("CheckpointSaverHook", {"save_steps": save_steps}, run)


class Logging(tf.estimator.LoggingTensorHook):
    """Logs the global step, whose tensor is there only when the hook begins."""

    def begin(self) -> None:
        self._tensors = {"step": v1.train.get_global_step()}
        super().begin()


def of_logging(arguments: dict[str, Any]) -> dict[str, Any]:
    def run(directory: str, count: int) -> list[int]:
        with logged() as lines:
            hook = Logging({"step": "global_step"}, **arguments)
            estimator(directory, **QUIET).train(input_fn, [hook], steps=count)
        matches = [re.match(r"step = (\d+)", line) for line in lines]
        return [int(match[1]) for match in matches if match]

    return two_runs("LoggingTensorHook", arguments, run)


def of_profiler(save_steps: int) -> dict[str, Any]:
    def run(directory: str, count: int) -> list[int]:
        with tempfile.TemporaryDirectory() as output:
            with tf.Graph().as_default():  # its writer wants one
                hook = tf.estimator.ProfilerHook(save_steps=save_steps, output_dir=output)
            estimator(directory, **QUIET).train(input_fn, [hook], steps=count)
            files = Path(output).glob("timeline-*.json")
            return sorted(int(path.stem.split("-")[1]) for path in files)

    return two_runs("ProfilerHook", {"save_steps": save_steps}, run)


def of_stop(arguments: dict[str, Any]) -> dict[str, Any]:
    def run(directory: str, count: int) -> list[int]:
        model = estimator(directory, **QUIET)
        model.train(input_fn, [tf.estimator.StopAtStepHook(**arguments)], steps=count)
        return [int(model.get_variable_value("global_step"))]

    return two_runs("StopAtStepHook", arguments, run)


def steps() -> list[dict[str, Any]]:
    return [
        of_config("SummarySaverHook", {"save_summary_steps": 3}, "loss"),
        of_config("StepCounterHook", {"log_step_count_steps": 3}, "global_step/sec"),
        of_saver(1),
        of_saver(3),
        of_logging({"every_n_iter": 3}),
        of_logging({"at_end": True}),
        of_logging({"every_n_iter": 3, "at_end": True}),
        of_profiler(3),
        of_stop({"num_steps": 2}),
        of_stop({"last_step": 5}),
    ]


SEQUENCES = {
    "falls": [0.5, 0.4, 0.3, 0.2],
    "stalls": [0.5, 0.5, 0.5, 0.5],
    "turns": [0.5, 0.3, 0.4, 0.3, 0.2, 0.4, 0.5, 0.6],
    "rises": [0.2, 0.3, 0.4, 0.5],
    "NaN first": [float("nan"), 0.4, 0.3, 0.5, 0.6],
    "NaN later": [0.4, float("nan"), 0.5, 0.3, 0.4],
}
FUNCTIONS = [
    ("stop_if_higher_hook", {"threshold": 0.4}),
    ("stop_if_lower_hook", {"threshold": 0.4}),
    ("stop_if_lower_hook", {"threshold": 0.4, "min_steps": 25}),
    ("stop_if_no_increase_hook", {"max_steps_without_increase": 20}),
    ("stop_if_no_decrease_hook", {"max_steps_without_decrease": 20}),
    ("stop_if_no_decrease_hook", {"max_steps_without_decrease": 15, "min_steps": 45}),
]


def answers(function: str, arguments: dict[str, Any], values: list[float]) -> list[bool]:
    actual = []
    with tempfile.TemporaryDirectory() as directory:
        model = estimator(directory)
        make = getattr(tf.estimator.experimental, function)
        with tf.Graph().as_default():
            writer = v1.summary.FileWriter(model.eval_dir())
        for index, value in enumerate(values):
            summary = v1.Summary(value=[v1.Summary.Value(tag="loss", simple_value=value)])
            writer.add_summary(summary, 10 * (index + 1))
            writer.flush()
            hook = make(model, "loss", run_every_secs=None, run_every_steps=1, **arguments)
            actual.append(bool(hook._should_stop_fn()))
        writer.close()
    return actual


def stops() -> list[dict[str, Any]]:
    actual = []
    for function, arguments in FUNCTIONS:
        for name, values in SEQUENCES.items():
            evaluations = [
                [10 * (index + 1), "NaN" if math.isnan(value) else value]
                for index, value in enumerate(values)
            ]
            actual.append(
                {
                    "function": function,
                    "arguments": arguments,
                    "sequence": name,
                    "evaluations": evaluations,
                    "stops": answers(function, arguments, values),
                }
            )
    return actual


def evaluator() -> list[dict[str, Any]]:
    actual = []
    for every, count in ((3, 7), (2, 4), (100, 5)):
        noted: list[str] = []

        class Note(tf.estimator.SessionRunHook):
            def begin(self, noted: list[str] = noted) -> None:
                noted.append("evaluation")

        class Count(tf.estimator.SessionRunHook):
            def after_run(self, context: Any, values: Any, noted: list[str] = noted) -> None:
                noted.append("step")

        with tempfile.TemporaryDirectory() as directory:
            model = estimator(directory)

            class Evaluator(tf.estimator.experimental.InMemoryEvaluatorHook):
                def _evaluate(self, session: Any, noted: list[str] = noted) -> None:
                    noted.append("evaluation")
                    super()._evaluate(session)

            hook = Evaluator(model, lambda: input_fn(2), steps=1, every_n_iter=every)
            model.train(input_fn, [Count(), hook], steps=count)
            recorded = events(model.eval_dir(), "mean_label")
        done = [noted[:at].count("step") for at, what in enumerate(noted) if what == "evaluation"]
        actual.append({"every_n_iter": every, "steps": count, "after": done, "events": recorded})
    return actual


if __name__ == "__main__":
    tf.get_logger().setLevel("INFO")
    write_json(
        __file__,
        {
            "description": "Calls and steps of hooks. Made by hooks.py",
            "calls": calls(),
            "steps": steps(),
            "stops": stops(),
            "evaluator": evaluator(),
        },
    )
