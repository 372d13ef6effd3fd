"""Runs a training: the loop, with the hooks that every training has."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from torchest.engine.loop import run_steps
from torchest.engine.loss_scale import LossScale
from torchest.engine.resume import Restore
from torchest.engine.termination import Termination
from torchest.engine.train_step import TrainStep
from torchest.errors import NanLossDuringTrainingError
from torchest.hooks.checkpoint_saver import CheckpointSaverHook, CheckpointSaverListener
from torchest.hooks.nan_loss import NanTensorHook
from torchest.hooks.progress import LoggingTensorHook, ProgressBarHook
from torchest.hooks.random_numbers import SeededSteps
from torchest.hooks.summaries import StepCounterHook, SummarySaverHook
from torchest.keys import MetricKeys
from torchest.run_config import FLOAT16
from torchest.summary import SummaryWriter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeGuard

    from torchest.engine.hooks import SessionRunHook
    from torchest.engine.resume import ResumableTraining
    from torchest.engine.run import Run
    from torchest.run_config import RunConfig

_log = logging.getLogger("torchest")


def run_training(
    run: Run,
    training: ResumableTraining,
    config: RunConfig,
    listeners: Sequence[CheckpointSaverListener],
) -> int:
    """Trains a model that has been made and restored.

    Args:
        run: The model, its input and the user's hooks.
        training: The state of the training that checkpoints record.
        config: The intervals of saving and logging.
        listeners: Called around each checkpoint.

    Returns:
        The number of steps made.
    """
    strategy, last_step, each = run.strategy, run.last_step, config.accumulate_steps
    loss_scale = LossScale(strategy.device) if config.precision == FLOAT16 else None
    first = [*(run.model_hooks.training_chief if strategy.is_chief else ()), *run.hooks]
    users = [*first, *run.model_hooks.training]
    watching = [hook for hook in users if _watches_the_loss(hook)]
    nan_hook = watching[0] if watching else NanTensorHook(MetricKeys.LOSS)
    nan_hook.every_steps = config.log_step_count_steps or 100
    session = run.session(training, loss_is_finite=lambda: not nan_hook.check())
    strategy.report_step(lambda: session.global_step)
    if listeners or any(map(_may_change_the_model, users)):
        run.model.state.is_private = False
    step = TrainStep(run, session, config.clip_norm, loss_scale)
    with contextlib.ExitStack() as opened:
        savers = _saving(config, users, listeners if strategy.is_chief else ())
        hooks = [*first, *(() if watching else [nan_hook]), *run.model_hooks.training]
        hooks = [hook for hook in hooks if not isinstance(hook, CheckpointSaverHook)]
        if strategy.is_chief:
            hooks += _reporting(config, opened, run)
        else:
            hooks.insert(0, SeededSteps(training, strategy.rank))
        count = None if last_step is None else each * (last_step - run.start)
        steps = strategy.in_steps(run.feed.batches(count, each), each)

        def stopped(stop_requested: bool) -> bool:
            if last_step is not None and session.global_step >= last_step:
                session.interrupt()
            return steps.stopped(stop_requested or session.should_stop())

        with_state = [
            *(() if loss_scale is None else (loss_scale,)),
            *(*run.hooks, *run.model_hooks.training, *_all_listeners(listeners, savers)),
        ]
        training.begin(
            session, [*with_state, *run.model_hooks.training_chief], is_saved=bool(savers)
        )
        termination = opened.enter_context(Termination(session.interrupt))
        try:
            for _ in run_steps(steps, step, session, hooks, stopped, [Restore(training), *savers]):
                pass
        except NanLossDuringTrainingError:
            training.end()  # the same input would lead to it again
            raise
    if strategy.any_of(termination.requested):  # what ends one process ends all
        _log.warning("SIGTERM: training has ended after step %d.", session.global_step)
        termination.end_process()
    if session.global_step > run.start:
        _log.info("Loss for final step: %s.", session.run("loss"))
    return session.global_step - run.start


def _may_change_the_model(hook: SessionRunHook) -> bool:
    """Whether a hook is the user's, or calls what the user gave it with the session."""
    if isinstance(hook, CheckpointSaverHook) and hook.calls_others:
        return True
    return not type(hook).__module__.startswith("torchest.")


def _watches_the_loss(hook: SessionRunHook) -> TypeGuard[NanTensorHook]:
    return isinstance(hook, NanTensorHook) and hook.name == MetricKeys.LOSS


def _all_listeners(
    listeners: Sequence[CheckpointSaverListener], savers: Sequence[CheckpointSaverHook]
) -> list[CheckpointSaverListener]:
    """The listeners of the call, followed by those of the user's savers."""
    by_id = {id(listener): listener for listener in listeners}
    return [
        *listeners,
        *(each for saver in savers for each in saver.listeners if id(each) not in by_id),
    ]


def _saving(
    config: RunConfig,
    hooks: Sequence[SessionRunHook],
    listeners: Sequence[CheckpointSaverListener],
) -> list[CheckpointSaverHook]:
    """The hooks that save: the user's, or else one according to the config."""
    directory = config.model_dir
    assert directory is not None
    of_user = [hook for hook in hooks if isinstance(hook, CheckpointSaverHook)]
    if of_user:
        of_user[0].listen(listeners)
        return of_user
    if config.save_checkpoints_secs is None and config.save_checkpoints_steps is None:
        if listeners:
            raise ValueError(
                f"saving_listeners={list(listeners)!r} would never be called, as the config turns checkpoints off: "
                "give RunConfig(save_checkpoints_steps=...) or RunConfig(save_checkpoints_secs=...)."
            )
        return []

    saver = CheckpointSaverHook(
        directory,
        save_secs=config.save_checkpoints_secs,
        save_steps=config.save_checkpoints_steps,
        listeners=listeners,
    )
    saver.keep(config.keep_checkpoint_max, config.keep_checkpoint_every_n_hours)
    return [saver]


def _reporting(config: RunConfig, opened: contextlib.ExitStack, run: Run) -> list[SessionRunHook]:
    """The hooks for log lines, summaries and the progress bar."""
    hooks: list[SessionRunHook] = []
    every_steps, save_steps = config.log_step_count_steps, config.save_summary_steps
    if every_steps or save_steps:
        assert config.model_dir is not None
        # events that a killed training wrote after its last checkpoint are written again
        writer = opened.enter_context(
            contextlib.closing(SummaryWriter(config.model_dir, purge_step=run.start + 1))
        )
        writer.add_text("config", config.as_markdown(), run.start)
        if every_steps:
            hooks.append(StepCounterHook(every_steps, summary_writer=writer))
        if save_steps:
            hooks.append(SummarySaverHook(save_steps, summary_writer=writer))
    if every_steps:
        names = {"loss": "loss", "step": "global_step"}
        hooks.append(LoggingTensorHook(names, every_n_iter=every_steps))
    steps = None if run.last_step is None else run.last_step - run.start
    hooks.append(ProgressBarHook("training", steps))
    return hooks
