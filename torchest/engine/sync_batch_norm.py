"""Batch normalisation over the batches of all processes, for `RunConfig(sync_batch_norm=True)`.

torch.nn.SyncBatchNorm has no kernels for the CPU. Here means and variances are made of sums over all processes, with
one message forward and one backward, on any device.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from torchest.distributed import collectives
from torchest.models.dnn import BatchNorm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def synchronise(modules: Iterable[nn.Module]) -> None:
    """Lets layers of batch normalisation in modules use the batches of all processes in training.

    From then on all processes must call them equally often, with or without rows. Layers keep their parameters, buffers
    and names.
    """
    for module in modules:
        for part in module.modules():
            if isinstance(part, BatchNorm | _BatchNorm) and not isinstance(part, nn.SyncBatchNorm):
                forward = functools.partial(_normalised, part, part.forward)
                part.forward = forward  # type: ignore[method-assign]


def sends_messages(modules: Iterable[nn.Module]) -> bool:
    """Whether modules send messages in their forward and backward passes."""
    return any(
        isinstance(part, nn.SyncBatchNorm)
        or getattr(vars(part).get("forward"), "func", None) is _normalised
        for module in modules
        for part in module.modules()
    )


def _normalised(
    layer: BatchNorm | _BatchNorm, alone: Callable[[Tensor], Tensor], values: Tensor
) -> Tensor:
    """The output of a layer for the batch of this process, [batch, channels, ...]."""
    if not layer.training:
        return alone(values)
    mean, variance, count = _moments(values)
    with torch.no_grad():
        _move_statistics(layer, mean, variance, count)
    over_channels = (1, -1, *(1,) * (values.dim() - 2))
    scale = torch.rsqrt(variance + layer.eps)
    wide = torch.promote_types(values.dtype, torch.float32)
    mean, scale = (each.to(wide).view(over_channels) for each in (mean, scale))
    normalised = (values - mean) * scale
    if layer.weight is not None:
        normalised = normalised * layer.weight.view(over_channels)
    if layer.bias is not None:
        normalised = normalised + layer.bias.view(over_channels)
    return normalised.to(values.dtype)


def _moments(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The mean and the biased variance of each channel over all processes, and how many values a channel has there.

    They are float64, so that sums of squares lose nothing that float32 would keep.
    """
    wide = values.double().transpose(0, 1).flatten(1)  # [channels, values]
    count = wide.new_full((1,), wide.shape[1])
    sums: Tensor = _Summed.apply(  # type: ignore[no-untyped-call]
        torch.cat([wide.sum(1), wide.square().sum(1), count])
    )
    total, squares, count = torch.split(sums, [len(wide), len(wide), 1])
    mean = total / count
    return mean, (squares / count - mean.square()).clamp_min(0), count


def _move_statistics(
    layer: BatchNorm | _BatchNorm, mean: Tensor, variance: Tensor, count: Tensor
) -> None:
    """Moves running statistics as the layer alone does."""
    if layer.running_mean is None or layer.running_var is None:
        return
    factor: float | Tensor | None = layer.momentum
    if isinstance(layer, _BatchNorm):
        assert layer.num_batches_tracked is not None
        layer.num_batches_tracked.add_(1)
        variance = variance * count / (count - 1)
        factor = 1 / layer.num_batches_tracked.double() if factor is None else factor
    for running, new in ((layer.running_mean, mean), (layer.running_var, variance)):
        running.copy_(running.double().lerp(new, factor))  # type: ignore[arg-type]


class _Summed(torch.autograd.Function):
    """The sum over all processes, whose gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ARG004
        return collectives.summed(values.clone())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        return collectives.summed(gradient.clone())
