"""The one loop that training, evaluation and prediction share.

for hook in hooks: hook.begin()
open the session: restore what a checkpoint holds
for hook in hooks: hook.after_create_session(session, None)
until a hook asks for the end, in any process:
    for hook in hooks: hook.before_run(context)
    the next batch; its absence is the end
    one step
    for hook in hooks: hook.after_run(context, values)
for hook in hooks: hook.end(session)         # or on_error(exception), after an exception
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from torchest.hooks.base import SessionRunContext, SessionRunValues

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from torchest.hooks.base import Session, SessionRunHook

_log = logging.getLogger("torchest")
Batch = TypeVar("Batch")
Output = TypeVar("Output")


def run_steps(
    batches: Iterator[Batch],
    step: Callable[[Batch], Output],
    session: Session,
    hooks: Sequence[SessionRunHook],
    stopped: Callable[[bool], bool] = bool,
) -> Generator[Output, None, None]:
    """Runs a step on each batch, with the hooks around it.

    Args:
        batches: What the steps run on.
        step: Runs one batch.
        session: The running model as hooks see it.
        hooks: Called in this order.
        stopped: Whether the loop ends, from whether a hook asked for it; asked once before each step.

    Yields:
        What each step returned, after the hooks have seen it.
    """
    try:
        for hook in hooks:
            hook.begin()
        for hook in hooks:
            hook.after_create_session(session, None)
        context = SessionRunContext(session)
        while not stopped(session.should_stop()):
            requests = [hook.before_run(context) for hook in hooks]
            try:
                batch = next(batches)
            except StopIteration:
                break
            step_before = session.global_step
            output = step(batch)
            for hook, request in zip(hooks, requests, strict=True):
                wanted = None if request is None else request.fetches
                results = None if wanted is None else session.run_at(step_before, wanted)
                hook.after_run(context, SessionRunValues(results))
            yield output
        for hook in hooks:
            hook.end(session)
    except BaseException as exception:
        for hook in hooks:
            try:
                hook.on_error(exception)
            except Exception:  # the others are told too, and the first exception is the one to see
                _log.exception("on_error of %s failed.", type(hook).__name__)
        raise
