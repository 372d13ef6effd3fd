"""Outputs of an exported model: `ClassificationOutput`, `RegressionOutput`, `PredictOutput`, `EvalOutput`.

A model_fn, or its head, returns them by signature in `EstimatorSpec(..., export_outputs=...)`.

>>> import torch
>>> probabilities = torch.tensor([[0.25, 0.75]])
>>> sorted(PredictOutput({"probabilities": probabilities}).named())
['probabilities']
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import Tensor

from torchest.utils.checks import shown
from torchest.utils.predicted_text import is_text

if TYPE_CHECKING:
    from collections.abc import Callable

SERVING_DEFAULT = "serving_default"
CLASSIFICATION = "classification"
REGRESSION = "regression"
PREDICT = "predict"


@dataclass(frozen=True)
class SignatureDef:
    """A signature of an exported model.

    Attributes:
        method: "classification", "regression", "predict" or "eval".
        inputs: Inputs by name.
        outputs: Outputs by name.
    """

    method: str
    inputs: dict[str, object]
    outputs: dict[str, object]


class ExportOutput(ABC):
    """The outputs of one signature of an exported model."""

    method: ClassVar[str]

    @abstractmethod
    def named(self) -> dict[str, object]:
        """Returns the outputs by name."""

    def as_signature_def(self, receiver_tensors: object) -> SignatureDef:
        """Returns the signature.

        Args:
            receiver_tensors: Inputs of the model by name, as specs or tensors.

        Returns:
            Inputs and outputs by name. A single input of classification and regression is called "inputs".

        Raises:
            ValueError: An input is neither a spec nor a tensor.
        """
        inputs = _by_name(receiver_tensors, "receiver_tensors", "input")
        for name, value in inputs.items():
            _check(value, f"receiver_tensors[{name!r}]", "a spec or a tensor", _is_described)
        if self.method in (CLASSIFICATION, REGRESSION) and len(inputs) == 1:
            inputs = {"inputs": next(iter(inputs.values()))}
        return SignatureDef(self.method, inputs, self.named())


@dataclass(frozen=True, eq=False)
class ClassificationOutput(ExportOutput):
    """Classes and their scores.

    Args:
        scores: A floating tensor [batch, n_classes], such as probabilities.
        classes: The names of the classes, strings [batch, n_classes]: a feature that is text, an array of
            strings, or a value of `indexed_strings`, which an exported model can compute.

    Raises:
        ValueError: Both are missing, or one has another type.
    """

    scores: Any = None
    classes: Any = None
    method: ClassVar[str] = CLASSIFICATION

    def __post_init__(self) -> None:
        if self.scores is None and self.classes is None:
            raise ValueError(
                "ClassificationOutput needs scores, or classes, or both; neither is given."
            )
        if self.scores is not None:
            _check(self.scores, "ClassificationOutput: scores", "a floating tensor", _is_floating)
        if self.classes is not None:
            _check(self.classes, "ClassificationOutput: classes", "strings", is_text)

    def named(self) -> dict[str, object]:
        """Returns `scores` and `classes`, without those that are None."""
        outputs = {"scores": self.scores, "classes": self.classes}
        return {key: value for key, value in outputs.items() if value is not None}


@dataclass(frozen=True, eq=False)
class RegressionOutput(ExportOutput):
    """Predicted numbers.

    Args:
        value: A floating tensor [batch, label_dimension].

    Raises:
        ValueError: `value` is something else.
    """

    value: Any
    method: ClassVar[str] = REGRESSION

    def __post_init__(self) -> None:
        _check(self.value, "RegressionOutput: value", "a floating tensor", _is_floating)

    def named(self) -> dict[str, object]:
        """Returns the numbers as `outputs`."""
        return {"outputs": self.value}


@dataclass(frozen=True, eq=False)
class PredictOutput(ExportOutput):
    """Predictions of any kind.

    Args:
        outputs: Tensors or strings by name; names that are tuples are joined by "/". A single tensor has the
            name "output".

    Raises:
        ValueError: A name is not a string, or a value is not a tensor.
    """

    outputs: Any
    method: ClassVar[str] = PREDICT

    def __post_init__(self) -> None:
        named = _by_name(self.outputs, "PredictOutput: outputs", "output")
        for key, value in named.items():
            _check(value, f"PredictOutput: outputs[{key!r}]", "a tensor or strings", _is_array)
        object.__setattr__(self, "outputs", named)

    def named(self) -> dict[str, object]:
        """Returns the outputs."""
        return dict(self.outputs)


@dataclass(frozen=True, eq=False)
class EvalOutput(ExportOutput):
    """Loss, predictions and metrics of an evaluation.

    Args:
        loss: A tensor, or tensors by name.
        predictions: A tensor, or tensors by name.
        metrics: Metrics by name: a metric, or a tuple of its value and its update.

    Raises:
        ValueError: A name is not a string.
    """

    LOSS_NAME: ClassVar[str] = "loss"
    PREDICTIONS_NAME: ClassVar[str] = "predictions"
    METRICS_NAME: ClassVar[str] = "metrics"
    METRIC_VALUE_SUFFIX: ClassVar[str] = "value"
    METRIC_UPDATE_SUFFIX: ClassVar[str] = "update_op"

    loss: Any = None
    predictions: Any = None
    metrics: Any = None
    method: ClassVar[str] = "eval"

    def __post_init__(self) -> None:
        for field in (self.LOSS_NAME, self.PREDICTIONS_NAME):
            values = getattr(self, field)
            if values is not None:
                named = _by_name(values, f"EvalOutput: {field}", field)
                for key, value in named.items():
                    what = f"EvalOutput: {field}" + (f"[{key!r}]" if key != field else "")
                    if field == self.LOSS_NAME:
                        _check(value, what, "a tensor", _is_numeric)
                    _check(value, what, "a tensor or strings", _is_array)
                object.__setattr__(
                    self, field, {_prefixed(field, key): named[key] for key in named}
                )
        if self.metrics is not None and not isinstance(self.metrics, Mapping):
            raise ValueError(
                f"EvalOutput: metrics={shown(self.metrics)} must be a dict of metrics by name."
            )
        if self.metrics is not None:
            object.__setattr__(self, "metrics", self._named_metrics(self.metrics))

    def named(self) -> dict[str, object]:
        """Returns loss, predictions and metrics in one dict."""
        return {**(self.loss or {}), **(self.predictions or {}), **(self.metrics or {})}

    def _named_metrics(self, metrics: Mapping[str, object]) -> dict[str, object]:
        outputs: dict[str, object] = {}
        for key, metric in _by_name(metrics, "EvalOutput: metrics", self.METRICS_NAME).items():
            name = _prefixed(self.METRICS_NAME, key)
            value, update = metric if isinstance(metric, tuple) else (metric, metric)
            outputs[f"{name}/{self.METRIC_VALUE_SUFFIX}"] = value
            outputs[f"{name}/{self.METRIC_UPDATE_SUFFIX}"] = update
        return outputs


def checked_export_outputs(export_outputs: object, predictions: object) -> dict[str, ExportOutput]:
    """Returns the export outputs of a model_fn, including "serving_default"; for None, its predictions.

    Raises:
        TypeError: `export_outputs` is not a dict of `ExportOutput`.
        ValueError: There are several, and none is called "serving_default".
    """
    if export_outputs is None:
        return {SERVING_DEFAULT: PredictOutput(predictions)}
    if not isinstance(export_outputs, Mapping):
        raise TypeError(
            f"EstimatorSpec: export_outputs must be a dict of export outputs by name, not a "
            f"{type(export_outputs).__name__}."
        )
    for name, output in export_outputs.items():
        if not isinstance(output, ExportOutput):
            raise TypeError(
                f"EstimatorSpec: export_outputs[{name!r}] is a {type(output).__name__}: give a "
                "torchest.export.PredictOutput, ClassificationOutput or RegressionOutput."
            )
    outputs = dict(export_outputs)
    if len(outputs) == 1:
        outputs.setdefault(SERVING_DEFAULT, next(iter(outputs.values())))
    if outputs and SERVING_DEFAULT not in outputs:
        raise ValueError(
            f"EstimatorSpec: export_outputs has {', '.join(map(repr, outputs))}: call the one that is to be the "
            f"default {SERVING_DEFAULT!r} too."
        )
    return outputs


def _by_name(values: object, what: str, single: str) -> dict[str, object]:
    """A dict with strings as keys. A value that is not a dict gets the name `single`."""
    if not isinstance(values, Mapping):
        return {single: values}
    named = {
        "/".join(map(str, key)) if isinstance(key, tuple) else key: value
        for key, value in values.items()
    }
    for key in named:
        if not isinstance(key, str):
            raise ValueError(f"{what} has the name {key!r}: names must be strings.")
    return named


def _prefixed(prefix: str, key: str) -> str:
    return key if key == prefix or key.startswith(f"{prefix}/") else f"{prefix}/{key}"


def _check(value: object, what: str, expected: str, suits: Callable[[object], bool]) -> None:
    if not suits(value):
        dtype = f" of dtype {value.dtype}" if hasattr(value, "dtype") else ""
        raise ValueError(f"{what} must be {expected}, not a {type(value).__name__}{dtype}.")


def _is_floating(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _is_numeric(value: object) -> bool:
    return _is_array(value) and not is_text(value)


def _is_described(value: object) -> bool:
    return hasattr(value, "dtype") or is_text(value)


def _is_array(value: object) -> bool:
    return isinstance(value, Tensor | np.ndarray | np.generic) or is_text(value)
