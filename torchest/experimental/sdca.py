"""LinearSDCA: linear models at the exact optimum of a regularised problem.

sdca = torchest.experimental.LinearSDCA("passenger", symmetric_l2_regularization=2.0)
estimator = torchest.LinearClassifier(columns, optimizer=sdca)
"""

from __future__ import annotations

import math
import numbers
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from torchest.columns.base import CategoricalColumn, DenseColumn
from torchest.columns.encode.strings import Text
from torchest.columns.features import Features
from torchest.engine.scope import get_or_create
from torchest.errors import MissingFeatureError, suggest
from torchest.heads.binary import BinaryClassHead
from torchest.heads.regression import LogisticRegressionHead, RegressionHead
from torchest.heads.single import Scored, SingleHead
from torchest.keys import ModeKeys
from torchest.optimizers.dual_ascent import DualAscent, Entries, LogisticLoss, SquaredLoss
from torchest.utils import arrays
from torchest.utils.checks import boolean, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn

    from torchest.columns.base import FeatureColumn
    from torchest.heads.base import Head
    from torchest.models.linear import LinearModel
    from torchest.optimizers.dual_ascent import Loss
    from torchest.spec import EstimatorSpec
    from torchest.utils.arrays import HostArray

    ModelFn = Callable[[Any, Any, str], EstimatorSpec]

_LOSSES: dict[type[Head], type[Loss]] = {
    BinaryClassHead: LogisticLoss,
    LogisticRegressionHead: LogisticLoss,
    RegressionHead: SquaredLoss,
}


class LinearSDCA:
    """Dual coordinate ascent, given as `optimizer` to a linear estimator of one logit.

    After enough passes over the examples the weights w, the bias among them, minimise

        Σ sᵢ φ(w·xᵢ, yᵢ) + l2 / 2 ‖w‖² + l1 ‖w‖₁

    over all examples, where sᵢ is the weight of an example, and φ is log(1 + eᵖ) − y p for classes and
    (p − y)² / 2 for numbers. There is no learning rate. A step makes the dual variables of its batch optimal, given
    all others, 512 at a time; with all examples in one batch of at most so many, one step is enough (without l1).
    Otherwise the number of passes that are needed grows with ‖xᵢ‖² / l2. The method is that of S. Shalev-Shwartz and
    T. Zhang (Stochastic Dual Coordinate Ascent Methods for Regularized Loss Minimization, JMLR 14, 2013) by blocks;
    see `torchest.optimizers.dual_ascent`.

    The loss in the log, and of an evaluation, is the head's, without penalties: the mean of the losses, where the
    squared error is not halved.

    The dual variable of each example is kept, also in checkpoints: 16 bytes. Features, label and weight of an
    example have to be the same each time it comes. What is learned does not depend on the weights to begin with, so
    that those of a warm start are dropped at the first step, with a warning.

    Args:
        example_id_column: The key of a feature with the id of each example: one string or whole number in each row.
            It may come in a batch again with the same example, as where an input is repeated before it is batched.
        num_loss_partitions: Accepted for code written for TensorFlow, where it makes steps smaller if several run at
            once. Here none do.
        num_table_shards: Accepted likewise: the dual variables are in one table.
        symmetric_l1_regularization: l1, at least 0.
        symmetric_l2_regularization: l2, above 0.
        adaptive: Accepted likewise: whether some examples of a batch are chosen more often. Here the dual variables
            of a batch are found all together.

    Raises:
        ValueError: An argument is wrong.

    >>> sdca = LinearSDCA("id", symmetric_l2_regularization=2.0)
    >>> sdca
    LinearSDCA(example_id_column='id', symmetric_l1_regularization=0.0, symmetric_l2_regularization=2.0)
    """

    def __init__(
        self,
        example_id_column: str,
        num_loss_partitions: int = 1,
        num_table_shards: int | None = None,
        symmetric_l1_regularization: float = 0.0,
        symmetric_l2_regularization: float = 1.0,
        adaptive: bool = False,
    ) -> None:
        if not isinstance(example_id_column, str) or not example_id_column:
            raise ValueError(
                f"example_id_column={example_id_column!r} must be the key of a feature with the examples' ids."
            )
        boolean("adaptive", adaptive)
        whole_number("num_loss_partitions", num_loss_partitions, at_least=1)
        if num_table_shards is not None:
            whole_number("num_table_shards", num_table_shards, at_least=1)
        self.example_id_column = example_id_column
        self.l1 = _number("symmetric_l1_regularization", symmetric_l1_regularization)
        self.l2 = _number("symmetric_l2_regularization", symmetric_l2_regularization)
        if self.l2 == 0:
            raise ValueError(
                "symmetric_l2_regularization=0 must be above 0: without it the optimum need not be the only one. Give "
                "a small number, such as 1e-3."
            )

    def __repr__(self) -> str:
        return (
            f"LinearSDCA(example_id_column={self.example_id_column!r}, symmetric_l1_regularization={self.l1}, "
            f"symmetric_l2_regularization={self.l2})"
        )

    def linear_model_fn(
        self,
        name: str,
        make_model: Callable[[], LinearModel],
        head: Head,
        sparse_combiner: str,
    ) -> ModelFn:
        """A model_fn of a linear model that dual ascent trains; linear estimators ask for it.

        Args:
            name: What the model is called in checkpoints.
            make_model: Makes it.
            head: What the logits mean.
            sparse_combiner: How the ids of a categorical column combine.

        Raises:
            ValueError: LinearSDCA cannot train such a model.
        """
        with torch.device("meta"):
            _check(head, make_model().columns, sparse_combiner)
        loss = _LOSSES[type(head)]()
        assert isinstance(head, SingleHead)  # as all of those

        def model_fn(features: Any, labels: Any, mode: str) -> EstimatorSpec:
            model = get_or_create(name, make_model)
            if mode != ModeKeys.TRAIN:
                return head.create_estimator_spec(features, mode, model(features), labels)
            optimizer = get_or_create(
                "optimizer", lambda: DualAscent(model.parameters(), loss, self.l1, self.l2)
            )
            batch = Features.of(features)
            _check_place(batch.device)
            batch.joins = False  # each column by itself is what the dual problem takes
            with torch.no_grad():
                logits = model(batch)
            scored = head._scored(labels, logits, batch)
            step = partial(_step, self.example_id_column, model, optimizer, batch, scored)
            return head.create_estimator_spec(
                batch, mode, logits, labels, train_op_fn=lambda loss: partial(step, loss)
            )

        return model_fn


