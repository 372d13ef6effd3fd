"""Hooks that write the speed of training and values of steps for TensorBoard."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
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
from torchest.summary import SummaryWriter
from torchest.summary.in_model_fn import SUMMARIES, write
from torchest.utils import checks
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from torchest.engine.hooks import Session

_log = logging.getLogger("torchest")


class _WritingHook(SessionRunHook):
    """Base of hooks with a summary writer, either an argument or its own."""

    def __init__(self, output_dir: str | None, summary_writer: SummaryWriter | None) -> None:
        of = f"{type(self).__name__}: "
        if output_dir is not None:
            checks.path(f"{of}output_dir", output_dir)
        if summary_writer is not None and not hasattr(summary_writer, "add_scalar"):
            raise ValueError(
                f"{of}summary_writer={shown(summary_writer)} must be a torch.utils.tensorboard.SummaryWriter, or None."
            )
        if output_dir is not None and summary_writer is not None:
            raise ValueError(
                f"{of}output_dir={shown(output_dir)} and summary_writer cannot both be given: leave one out."
            )
        self._output_dir = output_dir
        self._writer = summary_writer

    def after_create_session(self, session: Session, coord: None) -> None:
        """Opens the writer, in the chief only."""
        if self._output_dir is not None and session.is_chief:
            self._writer = SummaryWriter(self._output_dir)

    def end(self, session: Session) -> None:
        """Closes the writer."""
        self._close()

    def on_error(self, exception: BaseException) -> None:
        """Closes the writer."""
        self._close()

    def _close(self) -> None:
        if self._output_dir is not None and self._writer is not None:
            self._writer.close()
            self._writer = None


class StepCounterHook(_WritingHook):
    """Logs steps per second, and writes them as `global_step/sec`.

    The line also has the examples per second of this process, the share of time spent waiting for input, and the
    remaining time if the last step is known.

    Args:
        every_n_steps: Steps between two measurements.
        every_n_secs: Seconds between two measurements.
        output_dir: Where to write events; None, without a `summary_writer`, only logs.
        summary_writer: Writes the events, instead of a file of the hook's own.

    Raises:
        ValueError: Both or neither of the periods, or both ways of writing, are given.
    """

    def __init__(
        self,
        every_n_steps: int | None = 100,
        every_n_secs: float | None = None,
        output_dir: str | None = None,
        summary_writer: SummaryWriter | None = None,
    ) -> None:
        super().__init__(output_dir, summary_writer)
        of = "StepCounterHook: "
        check_periods(of, ("every_n_secs", every_n_secs), ("every_n_steps", every_n_steps))
        self._timer = SecondOrStepTimer(every_n_secs, every_n_steps)
        self._before = (0, 0.0)  # examples, and seconds of waiting for input

    def after_create_session(self, session: Session, coord: None) -> None:
        """Starts counting anew."""
        super().after_create_session(session, coord)
        self._timer.reset()

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Measures if it is due."""
        session = run_context.session
        if not self._timer.should_trigger_for_step(session.global_step):
            return
        elapsed, steps = self._timer.update_last_triggered_step(session.global_step)
        if elapsed and steps:
            rate = steps / elapsed
            _log.info("global_step/sec: %g%s", rate, self._details(session, elapsed, rate))
            if self._writer is not None:
                self._writer.add_scalar("global_step/sec", rate, session.global_step)
        self._before = (session.examples, session.seconds_in_input)

    def _rest(self, session: Session) -> Rest:
        return self._timer._rest(session.global_step)

    def _details(self, session: Session, elapsed: float, rate: float) -> str:
        """Examples per second, the share of time spent waiting for input, and the remaining time."""
        examples, waited = self._before
        parts = [
            f"{(session.seconds_in_input - waited) / elapsed:.0%} of the time waiting for input"
        ]
        if session.examples:
            parts.insert(0, f"{(session.examples - examples) / elapsed:.0f} examples/sec")
        if session.last_step is not None:
            seconds = round((session.last_step - session.global_step) / rate)
            parts.append(f"{datetime.timedelta(seconds=seconds)} to go")
        return f" ({', '.join(parts)})"


class SummarySaverHook(_WritingHook):
    """Writes values at the first step, and at intervals of steps or seconds after it.

    A single number becomes a scalar, an array a histogram, and text becomes text:

        torchest.SummarySaverHook(
            save_steps=100,
            output_dir=model.model_dir,
            summary_op={"loss": "loss", "gradient_norm": "gradient_norm", "towns": "dnn.town.weight"},
        )

    Args:
        save_steps: Steps between two summaries.
        save_secs: Seconds between two summaries.
        output_dir: Where to write events.
        summary_writer: Writes the events, instead of a file of the hook's own.
        scaffold: Has no effect.
        summary_op: A dict from tags to names of values (see `SessionRunArgs`). None: the loss, and the summaries of
            model_fn (`torchest.summary.scalar` and the like).

    Raises:
        ValueError: Both or neither of the periods, or of the ways of writing, are given.
    """

    def __init__(
        self,
        save_steps: int | None = None,
        save_secs: float | None = None,
        output_dir: str | None = None,
        summary_writer: SummaryWriter | None = None,
        scaffold: None = None,
        summary_op: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(output_dir, summary_writer)
        if output_dir is None and summary_writer is None:
            raise ValueError(
                "SummarySaverHook: output_dir=None and summary_writer=None: give output_dir or summary_writer."
            )
        of = "SummarySaverHook: "
        check_periods(of, ("save_secs", save_secs), ("save_steps", save_steps))
        self._timer = SecondOrStepTimer(save_secs, save_steps)
        checks.one_of(f"{of}scaffold", scaffold, [None])
        self._names = _tags(f"{of}summary_op", summary_op)
        self._summaries = {SUMMARIES: SUMMARIES} if summary_op is None else {}

    def end(self, session: Session | None = None) -> None:
        """Closes the writer."""
        self._close()

    def after_create_session(self, session: Session, coord: None) -> None:
        """Starts counting anew."""
        super().after_create_session(session, coord)
        self._timer.reset()

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs | None:
        """Fetches the values if they are due."""
        is_due = self._timer.should_trigger_for_step(run_context.session.global_step + 1)
        return SessionRunArgs([self._names, self._summaries]) if is_due else None

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Writes the values if they were fetched."""
        if run_values.results is None or self._writer is None:
            return
        step = run_context.session.global_step
        self._timer.update_last_triggered_step(step)
        values, summaries = run_values.results
        of_model = summaries.get(SUMMARIES, {})
        write(of_model, self._writer, step)
        for tag, value in values.items():
            if tag in of_model:  # the model's own loss, for example
                continue
            if isinstance(value, str):
                self._writer.add_text(tag, value, step)
            elif np.size(value) == 1:
                self._writer.add_scalar(tag, np.asarray(value).item(), step)
            else:
                self._writer.add_histogram(tag, value, step)

    def _rest(self, session: Session) -> Rest:
        return self._timer._rest(session.global_step)


def _tags(argument: str, summary_op: Any) -> dict[str, str]:
    """The names of values by their tags."""
    if summary_op is None:
        return {"loss": "loss"}
    is_dict = isinstance(summary_op, Mapping) and len(summary_op) > 0
    if not is_dict or not all(
        isinstance(text, str) for text in [*summary_op, *summary_op.values()]
    ):
        raise ValueError(
            f"{argument}={shown(summary_op)} must be a dict from tags to names of values, such as "
            "{'loss': 'loss'}, or None."
        )
    return dict(summary_op)
