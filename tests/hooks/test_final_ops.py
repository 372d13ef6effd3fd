from __future__ import annotations

import pytest
from reference_hooks import estimator, input_fn

import torchest


def test_values_of_the_last_step_are_kept(tmp_path):
    hook = torchest.FinalOpsHook({"loss": "loss", "steps": ["global_step"]})
    assert hook.final_ops_values is None
    estimator(tmp_path).train(input_fn, [hook], steps=3)
    assert hook.final_ops_values == {"loss": 12.0, "steps": [3]}


def test_metrics_of_an_evaluation_are_those_of_all_its_batches(tmp_path):
    hook = torchest.FinalOpsHook("mean_label")
    model = estimator(tmp_path).train(input_fn, steps=1)
    model.evaluate(input_fn, steps=3, hooks=[hook])
    assert hook.final_ops_values == 11.0


def test_no_values_may_be_wanted(tmp_path):
    hook = torchest.FinalOpsHook(None)
    estimator(tmp_path).train(input_fn, [hook], steps=1)
    assert hook.final_ops_values is None


def test_nothing_can_be_fed():
    with pytest.raises(ValueError, match="final_ops_feed_dict must be None: nothing can be fed"):
        torchest.FinalOpsHook("loss", {"x": 1})
