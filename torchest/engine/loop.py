"""The loop of training, evaluation and prediction.

for hook in savers + hooks: hook.begin()
for hook in savers + hooks: hook.after_create_session(session, None)    # hooks + savers: see `resumes_midway`
until a hook requests the end, in any process:
    for hook in hooks + savers: hook.before_run(context)
    the next batch; the loop ends if there is none
    one step
    for hook in hooks + savers: hook.after_run(context, values)        # hooks that rest are left out: see `HookCalls`
for hook in savers + hooks: hook.end(session)         # or on_error(exception), after an exception
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, TypeVar

from torchest.engine.hook_calls import HookCalls

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from torchest.engine.hooks import Session, SessionRunHook

_log = logging.getLogger("torchest")
Batch = TypeVar("Batch")
Output = TypeVar("Output")


def run_steps(
    batches: Iterator[Batch],
    step: Callable[[Batch], Output],
    session: Session,
    hooks: Sequence[SessionRunHook],
    stopped: Callable[[bool], bool] = bool,
    savers: Sequence[SessionRunHook] = (),
) -> Generator[Output, None, None]:
    """Runs a step on each batch, with the hooks around it.

    Args:
        batches: The batches, one for each step.
        step: Runs one batch.
        session: The running model as hooks see it.
        hooks: Called in this order.
        stopped: Called once before each step with whether a hook requested the end; returns whether the loop ends.
        savers: Hooks that save. In a step they are called after the other hooks, so that a checkpoint has the effects
            of the step. At the beginning and the end they are called before the others, so that it has no effects of
            `end`. A training that resumes midway calls them last at the beginning, too, as after a step.

    Yields:
        The result of each step, after `after_run` of the hooks.
    """
    in_steps, at_the_ends = [*hooks, *savers], [*savers, *hooks]
    try:
        for hook in at_the_ends:
            hook.begin()
        for hook in in_steps if session.resumes_midway else at_the_ends:
            hook.after_create_session(session, None)
        calls = HookCalls(in_steps, session)
        while not stopped(session.should_stop()):
            calls.before_step()
            began = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                break
            session.seconds_in_input += time.perf_counter() - began
            step_before = session.global_step
            output = step(batch)
            calls.after_step(step_before)
            yield output
        for hook in at_the_ends:
            hook.end(session)
    except BaseException as exception:
        for hook in at_the_ends:
            try:
                hook.on_error(exception)
            except Exception:  # the other hooks are called too, and the first exception is raised
                _log.exception("on_error of %s failed.", type(hook).__name__)
        raise
