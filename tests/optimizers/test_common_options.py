"""Options that all optimizers take, and optimizers without parameters."""

from __future__ import annotations

import copy
import logging

import numpy as np
import pytest
import torch
from torch import nn

import torchest
from torchest import columns, optimizers
from torchest.optimizers import row_gradients
from torchest.optimizers.row_gradients import look_up

KINDS = [getattr(optimizers, name) for name in optimizers.__all__ if name != "schedules"]
QUIET = torchest.RunConfig(save_summary_steps=None, log_step_count_steps=None, tf_random_seed=1)


def parameter(*values):
    return nn.Parameter(torch.tensor(values or (1.0,)))


@pytest.mark.parametrize("kind", KINDS)
def test_learning_rate_is_another_name_of_lr(kind):
    assert kind([parameter()], learning_rate=0.3).param_groups[0]["lr"] == 0.3
    assert kind(learning_rate=0.3).defaults == kind(lr=0.3).defaults


@pytest.mark.parametrize("kind", KINDS)
def test_options_may_be_given_for_a_group(kind):
    free, limited = parameter(), parameter()
    made = kind([{"params": [free]}, {"params": [limited], "clipvalue": 0.25}], lr=0.1)
    free.grad, limited.grad = torch.tensor([8.0]), torch.tensor([8.0])
    made.step()
    alone = parameter()
    other = kind([alone], lr=0.1)
    alone.grad = torch.tensor([0.25])
    other.step()
    assert torch.equal(limited, alone)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optimizers.SGD(decay=-1), ValueError, "SGD: decay=-1 must be at least 0"),
        (
            lambda: optimizers.SGD(clipnorm=0),
            ValueError,
            "SGD: clipnorm=0 must be above 0, or None",
        ),
        (lambda: optimizers.SGD(clipvalue="1"), ValueError, "SGD: clipvalue='1' must be above 0"),
        (lambda: optimizers.SGD(clip_norm=1), TypeError, "clip_norm=1 is not.* mean 'clipnorm'"),
        (
            lambda: optimizers.SGD(lr=0.3, learning_rate=0.2),
            ValueError,
            "lr=0.3 and learning_rate=0.2 are two names of one option",
        ),
        (lambda: optimizers.Adam(0.1), TypeError, r"by name: Adam\(learning_rate=0.1\)"),
        (lambda: optimizers.Ftrl(learning_rate=0), ValueError, "Ftrl: learning_rate=0 must be abo"),
        (
            lambda: optimizers.Nadam(decay=0.1),
            ValueError,
            "Nadam: decay=0.1 must be 0, as TensorFl",
        ),
        (
            lambda: optimizers.Adam(learning_rate=0.1).step(),
            RuntimeError,
            "This Adam has no parameters: make one by with_parameters, or by torchest.get_or_create",
        ),
        (
            lambda: optimizers.Adam(learning_rate=0.1).with_parameters([]),
            ValueError,
            r"Adam: params=\[\] must be at least one parameter",
        ),
    ],
)
def test_wrong_options(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_the_norm_of_each_table_in_a_shared_parameter_is_limited():
    shared, alone = (
        nn.Parameter(torch.zeros(5, 2)),
        [nn.Parameter(torch.zeros(n, 2)) for n in (2, 3)],
    )
    made = optimizers.SGD([shared], lr=1.0, clipnorm=2.0)
    made.tables = {id(shared): [slice(0, 2), slice(2, 5)]}
    other = optimizers.SGD(alone, lr=1.0, clipnorm=2.0)
    for dense in (False, True):
        for table, ids in ((shared, [0, 1, 1, 4]), (alone[0], [0, 1, 1]), (alone[1], [2])):
            rows = torch.tensor([[3.0, 3.0], [4.0, 4.0], [0.1, 0.1], [8.0, 8.0]])
            rows = rows[3:] if table is alone[1] else rows[: len(ids)]
            (look_up(table, torch.tensor(ids)) * rows).sum().backward()
            if dense:
                row_gradients.densify(table)
        made.step()
        other.step()
        torch.testing.assert_close(shared.detach(), torch.cat(alone).detach(), rtol=1e-6, atol=0)
        made.zero_grad()
        other.zero_grad()
    assert shared[0].norm() > 0


def test_gradients_themselves_are_not_changed():
    weight = parameter(3.0)
    weight.grad = torch.tensor([5.0])
    optimizers.SGD([weight], lr=1.0, clipnorm=1.0, clipvalue=2.0).step()
    assert weight.grad.item() == 5
    assert weight.item() == 2


def town_model(directory, optimizer):
    towns = columns.categorical_column_with_vocabulary_list("town", ["a", "b", "c"])
    jobs = columns.categorical_column_with_vocabulary_list("job", ["x", "y"])
    given = [columns.embedding_column(each, 2) for each in (towns, jobs)]
    return torchest.DNNClassifier([3], given, directory, optimizer=optimizer, config=QUIET)


def town_batches(steps):
    rows = {"town": ["a", "b", "c", "a"], "job": ["x", "y", "y", "x"]}
    return lambda: (({key: rows[key] for key in rows}, [0, 1, 1, 0]) for _ in range(steps))


@pytest.mark.parametrize(
    "make",
    [
        lambda: optimizers.Adagrad(learning_rate=0.3, decay=0.1, clipnorm=0.05, clipvalue=0.02),
        lambda: optimizers.Nadam(learning_rate=optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)),
        lambda: optimizers.Adamax(learning_rate=0.1, decay=0.2),
        lambda: optimizers.Adadelta(learning_rate=1.0, clipvalue=0.1),
    ],
    ids=["Adagrad", "Nadam", "Adamax", "Adadelta"],
)
def test_an_interrupted_training_resumes_bit_for_bit(tmp_path, make):
    whole = town_model(tmp_path / "whole", make()).train(town_batches(9))
    for steps in (4, 5):
        half = town_model(tmp_path / "halves", make()).train(town_batches(steps))
    assert whole.get_variable_names() == half.get_variable_names()
    for name in whole.get_variable_names():
        assert np.array_equal(whole.get_variable_value(name), half.get_variable_value(name)), name


