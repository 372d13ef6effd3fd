"""What users get wrong in a model_fn, and the whole message that each of it gets, before anything is written."""

from __future__ import annotations

import logging
import re

import pytest
import torch
from torch import nn

import torchest
from torchest import EstimatorSpec, ModeKeys, columns, get_or_create, metrics

X = torch.tensor([[1.0], [2.0]])
Y = torch.tensor([[2.0], [4.0]])


def net():
    return get_or_create("net", lambda: nn.Linear(1, 1))


def sgd_of(parameters):
    return get_or_create("sgd", lambda: torch.optim.SGD(parameters, lr=0.1))


def mse(output):
    return (output - Y).square().mean()


def called(model_fn, use="train", features=X, labels=Y, config=None, params=None):
    """Uses an estimator of a model_fn, for training unless said otherwise."""
    model = torchest.Estimator(model_fn, "model", config, params)
    given = features if labels is None else (features, labels)
    if use == "predict":
        return list(model.predict(lambda: [features]))
    return getattr(model, use)(lambda: [given], steps=1)


def spec_of(use="train", config=None, **fields):
    """A model_fn that is right but for these fields, each a value or a function of the net."""

    def model_fn(features, labels, mode):
        module = net()
        right = {
            "mode": mode,
            "predictions": module(features),
            "loss": mse(module(features)) if mode != ModeKeys.PREDICT else None,
            "train_op": sgd_of(module.parameters()) if mode == ModeKeys.TRAIN else None,
        }
        made = {name: value(module) if callable(value) else value for name, value in fields.items()}
        return EstimatorSpec(**{**right, **made})

    return called(model_fn, use, config=config)


def loss_of(function):
    """A model_fn with a loss that is a function of the output."""
    return spec_of(loss=lambda module: function(module(X)))


def same_optimizer_for_all(features, labels, mode):
    optimizer = get_or_create("net", lambda: torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1))
    module = get_or_create("net", lambda: nn.Linear(1, 1))
    return EstimatorSpec(mode, loss=mse(module(features)), train_op=optimizer)


def frozen(features, labels, mode):
    module = net().requires_grad_(False)
    return EstimatorSpec(
        mode, loss=mse(module(features)), train_op=sgd_of(list(module.parameters()))
    )


def without_parameters(features, labels, mode):
    module = get_or_create("net", nn.ReLU)
    return EstimatorSpec(mode, loss=mse(module(features)), train_op=sgd_of(module.parameters()))


def module_of_its_own(features, labels, mode):
    hidden = nn.Linear(1, 3)
    module = get_or_create("net", lambda: nn.Linear(3, 1))
    return EstimatorSpec(
        mode, loss=mse(module(hidden(features))), train_op=sgd_of(module.parameters())
    )


def columns_of_its_own(features, labels, mode):
    layer = columns.LinearFeatures([columns.numeric_column("x")])
    module = net()
    loss = mse(module(layer(features)))
    return EstimatorSpec(mode, loss=loss, train_op=sgd_of(module.parameters()))


def optimizer_of_a_module_of_its_own(features, labels, mode):
    module = nn.Linear(1, 1)
    return EstimatorSpec(mode, loss=mse(module(features)), train_op=sgd_of(module.parameters()))


def optimizer_of_its_own(features, labels, mode):
    module = net()
    optimizer = torch.optim.Adam(module.parameters())
    return EstimatorSpec(mode, loss=mse(module(features)), train_op=optimizer)


def lbfgs(features, labels, mode):
    module = net()
    optimizer = get_or_create("optimizer", lambda: torch.optim.LBFGS(module.parameters()))
    return EstimatorSpec(mode, loss=mse(module(features)), train_op=optimizer)


def plateau(features, labels, mode):
    module = net()
    optimizer = sgd_of(module.parameters())
    get_or_create("schedule", lambda: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer))
    return EstimatorSpec(mode, loss=mse(module(features)), train_op=optimizer)


