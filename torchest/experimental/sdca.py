"""LinearSDCA: trains linear models to the exact optimum of a regularised problem.

sdca = torchest.experimental.LinearSDCA("passenger", symmetric_l2_regularization=2.0)
estimator = torchest.LinearClassifier(columns, optimizer=sdca)
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from torchest.columns.base import CategoricalColumn, DenseColumn
from torchest.columns.encode.strings import Text
from torchest.columns.features import Features
from torchest.columns.layers.stored_parameters import stored_parameters
from torchest.engine.scope import get_or_create
from torchest.errors import MissingFeatureError, suggest
from torchest.heads.binary import BinaryClassHead
from torchest.heads.regression import LogisticRegressionHead, RegressionHead
from torchest.heads.single import Scored, SingleHead
from torchest.keys import ModeKeys
from torchest.optimizers.dual_ascent import DualAscent, Entries, LogisticLoss, SquaredLoss
from torchest.utils import arrays
from torchest.utils.checks import boolean, number, text, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn

    from torchest.canned.parts import ModelFn
    from torchest.columns.base import FeatureColumn
    from torchest.columns.ids import Ids
    from torchest.heads.base import Head, Labels, RawFeatures
    from torchest.models.linear import LinearModel
    from torchest.optimizers.dual_ascent import Loss
    from torchest.spec import EstimatorSpec
    from torchest.utils.arrays import HostArray

_LOSSES: dict[type[Head], type[Loss]] = {
    BinaryClassHead: LogisticLoss,
    LogisticRegressionHead: LogisticLoss,
    RegressionHead: SquaredLoss,
}


class LinearSDCA:
    """Stochastic dual coordinate ascent, the `optimizer` of a linear estimator with one logit.

    After enough passes over the examples, the weights w, including the bias, minimise

        Σ sᵢ φ(w·xᵢ, yᵢ) + l2 / 2 ‖w‖² + l1 ‖w‖₁

    over all examples, where sᵢ is the weight of an example, and φ is log(1 + eᵖ) − y p for classes and
    (p − y)² / 2 for numbers. There is no learning rate. A step optimises the dual variables of its batch jointly, in
    blocks of 512, with all others fixed: one step is enough if a single block has all examples, and l1 is 0. Otherwise
    the number of passes grows with ‖xᵢ‖² / l2. The method is a block version of S. Shalev-Shwartz and T. Zhang,
    Stochastic Dual Coordinate Ascent Methods for Regularized Loss Minimization, JMLR 14, 2013; see
    `torchest.optimizers.dual_ascent`.

    The loss in the log and in evaluations is the head's, without penalties: the mean of the losses, where the squared
    error is not halved.

    The optimizer and its checkpoints keep a dual variable, of 16 bytes, for each example. Features, label and weight of
    an example must be the same in each epoch. The result does not depend on the initial weights: those of a warm start
    are dropped at the first step, with a warning.

    Args:
        example_id_column: The key of a feature with the id of each example: one string or whole number in each row.
            An example may be repeated within a batch.
        num_loss_partitions: Has no effect; accepted for programs written for TensorFlow.
        num_table_shards: Has no effect.
        symmetric_l1_regularization: l1, at least 0.
        symmetric_l2_regularization: l2, above 0.
        adaptive: Has no effect.

    Raises:
        ValueError: An argument is invalid.

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
        way_out = " It is the key of a feature with the ids of the examples."
        self.example_id_column = text("example_id_column", example_id_column, way_out)
        boolean("adaptive", adaptive)
        whole_number("num_loss_partitions", num_loss_partitions, at_least=1)
        if num_table_shards is not None:
            whole_number("num_table_shards", num_table_shards, at_least=1)
        l1, l2 = symmetric_l1_regularization, symmetric_l2_regularization
        self.l1 = number("symmetric_l1_regularization", l1, at_least=0)
        way_out = " Without it there may be several optima: give a small number, such as 1e-3."
        self.l2 = number("symmetric_l2_regularization", l2, way_out, above=0)

    def __repr__(self) -> str:
        return (
            f"LinearSDCA(example_id_column={self.example_id_column!r}, symmetric_l1_regularization={self.l1}, "
            f"symmetric_l2_regularization={self.l2})"
        )

    def linear_model_fn(
        self, name: str, make_model: Callable[[], LinearModel], head: Head, sparse_combiner: str
    ) -> ModelFn:
        """Returns a model_fn for linear estimators; raises ValueError if LinearSDCA cannot train the model."""
        with torch.device("meta"):
            _check(head, make_model().columns, sparse_combiner)
        loss = _LOSSES[type(head)]()
        assert isinstance(head, SingleHead)  # as all of those

        def model_fn(features: RawFeatures, labels: Labels, mode: str) -> EstimatorSpec:
            model = get_or_create(name, make_model)
            if mode != ModeKeys.TRAIN:
                return head.create_estimator_spec(features, mode, model(features), labels)
            optimizer = get_or_create(
                "optimizer", lambda: DualAscent(model.parameters(), loss, self.l1, self.l2)
            )
            batch = Features.of(features)
            _check_place(batch.device)
            batch.allows_stacking = False  # each column by itself is what the dual problem takes
            with torch.no_grad():
                logits = model(batch)
            scored = head._scored(labels, logits, batch)
            step = partial(_step, self.example_id_column, model, optimizer, batch, scored)
            return head.create_estimator_spec(
                batch, mode, logits, labels, train_op_fn=lambda loss: partial(step, loss)
            )

        return model_fn