def _check(head: Head, columns: Iterable[FeatureColumn], sparse_combiner: str) -> None:
    """Raises ValueError where a linear model with this head, of these columns, cannot be trained."""
    known = ", ".join(each.__name__ for each in _LOSSES)
    if type(head) not in _LOSSES:
        more = " (n_classes=2)" if head.logits_dimension > 1 else ""
        raise ValueError(
            f"optimizer=LinearSDCA(...) does not know the loss of {type(head).__name__}: use one of {known}{more}, or "
            "another optimizer, such as 'Ftrl'."
        )
    if head.logits_dimension != 1:
        raise ValueError(
            f"optimizer=LinearSDCA(...) needs label_dimension=1, and it is {head.logits_dimension}: make an estimator "
            "for each number, or use another optimizer, such as 'Ftrl'."
        )
    if getattr(head, "_loss_fn", None) is not None:
        raise ValueError(
            f"optimizer=LinearSDCA(...) does not know the loss_fn of {type(head).__name__}: leave loss_fn out, or use "
            "another optimizer, such as 'Ftrl'."
        )
    if sparse_combiner != "sum":
        raise ValueError(
            f"optimizer=LinearSDCA(...) needs sparse_combiner='sum', and it is {sparse_combiner!r}."
        )
    for column in columns:
        if not isinstance(column, (DenseColumn, CategoricalColumn)):
            raise ValueError(
                f"optimizer=LinearSDCA(...) cannot train {column.name!r} ({type(column).__name__}), in which the model "
                "is not linear: give its categorical column, or use another optimizer, such as 'Ftrl'."
            )


