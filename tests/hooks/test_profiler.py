from __future__ import annotations

import json

import pytest
from reference_hooks import Hook, estimator, input_fn

import torchest


def names(path):
    trace = json.loads(path.read_text())
    return {event.get("name") for event in trace["traceEvents"]}


def test_a_trace_is_of_one_whole_step(tmp_path):
    hook = torchest.ProfilerHook(save_steps=2, output_dir=str(tmp_path / "new" / "traces"))
    estimator(tmp_path / "model").train(input_fn, [hook], steps=3)
    (path,) = (tmp_path / "new" / "traces").iterdir()
    assert path.name == "timeline-2.pt.trace.json"
    actual = names(path)
    assert "aten::sum" in actual  # the loss
    assert any(name and "backward" in name.lower() for name in actual)
    assert any(name and name.startswith("Optimizer.step") for name in actual)


def test_memory_is_traced_where_that_is_asked_for(tmp_path):
    for show_memory in (False, True):
        hook = torchest.ProfilerHook(
            2, output_dir=tmp_path / str(show_memory), show_memory=show_memory
        )
        estimator(tmp_path / "model").train(input_fn, [hook], steps=2)
        (path,) = (tmp_path / str(show_memory)).iterdir()
        assert ("[memory]" in names(path)) == show_memory


def test_a_trace_that_has_begun_is_dropped_at_an_error_and_at_the_end_of_the_input(tmp_path):
    def hook():
        return torchest.ProfilerHook(save_steps=2, output_dir=tmp_path / "traces")

    # the fourth step would be traced
    estimator(tmp_path / "a").train(lambda: input_fn(3), [hook()])
    with pytest.raises(ValueError, match="a hook fails"):
        estimator(tmp_path / "b").train(input_fn, [Hook("A", [], fail=2), hook()], steps=5)
    assert [path.name for path in (tmp_path / "traces").iterdir()] == ["timeline-2.pt.trace.json"]
    # another trace can begin: none is left open
    estimator(tmp_path / "c").train(input_fn, [hook()], steps=4)


def test_a_period_is_needed():
    with pytest.raises(ValueError, match="give exactly one of the two"):
        torchest.ProfilerHook()
