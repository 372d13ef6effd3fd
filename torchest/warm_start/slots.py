"""Copies optimizer slots at a warm start."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchest.engine.slots import is_of_rows, later
from torchest.optimizers.base import RowOptimizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torchest.checkpoint.directory import Checkpoint
    from torchest.columns.layers.stored_parameters import StoredParameter
    from torchest.engine.scope import Scope
    from torchest.exported.weights import ExportedWeights
    from torchest.warm_start.vocabulary import Taken

_log = logging.getLogger("torchest")


def copy_slots(
    scope: Scope, checkpoint: Checkpoint | ExportedWeights, plan: Mapping[str, Taken]
) -> None:
    """Copies the slots of all parameters of the plan, where the checkpoint has them.

    Args:
        scope: The objects of the new model.
        checkpoint: The checkpoint of the old model.
        plan: The copied parameters, by the name in the new model.
    """
    stored = scope.stored_parameters()
    saved = _Slots(checkpoint)
    for optimizer in scope.optimizers().values():
        if getattr(optimizer, "slots_are_of_examples", False):  # DualAscent
            _log.info(
                "Warm start: dual variables start anew: they belong to the examples of that training."
            )
            continue
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                for each in stored.get(id(parameter), []):
                    if each.name not in plan:
                        continue
                    slots = saved.of(plan[each.name].source, type(optimizer).__name__)
                    if isinstance(slots, str):
                        _log.info("Warm start: the slots of %s start anew: %s", each.name, slots)
                        continue
                    _copy(optimizer, group, each, slots, plan[each.name])
                    _log.info("Warm start: the slots of %s were copied", each.name)


class _Slots:
    """The slots in a checkpoint by parameter."""

    def __init__(self, checkpoint: Checkpoint | ExportedWeights) -> None:
        self._checkpoint = checkpoint
        self._optimizers: dict[str, Any] = checkpoint.part("optimizers")
        self._names: dict[str, list[str]] = {}
        for key in checkpoint.names():
            self._names.setdefault(key.rpartition(".")[0], []).append(key)

    def of(self, parameter: str, kind: str) -> dict[str, Any] | str:
        """The slots of a parameter by name, or a clause that says why there are none."""
        for optimizer, known in self._optimizers.items():
            prefix = f"{optimizer}.{parameter}"
            keys = self._names.get(prefix, [])
            numbers = known["numbers"].get(f"{prefix}.", {})
            if not keys and not numbers:
                continue
            was = self._checkpoint.part("objects")[optimizer]
            if was != kind:
                return f"they are of {was}, but the optimizer is now {kind}"
            tensors = {key.rpartition(".")[2]: self._checkpoint.tensor(key) for key in keys}
            return {**tensors, **numbers}
        return "the checkpoint has none"


def _copy(
    optimizer: torch.optim.Optimizer,
    group: Mapping[str, object],
    stored: StoredParameter,
    slots: Mapping[str, object],
    taken: Taken,
) -> None:
    parameter = stored.parameter
    if isinstance(optimizer, RowOptimizer):
        optimizer.slots(parameter, group)
    state = optimizer.state[parameter]
    rows, move = stored.rows, taken.move
    for slot, value in slots.items():
        if not isinstance(value, Tensor):
            state[slot] = value if rows is None else later(state.get(slot), value)
        elif value.dim() == 0 or (move is None and (rows is None or not is_of_rows(value, rows))):
            copied = value.to(parameter.device if value.dim() else value.device, copy=True)
            state[slot] = copied if rows is None else later(state.get(slot), copied)
        else:
            # optimizers of torch whose slots do not begin at 0 have made them already
            shape = (len(parameter), *value.shape[1:]) if move is None else parameter.shape
            whole = state.setdefault(slot, parameter.new_zeros(shape))
            target = whole if rows is None else whole[rows]
            if move is None:
                target.copy_(value)
            else:
                move.apply(value, target)
