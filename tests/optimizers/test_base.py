"""What holds for every optimizer of torchest, and their steps against what TensorFlow computes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from reference_arrays import params, read
from torch import nn

from torchest import optimizers, v1
from torchest.optimizers.row_gradients import look_up

REFERENCE = read("optimizers")
CLASSES = {"RMSprop": optimizers.RMSProp}
SLOTS_OF_TF1 = {"accum": "accumulator", "accum_update": "accum_var"}
STEPS = 100

VARIANTS = {
    "Ftrl": lambda p: optimizers.Ftrl(p, lr=0.1),
    "Adagrad": lambda p: optimizers.Adagrad(p, lr=0.1),
    "Adam": lambda p: optimizers.Adam(p, lr=0.1),
    "lazy Adam": lambda p: optimizers.Adam(p, lr=0.1, lazy=True),
    "Adam with amsgrad": lambda p: optimizers.Adam(p, lr=0.1, amsgrad=True),
    "RMSProp": lambda p: optimizers.RMSProp(p, lr=0.1),
    "lazy RMSProp": lambda p: optimizers.RMSProp(p, lr=0.1, lazy=True),
    "RMSProp with momentum": lambda p: optimizers.RMSProp(p, lr=0.1, momentum=0.5),
    "centered RMSProp": lambda p: optimizers.RMSProp(p, lr=0.1, centered=True, epsilon=0.01),
    "SGD": lambda p: optimizers.SGD(p, lr=0.1),
    "SGD with momentum": lambda p: optimizers.SGD(p, lr=0.1, momentum=0.5),
    "SGD with Nesterov's momentum": lambda p: optimizers.SGD(
        p, lr=0.1, momentum=0.5, nesterov=True
    ),
    "Adadelta": lambda p: optimizers.Adadelta(p, lr=0.1),
    "Adamax": lambda p: optimizers.Adamax(p, lr=0.1),
    "Nadam": lambda p: optimizers.Nadam(p, lr=0.1),
    "SGD with decay and limits": lambda p: optimizers.SGD(
        p, lr=0.1, decay=0.5, clipnorm=0.7, clipvalue=0.5
    ),
    "Momentum of TensorFlow 1": lambda p: v1.train.MomentumOptimizer(0.1, 0.5).with_parameters(p),
    "RMSProp of TensorFlow 1": lambda p: v1.train.RMSPropOptimizer(0.1).with_parameters(p),
    "ProximalAdagrad": lambda p: v1.train.ProximalAdagradOptimizer(0.1).with_parameters(p),
}
ROWS_ONLY = [name for name in VARIANTS if name not in ("Adam", "Adam with amsgrad")]
each = pytest.mark.parametrize("make", list(VARIANTS.values()), ids=list(VARIANTS))


def make_as(case: dict, parameter: nn.Parameter) -> torch.optim.Optimizer:
    name, arguments = case["optimizer"], dict(case["arguments"])
    if isinstance(arguments.get("learning_rate"), dict):
        rate = arguments["learning_rate"]["exponential_decay"]
        arguments["learning_rate"] = optimizers.schedules.ExponentialDecay(*rate)
    made = CLASSES.get(name) or getattr(
        v1.train if name.endswith("Optimizer") else optimizers, name
    )
    return made(**arguments).with_parameters([parameter])


def give_rows(parameter: nn.Parameter, ids, rows) -> None:
    ids = torch.tensor(ids, dtype=torch.int64)
    rows = torch.tensor(rows, dtype=parameter.dtype).reshape(len(ids), parameter.shape[1])
    (look_up(parameter, ids) * rows).sum().backward()


def assert_as_tensorflow(parameter: nn.Parameter, optimizer, expected: dict) -> None:
    actual = {"weights": parameter.detach(), **optimizer.state[parameter]}
    if "accum_grad" in actual:
        actual["accum"] = actual["accum_grad"]
    for tf_name, values in expected.items():
        name = tf_name if tf_name in actual else SLOTS_OF_TF1[tf_name]
        np.testing.assert_allclose(actual[name].numpy(), values, rtol=2e-5, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("case", params(REFERENCE["dense"]["cases"]))
def test_dense_steps_as_tensorflow(case):
    parameter = nn.Parameter(torch.tensor(case["initial"]))
    optimizer = make_as(case, parameter)
    for step, gradient in enumerate(REFERENCE["dense"]["gradients"], start=1):
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        if str(step) in case["after"]:
            assert_as_tensorflow(parameter, optimizer, case["after"][str(step)])
    assert step == STEPS


@pytest.mark.parametrize("case", params(REFERENCE["sparse"]["cases"]))
def test_steps_on_rows_as_tensorflow(case):
    parameter = nn.Parameter(torch.tensor(case["initial"]))
    optimizer = make_as(case, parameter)
    for step, gradient in enumerate(REFERENCE["sparse"]["gradients"], start=1):
        give_rows(parameter, gradient["ids"], gradient["rows"])
        optimizer.step()
        optimizer.zero_grad()
        if str(step) in case["after"]:
            assert_as_tensorflow(parameter, optimizer, case["after"][str(step)])
    assert step == STEPS


@each
def test_rows_and_dense_gradients_agree_where_all_rows_are_used(make):
    by_rows, dense = (nn.Parameter(torch.ones(4, 3, dtype=torch.float64)) for _ in range(2))
    both = make([by_rows, dense])
    for _ in range(20):
        ids = torch.cat([torch.randperm(4), torch.randint(0, 4, (6,))])
        rows = torch.randn(10, 3, dtype=torch.float64)
        (look_up(by_rows, ids) * rows).sum().backward()
        (dense[ids] * rows).sum().backward()
        both.step()
        both.zero_grad()
    torch.testing.assert_close(by_rows, dense, rtol=1e-10, atol=1e-12)


@each
def test_ids_that_repeat_are_summed_before_the_update(make):
    once, twice = (nn.Parameter(torch.ones(3, 1)) for _ in range(2))
    give_rows(once, [2], [[3.0]])
    give_rows(twice, [2, 2], [[1.0], [2.0]])
    make([once, twice]).step()
    assert torch.equal(once, twice)
    assert once[2].item() != 1


@pytest.mark.parametrize("name", ROWS_ONLY)
def test_rows_that_were_not_used_do_not_move(name):
    parameter = nn.Parameter(torch.ones(3, 1))
    optimizer = VARIANTS[name]([parameter])
    for ids in ([0, 1], [1, 1], [1]):
        give_rows(parameter, ids, [[1.0]] * len(ids))
        optimizer.step()
        optimizer.zero_grad()
        if ids == [0, 1]:
            after_first = parameter[0].item()
    assert parameter[0].item() == after_first != 1
    assert parameter[2].item() == 1


def test_adam_moves_rows_by_their_means_unless_it_is_lazy():
    exact, lazy = (nn.Parameter(torch.ones(2, 1)) for _ in range(2))
    of_both = (
        (exact, optimizers.Adam([exact], lr=0.1)),
        (lazy, optimizers.Adam([lazy], lr=0.1, lazy=True)),
    )
    for parameter, optimizer in of_both:
        for ids in ([0, 1], [1]):
            give_rows(parameter, ids, [[1.0]] * len(ids))
            optimizer.step()
            optimizer.zero_grad()
    assert torch.equal(exact[1], lazy[1])
    assert lazy[0].item() == pytest.approx(0.9, abs=1e-6)
    assert exact[0].item() < 0.85


def test_rmsprop_lets_the_means_of_other_rows_decay_unless_it_is_lazy():
    for lazy, left in ((False, 0.9), (True, 1.0)):
        parameter = nn.Parameter(torch.ones(2, 1))
        optimizer = optimizers.RMSProp([parameter], rho=0.9, lazy=lazy)
        for ids in ([0, 1], [1]):
            give_rows(parameter, ids, [[1.0]] * len(ids))
            optimizer.step()
            optimizer.zero_grad()
        actual = optimizer.state[parameter]["rms"].flatten().tolist()
        assert actual == pytest.approx([0.1 * left, 0.19])


@each
def test_no_rows_change_no_slot_into_nan(make):
    parameter = nn.Parameter(torch.ones(2, 1))
    optimizer = make([parameter])
    give_rows(parameter, [], [])
    optimizer.step()
    assert parameter.isfinite().all()


@each
def test_dense_and_row_gradients_of_one_parameter_are_added(make):
    both, dense = (nn.Parameter(torch.ones(3, 2)) for _ in range(2))
    optimizer = make([both, dense])
    (look_up(both, torch.tensor([1])).sum() + both.sum()).backward()
    dense.grad = torch.tensor([[1.0, 1.0], [2.0, 2.0], [1.0, 1.0]])
    optimizer.step()
    assert torch.equal(both, dense)


@each
def test_a_state_dict_takes_up_where_it_was_saved(make):
    straight = nn.Parameter(torch.ones(3, 1))
    optimizer = make([straight])
    for step in range(4):
        if step == 2:
            resumed = nn.Parameter(straight.detach().clone())
            other = make([resumed])
            state = optimizer.state_dict()
            state["state"] = {
                0: {key: torch.as_tensor(value).clone() for key, value in state["state"][0].items()}
            }
            state["state"][0]["step"] = 2
            other.load_state_dict(state)
        for parameter, of_it in ((straight, optimizer), *([(resumed, other)] if step >= 2 else [])):
            give_rows(parameter, [step % 3, 1], [[1.0 + step], [0.5]])
            of_it.step()
            of_it.zero_grad()
    assert torch.equal(straight, resumed)


@each
def test_state_and_updates_are_in_the_dtype_of_the_weights(make):
    parameter = nn.Parameter(torch.ones(2, 1, dtype=torch.float64))
    optimizer = make([parameter])
    give_rows(parameter, [0], [[0.3]])
    optimizer.step()
    slots = [slot for slot in optimizer.state[parameter].values() if isinstance(slot, torch.Tensor)]
    assert all(slot.dtype == torch.float64 for slot in slots)


@each
def test_a_parameter_without_gradient_stays(make):
    used, idle = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = make([used, idle])
    for _ in range(2):
        used.grad = torch.ones(2)
        optimizer.step()
    assert idle.tolist() == [1, 1]
    assert optimizer.state[idle] == {"step": 2}


@each
def test_a_torch_scheduler_may_set_the_learning_rate(make):
    parameter = nn.Parameter(torch.ones(1))
    optimizer = make([parameter])
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    parameter.grad = torch.ones(1)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)


def test_groups_have_options_of_their_own():
    fast, slow = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = optimizers.SGD([{"params": [fast], "lr": 1.0}, {"params": [slow]}], lr=0.5)
    fast.grad = slow.grad = torch.ones(1)
    optimizer.step()
    assert (fast.item(), slow.item()) == (-1.0, -0.5)


def test_adam_equals_its_formula_in_plain_numbers():
    w, m, v = 1.0, 0.0, 0.0
    parameter = nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = optimizers.Adam([parameter], lr=0.1, beta_1=0.8, beta_2=0.9, epsilon=0.01)
    for t, g in enumerate([0.5, -1.0, 0.25], start=1):
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        w -= 0.1 * math.sqrt(1 - 0.9**t) / (1 - 0.8**t) * m / (math.sqrt(v) + 0.01)
        parameter.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
    assert parameter.item() == pytest.approx(w, rel=1e-13)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda p: optimizers.Adagrad(p, lr=-1),
            r"Adagrad: lr=-1 must be at least 0, or a function",
        ),
        (lambda p: optimizers.Adagrad(p, epsilon=-1), r"Adagrad: epsilon=-1 must be at least 0"),
        (
            lambda p: optimizers.Adagrad(p, initial_accumulator_value=-1),
            r"initial_accumulator_value=-1 must be at least 0",
        ),
        (
            lambda p: optimizers.Adam(p, beta_1=1.0),
            r"Adam: beta_1=1.0 must be at least 0 and below",
        ),
        (lambda p: optimizers.Adam(p, beta_2=-0.1), r"Adam: beta_2=-0.1 must be at least 0 and"),
        (lambda p: optimizers.Adam(p, epsilon=-1), r"Adam: epsilon=-1 must be at least 0"),
        (
            lambda p: optimizers.RMSProp(p, rho=1.5),
            r"RMSProp: rho=1.5 must be at least 0 and below",
        ),
        (lambda p: optimizers.RMSProp(p, momentum=-1), r"RMSProp: momentum=-1 must be at least 0"),
        (lambda p: optimizers.RMSProp(p, epsilon=-1), r"RMSProp: epsilon=-1 must be at least 0"),
        (
            lambda p: optimizers.SGD(p, momentum=2),
            r"SGD: momentum=2 must be at least 0 and at most",
        ),
    ],
)
def test_options_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make([nn.Parameter(torch.zeros(1))])


def test_a_text_is_no_number():
    with pytest.raises(ValueError, match=r"Ftrl: lr='1e-3' must be above 0, or a function of the"):
        optimizers.Ftrl([nn.Parameter(torch.zeros(1))], lr="1e-3")


@pytest.mark.parametrize(
    ("before", "now", "new_slot"),
    [
        (VARIANTS["Adam"], VARIANTS["Adam with amsgrad"], "vhat"),
        (VARIANTS["RMSProp"], VARIANTS["RMSProp with momentum"], "momentum"),
        (VARIANTS["RMSProp"], VARIANTS["centered RMSProp"], "mg"),
        (VARIANTS["SGD"], VARIANTS["SGD with momentum"], "momentum"),
    ],
    ids=["Adam, amsgrad", "RMSProp, momentum", "RMSProp, centered", "SGD, momentum"],
)
def test_an_option_that_needs_a_new_slot_may_be_given_to_a_trained_model(before, now, new_slot):
    parameter = nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    first, second = before([parameter]), now([parameter])
    first.step()
    groups = second.state_dict()["param_groups"]
    second.load_state_dict({**first.state_dict(), "param_groups": groups})
    second.step()
    assert second.state[parameter]["step"] == 2
    assert second.state[parameter][new_slot].abs().sum() > 0
    assert torch.isfinite(parameter).all()
