from __future__ import annotations

import pytest
from reference_hooks import estimator, input_fn

import torchest


@pytest.mark.parametrize(("step", "is_told"), [(100, True), (0, False)])
def test_it_does_not_wait_and_says_so(tmp_path, caplog, step, is_told):
    caplog.set_level("INFO", "torchest")
    estimator(tmp_path).train(input_fn, [torchest.GlobalStepWaiterHook(step)], steps=2)
    assert (
        "does not wait for step 100: all processes take each step together" in caplog.text
    ) == is_told