def made_by(name, factory):
    """A model_fn that makes one thing more."""

    def model_fn(features, labels, mode):
        get_or_create(name, factory)
        return EstimatorSpec(mode, loss=mse(net()(features)), train_op=sgd_of(net().parameters()))

    return called(model_fn)


def using_labels(features, labels, mode):
    output = net()(features)
    loss = nn.functional.mse_loss(output, labels)
    return EstimatorSpec(mode, output, loss, sgd_of(net().parameters()))


GRADIENT = "The loss has no gradient, as "
ON_THE_WAY = (
    "nothing leads from it to a parameter of the optimizers. Leave out detach(), item(), numpy(), argmax() and "
    "torch.no_grad() on the way from the model's output to the loss."
)
OUTSIDE = (
    "belongs to no module made with get_or_create: it would not be trained, nor be in any checkpoint. Make its "
    "module with get_or_create, or call requires_grad_(False) on it if it is not to be trained."
)
MAKE = "Make an nn.Module, an optimizer or another object with state_dict and load_state_dict."
CONFIG_OF_A_FUNCTION = (
    "=...) needs a train_op that is an optimizer or a list of optimizers; model_fn returned a function, which has to "
    "do this itself."
)  # fmt: skip

WRONG = {
    # The function
    "no function": (
        lambda: called(3),
        TypeError,
        "model_fn=3 must be a function of (features, labels, mode, params, config).",
    ),
    "another argument": (
        lambda: called(lambda features, labels, mode, epochs: None),
        ValueError,
        "model_fn takes 'epochs': its arguments can be features, labels, mode, params, config. Pass anything else in "
        "params.",
    ),
    "no features": (
        lambda: called(lambda labels, mode: None),
        ValueError,
        "model_fn must take 'features'; it takes (labels, mode).",
    ),
    "params that it does not take": (
        lambda: called(lambda features, labels, mode: None, params={"width": 3}),
        ValueError,
        "params={'width': 3} were given, but model_fn takes no 'params'. Add the argument, or leave params out.",
    ),
    "labels that it does not take": (
        lambda: called(lambda features, mode: None),
        ValueError,
        "The input_fn gives labels, but model_fn takes no 'labels'. Add the argument, or let the input_fn give "
        "features alone.",
    ),
    "labels that are not given": (
        lambda: called(using_labels, labels=None),
        TypeError,
        "model_fn failed, and the input_fn gives no labels: 'NoneType' object has no attribute 'size'. Let the "
        "input_fn give (features, labels), or model_fn do without labels.",
    ),
    "labels in PREDICT": (
        lambda: called(using_labels, "predict"),
        TypeError,
        "model_fn failed in PREDICT, where labels are None: 'NoneType' object has no attribute 'size'. Return the "
        "EstimatorSpec with predictions before labels are used.",
    ),
    "nothing returned": (
        lambda: called(lambda features, labels, mode: None),
        TypeError,
        "model_fn returned None, not a torchest.EstimatorSpec.",
    ),
    "a tuple returned": (
        lambda: called(lambda features, labels, mode: (features, labels)),
        TypeError,
        "model_fn returned a tuple, not a torchest.EstimatorSpec.",
    ),
    "the class returned": (
        lambda: called(lambda features, labels, mode: EstimatorSpec),
        TypeError,
        "model_fn returned the class EstimatorSpec, not a torchest.EstimatorSpec.",
    ),
    "a mode that is none": (
        lambda: spec_of(mode="traln"),
        ValueError,
        "EstimatorSpec: mode='traln' is not a mode. Did you mean 'train'? There are: 'eval', 'infer', 'train'.",
    ),
    "always one mode": (
        lambda: spec_of(mode="infer"),
        ValueError,
        "model_fn was called with mode='train' and returned an EstimatorSpec of mode='infer': give it the mode that "
        "model_fn got.",
    ),
    # Loss
    "no loss in TRAIN": (
        lambda: spec_of(loss=None),
        ValueError,
        "EstimatorSpec: loss is missing: in TRAIN give a scalar tensor.",
    ),
    "no loss in EVAL": (
        lambda: spec_of("evaluate", loss=None),
        ValueError,
        "EstimatorSpec: loss is missing: in EVAL give a scalar tensor.",
    ),
    "a loss for each row": (
        lambda: loss_of(lambda output: (output - Y).square()),
        ValueError,
        "EstimatorSpec: loss has shape [2, 1], but must be a scalar: reduce it, for example with loss.mean().",
    ),
    "a number for the loss": (
        lambda: loss_of(lambda output: mse(output).item()),
        TypeError,
        "EstimatorSpec: loss must be a scalar tensor, not a float.",
    ),
    "a loss of whole numbers": (
        lambda: loss_of(lambda output: (output > 0).sum()),
        ValueError,
        GRADIENT + "it is of dtype torch.int64: compute it in floating point.",
    ),
    "a detached loss": (
        lambda: loss_of(lambda output: mse(output.detach())),
        ValueError,
        GRADIENT + ON_THE_WAY,
    ),
    "a loss that does not come from the model": (
        lambda: loss_of(lambda output: torch.tensor(1.0)),
        ValueError,
        GRADIENT + ON_THE_WAY,
    ),
    "all parameters are frozen": (
        lambda: called(frozen),
        ValueError,
        GRADIENT
        + "all parameters of the optimizers are frozen: call requires_grad_(True) on those to be trained.",
    ),
    # get_or_create
    "a module of its own": (
        lambda: called(module_of_its_own),
        ValueError,
        f"The loss depends on a parameter of shape [3, 1] that {OUTSIDE}",
    ),
    "a layer of columns of its own": (
        lambda: called(columns_of_its_own, features={"x": X[:, 0]}),
        ValueError,
        f"The loss depends on a parameter of shape [1, 1] that {OUTSIDE}",
    ),
    "an optimizer of a module of its own": (
        lambda: called(optimizer_of_a_module_of_its_own),
        ValueError,
        "'sgd' holds a parameter of shape [1, 1] that belongs to no module made with get_or_create: it would not be "
        "in any checkpoint. Make its module with get_or_create.",
    ),
    "an optimizer of its own": (
        lambda: called(optimizer_of_its_own),
        ValueError,
        "train_op has an optimizer, Adam, that was not made with get_or_create: every batch would get a new one, and "
        "no checkpoint would have its state. Write get_or_create('optimizer', lambda: Adam(...)).",
    ),
    "one name for two things": (
        lambda: called(same_optimizer_for_all),
        ValueError,
        "get_or_create('net') was called with two factories: it would return the first object for both. Use another "
        "name for the second. To share an object, call get_or_create once.",
    ),
    "a name that goes on from another": (
        lambda: made_by("net.top", nn.ReLU),
        ValueError,
        "get_or_create('net'): there is 'net.top' too, and one name starts with the other and a dot, so their "
        "tensors would clash in a checkpoint. Use '_' for the dot.",
    ),
    "no name": (
        lambda: made_by("", nn.ReLU),
        TypeError,
        "get_or_create: name='' must be a string that is not empty.",
    ),
    "an object for a factory": (
        lambda: made_by("top", torch.zeros(3)),
        TypeError,
        "get_or_create('top'): factory must be a function that makes the object, not a Tensor. Write `lambda: ...` "
        "around it, so that it is made only once.",
    ),
    "a tensor to be kept": (
        lambda: made_by("top", lambda: torch.zeros(3)),
        TypeError,
        "get_or_create('top'): its factory made a Tensor, which has no state_dict: it could not be kept in a "
        f"checkpoint. {MAKE}",
    ),
    "get_or_create elsewhere": (
        net,
        RuntimeError,
        "get_or_create('net') was called outside a model_fn: it works only while an estimator runs a model_fn. "
        "Elsewhere, make the object directly.",
    ),
    # Optimizers
    "an optimizer without parameters": (
        lambda: called(without_parameters),
        ValueError,
        "optimizer got an empty parameter list",
    ),
    "no train_op": (
        lambda: spec_of(train_op=None),
        ValueError,
        "EstimatorSpec: train_op is missing: in TRAIN give an optimizer, a list of optimizers, or a function.",
    ),
    "a class for the train_op": (
        lambda: spec_of(train_op=lambda _: torch.optim.Adam),
        TypeError,
        "EstimatorSpec: train_op must be a torch.optim.Optimizer, a list of them, or a function; it is the class Adam.",
    ),
    "a module for the train_op": (
        lambda: spec_of(train_op=lambda module: module),
        TypeError,
        "EstimatorSpec: train_op must be a torch.optim.Optimizer, a list of them, or a function; it is a Linear.",
    ),
    "no optimizer in the list": (
        lambda: spec_of(train_op=[]),
        TypeError,
        "EstimatorSpec: train_op must be a torch.optim.Optimizer, a list of them, or a function; it is an empty list.",
    ),
    "a module in the list": (
        lambda: spec_of(train_op=lambda module: [module]),
        TypeError,
        "EstimatorSpec: train_op must be a torch.optim.Optimizer, a list of them, or a function; it is a list with a "
        "Linear.",
    ),
    "an optimizer that needs a closure": (
        lambda: called(lbfgs),
        TypeError,
        "train_op is a LBFGS, whose step needs a closure: give a function as train_op that calls step.",
    ),
    "a scheduler that follows a metric": (
        lambda: called(plateau),
        TypeError,
        "get_or_create('schedule') made a ReduceLROnPlateau, which follows a metric, and a training step has none of "
        "an evaluation: use a scheduler that follows the number of steps.",
    ),
    "clipping in a function": (
        lambda: spec_of(config=torchest.RunConfig(clip_norm=1.0), train_op=lambda _: lambda: None),
        ValueError,
        "RunConfig(clip_norm" + CONFIG_OF_A_FUNCTION,
    ),
    "accumulation in a function": (
        lambda: spec_of(
            config=torchest.RunConfig(accumulate_steps=2), train_op=lambda _: lambda: None
        ),
        ValueError,
        "RunConfig(accumulate_steps" + CONFIG_OF_A_FUNCTION,
    ),
    # What else is in the EstimatorSpec
    "no predictions in PREDICT": (
        lambda: spec_of("predict", predictions=None),
        ValueError,
        "EstimatorSpec: predictions are missing: in PREDICT give a tensor or a dict of tensors.",
    ),
    "a list of predictions": (
        lambda: spec_of("predict", predictions={"y": [1.0]}),
        TypeError,
        "EstimatorSpec: predictions['y'] must be a tensor, not a list. Make one with torch.as_tensor.",
    ),
    "a list of metrics": (
        lambda: spec_of("evaluate", eval_metric_ops=["accuracy"]),
        TypeError,
        "EstimatorSpec: eval_metric_ops must be a dict of metrics by name, not a list.",
    ),
    "a tensor for a metric": (
        lambda: spec_of("evaluate", eval_metric_ops={"mse": torch.tensor(1.0)}),
        TypeError,
        "EstimatorSpec: eval_metric_ops['mse'] is a Tensor, not a metric. Use a value of torchest.metrics, such as "
        "metrics.mean(values), or a metric of torchmetrics.",
    ),
    "a function for a metric": (
        lambda: spec_of("evaluate", eval_metric_ops={"mse": metrics.mean}),
        TypeError,
        "EstimatorSpec: eval_metric_ops['mse'] is a function, not a metric. Use a value of torchest.metrics, such as "
        "metrics.mean(values), or a metric of torchmetrics.",
    ),
    "one hook": (
        lambda: spec_of(training_hooks=torchest.SessionRunHook()),
        TypeError,
        "EstimatorSpec: training_hooks must be a list of hooks, not a SessionRunHook. Write [hook].",
    ),
    "the class of a hook": (
        lambda: spec_of(training_hooks=[torchest.SessionRunHook]),
        TypeError,
        "training_hooks has <class 'torchest.engine.hooks.SessionRunHook'>, but every item must be a SessionRunHook, "
        "or of a subclass of it: write SessionRunHook(...).",
    ),
    "a hook that is none": (
        lambda: spec_of("predict", prediction_hooks=["hook"]),
        TypeError,
        "prediction_hooks has 'hook', but every item must be a SessionRunHook, or of a subclass of it.",
    ),
    "a function for the scaffold": (
        lambda: spec_of(scaffold=lambda module: module),
        TypeError,
        "EstimatorSpec: scaffold is a Linear but must be a torchest.Scaffold, such as Scaffold(init_fn=...), or None.",
    ),
    "a list of export outputs": (
        lambda: spec_of("predict", export_outputs=["y"]),
        TypeError,
        "EstimatorSpec: export_outputs must be a dict of export outputs by name, not a list.",
    ),
    "a list of export outputs in training": (
        lambda: spec_of(export_outputs=["y"]),
        TypeError,
        "EstimatorSpec: export_outputs must be a dict of export outputs by name, not a list.",
    ),
    "a tensor for an export output": (
        lambda: spec_of("predict", export_outputs={"y": X}),
        TypeError,
        "EstimatorSpec: export_outputs['y'] is a Tensor: give a torchest.export.PredictOutput, ClassificationOutput or "
        "RegressionOutput.",
    ),
    "a reduction that is none": (
        lambda: spec_of(loss_reduction="mean"),
        ValueError,
        "EstimatorSpec: loss_reduction='mean' is not known. There are: 'auto', 'sum', 'sum_over_batch_size'.",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_the_message(wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    use, kind, message = WRONG[wrong]
    with pytest.raises(kind, match=f"^{re.escape(message)}$") as caught:
        use()
    assert type(caught.value) is kind
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_name_that_comes_after_the_first_batch(tmp_path):
    calls = []

    def model_fn(features, labels, mode):
        calls.append(mode)
        module = get_or_create("net" if len(calls) < 3 else "nets", lambda: nn.Linear(1, 1))
        return EstimatorSpec(mode, loss=mse(module(features)), train_op=sgd_of(module.parameters()))

    model = torchest.Estimator(model_fn, tmp_path)
    message = (
        "get_or_create('nets') came after the first batch: every object has to be made the first time model_fn "
        "runs, since checkpoints are restored right after it. Did you mean 'net'? There are: 'net', 'sgd'."
    )
    with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
        model.train(lambda: (X, Y), steps=3)


def test_parameters_that_no_optimizer_has_are_told_of_once(tmp_path, caplog):
    def model_fn(features, labels, mode):
        module = get_or_create("net", lambda: nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 1)))
        return EstimatorSpec(
            mode, loss=mse(module(features)), train_op=sgd_of(module[1].parameters())
        )

    with caplog.at_level(logging.WARNING, "torchest"):
        torchest.Estimator(model_fn, tmp_path).train(lambda: (X, Y), steps=3)
    assert [record.message for record in caplog.records] == [
        "No optimizer has net.0.bias, nor 1 more parameters, on which the loss depends: it will not be trained."
    ]


def test_a_frozen_module_outside_is_used_as_it_is(tmp_path, caplog):
    given = nn.Linear(1, 1).requires_grad_(False)

    def model_fn(features, labels, mode):
        return EstimatorSpec(
            mode, loss=mse(net()(given(features))), train_op=sgd_of(net().parameters())
        )

    with caplog.at_level(logging.WARNING, "torchest"):
        torchest.Estimator(model_fn, tmp_path).train(lambda: (X, Y), steps=2)
    assert not caplog.records