def _check(head: Head, columns: Iterable[FeatureColumn], sparse_combiner: str) -> None:
    """Raises ValueError if LinearSDCA cannot train a linear model with this head and these columns."""
    kind, this = type(head).__name__, "optimizer=LinearSDCA(...)"
    another = "use another optimizer, such as 'Ftrl'."
    if type(head) not in _LOSSES:
        known = ", ".join(each.__name__ for each in _LOSSES)
        more = " (n_classes=2)" if head.logits_dimension > 1 else ""
        raise ValueError(
            f"{this} does not support the loss of {kind}: use one of {known}{more}, or {another[4:]}"
        )
    if head.logits_dimension != 1:
        raise ValueError(
            f"{this} needs label_dimension=1, but it is {head.logits_dimension}: make an estimator for each number, "
            f"or {another}"
        )
    if getattr(head, "_loss_fn", None) is not None:
        raise ValueError(
            f"{this} does not support the loss_fn of {kind}: leave loss_fn out, or {another}"
        )
    if sparse_combiner != "sum":
        raise ValueError(f"{this} needs sparse_combiner='sum', but it is {sparse_combiner!r}.")
    for column in columns:
        if not isinstance(column, DenseColumn | CategoricalColumn):
            raise ValueError(
                f"{this} cannot train {column.name!r} ({type(column).__name__}), in which the model is not linear: "
                f"give its categorical column, or {another}"
            )


def _step(
    example_id_column: str,
    model: LinearModel,
    optimizer: DualAscent,
    features: Features,
    scored: Scored,
    loss: Tensor,
) -> None:
    """Takes a step on a batch, unless its loss is not finite, which the loop reports."""
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
            f"LinearSDCA trains in one process, but there are {dist.get_world_size()}: one table holds the dual "
            "variables of all examples. Start one process, or use another optimizer, such as 'Ftrl'."
        )
    if device.type not in ("cpu", "cuda"):
        raise ValueError(
            f"LinearSDCA runs on the CPU or a CUDA device, not on {device.type!r}: use another optimizer, such "
            "as 'Ftrl'."
        )


def _features(model: LinearModel, batch: Features) -> list[tuple[nn.Parameter, Tensor | Entries]]:
    """The features of each parameter of the model."""
    ones = torch.ones(batch.batch_size, 1, dtype=torch.float64, device=batch.device)
    features: list[tuple[nn.Parameter, Tensor | Entries]] = [(model.bias, ones)]  # type: ignore[list-item]
    stored = {each.name: each for each in stored_parameters(model)}
    for column in model.columns:
        _, parameter, rows = stored[f"{column.name}.weight"]
        encoded = batch.encoded(column)
        if not isinstance(encoded, Tensor):
            entries = _entries(encoded)
            encoded = entries._replace(ids=entries.ids + rows.start) if rows else entries
        features.append((parameter, encoded))
    return features


def _entries(ids: Ids) -> Entries:
    """Ids as features, without missing ones."""
    kept, values = ids.values >= 0, ids.weights
    if values is None:
        values = torch.ones_like(ids.values, dtype=torch.float64)
    return Entries(ids.row_of_each()[kept], ids.values[kept], values[kept])


def _examples(features: Features, key: str) -> Tensor:
    """The fingerprint of the id of each example, int64 [batch]; 10 million collide with a probability of 3e-6."""
    if key not in features:
        raise MissingFeatureError(
            f"LinearSDCA: example_id_column={key!r} is not a feature of the batch: it must have an id for each "
            f"example.{suggest(key, features)}"
        )
    ids = _text(features.raw(key), key)
    missing = int((ids.lengths == 0).sum())
    if missing:
        raise ValueError(
            f"LinearSDCA: {missing} of {len(ids)} rows have no id in the feature {key!r} (example_id_column): each "
            "example needs one of its own, the same in every epoch."
        )
    fingerprints = ids.fingerprints().view(np.int64).copy()
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
