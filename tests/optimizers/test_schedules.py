"""Learning rates that decay have TensorFlow's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from reference_arrays import params, read

from torchest import v1
from torchest.optimizers import schedules

REFERENCE = read("schedules")


@pytest.mark.parametrize("case", params(REFERENCE["cases"]))
def test_rates_as_tensorflow(case):
    name, arguments = case["function"], case["arguments"]
    if hasattr(schedules, name):
        schedule = getattr(schedules, name)(**arguments)
    else:
        step = "x" if name == "piecewise_constant" else "global_step"
        schedule = getattr(v1.train, name)(**{step: v1.train.get_global_step()}, **arguments)
    rates = [schedule(step) for step in REFERENCE["steps"]]
    assert all(type(rate) is float for rate in rates)
    np.testing.assert_allclose(rates, case["rates"], rtol=1e-6, atol=1e-9)


def test_a_decay_with_a_number_of_steps_is_a_rate():
    assert v1.train.exponential_decay(0.4, 10, 10, 0.5) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.ExponentialDecay(-1, 10, 0.5), "initial_learning_rate=-1 must be a fin"),
        (
            lambda: schedules.ExponentialDecay(0.1, 0, 0.5),
            "decay_steps=0 must be a finite number ab",
        ),
        (lambda: schedules.PolynomialDecay(0.1, 10, power=0), "power=0 must be a finite number ab"),
        (
            lambda: schedules.PiecewiseConstantDecay([10, 5], [1, 1, 1]),
            r"boundaries=\[10, 5\] must increase",
        ),
        (
            lambda: schedules.PiecewiseConstantDecay([10], [0.1]),
            r"values=\[0.1\] has 1 rates, but must have 2",
        ),
        (
            lambda: v1.train.exponential_decay(0.1, "ten", 10, 0.5),
            r"global_step='ten' must be a whole number.* give get_global_step\(\)",
        ),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
