"""Hooks that rest do what they do if they are called in every step, in the same order."""

from __future__ import annotations

import time
from unittest import mock

import hypothesis
import pytest
import torch
from hypothesis import strategies

import torchest
from torchest.engine.hooks import Session
from torchest.engine.loop import run_steps
from torchest.engine.object_state import ObjectState
from torchest.engine.scope import Scope

PERIODS = strategies.integers(1, 5)


class Writer:
    """A summary writer that notes the steps."""

    def __init__(self, calls):
        self.calls = calls

    def add_scalar(self, tag, value, step):
        self.calls.append(("summary", step, value if tag == "loss" else None))


def awake(hook):
    """The hook as one that is called in every step, as users' hooks are."""
    kind = type(hook)

    class Awake(kind):
        def before_run(self, run_context):
            return super().before_run(run_context)

        def after_run(self, run_context, run_values):
            super().after_run(run_context, run_values)

    hook.__class__ = Awake
    return hook


def hooks_of(kinds, calls, directory):
    def made(kind, period):
        if kind == "logging":

            def line(values):
                calls.append(("logged", values["loss"]))
                return ""

            return torchest.LoggingTensorHook(["loss"], every_n_iter=period, formatter=line)
        if kind == "counter":
            return torchest.StepCounterHook(period, summary_writer=Writer(calls))
        if kind == "summary":
            return torchest.SummarySaverHook(period, summary_writer=Writer(calls))

        def save(session):
            calls.append(("saved", session.global_step))

        return torchest.CheckpointSaverHook(directory, save_steps=period, saver=save)

    return [made(*kind) for kind in kinds]


def run(hooks, steps, start=7):
    session = Session(ObjectState(Scope(torch.device("cpu"), training=True)), start)

    def step(batch):
        session.values = {"loss": torch.tensor(float(batch))}
        session.global_step += 1

    list(run_steps(iter(range(steps)), step, session, hooks))
    return session


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(
    kinds=strategies.lists(
        strategies.tuples(
            strategies.sampled_from(["logging", "counter", "summary", "saver"]), PERIODS
        ),
        max_size=4,
    ),
    steps=strategies.integers(0, 12),
)
def test_hooks_that_rest_do_the_same(kinds, steps):
    seen = {}
    for each in (lambda hook: hook, awake):
        calls = seen[each] = []
        run([each(hook) for hook in hooks_of(kinds, calls, "models")], steps)
    resting, called = seen.values()
    assert resting == called


def test_a_hook_is_called_only_when_it_has_something_to_do(monkeypatch):
    counts = []
    for name in ("before_run", "after_run"):
        original = getattr(torchest.SummarySaverHook, name)

        def counted(self, *arguments, original=original):
            counts.append(arguments)
            return original(self, *arguments)

        monkeypatch.setattr(torchest.SummarySaverHook, name, counted)
    run([torchest.SummarySaverHook(10, summary_writer=Writer([]))], 29)
    assert len(counts) == 2 * 3  # the first step, the 11th and the 21st


def test_a_mock_of_a_hook_is_called_in_every_step():
    hook = mock.MagicMock(wraps=torchest.SessionRunHook(), spec=torchest.SessionRunHook)
    run([hook], 5)
    assert (hook.before_run.call_count, hook.after_run.call_count) == (6, 5)


@pytest.mark.parametrize("kind", [torchest.SessionRunHook, torchest.StepCounterHook])
def test_a_hook_of_a_user_may_have_a_method_called_rest(kind):
    class Tired(kind):
        naps = 0

        def _rest(self):
            self.naps += 1

        def after_run(self, run_context, run_values):
            self._rest()

    hook = Tired()
    run([hook], 5)
    assert hook.naps == 5


@pytest.mark.parametrize("method", ["before_run", "after_run"])
def test_a_method_set_on_a_hook_itself_is_called(method):
    calls = []
    hook = torchest.StepCounterHook(100)
    setattr(hook, method, lambda *arguments: calls.append(method))
    run([hook], 5)
    assert len(calls) == 5 + (method == "before_run")  # once more before the input's end is found


def test_seconds_are_looked_at_before_and_after_each_step(monkeypatch):
    now, saved = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    hook = torchest.CheckpointSaverHook("models", save_secs=10, saver=lambda session: None)
    hook._timer = torchest.SecondOrStepTimer(10, clock=time.monotonic)
    hook._saver = lambda session: saved.append((session.global_step, now[0]))
    session = Session(ObjectState(Scope(torch.device("cpu"), training=True)), 0)

    def step(seconds):
        now[0] += seconds
        session.values = {"loss": torch.tensor(0.0)}
        session.global_step += 1

    list(run_steps(iter([4, 4, 4, 9, 1, 1]), step, session, [hook]))
    assert saved == [(0, 0.0), (3, 12.0), (5, 22.0), (6, 23.0)]
