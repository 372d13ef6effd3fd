"""Losses of single examples and their reduction."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from torchest import losses
from torchest.losses import Reduction

LOSSES = torch.tensor([[1.0], [2.0], [6.0]])
WEIGHTS = torch.tensor([[0.5], [0.0], [2.0]])


@pytest.mark.parametrize(
    ("reduction", "weights", "expected"),
    [
        (Reduction.SUM, None, 9.0),
        (Reduction.SUM, WEIGHTS, 12.5),
        (Reduction.SUM_OVER_BATCH_SIZE, None, 3.0),
        (Reduction.SUM_OVER_BATCH_SIZE, WEIGHTS, 12.5 / 3),
        (Reduction.AUTO, WEIGHTS, 12.5 / 3),
    ],
)
def test_reductions_by_hand(reduction, weights, expected):
    actual = losses.reduce(LOSSES, weights, reduction)
    assert actual.shape == ()
    assert actual.item() == pytest.approx(expected)


def test_no_reduction_gives_weighted_losses():
    actual = losses.reduce(LOSSES, WEIGHTS, Reduction.NONE)
    assert actual.flatten().tolist() == [0.5, 0.0, 12.0]


def test_several_losses_per_example_are_all_counted():
    actual = losses.reduce(torch.ones(3, 2), torch.tensor([[1.0], [1.0], [4.0]]))
    assert actual.item() == pytest.approx(2 * 6 / 6)


@pytest.mark.parametrize("reduction", [Reduction.SUM, Reduction.SUM_OVER_BATCH_SIZE])
def test_the_loss_of_nothing_is_zero_and_has_a_gradient(reduction):
    nothing = torch.zeros(0, 1, requires_grad=True)
    actual = losses.reduce(nothing, torch.zeros(0, 1), reduction)
    actual.backward()
    assert actual.item() == 0
    assert nothing.grad.shape == (0, 1)


def test_reductions_have_tensorflows_names():
    assert Reduction.all() == ("auto", "none", "sum", "sum_over_batch_size")


@pytest.mark.parametrize(
    "loss", [losses.sigmoid_cross_entropy, losses.squared_error, losses.poisson]
)
def test_the_host_is_never_asked_for_a_value(loss):
    # tensors on the meta device have no values
    labels, logits = torch.empty(4, 1, device="meta"), torch.empty(4, 1, device="meta")
    assert losses.reduce(loss(labels, logits), labels).is_meta


def test_an_unknown_reduction():
    with pytest.raises(ValueError, match=r"reduction='mean' is not known\. There are: 'auto'"):
        losses.reduce(LOSSES, None, "mean")


@pytest.mark.parametrize("weights", ["2", [1.0], [], (1.0,), {"a": 1}, object(), 10**400])
def test_weights_of_losses_are_a_tensor(weights):
    with pytest.raises((TypeError, ValueError), match=r"^weights="):
        losses.reduce(LOSSES, weights)


def test_weights_that_do_not_fit_their_losses_are_told_by_their_shapes():
    with pytest.raises(ValueError, match=r"^weights=.* of shape \[2, 1\] do not fit .* \[3, 1\]"):
        losses.reduce(LOSSES, torch.ones(2, 1))


@pytest.mark.parametrize("value", [0, 1, "False", None, torch.ones(2)])
def test_the_full_poisson_loss_is_asked_for_by_true_or_false(value):
    with pytest.raises(ValueError, match=r"^compute_full_loss=.* must be True or False\.$"):
        losses.poisson(LOSSES, LOSSES, compute_full_loss=value)


@pytest.mark.parametrize(
    "loss", [losses.sigmoid_cross_entropy, losses.squared_error, losses.poisson]
)
def test_labels_are_not_broadcast_to_losses_of_more_examples(loss):
    with pytest.raises(ValueError, match=r"^labels of shape \[3\] and .* of shape \[3, 1\]"):
        loss(torch.ones(3), torch.zeros(3, 1))


@pytest.mark.parametrize(
    "ids", [torch.zeros(3).long(), torch.zeros(3, 1), torch.zeros(2, 1).long()]
)
def test_class_ids_are_one_whole_number_per_example(ids):
    with pytest.raises(ValueError, match=r"^class_ids=.* must be int64 of shape \[\.\.\., 1\]"):
        losses.softmax_cross_entropy(ids, torch.zeros(3, 4))


@pytest.mark.parametrize(
    ("label", "logit"), [(0.0, 0.3), (1.0, 0.3), (0.25, -2.0), (1.0, 40.0), (1.0, -40.0)]
)
def test_sigmoid_cross_entropy_by_hand(label, logit):
    p = 1 / (1 + math.exp(-logit))
    q = 1 / (1 + math.exp(logit))
    actual = losses.sigmoid_cross_entropy(
        torch.tensor([[label]]), torch.tensor([[logit]], dtype=torch.float64)
    )
    assert actual.item() == pytest.approx(-label * math.log(p) - (1 - label) * math.log(q))


def test_softmax_cross_entropy_equals_torchs():
    logits, labels = torch.randn(5, 4), torch.tensor([0, 3, 1, 1, 2])
    actual = losses.softmax_cross_entropy(labels.unsqueeze(1), logits)
    expected = nn.functional.cross_entropy(logits, labels, reduction="none")
    assert actual.shape == (5, 1)
    torch.testing.assert_close(actual.squeeze(1), expected)


def test_squared_error_by_hand():
    actual = losses.squared_error(torch.tensor([1, 2]), torch.tensor([1.5, 0.0]))
    assert actual.tolist() == [0.25, 4.0]


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("count", [0.0, 1.0, 2.0, 7.0])
def test_poisson_by_hand(count, full):
    log_rate = 0.75
    expected = math.exp(log_rate) - count * log_rate
    if full and count > 1:
        expected += count * math.log(count) - count + 0.5 * math.log(2 * math.pi * count)
    actual = losses.poisson(
        torch.tensor([count]),
        torch.tensor([log_rate], dtype=torch.float64),
        compute_full_loss=full,
    )
    assert actual.item() == pytest.approx(expected, rel=1e-12)


def test_poisson_with_large_counts_is_close_to_the_likelihood():
    count, log_rate = 30.0, 3.0
    exact = -(count * log_rate - math.exp(log_rate) - math.lgamma(count + 1))
    actual = losses.poisson(torch.tensor([count]), torch.tensor([log_rate]))
    assert actual.item() == pytest.approx(exact, rel=1e-3)


def test_the_gradient_of_poisson_for_a_count_of_zero_is_finite():
    log_rate = torch.zeros(1, requires_grad=True)
    losses.poisson(torch.zeros(1), log_rate).sum().backward()
    assert log_rate.grad.item() == 1


def test_sigmoid_cross_entropy_has_the_gradients_of_torch_twice_over():
    labels = torch.tensor([[0.0], [1.0], [0.3], [1.0]], dtype=torch.float64)
    logits = torch.tensor([[-3.0], [0.5], [2.0], [40.0]], dtype=torch.float64, requires_grad=True)
    ours = losses.sigmoid_cross_entropy(labels, logits)
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    torch.testing.assert_close(ours, theirs)
    assert torch.autograd.gradcheck(lambda x: losses.sigmoid_cross_entropy(labels, x), [logits])
    assert torch.autograd.gradgradcheck(lambda x: losses.sigmoid_cross_entropy(labels, x), [logits])


def test_sigmoid_cross_entropy_does_not_overflow():
    logits = torch.tensor([-1e30, 1e30, 1e30])
    actual = losses.sigmoid_cross_entropy(torch.tensor([0.0, 1.0, 0.0]), logits)
    assert actual.tolist() == pytest.approx([0, 0, 1e30])


def test_sigmoid_cross_entropy_refuses_labels_of_another_shape():
    with pytest.raises(ValueError, match=r"labels of shape \[4, 1\] and logits of shape \[4, 3\]"):
        losses.sigmoid_cross_entropy(torch.ones(4, 1), torch.zeros(4, 3))


def test_functions_of_torch_func_see_through_sigmoid_cross_entropy():
    gradient = torch.func.grad(lambda x: losses.sigmoid_cross_entropy(torch.ones(1), x).sum())
    assert gradient(torch.zeros(1)).tolist() == [-0.5]


def test_weights_that_have_more_dimensions_do_not_change_what_is_divided_by():
    assert losses.reduce(torch.ones(4, 1), torch.ones(4)).item() == 4
    assert losses.reduce(torch.ones(4, dtype=torch.int64)).item() == 1
