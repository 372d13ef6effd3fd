"""Linear models: a constructor is a model, a head and a default optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchest.estimator import Estimator
from torchest.heads.binary import BinaryClassHead
from torchest.heads.multi_class import MultiClassHead
from torchest.keys import ModeKeys
from torchest.losses import Reduction
from torchest.models.linear import LinearModel
from torchest.optimizers.resolve import resolve
from torchest.scope import get_or_create

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from torchest.columns.base import FeatureColumn
    from torchest.heads.base import Head
    from torchest.run_config import RunConfig
    from torchest.spec import EstimatorSpec

_LEARNING_RATE = 0.2


class LinearClassifier(Estimator):
    """Classifies with a linear model.

    Args:
        feature_columns: Dense and categorical columns.
        model_dir: Where checkpoints and events go.
        n_classes: The number of classes. With 2, the model has one logit.
        weight_column: The key of a feature, or a numeric column, that weighs the examples.
        label_vocabulary: The classes as strings, if labels are strings. Otherwise labels are integers
            from 0 to `n_classes` − 1.
        optimizer: The name of an optimizer of torchest, at learning rate 0.2; a `torch.optim` class; or a
            function that makes an optimizer from parameters.
        config: How to run.
        warm_start_from: Not supported yet; must be None.
        loss_reduction: How the losses of a batch become one: "sum_over_batch_size" (the mean) or "sum".
        sparse_combiner: How the ids of a multivalent categorical column combine: "sum", "mean", "sqrtn".

    Raises:
        ValueError: An argument is wrong.
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        feature_columns: Iterable[FeatureColumn],
        model_dir: str | os.PathLike[str] | None = None,
        n_classes: int = 2,
        weight_column: Any = None,
        label_vocabulary: Sequence[str] | None = None,
        optimizer: Any = "Ftrl",
        config: RunConfig | None = None,
        warm_start_from: None = None,
        loss_reduction: str = Reduction.SUM_OVER_BATCH_SIZE,
        sparse_combiner: str = "sum",
    ) -> None:
        head: Head = (
            BinaryClassHead(
                weight_column, label_vocabulary=label_vocabulary, loss_reduction=loss_reduction
            )
            if n_classes == 2
            else MultiClassHead(n_classes, weight_column, label_vocabulary, loss_reduction)
        )
        make_optimizer = resolve(optimizer, _LEARNING_RATE)
        columns = list(feature_columns)
        LinearModel(columns, 0, sparse_combiner)  # so that a wrong argument shows here

        def model_fn(features: Any, labels: Any, mode: str) -> EstimatorSpec:
            model = get_or_create(
                "linear", lambda: LinearModel(columns, head.logits_dimension, sparse_combiner)
            )
            training = mode == ModeKeys.TRAIN
            return head.create_estimator_spec(
                features,
                mode,
                model(features),
                labels,
                optimizer=get_or_create("optimizer", lambda: make_optimizer(model.parameters()))
                if training
                else None,
            )

        super().__init__(model_fn, model_dir, config, warm_start_from=warm_start_from)
