"""Saves and restores the objects of a model.

A checkpoint has the tensors of modules as `net.weight`, and the slots of optimizers by the names of their parameters,
as `optimizer.net.weight.exp_avg`, so that neither depends on the order in which objects were made. For other objects it
has the tensors of their `state_dict` in the same way, and the rest as JSON.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from torchest.checkpoint.directory import Checkpoint, Contents, on_host
from torchest.checkpoint.nested import tensors_in, without_tensors
from torchest.checkpoint.state import same_kind
from torchest.engine.slots import whole_slots
from torchest.errors import CheckpointMismatchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torchest.columns.layers.stored_parameters import StoredParameter
    from torchest.engine.scope import Scope
    from torchest.utils.json_form import JSON

_log = logging.getLogger("torchest")


class ObjectState:
    """Saves and restores the objects of a scope.

    Args:
        scope: The objects.
        is_private: Whether nobody but torchest changes them.
    """

    def __init__(self, scope: Scope, *, is_private: bool = False) -> None:
        self.scope = scope
        self.is_private = is_private
        self._made_with: dict[str, list[JSON]] = {}
        self._restored: set[str] = set()

    def remember_options(self) -> None:
        """Records the initial options of optimizers, such as learning rates. Call it before any step."""
        self._made_with = {
            name: _options(optimizer) for name, optimizer in self.scope.optimizers().items()
        }

    def contents(self) -> Contents:
        """The contents of a checkpoint of the objects, on the CPU; valid until the next step."""
        tensors, aliases = _distinct(_tensors(self.scope.objects))
        stored = self.scope.stored_parameters()
        slots: dict[str, Tensor] = {}
        optimizers: JSON = {}
        for name, optimizer in self.scope.optimizers().items():
            own_slots, numbers = _slots(name, optimizer, stored)
            slots.update(own_slots)
            optimizers[name] = {
                "made_with": self._made_with[name],
                "options": _options(optimizer),
                "numbers": numbers,
                "parameters": [
                    [each.name for each in _stored(group["params"], name, stored)]
                    for group in optimizer.param_groups
                ],
                "sharing": [  # how many of these names each parameter has
                    [len(stored[id(parameter)]) for parameter in group["params"]]
                    for group in optimizer.param_groups
                ],
            }
        others = {
            name: without_tensors(made.state_dict(), name)
            for name, made in self.scope.objects.items()
            if not isinstance(made, (nn.Module, torch.optim.Optimizer))
        }
        state = {
            "objects": {name: type(made).__name__ for name, made in self.scope.objects.items()},
            "aliases": aliases,
            "optimizers": optimizers,
            "others": others,
        }
        return Contents(
            model={name: on_host(tensor) for name, tensor in tensors.items()},
            optimizer={name: on_host(tensor) for name, tensor in slots.items()},
            state=state,
        )

    def restore(self, checkpoint: Checkpoint, *, training: bool) -> None:
        """Restores each object once.

        Args:
            checkpoint: The checkpoint.
            training: Whether the model is for training. If not, optimizers stay as they are, and the checkpoint may
                have objects that model_fn has not made.

        Raises:
            CheckpointMismatchError: The checkpoint belongs to another model. Nothing has changed.
        """
        new = {
            name: made
            for name, made in self.scope.objects.items()
            if name not in self._restored
            and (training or not isinstance(made, torch.optim.Optimizer))
        }
        if not new:
            return
        _log.info("Restoring parameters from %s", checkpoint.path)
        saved = checkpoint.model()
        saved.update({alias: saved[name] for alias, name in checkpoint.part("aliases").items()})
        _check_match(checkpoint, _tensors(new), saved, new, training=training)
        slots: dict[str, dict[str, Tensor]] = {}
        if training:
            self._check_optimizers(checkpoint)
            slots = _by_parameter(checkpoint.optimizer())
        for name, made in new.items():
            if isinstance(made, torch.optim.Optimizer):
                self._restore_optimizer(name, made, checkpoint, slots)
            elif isinstance(made, nn.Module):
                _copy(_module_tensors(name, made), saved)
            else:
                made.load_state_dict(checkpoint.other(name, saved))
        self._restored.update(new)

    def _check_optimizers(self, checkpoint: Checkpoint) -> None:
        made, saved = self.scope.objects, checkpoint.part("objects")
        for name, optimizer in self.scope.optimizers().items():
            if saved.get(name) != type(optimizer).__name__:
                raise CheckpointMismatchError(
                    f"The optimizer {name!r} is now {type(made[name]).__name__}, but the checkpoint "
                    f"{checkpoint.path!r} was trained with {saved.get(name, 'none of this name')}. Use the same "
                    "optimizer, or another model_dir."
                )

    def _restore_optimizer(
        self,
        name: str,
        optimizer: torch.optim.Optimizer,
        checkpoint: Checkpoint,
        saved: Mapping[str, Mapping[str, Tensor]],
    ) -> None:
        stored = self.scope.stored_parameters()
        numbers = _of_optimizer(checkpoint, name)["numbers"]
        state: dict[int, dict[str, object]] = {}
        for position, (parameter, group) in enumerate(_parameters(optimizer)):
            kept: list[tuple[slice | None, dict[str, object]]] = []
            for each in _stored([parameter], name, stored):
                prefix = f"{name}.{each.name}."
                slots = {**saved.get(prefix, {}), **numbers.get(prefix, {})}
                if slots:
                    kept.append((each.rows, slots))
            if kept:
                state[position] = whole_slots(optimizer, group, parameter, kept)
        groups = optimizer.state_dict()["param_groups"]
        for group, options in zip(groups, self._options_to_use(name, checkpoint), strict=False):
            group.update(options)
        optimizer.load_state_dict({"state": state, "param_groups": groups})

    def _options_to_use(self, name: str, checkpoint: Checkpoint) -> list[JSON]:
        """The saved options, except those that the optimizer is now made with differently."""
        saved = _of_optimizer(checkpoint, name)
        options: list[JSON] = []
        groups = zip(saved["made_with"], self._made_with[name], saved["options"], strict=False)
        for group, (before, now, last) in enumerate(groups):
            for key in last:
                if not same_kind(last[key], now.get(key)):
                    raise checkpoint.damaged(f"optimizers.{name}: {key} is {last[key]!r}")
            changed = {key: now[key] for key in now if now[key] != before.get(key)}
            for key, value in sorted(changed.items()):
                _log.info(
                    "%s now has %s = %s (parameter group %d); the checkpoint was trained with %s.",
                    name, key, value, group, before.get(key),
                )  # fmt: skip
            options.append({**last, **changed})
        return options


def _of_optimizer(checkpoint: Checkpoint, name: str) -> JSON:
    optimizers = checkpoint.part("optimizers")
    if name not in optimizers:
        raise checkpoint.damaged(f"optimizers.{name} is missing")
    saved: JSON = optimizers[name]
    return saved


def _check_match(
    checkpoint: Checkpoint,
    expected: Mapping[str, Tensor],
    saved: Mapping[str, Tensor],
    objects: Mapping[str, object],
    *,
    training: bool,
) -> None:
    """Raises one error that names all tensors that are missing, unexpected or of another shape."""
    missing = sorted(expected.keys() - saved.keys())
    unexpected = sorted(
        name
        for name in saved.keys() - expected.keys()
        if training or any(name.startswith(f"{made}.") for made in objects)
    )
    reshaped = sorted(
        f"{name} ({list(saved[name].shape)} in the checkpoint, {list(expected[name].shape)} in the model)"
        for name in expected.keys() & saved.keys()
        if expected[name].shape != saved[name].shape
    )
    problems = {
        "missing from the checkpoint": missing,
        "only in the checkpoint": unexpected,
        "of another shape": reshaped,
    }
    if any(problems.values()):
        listed = "; ".join(
            f"{what}: {', '.join(names)}" for what, names in problems.items() if names
        )
        raise CheckpointMismatchError(
            f"The checkpoint {checkpoint.path!r} belongs to another model; {listed}. Use another model_dir, "
            "or make the model as it was when the checkpoint was written."
        )


def _tensors(objects: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of all objects except optimizers, by their names in a checkpoint."""
    tensors: dict[str, Tensor] = {}
    for name, made in objects.items():
        if isinstance(made, nn.Module):
            tensors.update(_module_tensors(name, made))
        elif not isinstance(made, torch.optim.Optimizer):
            tensors.update(tensors_in(made.state_dict(), name))
    return tensors


