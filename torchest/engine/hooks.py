"""Hooks: what the loop calls before, after and around its steps.

    class PrintLoss(torchest.SessionRunHook):
        def before_run(self, run_context):
            return torchest.SessionRunArgs({"loss": "loss"})

        def after_run(self, run_context, run_values):
            print(run_values.results["loss"])

A value is read from the device only when a hook asks for it.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np

from torchest.engine.fetches import fetched, names_in
from torchest.engine.saving import Saving, changing_tables
from torchest.engine.step_values import GRADIENT_NORM, learning_rates
from torchest.errors import suggest, with_article
from torchest.keys import MetricKeys
from torchest.summary.in_model_fn import SUMMARIES, collecting
from torchest.utils.checks import is_list, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torchest.checkpoint.directory import Contents
    from torchest.engine.object_state import ObjectState
    from torchest.summary.in_model_fn import Summary

Item = TypeVar("Item")


class SessionRunArgs(NamedTuple):
    """The values that a hook fetches from the next step.

    Attributes:
        fetches: The name of a value, or lists, tuples and dicts of names:

            - "loss", and "global_step" before the step;
            - keys of predictions and metrics: those of this batch; in an evaluation, metrics of all batches so far; in
              a step that accumulates gradients, those of its last batch;
            - in training, "learning_rate" of this step (`<optimizer>.learning_rate` if there are several optimizers),
              and "gradient_norm", over all parameters, before clipping;
            - names of parameters, as in `Estimator.get_variable_names()`, after the step.
        feed_dict: Must be None: nothing can be fed.
        options: Has no effect.
    """

    fetches: object
    feed_dict: None = None
    options: object = None


class SessionRunValues(NamedTuple):
    """The values that a hook fetched from a step.

    Attributes:
        results: NumPy values in the structure of `SessionRunArgs.fetches`; None if nothing was fetched.
        options: Always None.
        run_metadata: Always None.
    """

    results: Any
    options: None
    run_metadata: None


class Rest(NamedTuple):
    """How long a hook has nothing to do.

    Attributes:
        steps: For this number of steps,
        until: and before this time of `time.monotonic`.
    """

    steps: float = math.inf
    until: float = math.inf


class Training(Protocol):
    """The training of a session; see `ResumableTraining`."""

    began_at: int
    resumed_from: str | None

    def state(self, session: Session) -> Mapping[str, object]:
        """The content of a checkpoint besides the model."""


def _nothing(_: str) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


class Session:
    """The running model as hooks see it.

    Attributes:
        global_step: The number of steps that the model has been trained for.
        is_chief: Whether this process writes.
        last_step: The global step at which the run ends; None for the end of the input.
        loss_is_finite: Returns whether the loss is finite. If not, no checkpoint is written.
        alone: Makes a context in which other processes wait longer; takes what this one does in it alone.
        values: Values of the last step by name.
        fetched_names: The names that hooks fetch from the next step. Expensive values are computed only if fetched.
        summaries: What model_fn has made of `torchest.summary` in the step, by name, if a hook fetches "summaries".
        origin_of_nan: The origin of a NaN in the loss of the last step; empty if there is none or it is unknown.
        after_save: Functions of the session that are called after a checkpoint and its listeners.
        saving: The last checkpoint that a thread writes, or has written.
        seconds_in_input: How long the run has waited for batches.
        examples: The number of examples that this process has trained on in the run.
        on_access: Called when code gets the objects of the model, which it may read and change from then on.
    """

    def __init__(
        self,
        state: ObjectState,
        global_step: int,
        *,
        is_chief: bool = True,
        last_step: int | None = None,
        training: Training | None = None,
        loss_is_finite: Callable[[], bool] = lambda: True,
    ) -> None:
        self.global_step = global_step
        self.is_chief = is_chief
        self.last_step = last_step
        self.loss_is_finite = loss_is_finite
        self.alone: Callable[[str], contextlib.AbstractContextManager[None]] = _nothing
        self.values: Mapping[str, object] = {}
        self.fetched_names: frozenset[str] = frozenset()
        self.summaries: dict[str, Summary] = {}
        self.origin_of_nan = ""
        self.after_save: list[Callable[[Session], None]] = []
        self.saving: Saving | None = None
        self.seconds_in_input = 0.0
        self.examples = 0
        self.on_access: Callable[[], None] | None = None
        self._state = state
        self._scope = state.scope
        self._start = global_step
        self._training = training
        self._stop_requested = False
        self._interrupted = False

    def run(self, fetches: object) -> Any:
        """Values of the last step by name, as numpy.

        Args:
            fetches: Names, see `SessionRunArgs`. "gradient_norm" is there only if a hook fetched it from the step;
                "learning_rate" is that of the next step unless a hook fetched it.

        Raises:
            ValueError: There is no value of that name.
            TypeError: `fetches` has something other than names.
        """
        return self.run_at(self.global_step, fetches)

    def run_at(self, global_step: int, fetches: object) -> Any:
        """Like `run`, with the given value of "global_step"."""
        values = {
            name: np.int64(global_step) if name == MetricKeys.GLOBAL_STEP else self.value(name)
            for name in set(names_in(fetches))
        }
        return fetched(fetches, values.__getitem__)

    @property
    def objects(self) -> Mapping[str, Any]:
        """The objects that model_fn made with `get_or_create`, by name."""
        if self.on_access is not None:
            self.on_access()
        return self._scope.objects

    def contents(self) -> Contents:
        """The contents of a checkpoint of the running model; valid until the next step."""
        contents = self._state.contents()
        if self._training is None:
            return contents
        return contents.with_training(self._training.state(self))

    def save_beside_training(self, write: Callable[[Contents], object]) -> bool:
        """Lets a thread write the contents of a checkpoint while training goes on; see `saving`.

        Args:
            write: Writes contents.

        Returns:
            False if the model does not allow it; then nothing has happened.
        """
        if not self._state.is_private:
            return False
        tables = changing_tables(self._scope)
        contents = self.contents().beside_training([table.old for table in tables])
        if contents is None:
            return False
        self.saving = Saving(contents, tables, write)
        return True

    def should_stop(self) -> bool:
        """Whether the loop ends after the current step."""
        return self._stop_requested or self._interrupted

    def request_stop(self) -> None:
        """Ends the loop after the current step."""
        self._stop_requested = True

    def interrupt(self) -> None:
        """Ends the loop after the current step for this call of `train` only; the next call resumes from there."""
        self._interrupted = True

    @property
    def began_at(self) -> int:
        """The global step at which the training began, before any interruption."""
        return self._start if self._training is None else self._training.began_at

    @property
    def resumed_from(self) -> str | None:
        """The path of the checkpoint that an interrupted training resumes from; None if it was not interrupted."""
        return None if self._training is None else self._training.resumed_from

    @property
    def resumes_midway(self) -> bool:
        """Whether an interrupted training resumes from a later checkpoint than its first."""
        return self.resumed_from is not None and self.global_step != self.began_at

    @property
    def is_stopped_by_a_hook(self) -> bool:
        """Whether a hook or a listener called `request_stop`."""
        return self._stop_requested

    def collecting(self) -> contextlib.AbstractContextManager[None]:
        """A context for calls of model_fn, which collects its summaries if a hook fetches them."""
        is_fetched = SUMMARIES in self.fetched_names
        return collecting(self.summaries) if is_fetched else contextlib.nullcontext()

    def value(self, name: str) -> Any:
        """One value without conversion to NumPy: a tensor on its device, a metric, or a number."""
        if name == SUMMARIES:
            return dict(self.summaries)
        try:
            return self.values[name]
        except KeyError:
            pass
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
        raise ValueError(
            f"A hook fetches {name!r}, but the step has no value of that name.{suggest(name, known)}"
        )


class SessionRunContext:
    """What a hook can see and do during a step."""

    def __init__(self, original_args: SessionRunArgs, session: Session) -> None:
        self._original_args = original_args
        self._session = session

    @property
    def original_args(self) -> SessionRunArgs:
        """What the loop itself fetches: nothing."""
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

    A checkpoint is written when all hooks have been called for its step. It keeps the state of hooks, and of listeners
    of checkpoints, that have `state_dict` and `load_state_dict`: tensors, numbers, strings, lists and dicts. A training
    that resumes loads the state before `begin`, and again before its first step: changes that `begin` and
    `after_create_session` make are discarded, since the state contains them already. So an interruption changes neither
    the state of a hook nor its random numbers from torch, NumPy and Python. If several processes train, all of them
    load the state of the chief's hooks.
    """

    def begin(self) -> None:
        """The model has been made; nothing has run."""

    def after_create_session(self, session: Session, coord: None) -> None:
        """Called before the first step.

        Args:
            session: The running model.
            coord: Always None.
        """

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs | None:
        """Called before a step. Returns the values to fetch from it."""

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """A step has run."""

    def end(self, session: Session) -> None:
        """The loop has ended, and not by an exception."""

    def on_error(self, exception: BaseException) -> None:
        """Called when an exception ends the loop; release resources here."""

    def _rest(self, session: Session) -> Rest:  # noqa: ARG002
        """How long `before_run` and `after_run` of this class have nothing to do; see `HookCalls`."""
        return Rest()

    def _has_rested(self, steps: int) -> None:
        """Called after steps without calls, before the next one."""


def all_of(kind: type[Item], argument: str, values: Iterable[object] | None) -> tuple[Item, ...]:
    """Checks a list of hooks or of listeners; None is an empty one.

    Args:
        kind: The class of the items.
        argument: The argument, as the user wrote it.
        values: The list.

    Raises:
        TypeError: It is not a list, or an item is not of this class.
    """
    if values is None:
        return ()
    if not is_list(values):
        raise TypeError(f"{argument}={shown(values)} must be a list, such as [{kind.__name__}()].")
    items: list[Item] = []
    for item in values:
        if not isinstance(item, kind):
            call = f": write {item.__name__}(...)" if isinstance(item, type) else ""
            raise TypeError(
                f"{argument} has {shown(item)}, but every item must be {with_article(kind.__name__)}, or of a "
                f"subclass of it{call}."
            )
        items.append(item)
    return tuple(items)
