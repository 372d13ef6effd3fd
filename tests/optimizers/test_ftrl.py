"""Ftrl, against what TensorFlow computes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from torchest.optimizers import Ftrl
from torchest.optimizers.row_gradients import look_up

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "ftrl.json").read_text())
STEPS = 100


def cases(kind: str) -> list:
    return [pytest.param(case, id=case["name"]) for case in REFERENCE[kind]["cases"]]


def ftrl(parameter: nn.Parameter, arguments: dict) -> Ftrl:
    arguments = dict(arguments)
    return Ftrl([parameter], lr=arguments.pop("learning_rate", 0.001), **arguments)


def assert_as_tensorflow(parameter: nn.Parameter, optimizer: Ftrl, expected: dict) -> None:
    actual = {"weights": parameter.detach(), **optimizer.state[parameter]}
    for name, values in expected.items():
        # the linear slot adds up float32 terms that are much larger than what is left of them
        atol = 2e-5 + 3e-7 * np.abs(values).max()
        np.testing.assert_allclose(actual[name].numpy(), values, rtol=2e-5, atol=atol, err_msg=name)


def give_rows(parameter: nn.Parameter, gradient: dict) -> None:
    ids = torch.tensor(gradient["ids"], dtype=torch.int64)
    rows = torch.tensor(gradient["rows"], dtype=parameter.dtype).reshape(-1, parameter.shape[1])
    (look_up(parameter, ids) * rows).sum().backward()


@pytest.mark.parametrize("case", cases("dense"))
def test_dense_steps_as_tensorflow(case):
    parameter = nn.Parameter(torch.tensor(case["initial"]))
    optimizer = ftrl(parameter, case["arguments"])
    for step, gradient in enumerate(REFERENCE["dense"]["gradients"], start=1):
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        if str(step) in case["after"]:
            assert_as_tensorflow(parameter, optimizer, case["after"][str(step)])
    assert step == STEPS


@pytest.mark.parametrize("case", cases("sparse"))
def test_steps_on_rows_as_tensorflow(case):
    parameter = nn.Parameter(torch.tensor(case["initial"]))
    optimizer = ftrl(parameter, case["arguments"])
    for step, gradient in enumerate(REFERENCE["sparse"]["gradients"], start=1):
        give_rows(parameter, gradient)
        optimizer.step()
        optimizer.zero_grad()
        if str(step) in case["after"]:
            assert_as_tensorflow(parameter, optimizer, case["after"][str(step)])
    assert step == STEPS


def scalar_ftrl(gradients: list[float], lr: float, l1: float, l2: float) -> float:
    """The update of one weight in plain numbers."""
    w, n, z = 0.0, 0.1, 0.0
    for g in gradients:
        grown = n + g * g
        z += g - (math.sqrt(grown) - math.sqrt(n)) / lr * w
        n = grown
        w = 0.0 if abs(z) <= l1 else (math.copysign(l1, z) - z) / (math.sqrt(n) / lr + 2 * l2)
    return w


def test_equals_the_formula_in_plain_numbers_in_float64():
    gradients = [0.5, -0.25, 0.75, 0.0, 1.5]
    parameter = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = Ftrl(
        [parameter], lr=0.2, l1_regularization_strength=0.1, l2_regularization_strength=0.3
    )
    for gradient in gradients:
        parameter.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
    expected = scalar_ftrl(gradients, lr=0.2, l1=0.1, l2=0.3)
    assert parameter.item() == pytest.approx(expected, rel=1e-14)
    assert optimizer.state[parameter]["linear"].dtype == torch.float64


def test_l2_enters_doubled():
    parameter = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = Ftrl([parameter], lr=1.0, l2_regularization_strength=3.0)
    parameter.grad = torch.ones(1, dtype=torch.float64)
    optimizer.step()
    assert parameter.item() == pytest.approx(-1 / (math.sqrt(1.1) + 2 * 3.0), rel=1e-14)


def test_l1_makes_weights_exactly_zero_and_leaves_others():
    parameter = nn.Parameter(torch.zeros(3))
    optimizer = Ftrl([parameter], lr=0.1, l1_regularization_strength=1.0)
    parameter.grad = torch.tensor([0.999, -1.0, 1.25])
    optimizer.step()
    assert parameter[:2].tolist() == [0.0, 0.0]
    assert parameter[2].item() < 0


def test_an_initial_weight_is_lost_at_its_first_update():
    parameter = nn.Parameter(torch.tensor([[3.0], [3.0]]))
    optimizer = Ftrl([parameter], lr=0.1)
    give_rows(parameter, {"ids": [1], "rows": [[0.0]]})
    optimizer.step()
    assert parameter.flatten().tolist()[0] == 3.0
    assert abs(parameter.flatten().tolist()[1]) == 0.0


@pytest.mark.parametrize("power", [-0.5, -0.3])
def test_rows_and_dense_gradients_agree_where_all_rows_are_used(power):
    torch.manual_seed(0)
    by_rows, dense = (nn.Parameter(torch.zeros(4, 3, dtype=torch.float64)) for _ in range(2))
    arguments = {
        "learning_rate_power": power,
        "l1_regularization_strength": 0.01,
        "l2_shrinkage_regularization_strength": 0.1,
        "beta": 0.5,
    }
    optimizers = Ftrl([by_rows], **arguments), Ftrl([dense], **arguments)
    for _ in range(20):
        ids = torch.cat([torch.randperm(4), torch.randint(0, 4, (6,))])
        rows = torch.randn(10, 3, dtype=torch.float64)
        (look_up(by_rows, ids) * rows).sum().backward()
        (dense[ids] * rows).sum().backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    torch.testing.assert_close(by_rows, dense, rtol=1e-12, atol=1e-15)


def test_ids_that_repeat_are_summed_before_the_update():
    once, twice = (nn.Parameter(torch.zeros(3, 1)) for _ in range(2))
    give_rows(once, {"ids": [2], "rows": [[3.0]]})
    give_rows(twice, {"ids": [2, 2], "rows": [[1.0], [2.0]]})
    Ftrl([once, twice], lr=0.2).step()
    assert torch.equal(once, twice)


def test_dense_and_row_gradients_of_one_parameter_are_added():
    both, dense = (nn.Parameter(torch.zeros(3, 2)) for _ in range(2))
    optimizer = Ftrl([both, dense], lr=0.2)
    (look_up(both, torch.tensor([1])).sum() + both.sum()).backward()
    dense.grad = torch.tensor([[1.0, 1.0], [2.0, 2.0], [1.0, 1.0]])
    optimizer.step()
    assert torch.equal(both, dense)
    assert both.abs().min() > 0


def test_a_step_without_gradient_changes_nothing_but_counts():
    parameter = nn.Parameter(torch.ones(2))
    optimizer = Ftrl([parameter])
    optimizer.step()
    assert parameter.tolist() == [1, 1]
    assert optimizer.state[parameter] == {"step": 1}


def test_zero_grad_forgets_row_gradients():
    parameter = nn.Parameter(torch.ones(2, 1))
    optimizer = Ftrl([parameter])
    give_rows(parameter, {"ids": [0], "rows": [[1.0]]})
    optimizer.zero_grad()
    optimizer.step()
    assert parameter.flatten().tolist() == [1, 1]


def test_a_learning_rate_may_be_a_function_of_the_step():
    fixed, scheduled = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    asked = []

    def rate(step: int) -> float:
        asked.append(step)
        return 0.5 / (1 + step)

    by_function, by_hand = Ftrl([scheduled], lr=rate), Ftrl([fixed], lr=0.5)
    for step in range(3):
        for parameter in (fixed, scheduled):
            parameter.grad = torch.tensor([1.0 - step])
        by_hand.param_groups[0]["lr"] = 0.5 / (1 + step)
        by_function.step()
        by_hand.step()
    assert asked == [0, 1, 2]
    assert torch.equal(fixed, scheduled)


def test_a_learning_rate_that_falls_to_zero():
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = Ftrl([parameter], lr=lambda step: 1.0 - step)
    parameter.grad = torch.ones(1)
    optimizer.step()
    with pytest.raises(ValueError, match=r"Ftrl: lr=0.0 must be above 0, also in step 2"):
        optimizer.step()


def test_a_state_dict_takes_up_where_it_was_saved():
    straight = nn.Parameter(torch.zeros(3, 1))
    optimizer = Ftrl([straight], lr=lambda step: 0.5 / (1 + step), beta=0.1)
    for step in range(4):
        give_rows(straight, {"ids": [step % 3], "rows": [[1.0 + step]]})
        optimizer.step()
        optimizer.zero_grad()
        if step == 1:
            resumed = nn.Parameter(straight.detach().clone())
            other = Ftrl([resumed], lr=lambda step: 0.5 / (1 + step), beta=0.1)
            saved = optimizer.state_dict()
            saved = {
                "state": {
                    0: {
                        name: slot.clone() if isinstance(slot, torch.Tensor) else slot
                        for name, slot in saved["state"][0].items()
                    }
                },
                "param_groups": saved["param_groups"],
            }
    other.load_state_dict(saved)
    for step in (2, 3):
        give_rows(resumed, {"ids": [step % 3], "rows": [[1.0 + step]]})
        other.step()
        other.zero_grad()
    assert torch.equal(straight, resumed)
    assert other.state[resumed]["step"] == 4


def test_slots_come_into_being_at_the_first_update():
    parameter = nn.Parameter(torch.zeros(2, 1))
    optimizer = Ftrl([parameter])
    assert parameter not in optimizer.state
    parameter.grad = torch.ones(2, 1)
    optimizer.step()
    assert set(optimizer.state[parameter]) == {"step", "accumulator", "linear"}


def test_later_steps_on_a_large_table_allocate_only_for_the_rows():
    parameter = nn.Parameter(torch.zeros(2_000_000, 4))
    optimizer = Ftrl([parameter], lr=0.1)
    ids = torch.tensor([1, 1_999_999, 1])

    def step() -> None:
        look_up(parameter, ids).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    with torch.profiler.profile(profile_memory=True) as profile:
        step()
    assert sum(max(event.self_cpu_memory_usage, 0) for event in profile.events()) < 100_000


def test_a_closure_is_called_with_gradients_on():
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = Ftrl([parameter], lr=0.1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (parameter - 1).square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 1
    assert parameter.item() > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": -1.0}, r"Ftrl: lr=-1.0 must be above 0, or a function of the step"),
        ({"learning_rate_power": 0.5}, r"Ftrl: learning_rate_power=0.5 must be at most 0"),
        ({"initial_accumulator_value": -1.0}, r"initial_accumulator_value=-1.0 must be at least 0"),
        ({"l1_regularization_strength": -1}, r"l1_regularization_strength=-1 must be at least 0"),
        ({"l2_regularization_strength": -1}, r"l2_regularization_strength=-1 must be at least 0"),
        (
            {"l2_shrinkage_regularization_strength": -1},
            r"l2_shrinkage_regularization_strength=-1 must be at least 0",
        ),
        ({"beta": -1}, r"beta=-1 must be at least 0"),
    ],
)
def test_options_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        Ftrl([nn.Parameter(torch.zeros(1))], **arguments)
