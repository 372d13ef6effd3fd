"""RunConfig(precision="fp16"): the loss scale, steps that are skipped, and gradients of rows."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import torchest
from torchest import columns, optimizers
from torchest.engine.loss_scale import LossScale
from torchest.optimizers import row_gradients

CPU = torch.device("cpu")
QUIET = torchest.RunConfig(precision="fp16", save_summary_steps=None, log_step_count_steps=None)


def bare_steps(net, batches, factor):
    """The loop of torch's documentation, in which a loss may be multiplied to make gradients infinite."""
    sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu")
    for number, (features, labels) in enumerate(batches):
        with torch.autocast("cpu", torch.float16):
            loss = (net(features["x"]).squeeze(1) - labels).square().mean() * factor(number)
        sgd.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(sgd)
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        scaler.step(sgd)
        scaler.update()
    return scaler.state_dict()


def make_net():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def make_batches(count):
    random = torch.Generator().manual_seed(1)
    return [
        ({"x": torch.randn(16, 4, generator=random)}, torch.randn(16, generator=random))
        for _ in range(count)
    ]


class KeepScale(torchest.SessionRunHook):
    """Keeps the state of the loss scale in the last checkpoint contents."""

    def end(self, session):
        self.state = session._training.state(session)["hooks"]["LossScale"]


def test_steps_are_those_of_torchs_loop_with_skipped_ones(tmp_path):
    numbers = iter(range(100))

    def factor(number):
        return 1e35 if number in (2, 5) else 1.0

    def model_fn(features, labels, mode):
        net = torchest.get_or_create("net", make_net)
        loss = (net(features["x"]).squeeze(1) - labels).square().mean()
        sgd = torchest.get_or_create(
            "sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        )
        number = next(numbers) - 1  # the first call makes the model
        return torchest.EstimatorSpec(mode, loss=loss * factor(number), train_op=sgd)

    kept = KeepScale()
    config = QUIET.replace(clip_norm=0.5, model_dir=str(tmp_path))
    model = torchest.Estimator(model_fn, config=config)
    model.train(lambda: iter(make_batches(8)), hooks=[kept])
    net = make_net()
    expected = bare_steps(net, make_batches(8), factor)
    assert kept.state == expected
    assert expected["scale"] == 2.0**14, "two steps were skipped"
    assert model.get_variable_value("global_step") == 8
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(
            torch.as_tensor(model.get_variable_value(f"net.{name}")),
            parameter.detach(),
            rtol=0,
            atol=0,
        )


def test_an_infinite_gradient_of_a_row_skips_all_optimizers():
    table, dense = nn.Parameter(torch.ones(5, 2)), nn.Parameter(torch.ones(3))
    by_rows = optimizers.SGD([table], lr=0.5)
    of_torch = torch.optim.SGD([dense], lr=0.5)
    scale = LossScale(CPU)

    def step(vector):
        of_torch.zero_grad()
        row_gradients.clear([table])
        looked_up = row_gradients.look_up(table, torch.tensor([1, 3, 1]))
        loss = (looked_up * torch.tensor(vector)).sum() + dense.sum()
        scale.scaled(loss).backward()
        scale.unscale([by_rows, of_torch])
        return scale.step()

    assert not step([float("inf"), 1.0])
    assert torch.equal(table, torch.ones(5, 2))
    assert torch.equal(dense, torch.ones(3))
    assert scale.state_dict()["scale"] == 2.0**15
    assert step([1.0, 0.5])
    assert table.tolist() == [[1, 1], [0, 0.5], [1, 1], [0.5, 0.75], [1, 1]]
    assert dense.tolist() == [0.5, 0.5, 0.5]


def test_a_step_without_gradients_is_a_step():
    scale = LossScale(CPU)
    scale.unscale([torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)])
    assert scale.step()


def test_the_loss_that_hooks_see_is_not_scaled(tmp_path):
    class Losses(torchest.SessionRunHook):
        def __init__(self):
            self.values = []

        def before_run(self, run_context):
            return torchest.SessionRunArgs("loss")

        def after_run(self, run_context, run_values):
            self.values.append(float(run_values.results))

    word = columns.categorical_column_with_identity("w", 5)
    model = torchest.DNNClassifier(
        [4], [columns.embedding_column(word, 2)], str(tmp_path), config=QUIET
    )
    losses = Losses()
    model.train(lambda: ({"w": [0, 1, 2, 3]}, [0, 1, 0, 1]), steps=30, hooks=[losses])
    assert 0.5 < losses.values[0] < 1
    assert losses.values[-1] < losses.values[0]


def test_schedulers_wait_for_a_step_that_is_skipped(tmp_path):
    rates = []

    def model_fn(features, labels, mode):
        net = torchest.get_or_create("net", make_net)
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=1.0))
        torchest.get_or_create(
            "schedule", lambda: torch.optim.lr_scheduler.ExponentialLR(sgd, gamma=0.5)
        )
        rates.append(sgd.param_groups[0]["lr"])
        factor = 1e35 if len(rates) == 3 else 0.1
        loss = net(features["x"]).float().mean() * factor
        return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)

    model = torchest.Estimator(model_fn, str(tmp_path), config=QUIET)
    model.train(lambda: iter(make_batches(4)))
    assert rates[1:] == [1.0, 0.5, 0.5, 0.25]


def test_float16_needs_optimizers():
    def model_fn(features, labels, mode):
        net = torchest.get_or_create("net", make_net)
        loss = net(features["x"]).mean()
        return torchest.EstimatorSpec(mode, loss=loss, train_op=lambda: torchest.backward(loss))

    model = torchest.Estimator(model_fn, config=QUIET)
    with pytest.raises(ValueError, match=r"RunConfig\(precision=...\) needs a train_op that is an"):
        model.train(lambda: iter(make_batches(1)))


def test_other_devices_have_no_float16():
    with pytest.raises(ValueError, match="trains on CUDA and on the CPU, not on xla"):
        LossScale(torch.device("xla"))
