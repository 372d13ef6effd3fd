"""Runs programs in which processes make different calls, stop or stall; the tests read what each process leaves.

python calls_program.py <directory> <scenario> ...

Everything is imported once. Then each process of a scenario is forked, and ends as programs do.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch._dynamo  # by torch's optimizers, a second in each process

import torchest
from torchest.distributed import waiting
from torchest.inputs import Dataset

SECONDS = 150  # that a scenario may take
AT_ONCE = 3  # scenarios
ROWS = np.arange(12, dtype=np.float32)
RANK = 0
DIRECTORY = Path()
OF_THREE = {
    "the_chief_alone_in_between",
    "the_chief_evaluates_what_the_others_train",
    "one_fails",
    "predict_together",
    "one_stalls",
    "one_stalls_too_long",
}


def model_fn(features, labels, mode):
    net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))
    output = net(features["x"].unsqueeze(1)).squeeze(1)
    if mode == torchest.ModeKeys.PREDICT:
        return torchest.EstimatorSpec(mode, predictions={"y": output})
    loss = (output - labels).square().mean()
    mean = {"mean_label": torchest.metrics.mean(labels)}
    sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.001))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd, eval_metric_ops=mean)


def model(name: str = "model", **options: Any) -> torchest.Estimator:
    config = torchest.RunConfig(tf_random_seed=1, **options)
    return torchest.Estimator(model_fn, str(DIRECTORY / name), config)


def rows_of(labels: np.ndarray):
    """An input_fn for these labels, of which each process reads its part."""

    def input_fn(input_context):
        data = Dataset.from_tensor_slices(({"x": ROWS[: len(labels)]}, labels))
        pipelines, this_one = input_context.num_input_pipelines, input_context.input_pipeline_id
        return data.shard(pipelines, this_one).batch(2)

    return input_fn


LABELS = 2 * ROWS


def train(each: torchest.Estimator, steps: int = 2, hooks: Any = ()) -> None:
    def input_fn(input_context):
        return rows_of(LABELS)(input_context).repeat()

    each.train(input_fn, steps=steps, hooks=hooks)


def mean_label(each: torchest.Estimator, labels: np.ndarray = LABELS) -> float:
    return float(each.evaluate(rows_of(labels))["mean_label"])


def keep(**values: Any) -> None:
    path = DIRECTORY / f"{RANK}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**known, **values}))


class AtStep(torchest.SessionRunHook):
    """Calls a function after a step of the second process."""

    def __init__(self, step: int, function: Any) -> None:
        self.step, self.function = step, function

    def after_run(self, run_context, run_values):
        if RANK == 1 and run_context.session.global_step == self.step:
            self.function()


def receiver() -> Any:
    x = {"x": torch.ones(1)}
    return torchest.export.ServingInputReceiver(x, x)


def the_chief_alone_in_between() -> None:
    one = model()
    train(one)
    if one.config.is_chief:
        keep(evaluated=mean_label(one))
        features = Dataset.from_tensor_slices({"x": ROWS}).batch(5)
        keep(predicted=len(list(one.predict(lambda: features))))
        keep(exported=Path(one.export_saved_model(DIRECTORY / "export", receiver)).exists())
    train(one)
    if one.config.is_chief:
        keep(of_test=mean_label(one, LABELS + 100))
    keep(of_all=mean_label(one), step=int(one.get_variable_value("global_step")))


def the_chief_alone_at_the_end() -> None:
    one = model()
    train(one)
    if one.config.is_chief:
        time.sleep(1)  # the other process has ended
        keep(evaluated=mean_label(one))
        keep(exported=Path(one.export_saved_model(DIRECTORY / "export", receiver)).exists())


def a_worker_alone() -> None:
    one = model()
    train(one)
    if not one.config.is_chief:
        mean_label(one)


def a_worker_later() -> None:
    """The process that the others reach each other by has ended."""
    one = model()
    train(one)
    if not one.config.is_chief:
        time.sleep(8)
        mean_label(one)


def other_order() -> None:
    pair = [model("first"), model("second")]
    for each in pair if RANK == 0 else pair[::-1]:
        train(each)


def the_chief_evaluates_what_the_others_train() -> None:
    """After which both make the calls of the other: the evaluation is the chief's alone, and the rest is not."""
    one = model()
    if RANK == 0:
        mean_label(one)
    else:
        train(one)


def one_returns_early() -> None:
    one = model()
    if RANK == 0:
        train(one)


