"""The deep model: columns, hidden layers, logits."""

from __future__ import annotations

import copy
import numbers
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchest.columns.layers.layers import DenseFeatures
from torchest.columns.layers.named_modules import have_hooks
from torchest.utils.checks import boolean, is_list, is_number, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torchest.columns.base import FeatureColumn

_MOST_BLOCKS = 3


class DNNModel(nn.Module):
    """Dense columns through hidden layers to logits.

    Each hidden layer is linear, the activation, dropout, batch normalisation, in this order. Kernels start
    Glorot-uniform, biases at 0.

    Args:
        feature_columns: Dense columns; categorical ones have to be embedded or made indicators.
        hidden_units: The width of each hidden layer.
        units: The width of the output.
        activation_fn: What follows each linear hidden layer; None for nothing.
        dropout: The probability that an activation is dropped in training; None for none.
        batch_norm: Whether hidden layers end with batch normalisation.

    Shape:
        - output: [batch, units]

    Raises:
        ValueError: An argument is wrong.
        TypeError: `activation_fn` is no function.
    """

    def __init__(
        self,
        feature_columns: Iterable[FeatureColumn],
        hidden_units: Sequence[int],
        units: int = 1,
        activation_fn: Callable[[Tensor], Tensor] | None = F.relu,
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
        self.batch_norm = nn.ModuleList(_BatchNorm(width) for width in widths if batch_norm)
        self.logits = linear(inputs[-1], units)
        # a module may have parameters, which two models must not share
        self.activation_fn = copy.deepcopy(activation_fn)
        self._dropout = dropout or 0.0

    def forward(self, features: Mapping[str, Any]) -> Tensor:
        """Features by key to [batch, units]."""
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
        """Whether ReLU may take the place of a layer's output, which nobody else sees, in training: it saves a copy."""
        is_relu = self.activation_fn is F.relu or self.activation_fn is torch.relu
        return is_relu and self.training and type(layer) is nn.Linear and not have_hooks((layer,))

    def _first(self, features: Mapping[str, Any]) -> Tensor:
        """The first hidden layer, without activation.

        Where the columns come in two pieces or so, as embeddings of one width and numbers do, the layer is a sum of
        products, which saves a copy of all of them forwards and another one backwards.
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
            else:  # autocast leaves operations in place alone
                outputs = torch.addmm(outputs, block, weight.t())
        return outputs


class _BatchNorm(nn.Module):
    """Batch normalisation whose moving variance is that of the batch, not the estimate for a population.

    torch.nn.BatchNorm1d multiplies the variance that it keeps by n / (n − 1); TensorFlow does not.
    """

    running_mean: Tensor
    running_var: Tensor
    _KEPT = 0.999
    _EPSILON = 1e-3

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, values: Tensor) -> Tensor:
        mean, variance = self.running_mean, self.running_var
        if self.training and len(values):
            variance, mean = torch.var_mean(values, 0, correction=0)
            with torch.no_grad():
                self.running_mean.lerp_(mean, 1 - self._KEPT)
                self.running_var.lerp_(variance, 1 - self._KEPT)
        scale = self.weight * torch.rsqrt(variance + self._EPSILON)
        return (values - mean) * scale + self.bias


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that starts as TensorFlow's dense layers do."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def checked_widths(given: Sequence[int], argument: str) -> list[int]:
    """The widths of layers that the user gave as this argument.

    Raises:
        ValueError: They are no list of whole numbers above 0.
    """
    widths = list(given) if is_list(given) else []
    if not widths or not all(map(_is_width, widths)):
        raise ValueError(
            f"{argument}={shown(given)} must be the widths of the hidden layers, each above 0, such as [128, 64]."
        )
    return [int(width) for width in widths]


def _is_width(value: Any) -> bool:
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return is_whole and 0 < int(value) < 2**31


def _check_dropout(dropout: Any) -> None:
    if dropout is None or (is_number(dropout) and 0 <= dropout < 1):
        return
    raise ValueError(
        f"dropout={shown(dropout)} must be a probability below 1, such as 0.5, or None for no dropout."
    )


def _check_activation(activation_fn: Any) -> None:
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
