"""TrainSpec and EvalSpec, the arguments of `train_and_evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torchest.engine.hooks import SessionRunHook, all_of
from torchest.hooks.checkpoint_saver import CheckpointSaverListener
from torchest.train_evaluate.exporters import Exporter
from torchest.utils.checks import checked_count, checked_name, is_number, number, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class _TrainFields(NamedTuple):
    input_fn: Callable[..., object]
    max_steps: int | None
    hooks: tuple[SessionRunHook, ...]
    saving_listeners: tuple[CheckpointSaverListener, ...]


class TrainSpec(_TrainFields):
    """The training data, and how long to train.

    Args:
        input_fn: Returns the training data, as for `Estimator.train`.
        max_steps: The global step to train up to. None: until the end of the input.
        hooks: Called during training.
        saving_listeners: Called around each checkpoint, before the evaluation that follows it.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: `max_steps` is not a whole number above 0.

    >>> TrainSpec(lambda: ({"x": [1.0]}, [2.0]), max_steps=1000).max_steps
    1000
    """

    __slots__ = ()

    def __new__(
        cls,
        input_fn: Callable[..., object],
        max_steps: int | None = None,
        hooks: Iterable[SessionRunHook] | None = None,
        saving_listeners: Iterable[CheckpointSaverListener] | None = None,
    ) -> TrainSpec:
        """Checks the fields."""
        _check_input_fn("TrainSpec", input_fn)
        return super().__new__(
            cls,
            input_fn,
            checked_count("TrainSpec: max_steps", max_steps),
            all_of(SessionRunHook, "TrainSpec: hooks", hooks),
            all_of(CheckpointSaverListener, "TrainSpec: saving_listeners", saving_listeners),
        )


class _EvalFields(NamedTuple):
    input_fn: Callable[..., object]
    steps: int | None
    name: str | None
    hooks: tuple[SessionRunHook, ...]
    exporters: tuple[Exporter, ...]
    start_delay_secs: float
    throttle_secs: float


class EvalSpec(_EvalFields):
    """The evaluation data, how often to evaluate, and what to export then.

    Args:
        input_fn: Returns the evaluation data, as for `Estimator.evaluate`.
        steps: The number of batches to evaluate on. None: all.
        name: A name for evaluations on different data: `Estimator.eval_dir(name)`.
        hooks: Called during evaluation.
        exporters: An `Exporter`, or several with different names; called after each evaluation.
        start_delay_secs: How long an evaluator in a separate process waits before its first evaluation. It has no
            effect where one process trains and evaluates, as in tf.estimator.
        throttle_secs: The least number of seconds between the starts of two evaluations. The last checkpoint is
            evaluated in any case.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of range, or two exporters have the same name.

    >>> EvalSpec(lambda: ({"x": [1.0]}, [2.0]), steps=1).throttle_secs
    600
    """

    __slots__ = ()

    def __new__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        cls,
        input_fn: Callable[..., object],
        steps: int | None = 100,
        name: str | None = None,
        hooks: Iterable[SessionRunHook] | None = None,
        exporters: Exporter | Iterable[Exporter] | None = None,
        start_delay_secs: float = 120,
        throttle_secs: float = 600,
    ) -> EvalSpec:
        """Checks the fields."""
        _check_input_fn("EvalSpec", input_fn)
        return super().__new__(
            cls,
            input_fn,
            checked_count("EvalSpec: steps", steps),
            checked_name("EvalSpec: name", name),
            all_of(SessionRunHook, "EvalSpec: hooks", hooks),
            _checked_exporters(exporters),
            number("EvalSpec: start_delay_secs", start_delay_secs, at_least=0),
            _checked_seconds("throttle_secs", throttle_secs),
        )


def _check_input_fn(spec: str, input_fn: object) -> None:
    if not callable(input_fn):
        raise TypeError(
            f"{spec}: input_fn={shown(input_fn)} must be a function that gives the data; write lambda: ... around it."
        )


def _checked_seconds(name: str, value: object) -> float:
    if not is_number(value) or not value >= 0:  # infinity: only the last checkpoint
        raise ValueError(
            f"EvalSpec: {name}={shown(value)} must be a number of seconds of at least 0."
        )
    seconds: float = value
    return seconds


def _checked_exporters(value: Exporter | Iterable[Exporter] | None) -> tuple[Exporter, ...]:
    listed = [value] if isinstance(value, Exporter) else value
    exporters = all_of(Exporter, "EvalSpec: exporters", listed)  # type: ignore[type-abstract]
    names = [exporter.name for exporter in exporters]
    for exporter in exporters:
        if not isinstance(exporter.name, str) or not exporter.name:
            raise ValueError(
                f"EvalSpec: an exporter ({type(exporter).__name__}) has the name {exporter.name!r}: it must be a "
                "string that is not empty, as it names the directory of its exports."
            )
        if names.count(exporter.name) > 1:
            raise ValueError(
                f"EvalSpec: exporters has two of the name {exporter.name!r}, and they would export into one "
                "directory: give each a name of its own."
            )
    return exporters
