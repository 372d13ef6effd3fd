"""What tf.estimator's hooks do, from reference/hooks.json, and a model of torchest that runs like the one there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

import torchest
from torchest import inputs

REFERENCE: dict[str, Any] = json.loads(
    (Path(__file__).parent / "reference" / "hooks.json").read_text()
)
QUIET = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None)


def model_fn(features, labels, mode):
    """The loss of the row k of the input is 10 + k."""
    net = torchest.get_or_create("net", lambda: nn.Linear(1, 1, bias=False))
    if mode == torchest.ModeKeys.PREDICT:
        return torchest.EstimatorSpec(mode, predictions=features["x"])
    loss = labels.sum() + 0 * net.weight.sum()
    sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.0))
    metrics = {"mean_label": torchest.metrics.mean(labels)}
    return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd, eval_metric_ops=metrics)


def input_fn(rows=100):
    labels = torch.arange(rows, dtype=torch.float32) + 10
    return inputs.Dataset.from_tensor_slices(({"x": labels}, labels)).batch(1)


def estimator(directory, **config):
    return torchest.Estimator(model_fn, directory, QUIET.replace(**config))


def expected_steps(hook):
    """The steps at which a hook of tf.estimator acts, by its arguments."""
    return [entry for entry in REFERENCE["steps"] if entry["hook"] == hook]


class Hook(torchest.SessionRunHook):
    """Notes its calls; may ask for a stop in its n-th `after_run`, or fail there."""

    def __init__(self, name, calls, stop=0, fail=0):
        self.name, self.calls, self.stop, self.fail = name, calls, stop, fail
        self.runs = 0

    def begin(self):
        self.calls.append(f"{self.name}.begin")

    def after_create_session(self, session, coord):
        self.calls.append(f"{self.name}.after_create_session")

    def before_run(self, run_context):
        self.calls.append(f"{self.name}.before_run")
        return torchest.SessionRunArgs("global_step")

    def after_run(self, run_context, run_values):
        self.calls.append(f"{self.name}.after_run {run_values.results}")
        self.runs += 1
        if self.runs == self.stop:
            run_context.request_stop()
        if self.runs == self.fail:
            raise ValueError("a hook fails")

    def end(self, session):
        self.calls.append(f"{self.name}.end")


class Listener(torchest.CheckpointSaverListener):
    """Notes its calls; may ask for a stop after the save of a step."""

    def __init__(self, name, calls, stop=-1):
        self.name, self.calls, self.stop = name, calls, stop

    def begin(self):
        self.calls.append(f"{self.name}.begin")

    def before_save(self, session, global_step_value):
        self.calls.append(f"{self.name}.before_save {global_step_value}")

    def after_save(self, session, global_step_value):
        self.calls.append(f"{self.name}.after_save {global_step_value}")
        return True if global_step_value == self.stop else None

    def end(self, session, global_step_value):
        self.calls.append(f"{self.name}.end {global_step_value}")
