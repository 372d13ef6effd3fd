"""What the premade estimators are put together from: heads, and model_fns around a module."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from torchest.engine.scope import get_or_create
from torchest.heads.binary import BinaryClassHead
from torchest.heads.multi_class import MultiClassHead
from torchest.keys import ModeKeys
from torchest.utils.checks import whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torchest.heads.base import Head
    from torchest.optimizers.resolve import MakeOptimizer
    from torchest.spec import EstimatorSpec

    ModelFn = Callable[[Any, Any, str], EstimatorSpec]


# messages about arguments begin with their names
_ARGUMENT = re.compile(r"^(feature_columns|hidden_units|activation_fn|dropout|sparse_combiner)\b")


class Part(NamedTuple):
    """A module of a model, and its optimizer.

    Attributes:
        make_model: Makes the module, which turns features into logits.
        optimizer: What the optimizer is called in checkpoints.
        make_optimizer: Makes the optimizer from the module's parameters.
    """

    make_model: Callable[[], nn.Module]
    optimizer: str
    make_optimizer: MakeOptimizer


def check_model(make_model: Callable[..., nn.Module], prefix: str = "") -> None:
    """Makes a model without storage, so that wrong arguments show where the estimator is made.

    Args:
        make_model: Makes the model.
        prefix: What the names of the estimator's arguments have before those of the model's.

    Raises:
        ValueError: An argument is wrong.
        TypeError: Likewise.
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
    weight_column: Any,
    label_vocabulary: Sequence[str] | None,
    loss_reduction: str,
) -> Head:
    """The head of a classifier: one logit for two classes, one for each of more."""
    if whole_number("n_classes", n_classes, at_least=2) == 2:
        return BinaryClassHead(
            weight_column, label_vocabulary=label_vocabulary, loss_reduction=loss_reduction
        )
    return MultiClassHead(n_classes, weight_column, label_vocabulary, loss_reduction)


def single_model_fn(
    name: str, make_model: Callable[[], nn.Module], head: Head, make_optimizer: MakeOptimizer
) -> ModelFn:
    """A model_fn of one module with one optimizer.

    Args:
        name: What the module is called in checkpoints.
        make_model: Makes the module, which turns features into logits.
        head: What the logits mean.
        make_optimizer: Makes the optimizer from the module's parameters.
    """
    return joint_model_fn({name: Part(make_model, "optimizer", make_optimizer)}, head)


def joint_model_fn(parts: Mapping[str, Part], head: Head) -> ModelFn:
    """A model_fn whose logits are the sum of those of several modules, each with its own optimizer.

    Args:
        parts: The modules by their names in checkpoints.
        head: What the logits mean.
    """

    def model_fn(features: Any, labels: Any, mode: str) -> EstimatorSpec:
        modules = {name: get_or_create(name, part.make_model) for name, part in parts.items()}
        logits = sum(module(features) for module in modules.values())
        optimizers = None
        if mode == ModeKeys.TRAIN:
            optimizers = [
                get_or_create(part.optimizer, partial(part.make_optimizer, module.parameters()))
                for part, module in zip(parts.values(), modules.values(), strict=True)
            ]
        return head.create_estimator_spec(features, mode, logits, labels, optimizer=optimizers)

    return model_fn
