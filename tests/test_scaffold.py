"""What is done once with a new model."""

from __future__ import annotations

import re

import pytest
import torch

import torchest

X = torch.ones(4, 1)


def estimator(model_dir, calls):
    def model_fn(features, labels, mode):
        net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))

        def init_fn(scaffold, session):
            calls.append((scaffold, session.global_step))
            net.weight.fill_(3.0)

        output = net(features)
        sgd = torchest.get_or_create("sgd", lambda: torch.optim.SGD(net.parameters(), lr=0.0))
        return torchest.EstimatorSpec(
            mode,
            predictions={"output": output},
            loss=output.mean(),
            train_op=sgd,
            scaffold=torchest.Scaffold(init_fn=init_fn),
        )

    return torchest.Estimator(model_fn, model_dir)


def test_init_fn_runs_once_after_the_model_was_made(tmp_path):
    calls = []
    model = estimator(tmp_path, calls).train(lambda: iter([X, X, X]))
    ((scaffold, step),) = calls
    assert isinstance(scaffold, torchest.Scaffold)
    assert step == 0
    assert model.get_variable_value("net.weight") == 3.0


def test_init_fn_does_not_run_where_a_checkpoint_is_restored(tmp_path):
    calls = []
    estimator(tmp_path, calls).train(lambda: [X])
    del calls[:]
    model = estimator(tmp_path, calls).train(lambda: [X])
    next(model.predict(lambda: X))
    assert not calls


def test_init_fn_runs_for_a_prediction_without_a_checkpoint(tmp_path):
    calls = []
    next(estimator(tmp_path, calls).predict(lambda: X))
    assert len(calls) == 1


def test_what_is_no_function_is_refused():
    message = "Scaffold: init_fn=5 must be a function of (scaffold, session), or None."
    with pytest.raises(TypeError, match=re.escape(message)):
        torchest.Scaffold(init_fn=5)


def test_what_is_no_scaffold_is_refused():
    message = "EstimatorSpec: scaffold is a dict but must be a torchest.Scaffold, such as Scaffold(init_fn=...), or"
    with pytest.raises(TypeError, match=re.escape(message)):
        torchest.EstimatorSpec("eval", loss=torch.tensor(0.0), scaffold={})
