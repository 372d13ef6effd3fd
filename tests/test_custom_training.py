"""A model_fn of one's own with clipping, accumulation, schedules and several optimizers, against a bare loop."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import torchest
from torchest import columns, optimizers

ROWS = 96
BATCH = 8
TORCH = torch.Generator().manual_seed(1)
X = torch.randn(ROWS, 6, generator=TORCH)
Y = (X[:, 0] * X[:, 1] > 0).float()
IDS = torch.randint(0, 5, (ROWS,), generator=TORCH)


class Net(nn.Module):
    """Two sub-nets, batch normalisation and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3))
        self.right = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Dropout(0.2))
        self.top = nn.Linear(8, 1)

    def forward(self, x):
        return self.top(self.left(x) * self.right(x)).squeeze(1)


def sgd_of(net):
    return torch.optim.SGD([*net.left.parameters(), *net.top.parameters()], lr=0.5, momentum=0.9)


def adam_of(net):
    return torch.optim.Adam(net.right.parameters(), lr=0.05)


def schedule_of(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.5)


def model_fn(features, labels, mode):
    net = torchest.get_or_create("net", Net)
    output = net(features["x"])
    if mode == torchest.ModeKeys.PREDICT:
        return torchest.EstimatorSpec(mode, predictions={"output": output})
    loss = nn.functional.binary_cross_entropy_with_logits(output, labels)
    if mode == torchest.ModeKeys.EVAL:
        return torchest.EstimatorSpec(mode, loss=loss)
    sgd = torchest.get_or_create("sgd", lambda: sgd_of(net))
    adam = torchest.get_or_create("adam", lambda: adam_of(net))
    torchest.get_or_create("schedule", lambda: schedule_of(sgd))
    return torchest.EstimatorSpec(mode, loss=loss, train_op=[sgd, adam])


def input_fn():
    return torchest.inputs.Dataset.from_tensor_slices(({"x": X}, Y)).batch(BATCH).repeat()


def bare_loop(steps, clip_norm=None, accumulate_steps=1, seed=7):
    """What is trained without torchest."""
    torch.manual_seed(seed)
    net = Net()
    sgd, adam = sgd_of(net), adam_of(net)
    schedule = schedule_of(sgd)
    at = 0
    for _ in range(steps):
        sgd.zero_grad()
        adam.zero_grad()
        for _ in range(accumulate_steps):
            rows = slice(at, at + BATCH)
            loss = nn.functional.binary_cross_entropy_with_logits(net(X[rows]), Y[rows])
            (loss / accumulate_steps).backward()
            at = (at + BATCH) % ROWS
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(
                [*net.left.parameters(), *net.top.parameters(), *net.right.parameters()], clip_norm
            )
        sgd.step()
        adam.step()
        schedule.step()
    return net.state_dict()


def saved(model):
    return torchest.load_checkpoint(model.model_dir).module("net")


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(actual[name], expected[name], rtol=0, atol=0, msg=name)


OPTIONS = [
    {},
    {"clip_norm": 0.05},
    {"accumulate_steps": 4},
    {"clip_norm": 0.05, "accumulate_steps": 3},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_two_optimizers_and_a_schedule_are_a_bare_loop_bit_for_bit(options):
    config = torchest.RunConfig(tf_random_seed=7, **options)
    model = torchest.Estimator(model_fn, config=config).train(input_fn, steps=10)
    assert_same(saved(model), bare_loop(10, **options))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("interrupted_after", [1, 4, 9])
def test_interrupted_and_resumed_it_is_the_same_bit_for_bit(options, interrupted_after, tmp_path):
    class Interrupt(torchest.CheckpointSaverListener):
        def after_save(self, session, global_step_value):
            if global_step_value == interrupted_after:
                raise KeyboardInterrupt

    config = torchest.RunConfig(
        tf_random_seed=7, save_checkpoints_steps=interrupted_after, **options
    )
    model = torchest.Estimator(model_fn, tmp_path, config)
    with pytest.raises(KeyboardInterrupt):
        model.train(input_fn, max_steps=10, saving_listeners=[Interrupt()])
    torch.manual_seed(99)
    model = torchest.Estimator(model_fn, tmp_path, config)
    model.train(input_fn, max_steps=10)
    assert_same(saved(model), bare_loop(10, **options))


def test_clipping_changes_what_is_learnt():
    plain, clipped = bare_loop(3), bare_loop(3, clip_norm=0.05)
    assert any(not torch.equal(plain[name], clipped[name]) for name in plain)


def test_the_last_step_of_an_input_may_have_fewer_batches():
    def ten_batches():
        return torchest.inputs.Dataset.from_tensor_slices(({"x": X}, Y)).batch(BATCH).take(10)

    config = torchest.RunConfig(accumulate_steps=4)
    model = torchest.Estimator(model_fn, config=config).train(ten_batches)
    assert torchest.load_checkpoint(model.model_dir).global_step == 3


class Losses(torchest.SessionRunHook):
    def __init__(self):
        self.actual = []

    def before_run(self, run_context):
        return torchest.SessionRunArgs(["loss", "gradient_norm"])

    def after_run(self, run_context, run_values):
        self.actual.append(run_values.results)


def test_hooks_see_the_mean_loss_and_the_gradient_before_clipping():
    def linear_fn(features, labels, mode):
        net = torchest.get_or_create("net", lambda: nn.Linear(6, 1))
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.0))
        loss = (net(features["x"]).squeeze(1) - labels).square().mean()
        return torchest.EstimatorSpec(mode, loss=loss, train_op=sgd)

    hook = Losses()
    config = torchest.RunConfig(tf_random_seed=7, accumulate_steps=2, clip_norm=1e-3)
    torchest.Estimator(linear_fn, config=config).train(input_fn, steps=1, hooks=[hook])
    torch.manual_seed(7)
    net = nn.Linear(6, 1)
    loss = (net(X[: 2 * BATCH]).squeeze(1) - Y[: 2 * BATCH]).square().mean()
    loss.backward()
    ((actual, norm),) = hook.actual
    assert actual == pytest.approx(loss.item(), rel=1e-6)
    expected = torch.cat([net.weight.grad.flatten(), net.bias.grad]).norm().item()
    assert norm == pytest.approx(expected, rel=1e-5)


