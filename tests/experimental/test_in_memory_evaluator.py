"""Evaluation of a model while it is trained."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from reference_hooks import QUIET, REFERENCE, Hook, estimator, input_fn
from torch import nn

import torchest
from torchest.experimental import InMemoryEvaluatorHook
from torchest.modes.evaluation_record import read_evaluations


def steps_of_evaluations(model):
    return list(read_evaluations(model.eval_dir()))


@pytest.mark.parametrize("expected", REFERENCE["evaluator"])
def test_it_evaluates_at_tensorflows_steps(tmp_path, expected):
    model = estimator(tmp_path)
    hook = InMemoryEvaluatorHook(model, input_fn, 1, every_n_iter=expected["every_n_iter"])
    model.train(input_fn, hooks=[hook], steps=expected["steps"])
    # tf.estimator evaluates the last step twice where it is one of the "every so many"
    assert steps_of_evaluations(model) == sorted(set(expected["after"]))


def model_fn(features, labels, mode):
    net = torchest.get_or_create(
        "net",
        lambda: nn.Sequential(nn.Linear(1, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1)),
    )
    output = net(features["x"])
    loss = (output - labels).square().mean()
    adam = torchest.get_or_create("adam", lambda: torch.optim.Adam(net.parameters(), lr=0.1))
    metrics = {"mean": torchest.metrics.mean(output)}
    return torchest.EstimatorSpec(mode, loss=loss, train_op=adam, eval_metric_ops=metrics)


def rows_input_fn():
    x = torch.arange(8.0).reshape(8, 1)
    return {"x": x}, 2 * x


def test_it_gives_what_evaluating_the_checkpoints_gives(tmp_path):
    config = QUIET.replace(save_checkpoints_steps=2, keep_checkpoint_max=None, tf_random_seed=1)
    model = torchest.Estimator(model_fn, tmp_path, config)
    hook = InMemoryEvaluatorHook(model, rows_input_fn, 1, name="memory", every_n_iter=2)
    model.train(rows_input_fn, hooks=[hook], steps=5)
    in_memory = read_evaluations(model.eval_dir("memory"))
    assert list(in_memory) == [0, 2, 4, 5]
    for step, actual in in_memory.items():
        expected = model.evaluate(
            rows_input_fn, 1, checkpoint_path=str(tmp_path / f"model.ckpt-{step}")
        )
        assert actual == {"loss": float(expected["loss"]), "mean": float(expected["mean"])}


def test_it_does_not_change_what_is_trained(tmp_path):
    config = QUIET.replace(tf_random_seed=1)
    plain = torchest.Estimator(model_fn, tmp_path / "plain", config).train(rows_input_fn, steps=5)
    model = torchest.Estimator(model_fn, tmp_path / "evaluated", config)
    hook = InMemoryEvaluatorHook(model, rows_input_fn, 1, every_n_iter=1)
    model.train(rows_input_fn, hooks=[hook], steps=5)
    for name in plain.get_variable_names():
        assert np.array_equal(plain.get_variable_value(name), model.get_variable_value(name)), name


class Interrupt(torchest.SessionRunHook):
    def __init__(self, at):
        self.at = at

    def after_run(self, run_context, run_values):
        if run_context.session.global_step == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("at", [2, 5, 8])
def test_an_interruption_changes_neither_when_it_evaluates_nor_what(tmp_path, at):
    for name in ("whole", "injured"):
        for when in (None,) if name == "whole" else (at, None):
            config = QUIET.replace(save_checkpoints_steps=3, tf_random_seed=1)
            model = torchest.Estimator(model_fn, tmp_path / name, config)
            evaluator = InMemoryEvaluatorHook(model, rows_input_fn, 1, every_n_iter=4)
            with contextlib.suppress(KeyboardInterrupt):
                model.train(rows_input_fn, hooks=[evaluator, Interrupt(when)], max_steps=10)
    whole, injured = (read_evaluations(tmp_path / name / "eval") for name in ("whole", "injured"))
    assert list(whole) == [0, 4, 8, 10]
    assert injured == whole


def test_its_hooks_are_called_in_each_evaluation(tmp_path):
    calls = []
    model = estimator(tmp_path)
    hook = InMemoryEvaluatorHook(model, input_fn, 1, hooks=[Hook("A", calls)], every_n_iter=100)
    model.train(input_fn, hooks=[hook], steps=2)
    assert calls.count("A.begin") == calls.count("A.end") == 2
    assert [call for call in calls if "after_run" in call] == ["A.after_run 0", "A.after_run 2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"estimator": "model"}, "estimator='model' must be a torchest.Estimator"),
        ({"every_n_iter": 0}, "every_n_iter=0 must be a whole number of at least 1"),
        ({"every_n_iter": None}, "every_n_iter=None must be a whole number of at least 1"),
    ],
)
def test_wrong_use(tmp_path, arguments, message):
    given = {"estimator": estimator(tmp_path), "input_fn": input_fn, **arguments}
    with pytest.raises((TypeError, ValueError), match=f"InMemoryEvaluatorHook: {message}"):
        InMemoryEvaluatorHook(**given)
