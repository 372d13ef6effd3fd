"""Which hooks a step calls: those that have something to do.

Most hooks of torchest act every hundred steps, or every ten minutes. `SessionRunHook._rest` says how long a hook has
nothing to do; until then, a step does not spend time on it. A hook whose class overrides `before_run` or `after_run`
without saying how long it rests, as users' hooks do, is called in every step.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from torchest.engine.fetches import names_in
from torchest.engine.hooks import (
    SessionRunArgs,
    SessionRunContext,
    SessionRunHook,
    SessionRunValues,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.engine.hooks import Session

    Numbered = list[tuple[int, SessionRunHook]]

_METHODS = ("before_run", "after_run")
_NO_NAMES: frozenset[str] = frozenset()
_NO_VALUES = SessionRunValues(None, None, None)


class HookCalls:
    """Calls hooks before and after steps.

    If one of the hooks that can rest has something to do, all of them are called, in the order of `hooks`.

    Args:
        hooks: The hooks in the order of their calls.
        session: The running model.
    """

    def __init__(self, hooks: Sequence[SessionRunHook], session: Session) -> None:
        self._session = session
        self._context = SessionRunContext(SessionRunArgs(None), session)
        self._fetches: dict[int, object] = {}  # by the number of the hook
        numbered = list(enumerate(hooks))
        self._resting = [hook for hook in hooks if _can_rest(hook)]
        busy = [each for each in numbered if not _can_rest(each[1])]
        self._all = _before(numbered), _after(numbered)
        self._busy = _before(busy), _after(busy)
        self._steps = 0.0  # that are left to rest for
        self._until = math.inf
        self._rested = 0

    def before_step(self) -> None:
        """Calls `before_run`."""
        self._calls_all = self._steps < 1 or (
            self._until < math.inf and time.monotonic() >= self._until
        )
        if self._calls_all:
            self._wake()
        if self._fetches:
            self._fetches.clear()
        for number, hook in (self._all if self._calls_all else self._busy)[0]:
            args = hook.before_run(self._context)
            if args is not None:
                self._fetches[number] = _checked_fetches(hook, args)
        self._session.fetched_names = _names_in(self._fetches) if self._fetches else _NO_NAMES
        self._session.summaries.clear()

    def after_step(self, step_before: int) -> None:
        """Calls `after_run` with what the hooks fetched.

        Args:
            step_before: The global step before the step.
        """
        is_late = self._until < math.inf and time.monotonic() >= self._until
        if is_late and not self._calls_all:
            self._calls_all = True
            self._wake()
        for number, hook in (self._all if self._calls_all else self._busy)[1]:
            values = _NO_VALUES
            fetches = self._fetches.get(number)
            if fetches is not None:
                results = self._session.run_at(step_before, fetches)
                values = SessionRunValues(results, None, None)
            hook.after_run(self._context, values)
        if self._calls_all:
            rests = [hook._rest(self._session) for hook in self._resting]
            self._steps = min((steps for steps, _ in rests), default=math.inf)
            self._until = min((until for _, until in rests), default=math.inf)
        else:
            self._steps -= 1
            self._rested += 1

    def _wake(self) -> None:
        if self._rested:
            for hook in self._resting:
                hook._has_rested(self._rested)
            self._rested = 0


def _can_rest(hook: SessionRunHook) -> bool:
    """Whether the `_rest` of a hook is torchest's and tells of its `before_run` and `after_run`."""
    owner = _owner(hook, "_rest")
    return (
        owner is not None
        and owner.__module__.startswith("torchest.")  # a user's method may have the same name
        and all(_extends(owner, _owner(hook, method)) for method in _METHODS)
    )


def _extends(owner: type, other: type | None) -> bool:
    return other is not None and issubclass(owner, other)


def _before(hooks: Numbered) -> Numbered:
    """The hooks that have a `before_run` of their own."""
    return [each for each in hooks if _has_own(each[1], "before_run")]


def _after(hooks: Numbered) -> Numbered:
    """The hooks that have an `after_run` of their own, or may fetch something that is not there."""
    return [each for each in hooks if any(_has_own(each[1], name) for name in _METHODS)]


def _has_own(hook: SessionRunHook, method: str) -> bool:
    return _owner(hook, method) is not SessionRunHook


def _owner(hook: SessionRunHook, method: str) -> type | None:
    """The class that defines a method; None for the hook itself, and for a mock, which has no such class."""
    if method in vars(hook):
        return None
    return next((each for each in type(hook).__mro__ if method in vars(each)), None)


def _names_in(fetches: dict[int, object]) -> frozenset[str]:
    return frozenset(
        name for each in fetches.values() if each is not None for name in names_in(each)
    )


def _checked_fetches(hook: SessionRunHook, args: object) -> object:
    """The fetches of a hook for the next step; None if there are none."""
    what = f"{type(hook).__name__}.before_run"
    if not isinstance(args, SessionRunArgs):
        raise TypeError(
            f"{what} returned {args!r} but must return None, or torchest.SessionRunArgs with names of values, such "
            "as SessionRunArgs('loss')."
        )
    if args.feed_dict is not None:
        raise ValueError(
            f"{what} returned a feed_dict, but nothing can be fed on PyTorch: give values as features from the "
            "input_fn, or set attributes of a module that model_fn reads."
        )
    fetches: object = args.fetches
    return fetches