def _module_tensors(name: str, module: nn.Module) -> dict[str, Tensor]:
    state = module.state_dict(keep_vars=True)
    for key, value in state.items():
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name}.{key} is a {type(value).__name__}: checkpoints hold tensors only. Leave "
                "get_extra_state out of the module, or let it return a tensor."
            )
    return {f"{name}.{key}": value for key, value in state.items()}


def _copy(targets: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, tensor in targets.items():
            tensor.copy_(saved[name])


def _distinct(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, tied ones once, and the other names of tied tensors."""
    kept: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    first: dict[tuple[object, ...], str] = {}
    for name, tensor in tensors.items():
        place = tensor.data_ptr() or id(tensor)  # on XLA a tensor has no address
        where = (tensor.device, place, tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and where in first:
            aliases[name] = first[where]
        else:
            first[where] = name
            kept[name] = tensor
    return kept, aliases


def _parameters(optimizer: torch.optim.Optimizer) -> Iterable[tuple[Tensor, Mapping[str, object]]]:
    """The parameters of an optimizer, each with the options of its group."""
    return ((parameter, group) for group in optimizer.param_groups for parameter in group["params"])


def _stored(
    parameters: Iterable[Tensor], optimizer: str, stored: Mapping[int, list[StoredParameter]]
) -> Iterator[StoredParameter]:
    """The stored parameters, with their names in a checkpoint, of some parameters of an optimizer."""
    for parameter in parameters:
        if id(parameter) not in stored:
            raise ValueError(
                f"{optimizer!r} holds a parameter of shape {list(parameter.shape)} that belongs to no module made with "
                "get_or_create: it would not be in any checkpoint. Make its module with get_or_create."
            )
        yield from stored[id(parameter)]


def _slots(
    name: str, optimizer: torch.optim.Optimizer, stored: Mapping[int, list[StoredParameter]]
) -> tuple[dict[str, Tensor], dict[str, JSON]]:
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, JSON] = {}
    for each in _stored((parameter for parameter, _ in _parameters(optimizer)), name, stored):
        prefix = f"{name}.{each.name}."
        for slot, value in optimizer.state.get(each.parameter, {}).items():
            if isinstance(value, Tensor):
                of_rows = each.rows is not None and value.shape[:1] == each.parameter.shape[:1]
                tensors[prefix + slot] = value[each.rows] if of_rows else value
            elif value is not None:
                numbers.setdefault(prefix, {})[slot] = value
    return tensors, numbers


def _by_parameter(slots: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The saved slots, in the memory of their file, by `<optimizer>.<parameter>.`; a slot's name has no dot."""
    by_parameter: dict[str, dict[str, Tensor]] = {}
    for key, value in slots.items():
        parameter, dot, slot = key.rpartition(".")
        by_parameter.setdefault(parameter + dot, {})[slot] = value
    return by_parameter


def _options(optimizer: torch.optim.Optimizer) -> list[JSON]:
    """The options of each parameter group, such as its learning rate, as JSON values."""
    return [
        {key: _json_value(value) for key, value in group.items() if _is_json(key, value)}
        for group in optimizer.state_dict()["param_groups"]
    ]


def _json_value(value: object) -> object:
    if isinstance(value, Tensor):
        return value.item()
    return list(value) if isinstance(value, tuple) else value


def _is_json(key: str, value: object) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1
    return key != "params" and isinstance(value, (bool, int, float, str, tuple, list, type(None)))
