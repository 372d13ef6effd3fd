"""Head: turns the logits of a model into a loss, metrics and predictions.

head = torchest.BinaryClassHead()

def model_fn(features, labels, mode):
    net = torchest.get_or_create("net", lambda: Net(outputs=head.logits_dimension))
    optimizer = torchest.get_or_create("optimizer", lambda: torch.optim.Adam(net.parameters()))
    return head.create_estimator_spec(features, mode, net(features), labels, optimizer=optimizer)
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from torchest.export_outputs import PREDICT, PredictOutput
from torchest.heads.arguments import check_mode, check_predictions, merged
from torchest.keys import ModeKeys
from torchest.metrics import values as metrics
from torchest.spec import EstimatorSpec, checked_train_op
from torchest.utils.checks import function, is_list, shown
from torchest.utils.deferred import Deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, MutableMapping, Sequence

    from torch import Tensor

    from torchest.export_outputs import ExportOutput
    from torchest.metrics.values import Metric
    from torchest.spec import TrainOp

# What an input_fn or a model_fn passes to a head, which checks it.
Labels: TypeAlias = Any
Logits: TypeAlias = Any
RawFeatures: TypeAlias = Any
Predictions: TypeAlias = Mapping[Any, Any]


class Head(ABC):
    """Defines the loss, metrics and predictions of a model. Derive from this class for a head of your own."""

    @property
    @abstractmethod
    def name(self) -> str | None:
        """Suffix of the metric keys, as in "auc/<name>"."""

    @property
    @abstractmethod
    def logits_dimension(self) -> int:
        """Size of the last dimension of the logits."""

    @property
    @abstractmethod
    def loss_reduction(self) -> str:
        """How the losses of a batch are reduced, one of `torchest.losses.Reduction`."""

    @abstractmethod
    def loss(
        self,
        labels: Labels,
        logits: Logits,
        features: RawFeatures = None,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Computes the loss of a batch, a scalar.

        Args:
            labels: Labels of the batch.
            logits: [batch, logits_dimension].
            features: Features of the batch.
            mode: A `ModeKeys`.
            regularization_losses: Scalars to add to the loss.
        """

    @abstractmethod
    def predictions(self, logits: Logits, keys: Sequence[str] | None = None) -> dict[str, Any]:
        """Computes the predictions of a batch, by `PredictionKeys`.

        Args:
            logits: [batch, logits_dimension].
            keys: Keys of the predictions to return. None: all.
        """

    @abstractmethod
    def metrics(self, regularization_losses: Sequence[Tensor] | None = None) -> dict[str, Metric]:
        """Returns the metrics before the first batch, by `MetricKeys`."""

    @abstractmethod
    def update_metrics(
        self,
        eval_metrics: Mapping[str, Metric],
        features: RawFeatures,
        logits: Logits,
        labels: Labels,
        mode: str | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> dict[str, Metric]:
        """Returns the metrics, updated with a batch.

        Args:
            eval_metrics: The metrics so far, which are not changed.
            features: Features of the batch.
            logits: [batch, logits_dimension].
            labels: Labels of the batch.
            mode: A `ModeKeys`.
            regularization_losses: As for `loss`.
        """

    def export_outputs(self, predictions: Predictions) -> dict[str, ExportOutput]:
        """Returns the outputs of an exported model, by signature.

        Args:
            predictions: All predictions of a batch, as `predictions(logits)` returns them.
        """
        check_predictions(predictions)
        return {PREDICT: PredictOutput(predictions)}

    def create_estimator_spec(  # noqa: PLR0913 - the arguments that tf.estimator's method takes
        self,
        features: RawFeatures,
        mode: str,
        logits: Logits,
        labels: Labels = None,
        optimizer: TrainOp | None = None,
        trainable_variables: Iterable[Tensor] | None = None,
        train_op_fn: Callable[[Tensor], TrainOp] | None = None,
        update_ops: Iterable[object] | None = None,
        regularization_losses: Sequence[Tensor] | None = None,
    ) -> EstimatorSpec:
        """Returns the EstimatorSpec of a batch.

        Args:
            features: Features of the batch.
            mode: A `ModeKeys`.
            logits: [batch, logits_dimension].
            labels: Labels of the batch. Not needed in PREDICT.
            optimizer: An optimizer, or a list of them. TRAIN needs either this or `train_op_fn`.
            trainable_variables: Has no effect: an optimizer knows its parameters.
            train_op_fn: A function from the loss to a `train_op`, instead of `optimizer`.
            update_ops: Has no effect: modules update their buffers in the forward pass.
            regularization_losses: Scalars to add to the loss.

        Raises:
            ValueError: In TRAIN, both or neither of `optimizer` and `train_op_fn` are given; or labels,
                logits or weights are invalid.
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
            loss, of_batch = self._loss_and_metrics(labels, logits, features, regularization_losses)
            return EstimatorSpec(
                mode,
                Deferred(lambda: self.predictions(logits)),
                loss=loss,
                eval_metric_ops=of_batch,
                loss_reduction=self.loss_reduction,
            )
        _check_train_arguments(optimizer, train_op_fn)
        unused = {"trainable_variables": trainable_variables, "update_ops": update_ops}
        for name, value in unused.items():
            if value is not None and not is_list(value):
                raise ValueError(f"{name}={shown(value)} must be a list, or None.")
        loss = self.loss(labels, logits, features, mode, regularization_losses)
        return EstimatorSpec(
            mode,
            Deferred(lambda: self.predictions(_detached(logits))),
            loss=loss,
            train_op=optimizer if train_op_fn is None else train_op_fn(loss),
            loss_reduction=self.loss_reduction,
        )

    def _loss_and_metrics(
        self,
        labels: Labels,
        logits: Logits,
        features: RawFeatures,
        regularization_losses: Sequence[Tensor] | None,
    ) -> tuple[Tensor, MutableMapping[str, Metric]]:
        """The loss and the metrics of one batch in EVAL."""
        loss = self.loss(labels, logits, features, ModeKeys.EVAL, regularization_losses)
        return loss, self.update_metrics(
            self.metrics(regularization_losses),
            features,
            logits,
            labels,
            mode=ModeKeys.EVAL,
            regularization_losses=regularization_losses,
        )


class BuiltInHead(Head):
    """A head of torchest, which computes loss and metrics of a batch together.

    Methods that a user's subclass overrides are called all the same.
    """

    def _loss_and_metrics(
        self,
        labels: Labels,
        logits: Logits,
        features: RawFeatures,
        regularization_losses: Sequence[Tensor] | None,
    ) -> tuple[Tensor, MutableMapping[str, Metric]]:
        methods = (self.loss, self.metrics, self.update_metrics)
        is_own = all(_is_of_torchest(method) for method in methods)
        compute = self._together if is_own else super()._loss_and_metrics
        return compute(labels, logits, features, regularization_losses)

    @abstractmethod
    def _together(
        self,
        labels: Labels,
        logits: Logits,
        features: RawFeatures,
        regularization_losses: Sequence[Tensor] | None,
    ) -> tuple[Tensor, MutableMapping[str, Metric]]:
        """The loss and the metrics of one batch, which share the checked labels and the losses of examples."""

    def _is_as_made(self) -> bool:
        """Whether the class is torchest's own, and no method of the head was replaced."""
        kind = type(self)
        return _is_of_torchest(kind) and vars(self).keys().isdisjoint(_attributes_of(kind))

    def update_metrics(  # type: ignore[override] # TensorFlow's heads have another order than their base class
        self,
        eval_metrics: Mapping[str, Metric],
        features: RawFeatures,
        logits: Logits,
        labels: Labels,
        regularization_losses: Sequence[Tensor] | None = None,
        mode: str | None = None,
    ) -> dict[str, Metric]:
        """Returns the metrics, updated with a batch; see `Head.update_metrics`."""
        check_mode(mode)
        _, more = self._together(labels, logits, features, regularization_losses)
        return merged(eval_metrics, more)


def _is_of_torchest(method: Callable[..., object]) -> bool:
    """Whether a class or a function is defined in torchest."""
    return method.__module__.startswith("torchest.")


@functools.cache
def _attributes_of(kind: type) -> frozenset[str]:
    return frozenset(dir(kind))


def _check_train_arguments(optimizer: object, train_op_fn: object) -> None:
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


def _detached(logits: Logits) -> Logits:
    if isinstance(logits, Mapping):
        return {name: of_head.detach() for name, of_head in logits.items()}
    return logits.detach()


def check_head(head: object) -> None:
    """Raises TypeError unless `head` is a head."""
    if isinstance(head, Head):
        return
    what, example = f"{head!r} ({type(head).__name__})", "torchest.BinaryClassHead()"
    if isinstance(head, type):
        what = f"the class {head.__name__}"
        example = f"{head.__name__}(...)" if issubclass(head, Head) else example
    raise TypeError(f"head is {what}: give a head, such as {example}.")


def mean_over_batches(value: Tensor, logits: Tensor) -> Metric:
    """The mean over batches of a scalar of each; a batch without rows has weight 0."""
    has_rows = float(len(logits) > 0)
    return metrics.mean(value, torch.full_like(value.detach(), has_rows))
