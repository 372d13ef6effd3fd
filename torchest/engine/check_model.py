"""Checks a model in the creation pass for errors that would show late or never.

A module or optimizer that a model_fn makes outside `get_or_create` is a new one on every batch: training runs, and
learns nothing. The autograd graph of the first loss shows it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torchest.engine.scope import Scope
    from torchest.spec import EstimatorSpec

_log = logging.getLogger("torchest")


def check_training(spec: EstimatorSpec, scope: Scope) -> None:
    """Checks the result of a model_fn for training, before the backward pass frees the graph of the loss.

    Args:
        spec: The spec of the first batch.
        scope: The objects that model_fn made.

    Raises:
        ValueError: The loss has no gradient; or an optimizer, or parameters, were not made with get_or_create.
        TypeError: An optimizer needs a closure, or a scheduler follows a metric.
    """
    assert spec.loss is not None  # the spec checks it
    scope.schedulers()
    _check_optimizers(spec.train_op, scope)
    stored = scope.stored_parameters()
    optimized = _optimized_parameters(scope)
    for name, parameter in optimized:
        if id(parameter) not in stored:
            raise ValueError(
                f"{name!r} holds a parameter of shape {list(parameter.shape)} that belongs to no module made with "
                "get_or_create: it would not be in any checkpoint. Make its module with get_or_create."
            )
    if isinstance(spec.train_op, (torch.optim.Optimizer, list)) and not spec.loss.requires_grad:
        raise ValueError(_why_no_gradient(spec.loss, [parameter for _, parameter in optimized]))
    used = {id(parameter): parameter for parameter in _parameters_behind(spec.loss)}
    for key, parameter in used.items():
        if key not in stored:
            raise ValueError(
                f"The loss depends on a parameter of shape {list(parameter.shape)} that belongs to no module made "
                "with get_or_create: it would not be trained, nor be in any checkpoint. Make its module with "
                "get_or_create, or call requires_grad_(False) on it if it is not to be trained."
            )
    optimized_ids = {id(parameter) for _, parameter in optimized}
    untrained = sorted(each.name for key in used.keys() - optimized_ids for each in stored[key])
    if untrained:
        _log.warning(
            "No optimizer has %s%s, on which the loss depends: it will not be trained.",
            untrained[0],
            f", nor {len(untrained) - 1} more parameters" if len(untrained) > 1 else "",
        )


def _check_optimizers(train_op: object, scope: Scope) -> None:
    if callable(train_op):
        return
    made = {id(optimizer) for optimizer in scope.optimizers().values()}
    for optimizer in train_op if isinstance(train_op, list) else [train_op]:
        kind = type(optimizer).__name__
        if isinstance(optimizer, torch.optim.LBFGS):
            raise TypeError(
                f"train_op is a {kind}, whose step needs a closure: give a function as train_op that calls step."
            )
        if id(optimizer) not in made:
            raise ValueError(
                f"train_op has an optimizer, {kind}, that was not made with get_or_create: every batch would get a new "
                f"one, and no checkpoint would have its state. Write get_or_create('optimizer', lambda: {kind}(...))."
            )


def _optimized_parameters(scope: Scope) -> list[tuple[str, torch.Tensor]]:
    """The parameters of the optimizers, each with the name of its optimizer."""
    return [
        (name, parameter)
        for name, optimizer in scope.optimizers().items()
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]


def _why_no_gradient(loss: torch.Tensor, parameters: list[torch.Tensor]) -> str:
    if not loss.is_floating_point():
        why = f"it is of dtype {loss.dtype}: compute it in floating point."
    elif not any(parameter.requires_grad for parameter in parameters):
        why = "all parameters of the optimizers are frozen: call requires_grad_(True) on those to be trained."
    else:
        why = (
            "nothing leads from it to a parameter of the optimizers. Leave out detach(), item(), numpy(), argmax() and "
            "torch.no_grad() on the way from the model's output to the loss."
        )
    return f"The loss has no gradient, as {why}"


def _parameters_behind(loss: torch.Tensor) -> Iterator[nn.Parameter]:
    """The parameters that a loss depends on."""
    seen: set[object] = set()
    waiting = [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, nn.Parameter):
            yield leaf
        waiting.extend(following for following, _ in node.next_functions)
