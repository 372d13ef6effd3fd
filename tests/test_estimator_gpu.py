"""On a CUDA device: the same numbers, and nothing that waits for the device in every step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import torchest
from tests.canned import test_linear_reference as reference
from torchest import columns, inputs

pytestmark = pytest.mark.cuda


@pytest.mark.parametrize("case", reference.CASES[:4:2], ids=lambda case: case["name"])
def test_tensorflows_numbers(case, tmp_path):
    model = reference.estimator(case, tmp_path)
    recorded = reference.Losses()
    train = case["train"]
    model.train(
        reference.input_fn(case, train["file"], train["batch_size"], train["steps"]), [recorded]
    )
    np.testing.assert_allclose(recorded.losses, case["losses"], rtol=1e-5)
    evaluation = case["evaluations"][0]
    results = model.evaluate(
        reference.input_fn(case, evaluation["file"], evaluation["batch_size"], evaluation["steps"])
    )
    for name, value in evaluation["metrics"].items():
        assert results[name] == pytest.approx(value, rel=1e-4), name


def model_fn(features, labels, mode):
    def make():
        return nn.Sequential(nn.Linear(1, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))

    net = torchest.get_or_create("net", make)
    output = net(features["x"])
    assert output.device.type == "cuda"
    if mode == torchest.ModeKeys.PREDICT:
        return torchest.EstimatorSpec(mode, predictions={"y": output})
    loss = (output - labels).square().mean()
    adam = torchest.get_or_create("adam", lambda: torch.optim.Adam(net.parameters(), lr=0.01))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=adam)


def input_fn():
    x = torch.arange(64.0)[:, None] / 64
    return inputs.Dataset.from_tensor_slices(({"x": x}, 2 * x)).repeat().batch(16)


def test_a_model_fn_trains_as_a_plain_loop_does_bit_for_bit(tmp_path):
    torch.manual_seed(5)
    estimator = torchest.Estimator(model_fn, tmp_path).train(input_fn, steps=10)

    torch.manual_seed(5)
    net = nn.Sequential(nn.Linear(1, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1)).cuda()
    adam = torch.optim.Adam(net.parameters(), lr=0.01)
    for (features, labels), _ in zip(iter(input_fn()), range(10), strict=False):
        adam.zero_grad()
        (net(features["x"].cuda()) - labels.cuda()).square().mean().backward()
        adam.step()
    for name, value in net.state_dict().items():
        assert np.array_equal(estimator.get_variable_value(f"net.{name}"), value.cpu().numpy())


def test_a_checkpoint_of_the_device_is_read_on_the_cpu(tmp_path):
    estimator = torchest.Estimator(model_fn, tmp_path).train(input_fn, steps=2)
    tensors = torchest.checkpoint.directory.Checkpoint(estimator.latest_checkpoint()).model()
    assert {tensor.device.type for tensor in tensors.values()} == {"cpu"}
    predictions = list(estimator.predict(lambda: input_fn().take(1)))
    assert predictions[0]["y"].shape == (1,)


def test_nan_is_found_before_a_checkpoint_is_written(tmp_path):
    def with_nan():
        x = torch.ones(8, 1)
        x[5] = float("nan")
        return inputs.Dataset.from_tensor_slices(
            ({"x": x.repeat_interleave(4, 0)}, torch.ones(32, 1))
        ).batch(4)

    config = torchest.RunConfig(save_checkpoints_steps=7, log_step_count_steps=None)
    with pytest.raises(torchest.NanLossDuringTrainingError, match="NaN loss during training"):
        torchest.Estimator(model_fn, tmp_path, config).train(with_nan)
    assert torchest.latest_checkpoint(tmp_path).endswith("model.ckpt-0")


def test_the_loop_itself_does_not_wait_for_the_device(tmp_path):
    def training_only(features, labels, mode):
        net = torchest.get_or_create("net", lambda: nn.Linear(1, 1))
        loss = (net(features["x"]) - labels).square().mean()
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.01))
        return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)

    class Strict(torchest.SessionRunHook):
        def before_run(self, run_context):
            torch.cuda.set_sync_debug_mode("error")

        def after_run(self, run_context, run_values):
            torch.cuda.set_sync_debug_mode("default")

    config = torchest.RunConfig(log_step_count_steps=None, save_summary_steps=None)
    torchest.Estimator(training_only, tmp_path, config).train(input_fn, [Strict()], steps=5)


def test_strings_train_on_the_device(tmp_path):
    word = columns.categorical_column_with_hash_bucket("word", 10)
    model = torchest.LinearClassifier([word], tmp_path)
    model.train(lambda: ({"word": ["a", "b", "", "d"]}, [1, 0, 1, 0]), steps=20)
    probabilities = [
        row["probabilities"][1] for row in model.predict(lambda: iter([{"word": ["a", "b"]}]))
    ]
    assert probabilities[0] > 0.5 > probabilities[1]
