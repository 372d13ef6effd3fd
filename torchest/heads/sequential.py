"""SequentialHead: a head applied to every step of sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from torchest.columns.encode.values import cells
from torchest.columns.features import Features
from torchest.errors import MissingFeatureError, suggest
from torchest.export_outputs import PREDICT, PredictOutput
from torchest.heads.base import BuiltInHead
from torchest.utils import arrays

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from torchest.columns.encode.strings import Text
    from torchest.export_outputs import ExportOutput
    from torchest.heads.base import Head, Labels, Logits, Predictions, RawFeatures
    from torchest.metrics.values import Metric
    from torchest.spec import EstimatorSpec
    from torchest.utils.arrays import HostArray


class SequentialHead(BuiltInHead):
    """Applies a head to each step of each row, as a separate example.

    Logits are [batch, time, logits_dimension], and `features` has a mask [batch, time], which is True up to the last
    step of a row. Labels and weights have a value for each such step: lists of unequal lengths, or tensors [batch,
    time, ...], whose other steps are ignored; steps after the longest row may be cut off.

    Args:
        head: The head of a step.
        mask: The key of the mask, in `features` and among the predictions.
        weights: The key of the weights, if the head has any.
    """

    def __init__(self, head: Head, mask: str, weights: str | None = None) -> None:
        self.mask = mask
        self._head = head
        self._weights = weights

    @property
    def name(self) -> str | None:
        """The name of the head of a step."""
        return self._head.name

    @property
    def logits_dimension(self) -> int:
        """The size of the last dimension of the logits."""
        return self._head.logits_dimension

    @property
    def loss_reduction(self) -> str:
        """How the losses of all steps of a batch are reduced."""
        return self._head.loss_reduction

    def loss(
        self,
        labels: Labels,
        logits: Logits,
        features: RawFeatures = None,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Computes the loss of the steps of a batch; see `Head.loss`."""
        labels, logits, features = self._flat(labels, logits, features)
        return self._head.loss(labels, logits, features, mode, regularization_losses)

    def predictions(self, logits: Logits, keys: Sequence[str] | None = None) -> dict[str, Any]:
        """Computes the predictions of each step, [batch, time, ...]."""
        return self._head.predictions(logits, keys)

    def metrics(self, regularization_losses: Sequence[Tensor] | None = None) -> dict[str, Metric]:
        """Returns the metrics before the first batch; see `Head.metrics`."""
        return self._head.metrics(regularization_losses)

    def _together(
        self,
        labels: Labels,
        logits: Logits,
        features: RawFeatures,
        regularization_losses: Sequence[Tensor] | None,
    ) -> tuple[Tensor, MutableMapping[str, Metric]]:
        labels, logits, features = self._flat(labels, logits, features)
        return self._head._loss_and_metrics(labels, logits, features, regularization_losses)

    def export_outputs(self, predictions: Predictions) -> dict[str, ExportOutput]:
        """Returns only the signature "predict", as the others describe single examples."""
        return {PREDICT: PredictOutput(predictions)}

    def create_estimator_spec(
        self, features: RawFeatures, mode: str, logits: Logits, *rest: Any, **named: Any
    ) -> EstimatorSpec:
        """Returns the EstimatorSpec of a batch, whose predictions include the mask; see `Head`."""
        spec = super().create_estimator_spec(features, mode, logits, *rest, **named)
        if self.mask in spec.predictions:
            raise ValueError(
                f"sequence_mask={self.mask!r} is the name of another prediction: use another name."
            )
        predictions = {**spec.predictions, self.mask: features[self.mask]}
        outputs = None if spec.export_outputs is None else self.export_outputs(predictions)
        return spec._replace(predictions=predictions, export_outputs=outputs)

    def _flat(
        self, labels: Labels, logits: Tensor, features: RawFeatures
    ) -> tuple[Labels, Tensor, RawFeatures]:
        """Labels, logits and weights of the steps of all rows: [number of steps, ...]."""
        mask, kept = features[self.mask], {}
        if self._weights is not None:
            if self._weights not in features:
                raise MissingFeatureError(
                    f"weight_column {self._weights!r} is not among the features."
                    f"{suggest(self._weights, features)}"
                )
            weights = Features.of(features).raw(self._weights)
            kept[self._weights] = _of_steps(weights, mask, f"weight_column {self._weights!r}")
        return _of_steps(labels, mask, "labels"), logits[mask], kept


def _of_steps(value: Labels, mask: Tensor, what: str) -> HostArray | Text:
    """The values of the steps that the mask selects: [number of steps, ...]."""
    array = value if isinstance(value, Tensor) else arrays.to_host(value, what)
    if isinstance(array, Tensor | np.ndarray) and array.ndim > 1:
        steps = array.shape[1]
        if steps < mask.shape[1] and not bool(mask[:, steps:].any()):
            mask = mask[:, :steps]
        if array.shape[:2] == mask.shape:
            is_numpy = isinstance(array, np.ndarray)
            return array[mask.cpu().numpy() if is_numpy else mask.to(array.device)]
    values, offsets = cells(Features({what: array}), what, what).with_offsets()
    lengths, expected = np.diff(offsets), mask.sum(1).cpu().numpy()
    if len(lengths) != len(expected) or (lengths != expected).any():
        row = int((lengths != expected).argmax()) if len(lengths) == len(expected) else 0
        raise ValueError(
            f"{what}: row {row} of a batch has {lengths[row]} of them, and {expected[row]} steps: with "
            "return_sequences, give one for each step, in lists as long as the sequences."
        )
    return values