def _step(
    example_id_column: str,
    model: LinearModel,
    optimizer: DualAscent,
    features: Features,
    scored: Scored,
    loss: Tensor,
) -> None:
    """Takes a step on a batch, unless its loss is not finite, of which the loop tells."""
    if not loss.isfinite():
        return
    numbers = scored.labels.reshape(-1).to(torch.float64)
    weights = torch.ones_like(numbers)
    if scored.weights is not None:
        weights = scored.weights.to(torch.float64).reshape(-1).expand_as(numbers)
    optimizer.ascend(
        _features(model, features), _examples(features, example_id_column), numbers, weights
    )


def _check_place(device: torch.device) -> None:
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        raise ValueError(
            f"LinearSDCA trains in one process, and there are {dist.get_world_size()}: the dual variables of all "
            "examples are in one table. Start one process, or use another optimizer, such as 'Ftrl'."
        )
    if device.type not in ("cpu", "cuda"):
        raise ValueError(
            f"LinearSDCA runs on the CPU or a CUDA device, not on {device.type!r}: use another optimizer, such "
            "as 'Ftrl'."
        )


def _features(model: LinearModel, batch: Features) -> list[tuple[nn.Parameter, Tensor | Entries]]:
    """The features that each parameter of the model is for."""
    ones = torch.ones(batch.batch_size, 1, dtype=torch.float64, device=batch.device)
    found: list[tuple[nn.Parameter, Tensor | Entries]] = [(model.bias, ones)]  # type: ignore[list-item]
    for column in model.columns:
        weight: Any = model.part(column.name).weight
        encoded = batch.encoded(column)
        found.append((weight, encoded if isinstance(encoded, Tensor) else _entries(encoded)))
    return found


def _entries(ids: Any) -> Entries:
    """What `Ids` are as features: a missing one is none."""
    kept = ids.values >= 0
    values = (
        torch.ones_like(ids.values, dtype=torch.float64) if ids.weights is None else ids.weights
    )
    return Entries(ids.row_of_each()[kept], ids.values[kept], values[kept])


def _examples(features: Features, key: str) -> Tensor:
    """A number for each example, int64 [batch]: the fingerprint of its id as text.

    Of 10 million examples, two have the same with a probability of 3e-6.
    """
    if key not in features:
        raise MissingFeatureError(
            f"LinearSDCA: example_id_column={key!r} is no feature of the batch: it has to have an id for each "
            f"example.{suggest(key, features)}"
        )
    text = _text(features.raw(key), key)
    missing = int((text.lengths == 0).sum())
    if missing:
        raise ValueError(
            f"LinearSDCA: {missing} of {len(text)} rows have no id in the feature {key!r} (example_id_column): each "
            "example needs one of its own, the same in every epoch."
        )
    fingerprints = text.fingerprints().view(np.int64).copy()
    return torch.from_numpy(fingerprints).to(features.device)


def _text(ids: HostArray, key: str) -> Text:
    if isinstance(ids, Tensor):
        ids = ids.cpu().numpy()
    if arrays.is_arrow(ids) and not arrays.is_ragged(ids):
        arrow: Any = ids
        kind = str(arrow.type)
        arrow = arrow.dictionary_decode() if kind.startswith("dictionary") else arrow
        if arrays.is_textual(arrow):
            return Text.of(arrow)
        if str(arrow.type).startswith(("int", "uint")):
            return Text.of(arrow.cast("string"))
    if isinstance(ids, np.ndarray) and ids.shape[1:] in ((), (1,)):
        if ids.dtype.kind == "S":
            return Text.of(ids.reshape(-1))
        if ids.dtype.kind in "iu":
            return Text.of(ids.reshape(-1).astype("S20"))
    raise ValueError(
        f"LinearSDCA: the feature {key!r} (example_id_column) must have one string or whole number in each row."
    )


def _number(name: str, value: Any) -> float:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not 0 <= float(value) < math.inf:
        raise ValueError(f"{name}={value!r} must be a number of at least 0.")
    return float(value)
