"""A head for every step of sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from torchest.columns.encode.values import cells
from torchest.columns.features import Features
from torchest.errors import MissingFeatureError, suggest
from torchest.export_outputs import PREDICT, PredictOutput
from torchest.heads.base import Head
from torchest.utils import arrays

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torchest.export_outputs import ExportOutput
    from torchest.metrics.values import Metric


class SequentialHead(Head):
    """Lets a head see each step of each row as an example of its own.

    Logits are [batch, time, logits_dimension], and `features` has a mask [batch, time] of the steps that are there.
    Labels, and weights, have a value for each of these steps: lists of unequal lengths, or tensors [batch, time, ...]
    of which only these steps count; time may end with the last step of the longest row, too.

    Args:
        head: The head of a step.
        mask: The key of the mask in `features`, and of the same among the predictions.
        weights: The key of the weights, if the head has any.

    Attributes:
        mask: See above.
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
        """How the losses of all steps of a batch become one."""
        return self._head.loss_reduction

    def loss(
        self,
        labels: Any,
        logits: Any,
        features: Any = None,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """The loss of the steps of a batch; see `Head.loss`."""
        labels, logits, features = self._flat(labels, logits, features)
        return self._head.loss(labels, logits, features, mode, regularization_losses)

    def predictions(self, logits: Any, keys: Sequence[str] | None = None) -> dict[str, Any]:
        """What the logits predict for each step, [batch, time, ...]."""
        return self._head.predictions(logits, keys)

    def metrics(self, regularization_losses: Sequence[Tensor] | None = None) -> dict[str, Metric]:
        """The metrics of no examples; see `Head.metrics`."""
        return self._head.metrics(regularization_losses)

    def update_metrics(
        self,
        eval_metrics: Mapping[str, Metric],
        features: Any,
        logits: Any,
        labels: Any,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> dict[str, Metric]:
        """The metrics of the steps so far and of those of one more batch; see `Head.update_metrics`."""
        labels, logits, features = self._flat(labels, logits, features)
        return self._head.update_metrics(
            eval_metrics,
            features,
            logits,
            labels,
            mode=mode,
            regularization_losses=regularization_losses,
        )

    def export_outputs(self, predictions: Mapping[Any, Any]) -> dict[str, ExportOutput]:
        """Only the signature "predict": the others are of one example."""
        return {PREDICT: PredictOutput(predictions)}

    def create_estimator_spec(
        self, features: Any, mode: str, logits: Any, *rest: Any, **named: Any
    ) -> Any:
        """The EstimatorSpec of a batch, with the mask among its predictions; see `Head`."""
        spec = super().create_estimator_spec(features, mode, logits, *rest, **named)
        if self.mask in spec.predictions:
            raise ValueError(
                f"sequence_mask={self.mask!r} is the name of another prediction: use another name."
            )
        predictions = {**spec.predictions, self.mask: features[self.mask]}
        outputs = None if spec.export_outputs is None else self.export_outputs(predictions)
        return spec._replace(predictions=predictions, export_outputs=outputs)

    def _flat(self, labels: Any, logits: Tensor, features: Any) -> tuple[Any, Tensor, Any]:
        """All steps that are there, one after the other."""
        mask = features[self.mask]
        kept = {}
        if self._weights is not None:
            if self._weights not in features:
                raise MissingFeatureError(
                    f"weight_column {self._weights!r} is not among the features."
                    f"{suggest(self._weights, features)}"
                )
            weights = Features.of(features).raw(self._weights)
            kept[self._weights] = _of_steps(weights, mask, f"weight_column {self._weights!r}")
        return _of_steps(labels, mask, "labels"), logits[mask], kept


def _of_steps(value: Any, mask: Tensor, what: str) -> Any:
    """The values of the steps that are there: [number of steps, ...]."""
    array = value if isinstance(value, Tensor) else arrays.to_host(value, what)
    if isinstance(array, (Tensor, np.ndarray)) and array.ndim > 1:
        mask = _fitted(mask, array.shape[1])
    if isinstance(array, (Tensor, np.ndarray)) and array.shape[:2] == mask.shape:
        return array[mask.cpu().numpy() if isinstance(array, np.ndarray) else mask.to(array.device)]
    of_rows = cells(Features({what: array}), what, what)
    values, offsets = of_rows.with_offsets()
    expected = mask.sum(1).cpu().numpy()
    found = np.diff(offsets)
    if len(found) != len(expected) or (found != expected).any():
        row = int((found != expected).argmax()) if len(found) == len(expected) else 0
        raise ValueError(
            f"{what}: row {row} of a batch has {found[row]} of them, and {expected[row]} steps: with "
            "return_sequences every step needs one, as lists of as many as the sequences are long."
        )
    return values


def _fitted(mask: Tensor, steps: int) -> Tensor:
    """A mask without the steps behind the last one that is there, if it is of so many steps then."""
    is_cut = steps < mask.shape[1] and not bool(mask[:, steps:].any())
    return mask[:, :steps] if is_cut else mask