def test_gradients_of_rows_are_clipped_with_the_others_and_accumulated():
    """Against a dense table that a bare loop trains."""
    town = columns.categorical_column_with_identity("town", 5)

    def tables_fn(features, labels, mode):
        dense = torchest.get_or_create(
            "dense", lambda: columns.DenseFeatures([columns.embedding_column(town, 2)])
        )
        net = torchest.get_or_create("net", lambda: nn.Linear(2, 1))
        adagrad = torchest.get_or_create(
            "adagrad",
            lambda: optimizers.Adagrad([*dense.parameters(), *net.parameters()], lr=0.1),
        )
        loss = (net(dense(features)).squeeze(1) - labels).square().mean()
        return torchest.EstimatorSpec(mode, loss=loss, train_op=adagrad)

    def ids_fn():
        data = torchest.inputs.Dataset.from_tensor_slices(({"town": IDS}, Y))
        return data.batch(BATCH).repeat()

    config = torchest.RunConfig(tf_random_seed=7, clip_norm=0.01, accumulate_steps=3)
    model = torchest.Estimator(tables_fn, config=config).train(ids_fn, steps=6)

    torch.manual_seed(7)
    layer = columns.DenseFeatures([columns.embedding_column(town, 2)])
    table = nn.Parameter(next(layer.parameters()).detach().clone())
    net = nn.Linear(2, 1)
    parameters = [table, *net.parameters()]
    adagrad = optimizers.Adagrad(parameters, lr=0.1)
    at = 0
    for _ in range(6):
        adagrad.zero_grad()
        for _ in range(3):
            rows = slice(at, at + BATCH)
            loss = (net(table[IDS[rows]]).squeeze(1) - Y[rows]).square().mean()
            (loss / 3).backward()
            at = (at + BATCH) % ROWS
        nn.utils.clip_grad_norm_(parameters, 0.01)
        adagrad.step()
    actual = torchest.load_checkpoint(model.model_dir)
    (trained,) = actual.module("dense").values()
    torch.testing.assert_close(trained, table.detach(), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(actual.module("net")["weight"], net.weight.detach())


@pytest.mark.parametrize(
    ("options", "name"),
    [({"clip_norm": 1.0}, "clip_norm"), ({"accumulate_steps": 2}, "accumulate_steps")],
)
def test_a_function_as_train_op_does_this_itself(options, name):
    def function_fn(features, labels, mode):
        net = torchest.get_or_create("net", lambda: nn.Linear(6, 1))
        loss = net(features["x"]).mean()
        return torchest.EstimatorSpec(mode, loss=loss, train_op=lambda: torchest.backward(loss))

    model = torchest.Estimator(function_fn, config=torchest.RunConfig(**options))
    message = f"RunConfig({name}=...) needs a train_op that is an optimizer or a list of optimizers; model_fn returned"
    with pytest.raises(ValueError, match=re.escape(message)):
        model.train(input_fn, steps=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip_norm": 0}, "RunConfig: clip_norm=0 must be a finite number above 0. None switches it off."),
        ({"clip_norm": "5"}, "RunConfig: clip_norm='5' must be a finite number above 0. None switches it off."),
        ({"accumulate_steps": 0}, "RunConfig: accumulate_steps=0 must be a whole number of at least 1."),
        ({"accumulate_steps": 2.0}, "RunConfig: accumulate_steps=2.0 must be a whole number of at least 1."),
    ],
)  # fmt: skip
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        torchest.RunConfig(**options)


def test_a_scheduler_that_follows_a_metric_is_refused():
    def plateau_fn(features, labels, mode):
        net = torchest.get_or_create("net", lambda: nn.Linear(6, 1))
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.1))
        torchest.get_or_create("plateau", lambda: torch.optim.lr_scheduler.ReduceLROnPlateau(sgd))
        return torchest.EstimatorSpec(mode, loss=net(features["x"]).mean(), train_op=sgd)

    message = "get_or_create('plateau') made a ReduceLROnPlateau, which follows a metric"
    with pytest.raises(TypeError, match=re.escape(message)):
        torchest.Estimator(plateau_fn).train(input_fn, steps=1)


@pytest.mark.parametrize("own", ["of the class", "of the object"])
def test_an_optimizer_with_a_zero_grad_of_its_own_is_asked(own):
    calls = []

    class Counting(torch.optim.SGD):
        pass

    def counted(optimizer, set_to_none=True):
        calls.append(set_to_none)
        torch.optim.SGD.zero_grad(optimizer, set_to_none)

    def made(net):
        optimizer = Counting(net.parameters(), lr=0.1)
        if own == "of the class":
            Counting.zero_grad = counted
        else:
            optimizer.zero_grad = lambda set_to_none=True: counted(optimizer, set_to_none)
        return optimizer

    def model_fn(features, labels, mode):
        net = torchest.get_or_create("net", lambda: nn.Linear(6, 1))
        loss = (net(features["x"]).squeeze(1) - labels).square().mean()
        optimizer = torchest.get_or_create("optimizer", lambda: made(net))
        return torchest.EstimatorSpec(mode, loss=loss, train_op=optimizer)

    torchest.Estimator(model_fn).train(lambda: [({"x": X}, Y)] * 3)
    assert calls == [True] * 3