def one_fails_between_calls() -> None:
    one = model()
    train(one)
    if RANK == 1:
        1 / 0  # noqa: B018
    train(one)


def one_leaves_a_call() -> None:
    """The second process catches an exception in a step and evaluates."""
    one = model()
    with contextlib.suppress(ZeroDivisionError):
        train(one, 5, [AtStep(2, lambda: 1 / 0)])
    mean_label(one)


def one_fails() -> None:
    train(model(), 5, [AtStep(2, lambda: 1 / 0)])


def one_is_killed() -> None:
    train(model(), 5, [AtStep(2, lambda: os.kill(os.getpid(), signal.SIGKILL))])


def one_stalls() -> None:
    waiting._TELL_SECS = 1.5
    train(model(), 5, [AtStep(2, lambda: time.sleep(4))])


def one_stalls_too_long() -> None:

    def stall():
        time.sleep(15)
        keep(woke=time.time())

    try:
        train(model(step_timeout_secs=4), 5, [AtStep(2, stall)])
    finally:
        keep(gave_up=time.time())


def one_begins_too_late() -> None:
    one = model(session_creation_timeout_secs=2)
    if RANK == 1:
        time.sleep(5)
    train(one)


def the_chief_takes_long() -> None:
    """It evaluates for longer than a step may take."""
    waiting._TELL_SECS = 1.5

    class Slow(torchest.SessionRunHook):
        def after_run(self, run_context, run_values):
            time.sleep(2)

    one = model(step_timeout_secs=4, save_checkpoints_steps=2)
    specs = (
        torchest.TrainSpec(rows_of(LABELS), max_steps=2),
        torchest.EvalSpec(rows_of(LABELS), steps=4, hooks=[Slow()], throttle_secs=0),
    )
    metrics, _ = torchest.train_and_evaluate(one, *specs)
    keep(evaluated=float(metrics["mean_label"]))


def predicted(each: torchest.Estimator, make: Any, **options: Any) -> list[float]:
    rows = each.predict(make, across_processes=True, **options)
    return [row["y"].tolist() for row in rows]


def predict_together() -> None:
    def batches(take: int = -1) -> Dataset:
        return Dataset.from_tensor_slices({"x": ROWS}).batch(5).take(take)

    one = model()
    untrained = torchest.Estimator(model_fn, str(DIRECTORY / "untrained"))  # without a seed
    keep(untrained=predicted(untrained, batches))
    train(one)
    alone = [row["y"].tolist() for row in one.predict(batches)]
    keep(alone=alone, all=predicted(one, batches), one_batch=predicted(one, lambda: batches(1)))
    keep(none=predicted(one, lambda: batches(0)))
    slices = Dataset.from_tensor_slices
    keep(shuffled=predicted(untrained, lambda: slices({"x": ROWS}).shuffle(12).batch(5)))
    whole = predicted(one, batches, yield_single_examples=False, predict_keys="y")
    try:
        predicted(one, lambda: slices({"x": ROWS + RANK}).batch(5))
    except ValueError as error:
        keep(batches=[len(each) for each in whole], error=str(error))


def one_ends_predictions_early() -> None:
    one, batches = model(), Dataset.from_tensor_slices({"x": ROWS}).batch(2)
    train(one)
    for number, _ in enumerate(one.predict(lambda: batches, across_processes=True)):
        if RANK == 1 and number == 5:
            break
    mean_label(one)


def directories_are_not_shared() -> None:
    here = DIRECTORY / str(RANK)
    here.mkdir()
    os.chdir(here)
    train(torchest.Estimator(model_fn, "model"))


def input_is_read_whole() -> None:
    one = model()
    one.train(lambda: rows_of(LABELS)(torchest.distributed.InputContext()), steps=2)


WIDTHS = {"narrow": 8, "wide": 400}  # gradients of the wide net overlap with its backward pass


def with_batch_norm(features, labels, mode, params):
    """Batch normalisation, which cannot train on a batch without rows."""
    width = WIDTHS[params["name"]]

    def make() -> torch.nn.Module:
        first = [torch.nn.Linear(1, width), torch.nn.BatchNorm1d(width)]
        rest = [torch.nn.Tanh(), torch.nn.Linear(width, width), torch.nn.Linear(width, width)]
        return torch.nn.Sequential(*first, *rest, torch.nn.Linear(width, 1))

    net = torchest.get_or_create("net", make)
    params["rows"].append(len(labels))
    loss = (net(features["x"].unsqueeze(1)).squeeze(1) - labels).square().mean()
    sgd = torchest.get_or_create(
        "sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    )
    return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)


