"""The reductions of TensorFlow 1, in losses and heads of both generations."""

from __future__ import annotations

import pytest
import torch

import torchest
from torchest import losses, v1
from torchest.distributed.data_parallel import DataParallel

Reduction = v1.losses.Reduction
LOSSES, WEIGHTS = (
    torch.tensor([[1.0], [2.0], [3.0], [6.0]]),
    torch.tensor([[2.0], [0.0], [1.0], [0.5]]),
)


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        (Reduction.SUM, 8.0),
        (Reduction.SUM_OVER_BATCH_SIZE, 2.0),
        (Reduction.MEAN, 8.0 / 3.5),
        (Reduction.SUM_BY_NONZERO_WEIGHTS, 8.0 / 3),
        (Reduction.SUM_OVER_NONZERO_WEIGHTS, 8.0 / 3),
    ],
)
def test_a_weighted_loss(reduction, expected):
    assert losses.reduce(LOSSES, WEIGHTS, reduction).item() == pytest.approx(expected)
    head = torchest.RegressionHead(weight_column="w", loss_reduction=reduction)
    labels = LOSSES.sqrt()
    actual = head.loss(labels, torch.zeros(4, 1), {"w": WEIGHTS})
    assert actual.item() == pytest.approx(expected)


@pytest.mark.parametrize("reduction", [Reduction.MEAN, Reduction.SUM_BY_NONZERO_WEIGHTS])
def test_without_weights_or_with_none_above_0(reduction):
    assert losses.reduce(LOSSES, None, reduction).item() == 3
    assert losses.reduce(LOSSES, torch.zeros(4, 1), reduction).item() == 0
    assert losses.reduce(LOSSES, torch.tensor(2.0), reduction).item() == pytest.approx(
        3 if reduction == Reduction.MEAN else 6
    )


def test_weights_count_once_for_each_loss_they_stand_for():
    both = LOSSES.expand(4, 2)
    assert losses.reduce(both, WEIGHTS, Reduction.MEAN).item() == pytest.approx(16 / 7)
    assert losses.reduce(both, WEIGHTS, Reduction.SUM_BY_NONZERO_WEIGHTS).item() == pytest.approx(
        16 / 6
    )


def test_names_of_both_generations_mean_the_same():
    assert torchest.RegressionHead(loss_reduction=Reduction.SUM).loss_reduction == "sum"
    heads = [
        torchest.RegressionHead(name=name, loss_reduction=reduction)
        for name, reduction in {"a": Reduction.SUM, "b": "sum"}.items()
    ]
    assert torchest.MultiHead(heads).loss_reduction == "sum"


def test_wrong_reductions():
    with pytest.raises(ValueError, match=r"loss_reduction='none' is not known\. There are: 'auto'"):
        v1.LinearRegressor([torchest.columns.numeric_column("x")], loss_reduction=Reduction.NONE)
    with pytest.raises(ValueError, match="Invalid Reduction Key 'sum': it must be one of 'none'"):
        Reduction.validate("sum")
    assert Reduction.validate(Reduction.MEAN) is None


def test_a_mean_by_weights_of_several_processes_is_an_error():
    strategy = object.__new__(DataParallel)
    with pytest.raises(
        ValueError, match="loss_reduction='weighted_mean' divides by the weights of"
    ):
        strategy._weight(Reduction.MEAN)
