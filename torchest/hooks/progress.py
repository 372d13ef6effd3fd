"""Log lines and a progress bar."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from torchest.engine.hooks import (
    Rest,
    SessionRunArgs,
    SessionRunContext,
    SessionRunHook,
    SessionRunValues,
)
from torchest.hooks.timer import SecondOrStepTimer, check_periods
from torchest.utils import checks
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torchest.engine.hooks import Session

_log = logging.getLogger("torchest")


class LoggingTensorHook(SessionRunHook):
    """Logs values at intervals of steps or seconds.

    Args:
        tensors: Names of values, or a dict from labels to names.
        every_n_iter: Steps between two lines.
        every_n_secs: Seconds between two lines.
        at_end: Whether to log at the end too; without an interval, only then.
        formatter: Makes the line from a dict of values; the default writes "name = value, ...".

    Raises:
        ValueError: Both intervals are given, or neither of them nor `at_end`; or an argument is wrong.
        TypeError: `tensors` is not a list of names, or a dict of them.
    """

    def __init__(
        self,
        tensors: Mapping[str, str] | Sequence[str],
        every_n_iter: int | None = None,
        every_n_secs: float | None = None,
        at_end: bool = False,
        formatter: Callable[[dict[str, Any]], str] | None = None,
    ) -> None:
        of = "LoggingTensorHook: "
        self._names = _names_of(f"{of}tensors", tensors)
        self._at_end = checks.boolean(f"{of}at_end", at_end)
        self._timer: SecondOrStepTimer | None = None
        if not (at_end and every_n_iter is None and every_n_secs is None):
            check_periods(of, ("every_n_secs", every_n_secs), ("every_n_iter", every_n_iter))
            self._timer = SecondOrStepTimer(every_n_secs, every_n_iter)
        if formatter is not None:
            checks.function(
                f"{of}formatter",
                formatter,
                "a function of a dict of values that returns a line, or None",
            )
        self._formatter = formatter
        self._steps = 0

    def begin(self) -> None:
        """Starts counting anew."""
        self._steps = 0
        if self._timer is not None:
            self._timer.reset()

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs | None:
        """Fetches the values if a line is due."""
        if self._timer is not None and self._timer.should_trigger_for_step(self._steps):
            return SessionRunArgs(self._names)
        return None

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Logs the values if they were fetched."""
        if run_values.results is not None:
            self._write(run_values.results)
        self._steps += 1

    def _rest(self, session: Session) -> Rest:
        return Rest() if self._timer is None else self._timer._rest(self._steps - 1)

    def _has_rested(self, steps: int) -> None:
        self._steps += steps

    def end(self, session: Session) -> None:
        """Logs the values if `at_end`."""
        if self._at_end:
            self._write(session.run(self._names))

    def _write(self, values: dict[str, Any]) -> None:
        elapsed = None
        if self._timer is not None:
            elapsed, _ = self._timer.update_last_triggered_step(self._steps)
        if self._formatter is not None:
            _log.info(self._formatter(values))
            return
        line = ", ".join(f"{name} = {value!s}" for name, value in values.items())
        _log.info("%s%s", line, "" if elapsed is None else f" ({elapsed:.3f} sec)")


def _names_of(argument: str, tensors: Any) -> dict[str, Any]:
    """The names of values by their labels."""
    if isinstance(tensors, Mapping):
        pairs = list(tensors.items())
    else:
        is_list = isinstance(tensors, Iterable) and not isinstance(
            tensors, (str, bytes, np.ndarray)
        )
        pairs = [(name, name) for name in tensors] if is_list else []
    if not pairs or not all(isinstance(name, str) for _, name in pairs):
        example = tensors if isinstance(tensors, str) else "loss"
        raise TypeError(
            f"{argument}={shown(tensors)} must be a list of names, such as [{shown(example)}]."
        )
    return dict(pairs)


class ProgressBarHook(SessionRunHook):
    """Shows a progress bar where standard error is a terminal, and nothing elsewhere.

    Args:
        description: The text before the bar.
        total: The number of steps, or None if it is not known.
    """

    def __init__(self, description: str, total: int | None) -> None:
        self._description = description
        self._total = total
        self._open = contextlib.ExitStack()

    def after_create_session(self, session: Session, coord: None) -> None:
        """Shows the bar; log lines appear above it."""
        self._bar = None
        if sys.stderr is None or not sys.stderr.isatty():
            return
        from tqdm import tqdm
        from tqdm.contrib.logging import logging_redirect_tqdm

        self._bar = self._open.enter_context(
            tqdm(total=self._total, desc=self._description, unit="step", dynamic_ncols=True)
        )
        self._open.enter_context(logging_redirect_tqdm())

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Moves the bar."""
        if self._bar is not None:
            self._bar.update()

    def _rest(self, session: Session) -> Rest:
        return Rest() if self._bar is None else Rest(0)

    def end(self, session: Session) -> None:
        """Closes the bar."""
        self._open.close()

    def on_error(self, exception: BaseException) -> None:
        """Closes the bar."""
        self._open.close()
