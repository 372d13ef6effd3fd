"""The training that `benchmarks.faults` injures: all that a step can depend on, in a few rows.

Strings in tables with their own optimizer, dropout, batch statistics, moments, a schedule, shuffled rows that go over
the ends of epochs, and two hooks with state, one of which adds random numbers to weights. The model keeps the rows of
each of its steps among its buffers, so that a checkpoint says which rows its weights come from.
"""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import torchest
from torchest import columns, inputs
from torchest.checkpoint.directory import Checkpoint, latest_checkpoint

ROWS, BATCH, EPOCHS = 50, 8, 16
STEPS = ROWS * EPOCHS // BATCH
TOWN = columns.categorical_column_with_hash_bucket("town", 40)
# loads the compiled loops once, for all processes that fork from one that has imported this module
columns.LinearFeatures([TOWN])({"town": ["one", "two"]})


class History(nn.Module):
    """The rows of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rows", torch.full((STEPS, BATCH), -1))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def add(self, rows: torch.Tensor) -> None:
        """A step uses these rows."""
        self.rows[self.step] = rows
        self.step += 1


class Net(nn.Module):
    """A table and two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.town = columns.DenseFeatures([columns.embedding_column(TOWN, 4)])
        self.hidden = nn.Sequential(
            nn.Linear(5, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.Linear(16, 1)
        )

    def forward(self, features: Any) -> torch.Tensor:
        """One output per row, [batch, 1]."""
        x = features["row"].float()[:, None] / ROWS
        return self.hidden(torch.cat([self.town(features), x], dim=1))


def model_fn(features: Any, labels: Any, mode: str) -> torchest.EstimatorSpec:
    """Regression, with two optimizers and a schedule."""
    history = torchest.get_or_create("history", History)
    net = torchest.get_or_create("net", Net)
    loss = (net(features) - labels.float()[:, None]).square().mean()
    if mode != torchest.ModeKeys.TRAIN:
        return torchest.EstimatorSpec(mode, loss=loss)
    history.add(features["row"])
    tables = list(net.town.parameters())
    ftrl = torchest.get_or_create("ftrl", lambda: torchest.optimizers.Ftrl(tables, 0.05))
    adam = torchest.get_or_create("adam", lambda: torch.optim.Adam(net.hidden.parameters(), 0.01))
    schedule = torchest.get_or_create(
        "schedule", lambda: torch.optim.lr_scheduler.StepLR(adam, 10, 0.8)
    )

    def train_op() -> None:
        ftrl.zero_grad()
        adam.zero_grad()
        torchest.backward(loss)
        ftrl.step()
        adam.step()
        schedule.step()

    return torchest.EstimatorSpec(mode, loss=loss, train_op=train_op)


class Best(torchest.SessionRunHook):
    """Knows the least loss so far and when it was; counts steps."""

    def __init__(self) -> None:
        self.steps, self.best, self.best_step = 0, float("inf"), -1

    def after_run(
        self, run_context: torchest.SessionRunContext, run_values: torchest.SessionRunValues
    ) -> None:
        """Compares."""
        self.steps += 1
        loss = float(run_context.session.run("loss"))
        if loss < self.best:
            self.best, self.best_step = loss, run_context.session.global_step

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on."""
        vars(self).update(state)


class Noise(torchest.SessionRunHook):
    """Adds to a weight what it draws from torch, numpy and Python, and sums it up."""

    def __init__(self) -> None:
        self.total = torch.zeros(16)

    def after_run(
        self, run_context: torchest.SessionRunContext, run_values: torchest.SessionRunValues
    ) -> None:
        """Draws."""
        noise = torch.randn(16) * np.random.rand() * random.random()
        self.total += noise
        with torch.no_grad():
            run_context.session.objects["net"].hidden[0].bias += 0.01 * noise

    def state_dict(self) -> dict[str, Any]:
        """The sum."""
        return {"total": self.total}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on."""
        self.total = state["total"]


def rows() -> inputs.Dataset:
    """All rows, once."""
    row = np.arange(ROWS)
    town = np.array([f"town {number % 13}" for number in row])
    return inputs.Dataset.from_tensor_slices(({"row": row, "town": town}, row % 7))


def train_input_fn() -> inputs.Dataset:
    """Shuffled batches."""
    return rows().shuffle(20).repeat(EPOCHS).batch(BATCH).prefetch(2)


def train(model_dir: str, *, evaluate: bool = True) -> None:
    """Trains to the end; goes on where an earlier call was interrupted."""
    torch.set_num_threads(1)
    np.random.seed(5)
    random.seed(5)
    logging.getLogger("torchest").setLevel(logging.ERROR)
    config = torchest.RunConfig(
        tf_random_seed=5,
        save_checkpoints_steps=3,
        keep_checkpoint_max=2,
        save_summary_steps=None,
        log_step_count_steps=None,
    )
    estimator = torchest.Estimator(model_fn, model_dir, config)
    hooks = [Noise(), Best()]
    if not evaluate:
        estimator.train(train_input_fn, hooks=hooks, max_steps=STEPS)
        return
    torchest.train_and_evaluate(
        estimator,
        torchest.TrainSpec(train_input_fn, max_steps=STEPS, hooks=hooks),
        torchest.EvalSpec(lambda: rows().batch(25), steps=None, throttle_secs=0),
    )


def result_of(model_dir: str) -> dict[str, Any]:
    """All that the last checkpoint holds, and the last evaluation."""
    read = Checkpoint(latest_checkpoint(model_dir) or model_dir).check()
    training = read.training()
    assert training is not None
    evaluations = Path(model_dir, "eval", "evaluations.json")
    return {
        "step": read.global_step,
        "model": read.model(),
        "optimizer": read.optimizer(),
        "random": {"cpu": training["random"]["cpu"], "host": repr(training["random_of_host"])},
        "noise": training["hooks"]["Noise"],
        "best": training["hooks"]["Best"],
        "state": {key: read.state[key] for key in ("optimizers", "others")},
        "input": {key: training["input"][key] for key in ("batches", "seeds", "iteration")},
        "evaluation": json.loads(evaluations.read_text())["evaluations"][str(STEPS)]["metrics"]
        if evaluations.exists()
        else None,
    }


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The names of what is not the same, bit for bit."""
    actual = []
    for part, mine in one.items():
        theirs = other[part]
        if not isinstance(mine, dict):
            actual += [] if mine == theirs else [part]
            continue
        for name in mine.keys() | theirs.keys():
            a, b = mine.get(name), theirs.get(name)
            same = torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
            actual += [] if same else [f"{part}: {name}"]
    return actual


def rows_per_epoch(result: dict[str, Any]) -> tuple[int, int]:
    """How many rows the steps behind a checkpoint did not use, and used too often, over all epochs."""
    used = result["model"]["history.rows"].flatten().reshape(EPOCHS, ROWS)
    counts = torch.stack([torch.bincount(epoch, minlength=ROWS) for epoch in used])
    return int((counts == 0).sum()), int((counts - 1).clamp(min=0).sum())
