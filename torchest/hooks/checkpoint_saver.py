"""Checkpoints during training, and their listeners."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from torchest.checkpoint.directory import write_checkpoint
from torchest.engine.hooks import Rest, SessionRunContext, SessionRunHook, SessionRunValues, all_of
from torchest.hooks.timer import SecondOrStepTimer, check_periods
from torchest.utils import checks, files

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from torchest.checkpoint.directory import Contents
    from torchest.engine.hooks import Session

_log = logging.getLogger("torchest")
_LOOK_SECONDS = 0.05  # between two looks whether a thread has written a checkpoint


class CheckpointSaverListener:
    """Base of objects that are called around every checkpoint; every method does nothing."""

    def begin(self) -> None:
        """Training is about to begin."""

    def before_save(self, session: Session, global_step_value: int) -> None:
        """A checkpoint is about to be written."""

    def after_save(self, session: Session, global_step_value: int) -> bool | None:
        """Called after a checkpoint has been written. Returning True ends training."""

    def end(self, session: Session, global_step_value: int) -> None:
        """Called when training has ended and the last checkpoint has been written."""


class CheckpointSaverHook(SessionRunHook):
    """Saves checkpoints at the first step, at intervals of steps or seconds, and at the end.

    Every training has such a hook, configured by its `RunConfig`. One in `hooks` replaces it, and calls the
    `saving_listeners` of `train` after its own. Only the chief saves. Whatever its position in `hooks`, it saves after
    all other hooks have been called for a step, and saves last before any other hook's `end`.

    Args:
        checkpoint_dir: The directory to save to.
        save_secs: Seconds between two checkpoints; 0 saves each step.
        save_steps: Steps between two checkpoints, counted from the step that training starts at.
        saver: Writes a checkpoint of the session; the default keeps the newest five.
        checkpoint_basename: Has no effect: checkpoints are called `model.ckpt-<step>`.
        scaffold: Has no effect.
        listeners: Called before and after each checkpoint.
        save_graph_def: Has no effect.

    Attributes:
        directory: The directory to save to.

    Raises:
        ValueError: Both or neither of `save_secs` and `save_steps` are given, or an argument is wrong.
        TypeError: `listeners` is not a list of listeners.
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's hook takes
        self,
        checkpoint_dir: str | os.PathLike[str],
        save_secs: float | None = None,
        save_steps: int | None = None,
        saver: Callable[[Session], str] | None = None,
        checkpoint_basename: str = "model.ckpt",
        scaffold: None = None,
        listeners: Sequence[CheckpointSaverListener] | None = None,
        save_graph_def: bool = True,
    ) -> None:
        of = "CheckpointSaverHook: "
        self.directory = files.normal(checks.path(f"{of}checkpoint_dir", checkpoint_dir))
        check_periods(of, ("save_secs", save_secs), ("save_steps", save_steps))
        if saver is not None:
            checks.function(f"{of}saver", saver, "a function of the session, or None")
        checks.text(f"{of}checkpoint_basename", checkpoint_basename)
        checks.one_of(f"{of}scaffold", scaffold, [None])
        checks.boolean(f"{of}save_graph_def", save_graph_def)
        self._timer = SecondOrStepTimer(save_secs, save_steps)
        self._is_timed = bool(save_secs)
        self._saver = saver
        self._keep: tuple[int | None, float | None] = 5, None
        self._listeners = all_of(CheckpointSaverListener, f"{of}listeners", listeners)
        self._of_run: Sequence[CheckpointSaverListener] = ()
        self._session: Session | None = None
        _log.info("Create CheckpointSaverHook.")

    def listen(self, listeners: Sequence[CheckpointSaverListener]) -> None:
        """Sets listeners to call besides its own."""
        self._of_run = listeners

    def keep(self, number: int | None, every_n_hours: float | None) -> None:
        """Sets how many checkpoints are kept, and how often one is kept forever; see `write_checkpoint`."""
        self._keep = number, every_n_hours

    @property
    def listeners(self) -> list[CheckpointSaverListener]:
        """The listeners that are called around each checkpoint."""
        return [*self._listeners, *self._of_run]

    @property
    def calls_others(self) -> bool:
        """Whether it calls listeners or a `saver`."""
        return bool(self.listeners) or self._saver is not None

    def begin(self) -> None:
        """Calls `begin` of the listeners."""
        self._timer.reset()
        for listener in self.listeners:
            listener.begin()

    def after_create_session(self, session: Session, coord: None) -> None:
        """Saves the first step; if training resumes from it, only calls `after_save` of listeners."""
        self._session = session
        directory = files.parent_and_name(session.resumed_from or "")[0]
        is_saved = session.resumed_from is not None and files.same(directory, self.directory)
        stop_requested = self._save(session, is_saved=is_saved)
        if stop_requested and session.resumes_midway:
            session.request_stop()

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Saves if it is due."""
        session = run_context.session
        if session.saving is not None:
            if session.saving.is_written:
                _end_saving(session)
            elif self._is_timed:
                return  # the next one can wait until this one is written
        if not self._timer.should_trigger_for_step(session.global_step):
            return
        is_own = type(self).save is CheckpointSaverHook.save
        if self._save(session, is_saved=False) if is_own else self.save(session):
            run_context.request_stop()

    def _rest(self, session: Session) -> Rest:
        rest = self._timer._rest(session.global_step)
        if session.saving is None:
            return rest
        return rest._replace(until=min(rest.until, time.monotonic() + _LOOK_SECONDS))

    def end(self, session: Session) -> None:
        """Saves the last step, unless it has just been saved."""
        _end_saving(session)
        if self._timer.last_triggered_step() != session.global_step:
            self.save(session)
        for listener in self.listeners:
            listener.end(session, session.global_step)
        self._session = None

    def on_error(self, exception: BaseException) -> None:
        """Waits for a checkpoint that is being written."""
        if self._session is not None:
            _end_saving(self._session)

    def save(self, session: Session) -> bool:
        """Saves now, if this is the chief and the loss is finite, and waits until the checkpoint is written.

        Returns:
            Whether a listener requests the end of training.
        """
        stop_requested = self._save(session, is_saved=False)
        _end_saving(session)
        return stop_requested

    def _save(self, session: Session, *, is_saved: bool) -> bool:
        if not (session.is_chief and session.loss_is_finite()):
            return False
        with session.alone("saves a checkpoint"):
            return self._save_alone(session, is_saved=is_saved)

    def _save_alone(self, session: Session, *, is_saved: bool) -> bool:
        _end_saving(session)
        step = session.global_step
        self._timer.update_last_triggered_step(step)
        if not is_saved:  # otherwise the checkpoint has what the listeners did before
            _log.info("Calling checkpoint listeners before saving checkpoint %d...", step)
            for listener in self.listeners:
                listener.before_save(session, step)
        _log.info("Saving checkpoints for %d into %s/model.ckpt.", step, self.directory)
        self._write(session)
        _log.info("Calling checkpoint listeners after saving checkpoint %d...", step)
        requests = [listener.after_save(session, step) for listener in self.listeners]
        for function in session.after_save:
            function(session)
        if any(requests):
            _log.info("A checkpoint listener requested the end of training at step %d.", step)
        return any(requests)

    def _write(self, session: Session) -> None:
        step = session.global_step
        if self._saver is not None:
            self._saver(session)
        elif self._must_wait(session) or not session.save_beside_training(
            lambda contents: self._write_contents(step, lambda: contents)
        ):
            self._write_contents(step, session.contents)

    def _write_contents(self, step: int, contents: Callable[[], Contents]) -> None:
        number, hours = self._keep
        write_checkpoint(self.directory, step, contents, number, hours)

    def _must_wait(self, session: Session) -> bool:
        """Whether a listener or a subclass may use the checkpoint right after it is written."""
        no_listener = CheckpointSaverListener.after_save
        if session.after_save or type(self) is not CheckpointSaverHook:
            return True
        return any(
            getattr(listener.after_save, "__func__", None) is not no_listener
            for listener in self.listeners
        )


def _end_saving(session: Session) -> None:
    """Waits for the checkpoint that a thread writes, and raises its error."""
    if session.saving is not None:
        saving, session.saving = session.saving, None
        with session.alone("saves a checkpoint"):
            saving.end()
