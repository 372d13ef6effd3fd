"""The classes of a classification head: how many, their names, and what is predicted of them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch

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
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from torchest.export_outputs import ExportOutput


class Classes:
    """Some classes and their names.

    Args:
        n_classes: How many.
        label_vocabulary: The user's names. None: their numbers.

    Attributes:
        count: How many.
        vocabulary: The user's names, or None.
        names: What a class is called in predictions.
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
    ) -> dict[str, Callable[[], Any]]:
        """What is predicted of the classes, by key, computed when called.

        Args:
            logits: [batch, ..., logits_dimension].
            class_ids: Gives the predicted classes, int64 [batch, ..., 1].
        """
        class_ids = functools.cache(class_ids)
        return {
            PredictionKeys.CLASS_IDS: class_ids,
            PredictionKeys.CLASSES: lambda: IndexedStrings(class_ids(), self.names),
            **self.all_classes(logits),
        }

    def all_classes(self, logits: Tensor) -> dict[str, Callable[[], Any]]:
        """All class ids, int32 [batch, n_classes], and all names, the same for each example."""

        def all_class_ids() -> Tensor:
            ids = torch.arange(self.count, dtype=torch.int32, device=logits.device)
            return ids.expand(logits.shape[0], self.count)  # len would be a constant when traced

        return {
            PredictionKeys.ALL_CLASS_IDS: all_class_ids,
            PredictionKeys.ALL_CLASSES: lambda: IndexedStrings(all_class_ids().long(), self.names),
        }


def classification_outputs(predictions: Mapping[Any, Any], names: str) -> dict[str, ExportOutput]:
    """The signatures of a classification.

    Args:
        predictions: All predictions of the head.
        names: The key of the names of the classes, [batch, n_classes].
    """
    check_predictions(predictions, PredictionKeys.PROBABILITIES, names)
    classification = ClassificationOutput(
        predictions[PredictionKeys.PROBABILITIES], predictions[names]
    )
    return {
        SERVING_DEFAULT: classification,
        CLASSIFICATION: classification,
        PREDICT: PredictOutput(predictions),
    }
