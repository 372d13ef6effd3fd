"""The classes of a classification head: their number, names and predictions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from torchest.export_outputs import (
    CLASSIFICATION,
    PREDICT,
    SERVING_DEFAULT,
    ClassificationOutput,
    PredictOutput,
)
from torchest.heads.arguments import check_predictions
from torchest.heads.vocabulary import LabelVocabulary
from torchest.keys import PredictionKeys
from torchest.utils.indexed_strings import IndexedStrings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.export_outputs import ExportOutput
    from torchest.heads.base import Predictions

ComputePrediction: TypeAlias = Callable[[], Tensor | IndexedStrings]


class Classes:
    """Classes and their names.

    Attributes:
        count: Number of classes.
        vocabulary: The user's names, or None.
        names: The names in predictions.
    """

    def __init__(self, n_classes: int, label_vocabulary: Sequence[str] | None) -> None:
        self.count = n_classes
        self.vocabulary = (
            None if label_vocabulary is None else LabelVocabulary(label_vocabulary, n_classes)
        )
        numbered = tuple(str(number).encode() for number in range(n_classes))
        self.names = numbered if self.vocabulary is None else self.vocabulary.names

    def predictions(
        self, logits: Tensor, class_ids: Callable[[], Tensor]
    ) -> dict[str, ComputePrediction]:
        """A function for each prediction, by key; `class_ids` computes the predicted classes, int64 [batch, ..., 1]."""
        class_ids = functools.cache(class_ids)
        return {
            PredictionKeys.CLASS_IDS: class_ids,
            PredictionKeys.CLASSES: lambda: IndexedStrings(class_ids(), self.names),
            **self.all_classes(logits),
        }

    def all_classes(self, logits: Tensor) -> dict[str, ComputePrediction]:
        """All class ids, int32 [batch, n_classes], and all names, the same for each example."""

        @functools.cache
        def all_class_ids() -> Tensor:
            ids = torch.arange(self.count, dtype=torch.int32, device=logits.device)
            return ids.expand(logits.shape[0], self.count)  # len would be a constant when traced

        return {
            PredictionKeys.ALL_CLASS_IDS: all_class_ids,
            PredictionKeys.ALL_CLASSES: lambda: IndexedStrings(all_class_ids().long(), self.names),
        }


def classification_outputs(predictions: Predictions, names: str) -> dict[str, ExportOutput]:
    """Returns the signatures of a classification; `names` is the key of the names of classes, [batch, n_classes]."""
    check_predictions(predictions, PredictionKeys.PROBABILITIES, names)
    classification = ClassificationOutput(
        predictions[PredictionKeys.PROBABILITIES], predictions[names]
    )
    return {
        SERVING_DEFAULT: classification,
        CLASSIFICATION: classification,
        PREDICT: PredictOutput(predictions),
    }
