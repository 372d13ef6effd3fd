"""What may be given where an estimator takes an optimizer."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from torchest import optimizers, v1
from torchest.optimizers.resolve import resolve


def parameter() -> nn.Parameter:
    return nn.Parameter(torch.zeros(1))


@pytest.mark.parametrize(
    ("name", "expected", "own_rate"),
    [
        ("Adagrad", optimizers.Adagrad, 0.001),
        ("Adam", optimizers.Adam, 0.001),
        ("Ftrl", optimizers.Ftrl, 0.001),
        ("RMSProp", optimizers.RMSProp, 0.001),
        ("SGD", optimizers.SGD, 0.01),
    ],
)
def test_names(name, expected, own_rate):
    own, given = resolve(name, None)([parameter()]), resolve(name, 0.2)([parameter()])
    assert type(own) is type(given) is expected
    assert own.param_groups[0]["lr"] == own_rate
    assert given.param_groups[0]["lr"] == 0.2


@pytest.mark.parametrize(
    "given",
    [
        torch.optim.Adam,
        optimizers.Ftrl,
        functools.partial(optimizers.Adam, lr=0.5),
        lambda parameters: torch.optim.SGD(parameters, lr=0.5),
    ],
    ids=["class", "class of torchest", "partial", "function"],
)
def test_classes_and_functions_keep_their_own_rate(given):
    made = resolve(given, 0.2)([parameter()])
    assert isinstance(made, torch.optim.Optimizer)
    assert made.param_groups[0]["lr"] != 0.2


SCHEDULERS = {
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.5),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda step: 1 / (1 + step)),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 10),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 0.1, total_iters=5),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2, 0.5),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [2, 5], 0.5),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.5, total_steps=10, cycle_momentum=False),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2, 2),
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o, 0.1, 5), lr_scheduler.ExponentialLR(o, 0.5)]
    ),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, 1.0, 4), lr_scheduler.CosineAnnealingLR(o, 6)], [4]
    ),
}


def halving(parameters):
    return lr_scheduler.ExponentialLR(torch.optim.SGD(parameters, lr=0.5), 0.5)


def steps(optimizer: torch.optim.Optimizer, weight: nn.Parameter, count: int) -> None:
    for _ in range(count):
        weight.grad = torch.ones(1)
        optimizer.step()


@pytest.mark.parametrize("make", list(SCHEDULERS.values()), ids=list(SCHEDULERS))
def test_a_scheduler_takes_a_step_with_its_optimizer(make):
    weight, by_hand = parameter(), parameter()
    optimizer = resolve(lambda p: make(torch.optim.SGD(p, lr=1.0)), None)([weight])
    other = torch.optim.SGD([by_hand], lr=1.0)
    scheduler = make(other)
    steps(optimizer, weight, 7)
    for _ in range(7):
        steps(other, by_hand, 1)
        scheduler.step()
    assert torch.equal(weight, by_hand)
    assert 0 < abs(weight.item()) < 7


@pytest.mark.parametrize("make", list(SCHEDULERS.values()), ids=list(SCHEDULERS))
def test_a_scheduler_goes_on_from_the_state_of_its_optimizer(make):
    straight, resumed = parameter(), parameter()
    make_optimizer = resolve(lambda p: make(torch.optim.SGD(p, lr=1.0)), None)
    optimizer = make_optimizer([straight])
    steps(optimizer, straight, 3)
    other = make_optimizer([resumed])
    other.load_state_dict(optimizer.state_dict())
    with torch.no_grad():
        resumed.copy_(straight)
    steps(optimizer, straight, 4)
    steps(other, resumed, 4)
    assert torch.equal(straight, resumed)


def test_a_schedule_with_other_numbers_goes_on_from_the_same_step():
    weight = parameter()

    def make(decay):
        return resolve(
            lambda p: lr_scheduler.LambdaLR(torch.optim.SGD(p, lr=1.0), lambda step: decay**step),
            None,
        )([weight])

    first, second = make(0.5), make(0.1)
    steps(first, weight, 3)
    saved = first.state_dict()
    saved["param_groups"][0]["lr"] = 1.0
    second.load_state_dict(saved)
    steps(second, weight, 1)
    assert second.param_groups[0]["lr"] == pytest.approx(0.1**4)


def test_the_state_of_an_optimizer_without_a_scheduler():
    plain = torch.optim.SGD([parameter()], lr=1.0)
    scheduled = resolve(halving, None)([parameter()])
    scheduled.load_state_dict(plain.state_dict())
    assert scheduled.param_groups[0]["lr"] == 1.0


@pytest.mark.parametrize("unfit", [torch.optim.LBFGS, torch.optim.SparseAdam])
def test_optimizers_that_a_training_loop_cannot_use(unfit):
    with pytest.raises(TypeError, match=f"optimizer made a torch.optim.{unfit.__name__}, wh"):
        resolve(unfit, None)([parameter()])


def test_an_unknown_name():
    with pytest.raises(
        ValueError, match=r"dnn_optimizer='Adm' is not an optimizer. Did you mean 'Adam'"
    ):
        resolve("Adm", None, "dnn_optimizer")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (optimizers.SGD([parameter()]), r"optimizer is an object that was made .* class SGD: give"),
        (0.1, r"optimizer=0.1: give a name such as 'Ftrl'"),
        (None, r"optimizer=None: give a name such as 'Ftrl'"),
        (
            lambda: None,
            r"optimizer is a function of no arguments that made a NoneType: it must make an optimizer w",
        ),
        (
            lambda parameters, rate: None,
            r"optimizer is a function of \(parameters, rate\): it must be one of the model's param",
        ),
    ],
    ids=["made", "number", "None", "function of nothing", "function of two"],
)
def test_what_is_no_way_to_make_an_optimizer(given, message):
    with pytest.raises(TypeError, match=message):
        resolve(given, None)


@pytest.mark.parametrize(
    "settings",
    [
        optimizers.Adam(learning_rate=0.3, clipnorm=1.0),
        lambda: optimizers.Adam(learning_rate=0.3, clipnorm=1.0),
        v1.train.MomentumOptimizer(0.3, momentum=0.5),
        lambda: v1.train.MomentumOptimizer(0.3, momentum=0.5),
    ],
    ids=["an optimizer", "a function", "of TensorFlow 1", "a function, of TensorFlow 1"],
)
def test_an_optimizer_without_parameters_makes_several(settings):
    make = resolve(settings, lr=0.9)
    first, second = make([parameter()]), make([parameter()])
    assert type(first) is type(second)
    assert first.param_groups[0]["params"][0] is not second.param_groups[0]["params"][0]
    assert first.param_groups[0]["lr"] == 0.3
    assert first.state is not second.state


def test_a_function_that_leaves_the_parameters_out_is_told_so():
    with pytest.raises(
        TypeError, match="optimizer made an Adam without the parameters that it got"
    ):
        resolve(lambda parameters: optimizers.Adam(lr=0.1), None)([parameter()])


@pytest.mark.parametrize(
    "function",
    [
        lambda parameters: 3,
        lambda parameters: lr_scheduler.ReduceLROnPlateau(torch.optim.SGD(parameters)),
    ],
    ids=["number", "plateau"],
)
def test_functions_that_make_something_else(function):
    with pytest.raises(TypeError, match=r"optimizer made a \w+ from the parameters"):
        resolve(function, None)([parameter()])
