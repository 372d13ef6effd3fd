"""DNNModel: columns, hidden layers, logits."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchest.columns.layers.dense import DenseFeatures
from torchest.columns.layers.named_modules import have_hooks
from torchest.utils.checks import boolean, is_list, is_number, is_whole, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torchest.columns.base import FeatureColumn

    Activation: TypeAlias = "Callable[[Tensor], Tensor]"

_MOST_BLOCKS = 3  # more products cost more than one copy


class DNNModel(nn.Module):
    """Computes logits from dense columns by hidden layers.

    Each hidden layer is linear, then activation, dropout and batch normalisation. Weights are initialised
    Glorot-uniform, biases to 0.

    Args:
        feature_columns: Dense columns; wrap categorical ones in an embedding or indicator column.
        hidden_units: Widths of the hidden layers.
        units: Width of the output.
        activation_fn: Activation of the hidden layers. None: none.
        dropout: Probability that an activation is dropped in training. None: no dropout.
        batch_norm: Whether each hidden layer ends with batch normalisation.

    Shape:
        - output: [batch, units]

    Raises:
        ValueError: An argument is invalid.
        TypeError: `activation_fn` is not a function.
    """

    def __init__(
        self,
        feature_columns: Iterable[FeatureColumn],
        hidden_units: Sequence[int],
        units: int = 1,
        activation_fn: Activation | None = F.relu,
        dropout: float | None = None,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        widths = checked_widths(hidden_units, "hidden_units")
        _check_dropout(dropout)
        boolean("batch_norm", batch_norm)
        _check_activation(activation_fn)
        self.embeddings = DenseFeatures(feature_columns)
        inputs = [self.embeddings.width, *widths]
        self.hidden = nn.ModuleList(map(linear, inputs, widths))
        self.batch_norm = nn.ModuleList(BatchNorm(width) for width in widths if batch_norm)
        self.logits = linear(inputs[-1], units)
        # An activation may be a module, whose parameters two models must not share.
        self.activation_fn = copy.deepcopy(activation_fn)
        self._dropout = dropout or 0.0

    def forward(self, features: Mapping[str, object]) -> Tensor:
        """Returns [batch, units] for features by key."""
        values = self._first(features)
        for number, layer in enumerate(self.hidden):
            values = layer(values) if number else values
            if self._may_overwrite(layer):
                values = torch.relu_(values)
            elif self.activation_fn is not None:
                values = self.activation_fn(values)
            values = F.dropout(values, self._dropout, self.training)
            if self.batch_norm:
                values = self.batch_norm[number](values)
        logits: Tensor = self.logits(values)
        return logits

    def _may_overwrite(self, layer: nn.Module) -> bool:
        """Whether ReLU may overwrite the output of a layer, to save a copy: in training, unless hooks see it."""
        is_relu = self.activation_fn is F.relu or self.activation_fn is torch.relu
        return is_relu and self.training and type(layer) is nn.Linear and not have_hooks((layer,))

    def _first(self, features: Mapping[str, object]) -> Tensor:
        """The first hidden layer, without activation.

        If the columns come in a few blocks, such as embeddings of one width and numbers, the layer is a sum of products
        with each, which saves concatenating them forward and splitting their gradient backward.
        """
        layer, dtype = self.hidden[0], self.logits.weight.dtype
        if have_hooks((layer, self.embeddings)) or type(layer) is not nn.Linear:
            outputs: Tensor = layer(self.embeddings(features).to(dtype))
            return outputs
        blocks = [block.to(dtype) for block in self.embeddings.blocks(features)]
        if len(blocks) > _MOST_BLOCKS:
            return F.linear(torch.cat(blocks, 1), layer.weight, layer.bias)
        weights = torch.split(layer.weight, [block.shape[1] for block in blocks], 1)
        outputs = F.linear(blocks[0], weights[0], layer.bias)
        for block, weight in zip(blocks[1:], weights[1:], strict=True):
            if outputs.dtype == block.dtype:
                outputs = outputs.addmm_(block, weight.t())
            else:  # autocast does not cast operations in place
                outputs = torch.addmm(outputs, block, weight.t())
        return outputs


class BatchNorm(nn.Module):
    """Batch normalisation with a biased moving variance as in TensorFlow; that of torch.nn.BatchNorm1d is unbiased."""

    running_mean: Tensor
    running_var: Tensor
    momentum = 1 - 0.999
    eps = 1e-3

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, values: Tensor) -> Tensor:
        """Normalises [batch, width]."""
        mean, variance = self.running_mean, self.running_var
        if self.training and len(values):
            variance, mean = torch.var_mean(values, 0, correction=0)
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance, self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (values - mean) * scale + self.bias


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Returns a linear layer, initialised like TensorFlow's dense layers."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def checked_widths(value: Any, argument: str) -> list[int]:
    """Returns the widths of layers.

    Raises:
        ValueError: The argument is not a list of whole numbers above 0.
    """
    widths = list(value) if is_list(value) else []
    if not widths or not all(is_whole(width) and 0 < width < 2**31 for width in widths):
        raise ValueError(
            f"{argument}={shown(value)} must be the widths of the hidden layers, each above 0, such as [128, 64]."
        )
    return [int(width) for width in widths]


def _check_dropout(dropout: Any) -> None:
    if dropout is not None and not (is_number(dropout) and 0 <= dropout < 1):
        raise ValueError(
            f"dropout={shown(dropout)} must be a probability below 1, such as 0.5, or None for no dropout."
        )


def _check_activation(activation_fn: object) -> None:
    if isinstance(activation_fn, type):
        raise TypeError(
            f"activation_fn is the class {activation_fn.__name__}: give a function of a tensor, or an instance: "
            f"{activation_fn.__name__}()."
        )
    if activation_fn is not None and not callable(activation_fn):
        raise TypeError(
            f"activation_fn={shown(activation_fn)} must be a function of a tensor, such as torch.nn.functional.relu, "
            "or None."
        )
