from __future__ import annotations

import pytest
import torch

import torchest
from torchest.engine.scope import Scope
from torchest.engine.sync_batch_norm import sends_messages
from torchest.engine.without_rows import WithoutRows


@pytest.fixture
def scope():
    """A model with two optimizers."""
    made = Scope(torch.device("cpu"), training=True)
    net = torch.nn.Linear(1, 1)
    sgd = [torch.optim.SGD([each], lr=0.1) for each in net.parameters()]
    made.objects.update({"net": net, "first": sgd[0], "second": sgd[1]})
    return made


def spec_of(train_op):
    loss = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    return torchest.EstimatorSpec("train", loss=loss, train_op=train_op)


def test_all_optimizers_step_and_the_loss_is_0_in_its_dtype(scope):
    optimizers = list(scope.optimizers().values())
    without_rows = WithoutRows.of(spec_of(optimizers), scope)
    assert without_rows.optimizers == optimizers
    assert without_rows.loss.is_leaf
    assert without_rows.loss.requires_grad
    assert (without_rows.loss.item(), without_rows.loss.dtype) == (0.0, torch.float64)


@pytest.mark.parametrize("train_op", ["a function", "some optimizers"])
def test_model_fn_runs_where_only_it_knows_what_a_step_does(train_op, scope):
    optimizers = list(scope.optimizers().values())
    train_ops = {"a function": lambda: None, "some optimizers": optimizers[:1]}
    assert WithoutRows.of(spec_of(train_ops[train_op]), scope) is None


def test_layers_that_send_messages_are_told_apart():
    layers = [torch.nn.BatchNorm1d(1), torch.nn.SyncBatchNorm(1)]
    assert [sends_messages([torch.nn.Sequential(layer)]) for layer in layers] == [False, True]


def test_other_optimizers_than_in_the_first_batch_are_told(scope):
    optimizers = list(scope.optimizers().values())
    without_rows = WithoutRows.of(spec_of(optimizers), scope)
    without_rows.check(optimizers[::-1])
    for others in (optimizers[:1], None):
        with pytest.raises(RuntimeError, match="other optimizers than for the first batch"):
            without_rows.check(others)