def normalised(
    directory: Path, name: str, counts: tuple[int, ...], hooks: Any = (), **options: Any
) -> torchest.Estimator:
    """Trains on so many batches in each process."""
    config = torchest.RunConfig(tf_random_seed=1, log_step_count_steps=1, **options)
    params: dict[str, Any] = {"name": name, "rows": []}
    each = torchest.Estimator(
        with_batch_norm, str(directory / f"{name}{len(counts)}"), config, params
    )
    features = [{"x": torch.arange(4.0) + number} for number in range(10)]
    batches = [(each, 2 * each["x"]) for each in features]
    each.train(lambda: batches[: counts[RANK]], hooks=hooks)
    return each


def without_rows() -> None:
    """The second process has no batch; then the first has two of four."""
    torch.set_default_dtype(torch.float64)
    for name in WIDTHS:
        normalised(DIRECTORY, name, (4, 0))
        rows = normalised(DIRECTORY / "uneven", name, (2, 4)).params["rows"]
        keep(rows=rows)


def one_computes_more() -> None:
    """The train_op of the second process calls backward twice."""
    train(by_function(lambda: RANK + 1))


def one_has_an_optimizer() -> None:
    train(by_function(lambda: RANK))


def one_accumulates() -> None:
    train(model(accumulate_steps=1 + RANK))


def by_function(backwards: Any) -> torchest.Estimator:
    """A model whose train_op calls backward so often; it is an optimizer for 0."""

    def train_op_is_a_function(features, labels, mode):
        spec = model_fn(features, labels, mode)
        other = torchest.get_or_create("other", lambda: torch.nn.Linear(1, 1))

        def step():
            for _ in range(backwards()):
                torchest.backward(other.weight.sum())

        return spec._replace(train_op=step) if backwards() else spec

    config = torchest.RunConfig(tf_random_seed=1)
    return torchest.Estimator(train_op_is_a_function, str(DIRECTORY / "model"), config)


class BeforeStep(AtStep):
    """Calls a function in a step, before the forward pass of the second process."""

    def before_run(self, run_context):
        super().after_run(run_context, None)

    def after_run(self, run_context, run_values):
        pass


def one_stalls_within_a_step() -> None:
    """The first process waits in its backward pass."""
    stalls = BeforeStep(2, lambda: time.sleep(10))
    normalised(DIRECTORY, "wide", (4, 4), [stalls], step_timeout_secs=4)


def one_is_killed_within_a_step() -> None:
    killed = BeforeStep(2, lambda: os.kill(os.getpid(), signal.SIGKILL))
    normalised(DIRECTORY, "wide", (4, 4), [killed])


class Process(NamedTuple):
    """A process of a scenario."""

    scenario: str
    rank: int
    size: int
    port: int


def supervise(directory: Path, names: list[str]) -> Process | None:
    """Forks the processes of all scenarios, and waits for them; returns in each of them, too."""
    running: dict[int, tuple[Process, float]] = {}
    codes: dict[str, dict[int, int]] = {name: {} for name in names}
    while names or running:
        if names and len({process.scenario for process, _ in running.values()}) < AT_ONCE:
            for process in processes_of(names.pop(0)):
                pid = os.fork()
                if pid == 0:
                    return process
                running[pid] = process, time.monotonic() + SECONDS
        for pid, (process, deadline) in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del running[pid]
                codes[process.scenario][process.rank] = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    (directory / "codes.json").write_text(json.dumps(codes))
    return None


def processes_of(name: str) -> list[Process]:
    size = 3 if name in OF_THREE else 2
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    return [Process(name, rank, size, port) for rank in range(size)]


def run(process: Process) -> None:
    global RANK, DIRECTORY  # noqa: PLW0603 - of this process
    RANK = process.rank
    DIRECTORY = Path(sys.argv[1]) / process.scenario
    DIRECTORY.mkdir(exist_ok=True)
    place = {"RANK": RANK, "WORLD_SIZE": process.size, "MASTER_ADDR": "localhost"}
    place["MASTER_PORT"] = process.port
    os.environ.update({key: str(value) for key, value in place.items()})
    log = os.open(DIRECTORY / f"{RANK}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    logging.basicConfig(level=logging.INFO, force=True)
    torch.set_num_threads(1)
    globals()[process.scenario]()


if __name__ == "__main__":
    this_one = supervise(Path(sys.argv[1]), sys.argv[2:])
    if this_one is not None:
        run(this_one)
