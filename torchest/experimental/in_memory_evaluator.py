"""Evaluation in training, without a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchest.engine.hooks import SessionRunContext, SessionRunHook, SessionRunValues, all_of
from torchest.estimator.estimator import Estimator
from torchest.hooks.timer import SecondOrStepTimer
from torchest.utils import checks
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torchest.engine.hooks import Session


class InMemoryEvaluatorHook(SessionRunHook):
    """Evaluates the model that is being trained: before the first step, every `every_n_iter` steps, and at the end.

        evaluator = torchest.experimental.InMemoryEvaluatorHook(model, eval_input_fn, every_n_iter=500)
        model.train(train_input_fn, hooks=[evaluator])

    The metrics are written as those of `evaluate`, for TensorBoard and early stopping. If several processes train
    together, give the hook to each: `RunConfig.eval_distribute` tells whether the chief evaluates, or all together.

    Args:
        estimator: The estimator that trains.
        input_fn: The input, as for `evaluate`.
        steps: Number of batches to evaluate. None: all.
        hooks: Hooks for each evaluation.
        name: Name of the evaluation, to distinguish several.
        every_n_iter: Number of steps between two evaluations.

    Raises:
        TypeError: `estimator` is no estimator, or `hooks` is not a list of hooks.
        ValueError: Another argument is invalid.
    """

    def __init__(
        self,
        estimator: Estimator,
        input_fn: Callable[..., Any],
        steps: int | None = None,
        hooks: Sequence[SessionRunHook] | None = None,
        name: str | None = None,
        every_n_iter: int = 100,
    ) -> None:
        if not isinstance(estimator, Estimator):
            raise TypeError(
                f"InMemoryEvaluatorHook: estimator={shown(estimator)} must be a torchest.Estimator."
            )
        of = "InMemoryEvaluatorHook: "
        checks.step_count(f"{of}every_n_iter", every_n_iter)
        self._estimator = estimator
        self._input_fn = checks.function(
            f"{of}input_fn", input_fn, "a function that returns the data, as for evaluate"
        )
        self._steps = checks.checked_count(f"{of}steps", steps)
        self._hooks = all_of(SessionRunHook, f"{of}hooks", hooks)
        self._name = None if name is None else checks.text(f"{of}name", name, empty=True)
        self._timer = SecondOrStepTimer(every_steps=every_n_iter)

    def after_create_session(self, session: Session, coord: None) -> None:
        """Evaluates the initial weights, unless training resumes and has done so."""
        if not session.resumes_midway or self._timer.last_triggered_step() is None:
            self._evaluate(session)

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Evaluates every `every_n_iter` steps."""
        if self._timer.should_trigger_for_step(run_context.session.global_step):
            self._evaluate(run_context.session)

    def end(self, session: Session) -> None:
        """Evaluates the last weights, unless it has just done so."""
        if self._timer.last_triggered_step() != session.global_step:
            self._evaluate(session)

    def state_dict(self) -> dict[str, Any]:
        """The step of the last evaluation."""
        return self._timer.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the state after an interruption."""
        self._timer.load_state_dict(state)

    def _evaluate(self, session: Session) -> None:
        self._timer.update_last_triggered_step(session.global_step)
        self._estimator._evaluate_in_training(
            session, self._input_fn, self._steps, self._hooks, self._name
        )
