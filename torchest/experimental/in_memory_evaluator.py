"""Evaluation of the model that is being trained, without a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchest.engine.hooks import SessionRunContext, SessionRunHook, SessionRunValues, all_of
from torchest.estimator import Estimator
from torchest.hooks.timer import SecondOrStepTimer
from torchest.utils import checks
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torchest.engine.hooks import Session


class InMemoryEvaluatorHook(SessionRunHook):
    """Evaluates with the weights of the running training: before the first step, every so many, and at the end.

        evaluator = torchest.experimental.InMemoryEvaluatorHook(model, eval_input_fn, every_n_iter=500)
        model.train(train_input_fn, hooks=[evaluator])

    The metrics go where those of `evaluate` go, for TensorBoard and for early stopping. Where several
    processes train together, give the hook to each: the chief evaluates, or all together, as
    `RunConfig.eval_distribute` says.

    Args:
        estimator: The estimator that trains.
        input_fn: Gives the data, as for `evaluate`.
        steps: How many batches to evaluate on; None: all.
        hooks: Called during each evaluation.
        name: Tells evaluations on different data apart.
        every_n_iter: Steps between two evaluations.

    Raises:
        TypeError: `estimator` is no estimator, or `hooks` is not a list of hooks.
        ValueError: Another argument is wrong.
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
        """Evaluates the weights that training starts with; one that resumes has done so."""
        if not session.resumes_midway or self._timer.last_triggered_step() is None:
            self._evaluate(session)

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Evaluates when it is due."""
        if self._timer.should_trigger_for_step(run_context.session.global_step):
            self._evaluate(run_context.session)

    def end(self, session: Session) -> None:
        """Evaluates the last weights, unless that has just been done."""
        if self._timer.last_triggered_step() != session.global_step:
            self._evaluate(session)

    def state_dict(self) -> dict[str, Any]:
        """When it evaluated last."""
        return self._timer.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on counting after an interruption."""
        self._timer.load_state_dict(state)

    def _evaluate(self, session: Session) -> None:
        self._timer.update_last_triggered_step(session.global_step)
        self._estimator._evaluate_in_training(
            session, self._input_fn, self._steps, self._hooks, self._name
        )
