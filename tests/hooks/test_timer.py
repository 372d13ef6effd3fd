from __future__ import annotations

import pytest

from torchest.hooks.timer import SecondOrStepTimer


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_every_third_step_from_the_first():
    timer = SecondOrStepTimer(every_steps=3)
    due = []
    for step in range(10):
        if timer.should_trigger_for_step(step):
            due.append(step)
            timer.update_last_triggered_step(step)
    assert due == [0, 3, 6, 9]


def test_seconds_are_counted_by_the_clock_that_it_is_given():
    clock = Clock()
    timer = SecondOrStepTimer(every_secs=5, clock=clock)
    assert timer.should_trigger_for_step(1)
    assert timer.update_last_triggered_step(1) == (None, None)
    clock.now += 4.5
    assert not timer.should_trigger_for_step(2)
    clock.now += 0.5
    assert timer.should_trigger_for_step(3)
    assert timer.update_last_triggered_step(3) == (5.0, 2)


def test_never_twice_at_one_step():
    clock = Clock()
    timer = SecondOrStepTimer(every_secs=1, clock=clock)
    timer.update_last_triggered_step(1)
    clock.now += 10
    assert not timer.should_trigger_for_step(1)


@pytest.mark.parametrize("given", [{}, {"every_secs": 1, "every_steps": 1}])
def test_exactly_one_period_is_needed(given):
    with pytest.raises(ValueError, match="give exactly one of the two"):
        SecondOrStepTimer(**given)


@pytest.mark.parametrize(
    "state", [None, 3, {}, {"step": 3}, {"last_step": 1.5}, {"last_step": -1}, {"last_step": True}]
)
def test_a_state_that_no_timer_gave_is_refused(state):
    with pytest.raises(
        ValueError, match=r"^state(=.* must be what|\['last_step'\]=.* must be a whole)"
    ):
        SecondOrStepTimer(every_steps=2).load_state_dict(state)
