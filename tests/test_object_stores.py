"""Estimators whose model_dir is behind a URL."""

from __future__ import annotations

import os
import uuid

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

import torchest
from torchest import inputs


@pytest.fixture
def model_dir():
    return f"memory://{uuid.uuid4().hex}/model"


def model_fn(features, labels, mode):
    net = torchest.get_or_create("net", lambda: nn.Linear(1, 1))
    output = net(features["x"])
    if mode == torchest.ModeKeys.PREDICT:
        return torchest.EstimatorSpec(mode, predictions={"output": output})
    loss = (output - labels).square().mean()
    sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.01))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)


def input_fn():
    x = torch.arange(6.0)[:, None]
    return inputs.Dataset.from_tensor_slices(({"x": x}, 3 * x)).shuffle(6, seed=1).repeat().batch(2)


CONFIG = torchest.RunConfig(save_checkpoints_steps=2, keep_checkpoint_max=2, save_summary_steps=1)


def test_an_estimator_on_an_object_store_does_what_it_does_on_a_disk(model_dir, tmp_path):
    results = []
    for directory in (model_dir, tmp_path):
        torch.manual_seed(1)
        estimator = torchest.Estimator(model_fn, directory, CONFIG).train(input_fn, steps=5)
        estimator.train(input_fn, steps=2)
        metrics = estimator.evaluate(input_fn, steps=3)
        predictions = list(estimator.predict(lambda: input_fn().take(2)))
        results.append((metrics, [row["output"].item() for row in predictions]))
        again = torchest.Estimator(model_fn, directory, CONFIG)
        assert again.evaluate(input_fn, steps=3) == metrics
        assert again.get_variable_names() == ["global_step", "net.bias", "net.weight"]
    assert results[0] == results[1]
    assert torchest.latest_checkpoint(model_dir) == f"{model_dir}/model.ckpt-7"
    assert torchest.load_checkpoint(model_dir).global_step == 7
    assert not os.path.exists("memory:")


def test_events_on_an_object_store_are_read_by_tensorboard(model_dir):
    estimator = torchest.Estimator(model_fn, model_dir, CONFIG).train(input_fn, steps=3)
    metrics = estimator.evaluate(input_fn, steps=3)
    losses = EventAccumulator(model_dir).Reload().Scalars("loss")
    assert [event.step for event in losses] == [1, 2, 3]
    evaluated = EventAccumulator(estimator.eval_dir()).Reload().Scalars("loss")
    assert [(event.step, event.value) for event in evaluated] == [(3, metrics["loss"])]


def test_an_interrupted_training_goes_on(model_dir, tmp_path):
    class Stop(torchest.SessionRunHook):
        def after_run(self, run_context, run_values):
            if run_context.session.global_step == 3:
                raise KeyboardInterrupt

    torch.manual_seed(1)
    whole = torchest.Estimator(model_fn, tmp_path, CONFIG).train(input_fn, steps=6)
    torch.manual_seed(1)
    with pytest.raises(KeyboardInterrupt):
        torchest.Estimator(model_fn, model_dir, CONFIG).train(input_fn, hooks=[Stop()])
    resumed = torchest.Estimator(model_fn, model_dir, CONFIG).train(input_fn, max_steps=6)
    assert resumed.get_variable_value("net.weight") == whole.get_variable_value("net.weight")


def test_train_and_evaluate_on_an_object_store(model_dir):
    estimator = torchest.Estimator(model_fn, model_dir, CONFIG)
    metrics, exports = torchest.train_and_evaluate(
        estimator,
        torchest.TrainSpec(input_fn, max_steps=4),
        torchest.EvalSpec(input_fn, steps=3, throttle_secs=0),
    )
    assert metrics["global_step"] == 4
    assert exports == []


def test_a_file_url_is_a_directory(tmp_path):
    estimator = torchest.Estimator(model_fn, f"file://{tmp_path}/model", CONFIG)
    estimator.train(input_fn, steps=2)
    assert estimator.model_dir == str(tmp_path / "model")
    assert (tmp_path / "model" / "model.ckpt-2").is_dir()
