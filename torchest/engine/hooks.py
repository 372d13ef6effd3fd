"""What a hook is: five moments of the loop, and what it is told at each.

    class PrintLoss(torchest.SessionRunHook):
        def before_run(self, run_context):
            return torchest.SessionRunArgs({"loss": "loss"})

        def after_run(self, run_context, run_values):
            print(run_values.results["loss"])

A value is read from the device only when a hook asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from torchest.engine.fetches import fetched, names_in
from torchest.engine.step_values import GRADIENT_NORM, learning_rates
from torchest.errors import suggest, with_article
from torchest.keys import MetricKeys
from torchest.utils.checks import is_list, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torchest.checkpoint.directory import Contents
    from torchest.engine.object_state import ObjectState
    from torchest.engine.scope import Scope

Item = TypeVar("Item")


class SessionRunArgs(NamedTuple):
    """What a hook wants to know of the coming step.

    Attributes:
        fetches: The name of a value, or lists, tuples and dicts of names. There are "loss", "global_step"
            (before the step), the keys of predictions and of metrics (of this batch; in an evaluation
            of all batches so far; in a step of several batches of the last one, while "loss" is that of
            all); in training also
            "learning_rate" (of this step; `<optimizer>.learning_rate` where there are several
            optimizers) and "gradient_norm" (over all parameters; before any clipping); and the names
            of parameters as in `Estimator.get_variable_names()` (after the step).
        feed_dict: Has no meaning here and must be None.
        options: Has no meaning here.
    """

    fetches: Any
    feed_dict: Any = None
    options: Any = None


class SessionRunValues(NamedTuple):
    """What a hook is told after a step.

    Attributes:
        results: numpy values in the form of `SessionRunArgs.fetches`; None if nothing was asked for.
        options: Always None.
        run_metadata: Always None.
    """

    results: Any
    options: Any
    run_metadata: Any


class Session:
    """The running model as hooks see it.

    Attributes:
        global_step: How many steps the model has been trained for.
        values: Values of the last step by name.
        training_state: Gives what, besides the model, a training needs that goes on in another process.
        wanted: The names that hooks asked for before the step; what is costly is computed for these only.
        origin_of_nan: Where the NaN comes from that is the loss of the last step, if it is one and that is known.
        is_chief: Whether this process writes.
        is_sound: Says whether the model is worth a checkpoint.
        began_at: The global step at which the training began, before any interruption.
        resumed_from: The path of the checkpoint that an interrupted training resumes from; None if it was not
            interrupted.
        after_save: Functions of the session that are called after a checkpoint and its listeners.
        last_step: The global step that ends the run; None if the input does.
        seconds_in_input: How long the run has waited for batches.
        examples: How many examples this process has trained on in the run.
    """

    def __init__(self, scope: Scope, state: ObjectState, global_step: int) -> None:
        self.global_step = global_step
        self.values: Mapping[str, Any] = {}
        self.wanted: frozenset[str] = frozenset()
        self.training_state: Callable[[], Mapping[str, Any]] | None = None
        self.origin_of_nan = ""
        self.is_chief = True
        self.is_sound: Callable[[], bool] = lambda: True
        self.began_at = global_step
        self.resumed_from: str | None = None
        self.after_save: list[Callable[[Session], None]] = []
        self.last_step: int | None = None
        self.seconds_in_input = 0.0
        self.examples = 0
        self._scope = scope
        self._state = state
        self._stop_requested = False
        self._interrupted = False

    def run(self, fetches: Any) -> Any:
        """Values of the last step by name, as numpy.

        Args:
            fetches: Names (see `SessionRunArgs`), but "gradient_norm" only if a hook had asked for it before
                the step, and "learning_rate" is that of the coming step if none had.

        Raises:
            ValueError: There is no value of that name.
            TypeError: `fetches` has something else than names.
        """
        return self.run_at(self.global_step, fetches)

    def run_at(self, global_step: int, fetches: Any) -> Any:
        """As `run`, with another number as the global step: the one that a step started at."""
        names = set(names_in(fetches))
        found = {
            name: np.int64(global_step) if name == MetricKeys.GLOBAL_STEP else self.value(name)
            for name in names
        }
        return fetched(fetches, found.__getitem__)

    @property
    def objects(self) -> Mapping[str, Any]:
        """What model_fn made with `get_or_create`, by name."""
        return self._scope.objects

    def contents(self) -> Contents:
        """What a checkpoint of the running model holds."""
        contents = self._state.contents()
        if self.training_state is None:
            return contents
        return contents.with_training(self.training_state())

    def should_stop(self) -> bool:
        """Whether the loop ends after the current step."""
        return self._stop_requested or self._interrupted

    def request_stop(self) -> None:
        """Ends the loop after the current step."""
        self._stop_requested = True

    def interrupt(self) -> None:
        """Ends the loop after the current step, for this call of `train` only: a later one may go on from there."""
        self._interrupted = True

    @property
    def resumes_midway(self) -> bool:
        """Whether an interrupted training resumes from a later checkpoint than its first."""
        return self.resumed_from is not None and self.global_step != self.began_at

    @property
    def is_stopped_by_a_hook(self) -> bool:
        """Whether a hook or a listener called `request_stop`."""
        return self._stop_requested

    def value(self, name: str) -> Any:
        """One of the values that `run` gives, as it is: a tensor on its device, a metric, or a number."""
        if name in self.values:
            return self.values[name]
        values = {**learning_rates(self._scope.optimizers()), **self.values}
        if name in values:
            return values[name]
        tensors = {
            f"{made}.{within}": tensor
            for made, module in self._scope.modules().items()
            for within, tensor in module.state_dict().items()
        }
        if name in tensors:
            return tensors[name].clone()  # the next step changes the tensor itself
        if name == GRADIENT_NORM:
            raise ValueError(
                f"{GRADIENT_NORM!r} is computed only in training, in steps for which a hook's before_run returned "
                f"SessionRunArgs({GRADIENT_NORM!r})."
            )
        known = [MetricKeys.GLOBAL_STEP, *values, *tensors]
        known += [GRADIENT_NORM] if self._scope.optimizers() else []
        raise ValueError(f"A hook asks for {name!r}, which the step has not.{suggest(name, known)}")


class SessionRunContext:
    """What a hook may look at and do during a step."""

    def __init__(self, original_args: SessionRunArgs, session: Session) -> None:
        self._original_args = original_args
        self._session = session

    @property
    def original_args(self) -> SessionRunArgs:
        """What the loop itself asks for; hooks ask for more in `before_run`."""
        return self._original_args

    @property
    def session(self) -> Session:
        """The running model."""
        return self._session

    @property
    def stop_requested(self) -> bool:
        """Whether a hook asked for the loop to end."""
        return self._session.should_stop()

    def request_stop(self) -> None:
        """Ends the loop after this step; the other hooks are still called for it."""
        self._session.request_stop()


class SessionRunHook:
    """Base of all hooks; every method does nothing.

    A hook, or a listener of checkpoints, that has `state_dict` and `load_state_dict` is in every checkpoint with what
    the one returns: tensors, numbers, strings, lists and dicts. A checkpoint is written when all hooks have been called
    for its step. If training is interrupted, the other gets the state back before `begin` of the training that resumes
    it, and again before its first step, so that what is set or drawn in `begin` and `after_create_session` does not
    count twice. An interruption changes neither what a hook knows nor what it draws from the random numbers of torch,
    numpy and Python.
    Where several processes train, all get back what the chief's hooks knew.
    """

    def begin(self) -> None:
        """The model has been made; nothing has run."""

    def after_create_session(self, session: Session, coord: None) -> None:
        """The first step is about to run.

        Args:
            session: The running model.
            coord: Always None.
        """

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs | None:
        """A step is about to run. Returns what to tell `after_run`."""

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """A step has run."""

    def end(self, session: Session) -> None:
        """The loop has ended, and not by an exception."""

    def on_error(self, exception: BaseException) -> None:
        """The loop has ended by an exception: close what was opened."""


def all_of(kind: type[Item], argument: str, given: Iterable[Any] | None) -> tuple[Item, ...]:
    """What a user gave as a list of hooks or of listeners; none for None.

    Args:
        kind: What each item must be an object of.
        argument: The argument that the list was given as.
        given: The list.

    Raises:
        TypeError: It is no list, or an item is something else.
    """
    if given is None:
        return ()
    if not is_list(given):
        raise TypeError(f"{argument}={shown(given)} must be a list, such as [{kind.__name__}()].")
    found = tuple(given)
    for item in found:
        if not isinstance(item, kind):
            made = f": write {item.__name__}(...)" if isinstance(item, type) else ""
            raise TypeError(
                f"{argument} has {shown(item)}, and every item must be {with_article(kind.__name__)}, or of a "
                f"subclass of it{made}."
            )
    return found
