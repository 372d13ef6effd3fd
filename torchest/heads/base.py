"""Head: from logits to loss, metrics and predictions.

head = torchest.BinaryClassHead()

def model_fn(features, labels, mode):
    net = torchest.get_or_create("net", lambda: Net(outputs=head.logits_dimension))
    optimizer = torchest.get_or_create("optimizer", lambda: torch.optim.Adam(net.parameters()))
    return head.create_estimator_spec(features, mode, net(features), labels, optimizer=optimizer)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from torchest.export_outputs import PREDICT, PredictOutput
from torchest.heads.arguments import check_mode, check_predictions
from torchest.keys import ModeKeys
from torchest.metrics import values as metrics
from torchest.spec import Deferred, EstimatorSpec, checked_train_op
from torchest.utils.checks import function, is_list, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

    from torchest.export_outputs import ExportOutput
    from torchest.metrics.values import Metric


class Head(ABC):
    """What a model's logits mean: derive from this class to make a head of your own."""

    @property
    @abstractmethod
    def name(self) -> str | None:
        """The name of the head; it ends the keys of its metrics."""

    @property
    @abstractmethod
    def logits_dimension(self) -> int:
        """The size of the last dimension of the logits."""

    @property
    @abstractmethod
    def loss_reduction(self) -> str:
        """How the losses of a batch become one: one of `torchest.losses.Reduction`."""

    @abstractmethod
    def loss(
        self,
        labels: Any,
        logits: Any,
        features: Any = None,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            labels: Labels of the batch.
            logits: [batch, logits_dimension].
            features: Features of the batch.
            mode: A `ModeKeys`.
            regularization_losses: Scalars that are added to the loss.
        """

    @abstractmethod
    def predictions(self, logits: Any, keys: Sequence[str] | None = None) -> dict[str, Any]:
        """What the logits of a batch predict, by `PredictionKeys`.

        Args:
            logits: [batch, logits_dimension].
            keys: Which predictions are wanted. None: all.
        """

    @abstractmethod
    def metrics(self, regularization_losses: Sequence[Tensor] | None = None) -> dict[str, Metric]:
        """The metrics of no examples, by `MetricKeys`."""

    @abstractmethod
    def update_metrics(
        self,
        eval_metrics: Mapping[str, Metric],
        features: Any,
        logits: Any,
        labels: Any,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> dict[str, Metric]:
        """The metrics of the examples so far and of one more batch.

        Args:
            eval_metrics: The metrics so far. They are values, and stay as they are.
            features: Features of the batch.
            logits: [batch, logits_dimension].
            labels: Labels of the batch.
            mode: A `ModeKeys`.
            regularization_losses: As for `loss`.
        """

    def export_outputs(self, predictions: Mapping[Any, Any]) -> dict[str, ExportOutput]:
        """What an exported model answers, by the names of its signatures.

        Args:
            predictions: All that `predictions` gives.
        """
        check_predictions(predictions)
        return {PREDICT: PredictOutput(predictions)}

    def create_estimator_spec(  # noqa: PLR0913
        self,
        features: Any,
        mode: str,
        logits: Any,
        labels: Any = None,
        optimizer: Any = None,
        trainable_variables: Iterable[Tensor] | None = None,
        train_op_fn: Callable[[Tensor], Any] | None = None,
        update_ops: Iterable[Any] | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> EstimatorSpec:
        """The EstimatorSpec of a batch.

        Args:
            features: Features of the batch.
            mode: A `ModeKeys`.
            logits: [batch, logits_dimension].
            labels: Labels of the batch. Not needed in PREDICT.
            optimizer: An optimizer, or a list of them. In TRAIN this or `train_op_fn` is needed.
            trainable_variables: Not needed, since an optimizer knows its parameters.
            train_op_fn: Makes the `train_op` of the loss, instead of `optimizer`.
            update_ops: Not needed, since modules update their buffers in their forward pass.
            regularization_losses: Scalars that are added to the loss.

        Raises:
            ValueError: In TRAIN, both or neither of `optimizer` and `train_op_fn` are given; or labels,
                logits or weights are not as they must be.
        """
        if mode is None:
            raise ValueError(
                "mode=None must be 'train', 'eval' or 'infer', the mode that model_fn got."
            )
        check_mode(mode)
        if mode == ModeKeys.PREDICT:
            predictions = self.predictions(logits)
            return EstimatorSpec(mode, predictions, export_outputs=self.export_outputs(predictions))
        if mode == ModeKeys.EVAL:
            loss, found = self._loss_and_metrics(labels, logits, features, regularization_losses)
            return EstimatorSpec(
                mode,
                Deferred(lambda: self.predictions(logits)),
                loss=loss,
                eval_metric_ops=found,
                loss_reduction=self.loss_reduction,
            )
        if (optimizer is None) == (train_op_fn is None):
            both = f"both are: optimizer={shown(optimizer)}, train_op_fn={shown(train_op_fn)}"
            raise ValueError(
                "create_estimator_spec: one of optimizer and train_op_fn must be given to train; "
                f"{'neither is given' if optimizer is None else both}."
            )
        if optimizer is not None:
            checked_train_op("create_estimator_spec: optimizer", optimizer)
        if train_op_fn is not None:
            function("train_op_fn", train_op_fn, "a function of the loss that returns a train_op")
        for name, unused in (
            ("trainable_variables", trainable_variables),
            ("update_ops", update_ops),
        ):
            if unused is not None and not is_list(unused):
                raise ValueError(f"{name}={shown(unused)} must be a list, or None.")
        loss = self.loss(labels, logits, features, mode, regularization_losses)
        train_op = optimizer if train_op_fn is None else train_op_fn(loss)
        return EstimatorSpec(
            mode,
            Deferred(lambda: self.predictions(_detached(logits))),
            loss=loss,
            train_op=train_op,
            loss_reduction=self.loss_reduction,
        )

    def _loss_and_metrics(
        self,
        labels: Any,
        logits: Any,
        features: Any,
        regularization_losses: Sequence[Tensor] | None,
    ) -> tuple[Tensor, dict[str, Metric]]:
        """Loss and metrics of one batch in EVAL."""
        mode = ModeKeys.EVAL
        loss = self.loss(labels, logits, features, mode, regularization_losses)
        empty = self.metrics(regularization_losses)
        return loss, self.update_metrics(
            empty,
            features,
            logits,
            labels,
            mode=mode,
            regularization_losses=regularization_losses,
        )


def _detached(logits: Any) -> Any:
    if isinstance(logits, Mapping):
        return {name: of_head.detach() for name, of_head in logits.items()}
    return logits.detach()


def check_head(head: Any) -> None:
    """Raises TypeError unless it is a head."""
    if not isinstance(head, Head):
        is_class = isinstance(head, type)
        what = f"the class {head.__name__}" if is_class else f"{head!r} ({type(head).__name__})"
        example = (
            f"{head.__name__}(...)"
            if is_class and issubclass(head, Head)
            else "torchest.BinaryClassHead()"
        )
        raise TypeError(f"head is {what}: give a head, such as {example}.")


def mean_over_batches(value: Tensor, logits: Tensor) -> Metric:
    """The mean over batches of a number of each; a batch without rows does not count.

    Args:
        value: The scalar of a batch.
        logits: The logits of that batch, [batch, ...].
    """
    has_rows = float(len(logits) > 0)
    return metrics.mean(value, torch.full_like(value.detach(), has_rows))