def test_options_that_are_left_out_later_are_not_used_and_the_log_says_so(tmp_path, caplog):
    town_model(tmp_path, optimizers.SGD(learning_rate=0.1, clipnorm=0.01)).train(town_batches(1))
    with caplog.at_level(logging.INFO, "torchest"):
        model = town_model(tmp_path, optimizers.SGD(learning_rate=0.1))
        model.train(town_batches(1))
    assert "optimizer now has clipnorm = None" in caplog.text
    assert "decay" not in caplog.text


def test_one_optimizer_without_parameters_serves_several_models(tmp_path):
    settings = optimizers.Adagrad(learning_rate=0.3)
    one, two = (town_model(tmp_path / name, settings).train(town_batches(3)) for name in "ab")
    named = town_model(tmp_path / "c", lambda p: optimizers.Adagrad(p, 0.3)).train(town_batches(3))
    for name in one.get_variable_names():
        for other in (two, named):
            assert np.array_equal(one.get_variable_value(name), other.get_variable_value(name))
    assert settings.param_groups == []


def test_an_optimizer_without_parameters_can_be_copied_and_is_kept_in_params(tmp_path):
    settings = copy.deepcopy(optimizers.Adam(learning_rate=0.3, clipnorm=1.0))
    made = settings.with_parameters([parameter()])
    assert made.param_groups[0]["clipnorm"] == 1.0

    def model_fn(features, labels, mode, params):
        net = torchest.get_or_create("net", lambda: nn.Linear(1, 1))
        optimizer = torchest.get_or_create("optimizer", lambda: params["optimizer"])
        loss = net(features["x"]).square().mean()
        return torchest.EstimatorSpec(mode, loss=loss, train_op=optimizer)

    model = torchest.Estimator(model_fn, tmp_path, QUIET, {"optimizer": settings})
    model.train(lambda: {"x": torch.ones(2, 1)}, steps=2)
    assert "optimizer.net.weight.m" in model.get_variable_names()


def test_a_made_optimizer_makes_others_with_its_options():
    first = optimizers.Ftrl([parameter()], lr=0.7, beta=0.1)
    first.param_groups[0]["params"][0].grad = torch.ones(1)
    first.step()
    second = first.with_parameters([parameter()])
    assert second.defaults == first.defaults
    assert not second.state
