"""The reductions of TensorFlow 1, as in `tf.losses.Reduction`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchest.losses import BY_NONZERO_WEIGHTS, BY_WEIGHTS
from torchest.utils.checks import shown
from torchest.utils.namespaces import namespace

__all__ = ["Reduction"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = namespace(__name__, __all__)


class Reduction:
    """How the losses of a batch are reduced to a scalar, for heads and estimators of both generations.

    Attributes:
        NONE: No reduction: one loss per example.
        SUM: The weighted sum.
        SUM_OVER_BATCH_SIZE: The weighted sum divided by the number of losses.
        MEAN: The weighted sum divided by the sum of the weights.
        SUM_BY_NONZERO_WEIGHTS: The weighted sum divided by the number of weights that are not 0.
        SUM_OVER_NONZERO_WEIGHTS: The same as SUM_BY_NONZERO_WEIGHTS.

    >>> import torch
    >>> from torchest.losses import reduce
    >>> reduce(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 1.0]), Reduction.MEAN)
    tensor(1.2500)
    """

    NONE = "none"
    SUM = "weighted_sum"
    SUM_OVER_BATCH_SIZE = "weighted_sum_over_batch_size"
    MEAN = BY_WEIGHTS
    SUM_BY_NONZERO_WEIGHTS = BY_NONZERO_WEIGHTS
    SUM_OVER_NONZERO_WEIGHTS = BY_NONZERO_WEIGHTS

    @classmethod
    def all(cls) -> tuple[str, ...]:
        """All reductions."""
        return (
            cls.NONE,
            cls.SUM,
            cls.MEAN,
            cls.SUM_OVER_BATCH_SIZE,
            cls.SUM_OVER_NONZERO_WEIGHTS,
            cls.SUM_BY_NONZERO_WEIGHTS,
        )

    @classmethod
    def validate(cls, key: str) -> None:
        """Raises ValueError unless `key` is a reduction."""
        if not isinstance(key, str) or key not in cls.all():
            names = ", ".join(map(repr, dict.fromkeys(cls.all())))
            raise ValueError(f"Invalid Reduction Key {shown(key)}: it must be one of {names}.")
