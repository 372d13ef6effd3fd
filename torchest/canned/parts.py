"""Building blocks of the canned estimators: classification heads, and model_fns of modules."""

from __future__ import annotations

import re
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from torchest.canned.planned import plan_parts
from torchest.columns.features import Features
from torchest.engine.plan import PlannedModelFn
from torchest.engine.scope import get_or_create
from torchest.heads.binary import BinaryClassHead
from torchest.heads.multi_class import MultiClassHead
from torchest.heads.planned_loss import planned_loss
from torchest.heads.single import SingleHead
from torchest.keys import ModeKeys
from torchest.optimizers.resolve import is_private
from torchest.spec import Outputs
from torchest.utils.checks import whole_number
from torchest.utils.deferred import Deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch.optim import Optimizer

    from torchest.engine.plan import TrainingPlan
    from torchest.engine.scope import Scope
    from torchest.heads.base import Head, Labels, RawFeatures
    from torchest.heads.planned_loss import PlannedLoss
    from torchest.heads.weights import WeightColumn
    from torchest.metrics.sums import MetricSums
    from torchest.optimizers.resolve import MakeOptimizer
    from torchest.spec import EstimatorSpec

    ModelFn = Callable[[RawFeatures, Labels, str], EstimatorSpec]


# Messages about arguments begin with their names.
_ARGUMENT = re.compile(r"^(feature_columns|hidden_units|activation_fn|dropout|sparse_combiner)\b")


class Part(NamedTuple):
    """A module from features to logits, and its optimizer."""

    make_model: Callable[[], nn.Module]
    make_optimizer: MakeOptimizer
    optimizer: str = "optimizer"  # its name in checkpoints


def check_model(make_model: Callable[[], nn.Module], prefix: str = "") -> None:
    """Makes a model without storage, so that the estimator's constructor raises for invalid arguments.

    The estimator's arguments are named like the model's, with a prefix.
    """
    try:
        with torch.device("meta"):
            make_model()
    except (ValueError, TypeError) as error:
        if prefix and _ARGUMENT.match(str(error)):
            raise type(error)(f"{prefix}{error}") from None
        raise


def classifier_head(
    n_classes: int,
    weight_column: WeightColumn,
    label_vocabulary: Sequence[str] | None,
    loss_reduction: str,
) -> Head:
    """Returns the head of a classifier: one logit for two classes, else one for each class."""
    if whole_number("n_classes", n_classes, at_least=2) == 2:
        return BinaryClassHead(
            weight_column, label_vocabulary=label_vocabulary, loss_reduction=loss_reduction
        )
    return MultiClassHead(n_classes, weight_column, label_vocabulary, loss_reduction)


class CannedModel(PlannedModelFn):
    """A model_fn that adds the logits of modules.

    Args:
        parts: By the names of the modules in checkpoints.
        head: The head.
    """

    def __init__(self, parts: Mapping[str, Part], head: Head) -> None:
        self._parts = dict(parts)
        self._head = head

    def __call__(self, features: RawFeatures, labels: Labels, mode: str) -> EstimatorSpec:
        """Runs on one batch."""
        modules = [get_or_create(name, part.make_model) for name, part in self._parts.items()]
        logits = sum(module(features) for module in modules)
        optimizers = self._make_optimizers(modules) if mode == ModeKeys.TRAIN else None
        return self._head.create_estimator_spec(
            features, mode, logits, labels, optimizer=optimizers
        )

    def outputs(self, features: object, labels: object, mode: str) -> Outputs | EstimatorSpec:
        """Evaluates or predicts on one batch."""
        head = self._head
        if not isinstance(head, SingleHead):
            return self(features, labels, mode)
        logits = None
        for name, part in self._parts.items():
            of_part = get_or_create(name, part.make_model)(features)
            logits = of_part if logits is None else logits + of_part
        if mode == ModeKeys.EVAL:
            planned = self._evaluated(features, logits, labels)
            if planned is not None:
                loss, sums = planned
                predictions = Deferred(lambda: head.predictions(logits))
                return Outputs(predictions, torch.tensor(loss), sums)
        return head._outputs(features, mode, logits, labels)

    def _evaluated(
        self, features: object, logits: object, labels: object
    ) -> tuple[float, MetricSums] | None:
        """The loss and the metrics of a batch in compiled loops; None if the head itself has to compute them."""
        if type(logits) is not torch.Tensor or type(features) is not Features:
            return None
        is_plain = logits.is_cpu and logits.dtype == torch.float32 and logits.is_contiguous()
        if not is_plain or self._loss is None:
            return None
        return self._loss.with_metrics(labels, logits.numpy(), features)

    @cached_property
    def _loss(self) -> PlannedLoss | None:
        return planned_loss(self._head)

    def make_objects(self) -> None:
        """Makes the modules, which need no batch for it, and their optimizers."""
        modules = [get_or_create(name, part.make_model) for name, part in self._parts.items()]
        self._make_optimizers(modules)

    def _make_optimizers(self, modules: Iterable[nn.Module]) -> list[Optimizer]:
        return [
            get_or_create(part.optimizer, partial(part.make_optimizer, module.parameters()))
            for part, module in zip(self._parts.values(), modules, strict=True)
        ]

    def plan(self, scope: Scope) -> TrainingPlan | None:
        """Plans training steps, if all parts and the head can."""
        made = scope.objects
        parts = [(made[name], made[part.optimizer]) for name, part in self._parts.items()]
        is_open = not all(is_private(part.make_optimizer) for part in self._parts.values())
        return plan_parts(parts, self._head, is_open=is_open)
