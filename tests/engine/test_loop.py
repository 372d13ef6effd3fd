from __future__ import annotations

from typing import NamedTuple

import pytest
import torch

from torchest.engine.hooks import Session, SessionRunArgs, SessionRunHook
from torchest.engine.loop import run_steps
from torchest.engine.object_state import ObjectState
from torchest.engine.scope import Scope
from torchest.hooks.stop_at_step import StopAtStepHook


class Recorder(SessionRunHook):
    def __init__(self, name, calls):
        self.name, self.calls = name, calls

    def note(self, what):
        self.calls.append(f"{self.name}.{what}")

    def begin(self):
        self.note("begin")

    def after_create_session(self, session, coord):
        assert coord is None
        self.note("after_create_session")

    def before_run(self, run_context):
        self.note("before_run")

    def after_run(self, run_context, run_values):
        assert run_values.results is None
        self.note("after_run")

    def end(self, session):
        self.note("end")

    def on_error(self, exception):
        self.note(f"on_error {type(exception).__name__}")


@pytest.fixture
def session():
    scope = Scope(torch.device("cpu"), training=True)
    return Session(ObjectState(scope), 15)


def run(session, batches, hooks, fail_at=None):
    def step(batch):
        if batch == fail_at:
            raise RuntimeError("broken batch")
        session.values = {"loss": torch.tensor(float(batch))}
        session.global_step += 1
        return batch

    return list(run_steps(iter(batches), step, session, hooks))


def test_the_order_of_calls(session):
    calls = []
    a, b = Recorder("A", calls), Recorder("B", calls)
    assert run(session, [1], [a, b]) == [1]
    assert calls == [
        "A.begin", "B.begin", "A.after_create_session", "B.after_create_session",
        "A.before_run", "B.before_run", "A.after_run", "B.after_run",
        "A.before_run", "B.before_run",  # the end of the input is found only now
        "A.end", "B.end",
    ]  # fmt: skip


def test_a_stop_lets_the_other_hooks_finish_the_step(session):
    calls = []
    stop = StopAtStepHook(num_steps=2)
    assert run(session, [1, 2, 3], [stop, Recorder("A", calls)]) == [1, 2]
    assert calls[-3:] == ["A.before_run", "A.after_run", "A.end"]


def test_an_exception_ends_without_end(session):
    calls = []
    with pytest.raises(RuntimeError, match="broken batch"):
        run(session, [1, 2], [Recorder("A", calls)], fail_at=2)
    assert calls[-2:] == ["A.before_run", "A.on_error RuntimeError"]
    assert "A.end" not in calls


def test_every_hook_is_told_of_an_exception_also_where_one_of_them_fails(session, caplog):
    calls = []

    class Clumsy(Recorder):
        def on_error(self, exception):
            super().on_error(exception)
            raise OSError("cannot close")

    hooks = [Clumsy("A", calls), Recorder("B", calls)]
    with pytest.raises(RuntimeError, match="broken batch"):
        run(session, [1], hooks, fail_at=1)
    assert calls[-2:] == ["A.on_error RuntimeError", "B.on_error RuntimeError"]
    assert "on_error of Clumsy failed." in caplog.text


def test_fetched_values_are_numpy_and_the_step_is_the_one_before(session):
    seen = []

    class Fetch(SessionRunHook):
        def before_run(self, run_context):
            return SessionRunArgs({"step": "global_step", "losses": ["loss"]})

        def after_run(self, run_context, run_values):
            seen.append((run_values.results, run_context.session.run("global_step")))

    run(session, [1, 2], [Fetch()])
    assert seen == [({"step": 15, "losses": [1.0]}, 16), ({"step": 16, "losses": [2.0]}, 17)]


def test_an_unknown_name_is_answered_with_the_nearest(session):
    class Fetch(SessionRunHook):
        def before_run(self, run_context):
            return SessionRunArgs("los")

    with pytest.raises(
        ValueError,
        match=r"fetches 'los', but the step has no value of that name\. Did you mean 'loss'\?",
    ):
        run(session, [1], [Fetch()])


class Pair(NamedTuple):
    first: str
    second: str


@pytest.mark.parametrize(
    ("fetches", "expected"),
    [
        ("loss", 1.0),
        (["loss", "global_step"], [1.0, 15]),
        (("loss", ["loss"]), (1.0, [1.0])),
        ({"a": {"b": ("loss",)}, "c": []}, {"a": {"b": (1.0,)}, "c": []}),
        (Pair("loss", "global_step"), Pair(1.0, 15)),
        (None, None),
    ],
)
def test_results_have_the_form_of_the_fetches(session, fetches, expected):
    seen = []

    class Fetch(SessionRunHook):
        def before_run(self, run_context):
            assert run_context.original_args == SessionRunArgs(None)
            return SessionRunArgs(fetches)

        def after_run(self, run_context, run_values):
            seen.append(run_values.results)

    run(session, [1], [Fetch()])
    assert seen == [expected]
    assert type(seen[0]) is type(expected) or fetches == "loss"


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("loss", r"Fetch\.before_run returned 'loss' but must return None, or torchest.SessionRunArgs"),
        (SessionRunArgs("loss", feed_dict={"x": 1}), r"Fetch\.before_run returned a feed_dict, but nothing can be fed"),
        (SessionRunArgs({"a": torch.tensor(1.0)}), "A hook fetches a Tensor: give the name of a value"),
    ],
)  # fmt: skip
def test_before_run_is_told_what_it_may_return(session, returned, message):
    class Fetch(SessionRunHook):
        def before_run(self, run_context):
            return returned

    with pytest.raises((TypeError, ValueError), match=message):
        run(session, [1], [Fetch()])
    assert session.global_step == 15  # nothing has run


@pytest.mark.parametrize("given", [{}, {"num_steps": 1, "last_step": 1}])
def test_stop_at_step_needs_one_number(given):
    with pytest.raises(ValueError, match="give exactly one of the two"):
        StopAtStepHook(**given)
