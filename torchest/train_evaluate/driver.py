"""train_and_evaluate: training with evaluations after checkpoints.

train = torchest.TrainSpec(train_input_fn, max_steps=10_000)
evaluation = torchest.EvalSpec(eval_input_fn, steps=None, throttle_secs=60)
metrics, exports = torchest.train_and_evaluate(model, train, evaluation)
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from torchest.distributed.input_context import InputContext
from torchest.distributed.tf_config import EVALUATOR
from torchest.engine.hooks import SessionRunHook
from torchest.engine.resume import run_with_more
from torchest.errors import with_article
from torchest.estimator.estimator import Estimator
from torchest.hooks.checkpoint_saver import CheckpointSaverHook, CheckpointSaverListener
from torchest.inputs.seeds import default_seed
from torchest.inputs.source import CheckedInput
from torchest.keys import ModeKeys
from torchest.train_evaluate.evaluator import Evaluator
from torchest.train_evaluate.evaluator_task import (
    TRAINER,
    evaluate_beside_training,
    role_of_environment,
)
from torchest.train_evaluate.specs import EvalSpec, TrainSpec
from torchest.utils import files

if TYPE_CHECKING:
    from torchest.engine.hooks import Session, SessionRunContext, SessionRunValues

_log = logging.getLogger("torchest")


def train_and_evaluate(
    estimator: Estimator, train_spec: TrainSpec, eval_spec: EvalSpec
) -> tuple[dict[str, Any] | None, list[Any] | None]:
    """Trains, and evaluates after checkpoints; the last checkpoint is always evaluated and exported.

    Evaluations change neither the rows of training nor its random numbers. The next call resumes a training that was
    killed, and catches up on evaluations and exports that are missing. The log gives the reason of each skipped
    evaluation.

    If the environment variable TF_CONFIG has a cluster, the process whose task is "evaluator" evaluates and exports,
    and the others only train; see `torchest.train_evaluate.evaluator_task`.

    Args:
        estimator: The estimator. Its `RunConfig` says how often checkpoints are saved.
        train_spec: The training data, and how long to train.
        eval_spec: The evaluation data, how often to evaluate, and exporters.

    Returns:
        The metrics of the last evaluation, and a list of the exporters' results for it. Both are None if there was
        nothing left to do, or if another process evaluates.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: Training saves no checkpoints in the model_dir, the evaluation input never ends while its steps
            are None, or TF_CONFIG is wrong.
    """
    _check(estimator, train_spec, eval_spec)
    role = role_of_environment()
    eval_spec = eval_spec if role == TRAINER else _with_end(eval_spec, estimator)
    if role == EVALUATOR:
        evaluator = evaluate_beside_training(estimator, eval_spec, train_spec.max_steps)
        return evaluator.result, evaluator.exports
    if role == TRAINER:
        _log.info("TF_CONFIG describes a cluster: this process trains, an evaluator evaluates.")
        _train(estimator, train_spec, [])
        return None, None
    evaluator, strategy = Evaluator(estimator, eval_spec, train_spec.max_steps), estimator._strategy
    with run_with_more(estimator.model_dir, is_chief=strategy.is_chief):
        _train(estimator, train_spec, [_AfterCheckpoints(estimator, evaluator)])
        last = estimator.latest_checkpoint()
        assert last is not None  # training saves one when it begins

        def finish() -> tuple[dict[str, Any] | None, list[Any] | None]:
            evaluator.finish(last)
            return evaluator.result, evaluator.exports

        with strategy.call("train_and_evaluate", estimator.model_dir, estimator.config.patience):
            return strategy.current().in_chief(finish)


def _train(
    estimator: Estimator, train_spec: TrainSpec, listeners: list[CheckpointSaverListener]
) -> None:
    estimator.train(
        train_spec.input_fn,
        hooks=train_spec.hooks,
        max_steps=train_spec.max_steps,
        saving_listeners=[*train_spec.saving_listeners, *listeners],
    )


def _with_end(eval_spec: EvalSpec, estimator: Estimator) -> EvalSpec:
    """Checks before training that the evaluation input ends."""
    config = estimator.config
    if eval_spec.steps is not None or not estimator._strategy.is_chief:
        return eval_spec
    with default_seed(config.tf_random_seed):
        checked = CheckedInput(
            eval_spec.input_fn,
            "EvalSpec: steps",
            mode=ModeKeys.EVAL,
            params=estimator.params,
            config=config,
            input_context=InputContext(),
        )
    return eval_spec._replace(input_fn=checked)


class _AfterCheckpoints(CheckpointSaverListener):
    """Evaluates each checkpoint after it has been written."""

    def __init__(self, estimator: Estimator, evaluator: Evaluator) -> None:
        self._estimator = estimator
        self._evaluator = evaluator

    def after_save(self, session: Session, global_step_value: int) -> None:
        if global_step_value == 0:
            _log.info("The checkpoint of step 0 is not evaluated: nothing has been trained.")
            return
        path = self._estimator.latest_checkpoint()
        assert path is not None  # it has just been saved
        if session.should_stop():
            _log.info("%s is not evaluated yet: training is about to end.", path)
            return
        try:
            self._evaluator.at(path, [_EndWithTraining(session)])
        except _TrainingEnds:
            _log.info("The evaluation of %s was interrupted: training is about to end.", path)


class _TrainingEnds(Exception):  # noqa: N818 - not an error
    """Raised when SIGTERM requests the end of training during an evaluation."""


class _EndWithTraining(SessionRunHook):
    """Interrupts an evaluation so that training can end in time; the next call makes up for it."""

    def __init__(self, training: Session) -> None:
        self._training = training

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:  # noqa: ARG002
        if self._training.should_stop():
            raise _TrainingEnds


def _check(estimator: Estimator, train_spec: TrainSpec, eval_spec: EvalSpec) -> None:
    for argument, value, kind in (
        ("estimator", estimator, Estimator),
        ("train_spec", train_spec, TrainSpec),
        ("eval_spec", eval_spec, EvalSpec),
    ):
        if not isinstance(value, kind):
            raise TypeError(
                f"train_and_evaluate: {argument} is {with_article(type(value).__name__)}, but must be a "
                f"torchest.{kind.__name__}."
            )
    config = estimator.config
    saver = next((h for h in train_spec.hooks if isinstance(h, CheckpointSaverHook)), None)
    if saver is not None and not files.same(saver.directory, estimator.model_dir):
        raise ValueError(
            f"train_and_evaluate evaluates the checkpoints in {estimator.model_dir!r}, and TrainSpec: hooks has a "
            f"CheckpointSaverHook that saves to {saver.directory!r} instead. Let it save to the model_dir, or leave "
            "it out."
        )
    saves_itself = (
        config.save_checkpoints_steps is not None or config.save_checkpoints_secs is not None
    )
    if saver is None and not saves_itself:
        raise ValueError(
            "train_and_evaluate evaluates checkpoints, but the estimator's config turns them off: give "
            "RunConfig(save_checkpoints_steps=...) or RunConfig(save_checkpoints_secs=...)."
        )
