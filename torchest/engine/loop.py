"""The one loop that training, evaluation and prediction share.

for hook in savers + hooks: hook.begin()
for hook in savers + hooks: hook.after_create_session(session, None)    # hooks + savers: see `resumes_midway`
until a hook asks for the end, in any process:
    for hook in hooks + savers: hook.before_run(context)
    the next batch; its absence is the end
    one step
    for hook in hooks + savers: hook.after_run(context, values)
for hook in savers + hooks: hook.end(session)         # or on_error(exception), after an exception
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, TypeVar

from torchest.engine.fetches import names_in
from torchest.engine.hooks import SessionRunArgs, SessionRunContext, SessionRunValues

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
        batches: What the steps run on.
        step: Runs one batch.
        session: The running model as hooks see it.
        hooks: Called in this order.
        stopped: Whether the loop ends, from whether a hook asked for it; asked once before each step.
        savers: Hooks that save. They see a step after the other hooks, and the beginning and the end before them, so
            that a checkpoint has all that the others did in a step, and nothing of what they do at the end. A
            training that resumes midway begins as a step ends: with the savers after the other hooks.

    Yields:
        What each step returned, after the hooks have seen it.
    """
    in_steps, at_the_ends = [*hooks, *savers], [*savers, *hooks]
    try:
        for hook in at_the_ends:
            hook.begin()
        for hook in in_steps if session.resumes_midway else at_the_ends:
            hook.after_create_session(session, None)
        context = SessionRunContext(SessionRunArgs(None), session)
        while not stopped(session.should_stop()):
            wishes = [_fetches(hook, context) for hook in in_steps]
            session.wanted = frozenset(
                name for wish in wishes if wish is not None for name in names_in(wish)
            )
            began = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                break
            session.seconds_in_input += time.perf_counter() - began
            step_before = session.global_step
            output = step(batch)
            for hook, wish in zip(in_steps, wishes, strict=True):
                results = None if wish is None else session.run_at(step_before, wish)
                hook.after_run(context, SessionRunValues(results, None, None))
            yield output
        for hook in at_the_ends:
            hook.end(session)
    except BaseException as exception:
        for hook in at_the_ends:
            try:
                hook.on_error(exception)
            except Exception:  # the others are told too, and the first exception is the one to see
                _log.exception("on_error of %s failed.", type(hook).__name__)
        raise


def _fetches(hook: SessionRunHook, context: SessionRunContext) -> Any:
    """What a hook wants to know of the coming step."""
    wish = hook.before_run(context)
    if wish is None:
        return None
    what = f"{type(hook).__name__}.before_run"
    if not isinstance(wish, SessionRunArgs):
        raise TypeError(
            f"{what} returned {wish!r} and must return None, or torchest.SessionRunArgs with names of values, such "
            "as SessionRunArgs('loss')."
        )
    if wish.feed_dict is not None:
        raise ValueError(
            f"{what} returned a feed_dict, and nothing can be fed on PyTorch: give values as features from the "
            "input_fn, or set attributes of a module that model_fn reads."
        )
    return wish.fetches
