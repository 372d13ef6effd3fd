"""A run of training: the hooks that every run has, and the loop."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from torchest.checkpoint.directory import write_checkpoint
from torchest.engine.accumulation import Groups
from torchest.engine.loop import run_steps
from torchest.engine.resume import Restore
from torchest.engine.termination import Termination
from torchest.engine.train_step import TrainStep
from torchest.errors import NanLossDuringTrainingError
from torchest.hooks.checkpoint_saver import CheckpointSaverHook, CheckpointSaverListener
from torchest.hooks.nan_loss import NanTensorHook
from torchest.hooks.progress import LoggingTensorHook, ProgressBarHook
from torchest.hooks.random_numbers import SeededSteps
from torchest.hooks.summaries import StepCounterHook, SummarySaverHook
from torchest.keys import MetricKeys, ModeKeys
from torchest.summary import SummaryWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.distributed.strategy import Strategy
    from torchest.engine.feed import Feed
    from torchest.engine.hooks import Session, SessionRunHook
    from torchest.engine.model import ModelHooks, RunningModel
    from torchest.engine.resume import TrainingRun
    from torchest.run_config import RunConfig

_log = logging.getLogger("torchest")


def run_training(  # noqa: PLR0913 - all that a run is made of
    model: RunningModel,
    feed: Feed,
    session: Session,
    strategy: Strategy,
    config: RunConfig,
    hooks: Sequence[SessionRunHook],
    model_hooks: ModelHooks,
    listeners: Sequence[CheckpointSaverListener],
    last_step: int | None,
    run: TrainingRun,
) -> None:
    """Trains a model that has been made and restored.

    Args:
        model: The model.
        feed: The batches.
        session: The model as hooks see it, at the step that training starts at.
        strategy: Where the model runs.
        config: How often to save and to tell.
        hooks: Those given to `train`.
        model_hooks: Those of model_fn.
        listeners: Called around each checkpoint.
        last_step: The global step to end at; None ends with the input.
        run: What this is a part of, or all of.
    """
    step = TrainStep(model, strategy, session, config.clip_norm)
    session.is_chief, session.last_step = strategy.is_chief, last_step
    first = [*(model_hooks.training_chief if strategy.is_chief else ()), *hooks]
    users = [*first, *model_hooks.training]
    watching = _watching_the_loss(users)
    nan = watching[0] if watching else NanTensorHook(MetricKeys.LOSS)
    nan.every_steps = config.log_step_count_steps or 100
    session.is_sound = lambda: not nan.found()
    with contextlib.ExitStack() as opened:
        savers = _saving(config, users, listeners if strategy.is_chief else ())
        all_hooks = first if watching else [*first, nan]
        all_hooks = [*all_hooks, *model_hooks.training]
        all_hooks = [hook for hook in all_hooks if not isinstance(hook, CheckpointSaverHook)]
        if strategy.is_chief:
            all_hooks += _telling(config, opened, last_step, session.global_step)
        else:
            all_hooks.insert(0, SeededSteps(lambda: run.seed_of_others, strategy.rank))
        spec = None
        each = config.accumulate_steps
        count = None if last_step is None else each * (last_step - session.global_step)
        batches = Groups(strategy.batches(feed.batches(count), ModeKeys.TRAIN), each)

        def stopped(is_requested: bool) -> bool:
            if last_step is not None and session.global_step >= last_step:
                session.interrupt()
            return batches.stopped(is_requested or session.should_stop())

        with_state = [*hooks, *model_hooks.training, *_all_listeners(listeners, savers)]
        run.begin(session, [*with_state, *model_hooks.training_chief], is_saved=bool(savers))
        termination = opened.enter_context(Termination(session.interrupt))
        try:
            savers_of_run = [Restore(run.restore), *savers]
            for spec in run_steps(batches, step, session, all_hooks, stopped, savers_of_run):  # noqa: B007
                pass
        except NanLossDuringTrainingError:
            run.end()  # at the same place in the same input it would happen again
            raise
    if strategy.any_of(termination.requested):  # what ends one process ends all
        _log.warning("SIGTERM: training has ended after step %d.", session.global_step)
        termination.end_process()
    if spec is not None:
        _log.info("Loss for final step: %s.", session.run("loss"))


def _watching_the_loss(hooks: Sequence[SessionRunHook]) -> list[NanTensorHook]:
    """The user's hooks that look for a loss of NaN."""
    return [
        hook for hook in hooks if isinstance(hook, NanTensorHook) and hook.name == MetricKeys.LOSS
    ]


def _all_listeners(
    listeners: Sequence[CheckpointSaverListener], savers: Sequence[CheckpointSaverHook]
) -> list[CheckpointSaverListener]:
    """Those of the run, and those that savers of the user's have besides."""
    known = {id(listener) for listener in listeners}
    of_savers = [listener for saver in savers for listener in saver.listeners]
    return [*listeners, *(listener for listener in of_savers if id(listener) not in known)]


def _saving(
    config: RunConfig,
    hooks: Sequence[SessionRunHook],
    listeners: Sequence[CheckpointSaverListener],
) -> list[CheckpointSaverHook]:
    """The hooks that save: the user's, or one of the run's own unless the user wants no checkpoints."""
    directory = config.model_dir
    assert directory is not None
    given = [hook for hook in hooks if isinstance(hook, CheckpointSaverHook)]
    if given:
        given[0].listen(listeners)
        return given
    if config.save_checkpoints_secs is None and config.save_checkpoints_steps is None:
        if listeners:
            raise ValueError(
                f"saving_listeners={list(listeners)!r} would never be called, as the config switches checkpoints off: "
                "give RunConfig(save_checkpoints_steps=...) or RunConfig(save_checkpoints_secs=...)."
            )
        return []

    def save(session: Session) -> str:
        return write_checkpoint(
            directory,
            session.global_step,
            session.contents,
            keep=config.keep_checkpoint_max,
            keep_every_n_hours=config.keep_checkpoint_every_n_hours,
        )

    return [
        CheckpointSaverHook(
            directory,
            save_secs=config.save_checkpoints_secs,
            save_steps=config.save_checkpoints_steps,
            saver=save,
            listeners=listeners,
        )
    ]


def _telling(
    config: RunConfig, opened: contextlib.ExitStack, last_step: int | None, start: int
) -> list[SessionRunHook]:
    """Log lines, summaries and the progress bar."""
    hooks: list[SessionRunHook] = []
    every_steps, save_steps = config.log_step_count_steps, config.save_summary_steps
    if every_steps or save_steps:
        assert config.model_dir is not None
        # what a run wrote that was killed after its last checkpoint is written again
        writer = opened.enter_context(
            contextlib.closing(SummaryWriter(config.model_dir, purge_step=start + 1))
        )
        writer.add_text("config", config.as_markdown(), start)
        if every_steps:
            hooks.append(StepCounterHook(every_steps, summary_writer=writer))
        if save_steps:
            hooks.append(SummarySaverHook(save_steps, summary_writer=writer))
    if every_steps:
        names = {"loss": "loss", "step": "global_step"}
        hooks.append(LoggingTensorHook(names, every_n_iter=every_steps))
    hooks.append(ProgressBarHook("training", None if last_step is None else last_step - start))
    return hooks
