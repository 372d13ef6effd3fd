"""Traces of single steps, for profiling."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from torchest.engine.hooks import SessionRunContext, SessionRunHook, SessionRunValues
from torchest.hooks.timer import SecondOrStepTimer, check_periods
from torchest.utils import checks

if TYPE_CHECKING:
    import os

    from torch.profiler import profile

    from torchest.engine.hooks import Session

_log = logging.getLogger("torchest")


class ProfilerHook(SessionRunHook):
    """Traces single steps at intervals of steps or seconds with `torch.profiler`.

    The trace of step 300 is the file `timeline-300.pt.trace.json`, for chrome://tracing, https://ui.perfetto.dev and
    TensorBoard's PyTorch plugin. If several processes train, only the chief is traced.

    Args:
        save_steps: Steps between two traces, counted from the step that training starts at.
        save_secs: Seconds between two traces.
        output_dir: The directory to write to, which is created if it does not exist.
        show_dataflow: Whether to record the shapes of tensors.
        show_memory: Whether to record allocations.

    Raises:
        ValueError: Both or neither of `save_steps` and `save_secs` are given, or an argument is wrong.
    """

    def __init__(
        self,
        save_steps: int | None = None,
        save_secs: float | None = None,
        output_dir: str | os.PathLike[str] = "",
        show_dataflow: bool = True,
        show_memory: bool = False,
    ) -> None:
        of = "ProfilerHook: "
        check_periods(of, ("save_secs", save_secs), ("save_steps", save_steps))
        self._timer = SecondOrStepTimer(save_secs, save_steps)
        self._output_dir = Path(
            "."
            if isinstance(output_dir, str) and not output_dir
            else checks.path(f"{of}output_dir", output_dir)
        )
        self._show_dataflow = checks.boolean(f"{of}show_dataflow", show_dataflow)
        self._show_memory = checks.boolean(f"{of}show_memory", show_memory)
        self._running: profile | None = None

    def after_create_session(self, session: Session, coord: None) -> None:
        """Starts the interval, so that the first step, which is not typical, is not traced."""
        self._output_dir.mkdir(parents=True, exist_ok=True)
        self._timer.update_last_triggered_step(session.global_step)

    def before_run(self, run_context: SessionRunContext) -> None:
        """Starts a trace if it is due."""
        session = run_context.session
        if session.is_chief and self._timer.should_trigger_for_step(session.global_step + 1):
            from torch.profiler import profile

            self._running = profile(
                record_shapes=self._show_dataflow, profile_memory=self._show_memory
            )
            self._running.start()

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Writes the trace."""
        if self._running is None:
            return
        step = run_context.session.global_step
        self._timer.update_last_triggered_step(step)
        running = self._stop()
        path = self._output_dir / f"timeline-{step}.pt.trace.json"
        _log.info("Saving timeline for %d into '%s'.", step, path)
        running.export_chrome_trace(str(path))

    def end(self, session: Session) -> None:
        """Discards the trace of a step for which there was no batch."""
        self.on_error(StopIteration())

    def on_error(self, exception: BaseException) -> None:
        """Drops a running trace."""
        if self._running is not None:
            self._stop()

    def _stop(self) -> profile:
        running = self._running
        assert running is not None
        self._running = None
        running.stop()
        return running
