"""Products of a small batch with few weights on one thread, plus other terms.

A linear algebra library wakes its other threads even for these, and they spin afterwards. On two cores, one of which
another thread needs for the next batch, a step of a linear model takes twice as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from torchest.optimizers.row_gradients import suit_loops

if TYPE_CHECKING:
    from collections.abc import Sequence

_SMALL = 1 << 20  # multiplications


def add_product(
    vectors: Sequence[Tensor], bias: Tensor, values: Tensor, weights: Sequence[Tensor]
) -> Tensor:
    """`sum(vectors, bias) + values @ torch.cat(weights)`, with its gradients for all but the values.

    Args:
        vectors: [batch, units] each.
        bias: [units].
        values: [batch, width of all], in the dtype of the weights.
        weights: [width, units] each.

    Returns:
        [batch, units].
    """
    is_small = values.numel() * bias.numel() <= _SMALL and not values.requires_grad
    units = bias.shape[-1:]
    shapes = [weight.shape for weight in weights]
    fit = bias.ndim == 1 and all(len(shape) == 2 and shape[1:] == units for shape in shapes)
    fit = fit and sum(rows for rows, _ in shapes) == values.shape[1]
    if not (is_small and fit) or not suit_loops([bias, values, *weights, *vectors]):
        return sum(vectors, bias) + values @ torch.cat(list(weights))
    if not torch.is_grad_enabled():
        return _added(values, bias, vectors, weights)
    outputs: Tensor = _AddProduct.apply(values, bias, len(vectors), *vectors, *weights)  # type: ignore[no-untyped-call]
    return outputs


def _added(
    values: Tensor, bias: Tensor, vectors: Sequence[Tensor], weights: Sequence[Tensor]
) -> Tensor:
    from torchest.kernels import products

    outputs = np.empty((values.shape[0], bias.shape[0]), values.numpy().dtype)
    outputs[:] = bias.detach().numpy()
    for vector in vectors:
        outputs += vector.detach().numpy()
    memory = np.array([list(map(Tensor.data_ptr, weights)), list(map(Tensor.numel, weights))])
    addresses, sizes = memory
    products.add_product(values.numpy(), addresses, sizes, outputs)
    return torch.from_numpy(outputs)


class _AddProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, bias: Tensor, count: int, *rest: Tensor) -> Tensor:
        vectors, weights = rest[:count], rest[count:]
        ctx.save_for_backward(values)
        ctx.count, ctx.widths = count, [weight.shape[0] for weight in weights]
        return _added(values, bias, vectors, weights)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from torchest.kernels import products

        (values,) = ctx.saved_tensors
        of_vectors = [gradient] * ctx.count
        if torch.is_grad_enabled():  # somebody wants the gradient's gradient
            of_weights = (values.t() @ gradient).split_with_sizes(ctx.widths)
            return None, gradient.sum(0), None, *of_vectors, *of_weights
        of_outputs = gradient.contiguous().numpy()
        gradients = np.empty((values.shape[1] + 1, of_outputs.shape[1]), of_outputs.dtype)
        products.multiply_transposed(values.numpy(), of_outputs, gradients)
        *of_weights, of_bias = torch.from_numpy(gradients).split_with_sizes([*ctx.widths, 1])
        return None, of_bias.view(-1), None, *of_vectors, *of_weights
