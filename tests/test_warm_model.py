"""Predictions with a model that is kept."""

from __future__ import annotations

import gc
import multiprocessing
import statistics
import threading
import time

import numpy as np
import pytest
import safetensors
import torch
from torch.utils.data import DataLoader, Dataset

import torchest
from torchest import columns as fc
from torchest import inputs

CONFIG = {"save_summary_steps": None, "log_step_count_steps": None}


def data():
    return {"x": torch.arange(6.0)}, torch.arange(6.0)


def one_row():
    return inputs.Dataset.from_tensor_slices({"x": [2.0]}).batch(1)


def linear(model_dir, **config):
    config = torchest.RunConfig(**CONFIG, **config)
    model = torchest.LinearRegressor([fc.numeric_column("x")], model_dir, config=config)
    return model.train(data, steps=2)


def answer(predictions):
    return next(predictions)["predictions"].item()


def test_a_thousand_predictions_open_the_checkpoint_once_and_cost_the_same(tmp_path, monkeypatch):
    model, opened, seconds = linear(tmp_path), [], []
    safe_open = safetensors.safe_open
    monkeypatch.setattr(
        safetensors, "safe_open", lambda file, **how: opened.append(file) or safe_open(file, **how)
    )
    for _ in range(1000):
        began = time.perf_counter()
        list(model.predict(one_row))
        seconds.append(time.perf_counter() - began)
    assert opened
    assert len(opened) == len(set(opened))  # each file once
    first, last = statistics.median(seconds[10:110]), statistics.median(seconds[-100:])
    assert last < 3 * first
    assert last < 0.02


def test_a_predictor_of_an_old_checkpoint_keeps_its_answers_while_training_goes_on(tmp_path):
    model = linear(tmp_path, keep_checkpoint_max=1)
    old = model.latest_checkpoint()
    pinned = model.predict(data, checkpoint_path=old)
    before = answer(pinned)
    model.train(data, steps=20)
    now = model.predict(data)
    assert answer(now) != before
    expected = linear(tmp_path / "again").predict(data)  # the same two steps
    assert before == answer(expected)
    assert answer(pinned) == answer(expected)
    assert answer(now) != answer(pinned)


def test_modes_of_modules_stay_as_they_are(tmp_path):
    modes = []

    def model_fn(features, labels, mode):
        net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))
        modes.append((mode, net.training))
        output = net(features["x"][:, None])
        if mode == torchest.ModeKeys.PREDICT:
            return torchest.EstimatorSpec(mode, predictions=output)
        loss = (output[:, 0] - labels).square().mean()
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.01))
        return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)

    class Predict(torchest.SessionRunHook):
        def after_run(self, run_context, run_values):
            next(model.predict(data))

    config = torchest.RunConfig(save_checkpoints_steps=1, **CONFIG)
    model = torchest.Estimator(model_fn, tmp_path, config)
    model.train(data, hooks=[Predict()], steps=3)
    assert set(modes) == {("train", True), ("infer", False)}


class Rows(Dataset):
    def __len__(self):
        return 1000

    def __getitem__(self, at):
        return {"x": np.float32(at)}


@pytest.mark.parametrize("how", ["closed", "dropped"])
def test_a_generator_that_is_given_up_lets_its_input_go(tmp_path, how):
    ended = []

    def input_fn():
        try:
            yield from DataLoader(Rows(), batch_size=2, num_workers=1)
        finally:
            ended.append(True)

    model = linear(tmp_path)
    threads = set(threading.enumerate())
    predictions = model.predict(input_fn)
    next(predictions)
    assert multiprocessing.active_children()
    if how == "closed":
        predictions.close()
    del predictions
    gc.collect()
    assert ended == [True]
    assert not multiprocessing.active_children()
    assert set(threading.enumerate()) <= threads
