"""Products of a batch of a few numbers with a few weights, on one thread.

A library of linear algebra wakes its other threads even for these, and they then wait busily for more: on two
cores, of which another thread needs one for the next batch, a step of a linear model takes twice as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from torchest.optimizers.row_gradients import arrays_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_SMALL = 1 << 20  # multiplications


def product(values: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """`values @ torch.cat(weights)`, with its gradients for the weights.

    Args:
        values: [batch, width of all], in the dtype of the weights.
        weights: [width, units] each.

    Returns:
        [batch, units].
    """
    is_small = values.numel() * weights[0].shape[1] <= _SMALL and not values.requires_grad
    is_transformed = torch._C._are_functorch_transforms_active()
    if not is_small or is_transformed or arrays_of(values, *weights) is None:
        return values @ torch.cat(list(weights))
    outputs: Tensor = _SmallProduct.apply(values, *weights)  # type: ignore[no-untyped-call]
    return outputs


class _SmallProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, *weights: Tensor) -> Tensor:
        from torchest.kernels import products

        ctx.save_for_backward(values)
        ctx.widths = list(map(len, weights))
        together = np.concatenate([weight.detach().numpy() for weight in weights])
        outputs = np.empty((len(values), together.shape[1]), together.dtype)
        products.multiply(values.numpy(), together, outputs)
        return torch.from_numpy(outputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from torchest.kernels import products

        (values,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody wants the gradient's gradient
            return None, *torch.split(values.t() @ gradient, ctx.widths)
        of_outputs = gradient.contiguous().numpy()
        found = np.empty((values.shape[1], of_outputs.shape[1]), of_outputs.dtype)
        products.multiply_transposed(values.numpy(), of_outputs, found)
        return None, *torch.split(torch.from_numpy(found), ctx.widths)
