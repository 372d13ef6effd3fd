"""Calls a model_fn with the arguments that it takes, and checks what it returns."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from torchest.engine.plan import PlannedModelFn
from torchest.keys import ModeKeys
from torchest.run_config import FLOAT16
from torchest.spec import EstimatorSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from torchest.engine.plan import TrainingPlan
    from torchest.engine.scope import Scope
    from torchest.run_config import RunConfig
    from torchest.spec import Outputs

_ARGUMENTS = ("features", "labels", "mode", "params", "config")


class ModelFn:
    """A user's model_fn with its `params` and `config`.

    Args:
        function: Takes `features`, and any of `labels`, `mode`, `params`, `config`.
        params: Its argument `params`.
        config: Its argument `config`.

    Raises:
        TypeError: `function` cannot be called.
        ValueError: It takes other arguments, or no `features`; or `params` are not empty and it does not take them.
    """

    def __init__(
        self, function: Callable[..., EstimatorSpec], params: dict[str, Any], config: RunConfig
    ) -> None:
        if not callable(function):
            raise TypeError(
                f"model_fn={function!r} must be a function of (features, labels, mode, params, config)."
            )
        self._function = function
        self._params = params
        self._config = config
        taken = inspect.signature(function).parameters
        unknown = sorted(
            name
            for name, parameter in taken.items()
            if name not in _ARGUMENTS and parameter.default is inspect.Parameter.empty
        )
        if unknown:
            raise ValueError(
                f"model_fn takes {', '.join(map(repr, unknown))}: its arguments can be "
                f"{', '.join(_ARGUMENTS)}. Pass anything else in params."
            )
        if "features" not in taken:
            raise ValueError(f"model_fn must take 'features'; it takes ({', '.join(taken)}).")
        if params and "params" not in taken:
            raise ValueError(
                f"params={params!r} were given, but model_fn takes no 'params'. Add the argument, or leave params out."
            )
        self._taken = frozenset(taken)
        fixed = {"params": params, "config": config}
        self._fixed = {name: value for name, value in fixed.items() if name in taken}

    def __call__(
        self, features: object, labels: object, mode: str, config: RunConfig | None = None
    ) -> EstimatorSpec:
        """Runs the function on one batch; `config` replaces that of the constructor."""
        if labels is not None and "labels" not in self._taken:
            raise ValueError(
                "The input_fn gives labels, but model_fn takes no 'labels'. Add the argument, or let the input_fn give "
                "features alone."
            )
        arguments = {"features": features, **self._fixed}
        if "labels" in self._taken:
            arguments["labels"] = labels
        if "mode" in self._taken:
            arguments["mode"] = mode
        if config is not None and "config" in self._taken:
            arguments["config"] = config
        try:
            spec = self._function(**arguments)
        except (AttributeError, TypeError) as error:
            is_used = labels is None and "labels" in self._taken and "NoneType" in str(error)
            if is_used and not str(error).startswith("EstimatorSpec"):
                raise TypeError(_without_labels(mode, error)) from error
            raise
        _check(spec, mode, config or self._config)
        return spec

    @property
    def is_canned(self) -> bool:
        """Whether the function is torchest's, so that nobody else has its objects."""
        return isinstance(self._function, PlannedModelFn)

    def make_objects(self) -> None:
        """Makes the objects of a training, without a batch, if the function `is_canned`."""
        assert isinstance(self._function, PlannedModelFn)
        self._function.make_objects()

    def outputs(self, features: object, labels: object, mode: str) -> Outputs | EstimatorSpec:
        """Evaluates or predicts on one batch; for a user's function the same as a call."""
        function = self._function
        if isinstance(function, PlannedModelFn):
            return function.outputs(features, labels, mode)
        return self(features, labels, mode)

    def plan(self, scope: Scope) -> TrainingPlan | None:
        """Plans training steps of the objects in a scope; None if the function runs in each of them."""
        function = self._function
        return function.plan(scope) if isinstance(function, PlannedModelFn) else None


def _check(spec: object, mode: str, config: RunConfig) -> None:
    if not isinstance(spec, EstimatorSpec):
        result = "None" if spec is None else f"a {type(spec).__name__}"
        result = f"the class {spec.__name__}" if isinstance(spec, type) else result
        raise TypeError(f"model_fn returned {result}, not a torchest.EstimatorSpec.")
    if spec.mode != mode:
        raise ValueError(
            f"model_fn was called with mode={mode!r} and returned an EstimatorSpec of mode={spec.mode!r}: give it "
            "the mode that model_fn got."
        )
    name = _needs_optimizers(config) if callable(spec.train_op) else ""
    if name:
        raise ValueError(
            f"RunConfig({name}=...) needs a train_op that is an optimizer or a list of optimizers; model_fn returned a "
            "function, which has to do this itself."
        )


def _needs_optimizers(config: RunConfig) -> str:
    """The name of an option that is not for a train_op that is a function; empty if there is none."""
    options = {
        "clip_norm": config.clip_norm is not None,
        "accumulate_steps": config.accumulate_steps > 1,
        "precision": config.precision == FLOAT16,
        "ddp_comm_hook": config.ddp_comm_hook is not None,
    }
    return next((name for name, is_set in options.items() if is_set), "")


def _without_labels(mode: str, error: Exception) -> str:
    """The message for an error in a model_fn that seems to use labels although they are None."""
    said = str(error).removesuffix(".")
    if mode == ModeKeys.PREDICT:
        return (
            f"model_fn failed in PREDICT, where labels are None: {said}. Return the EstimatorSpec with predictions "
            "before labels are used."
        )
    return (
        f"model_fn failed, and the input_fn gives no labels: {said}. Let the input_fn give (features, labels), or "
        "model_fn do without labels."
    )
