"""A warm start: a new model takes parameters, buffers and slots from another model's checkpoint or export.

A checkpoint or a SavedModel of TensorFlow will do, without slots.

The log says whether each parameter was loaded, resized or skipped, and why.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

from torchest.checkpoint.directory import Checkpoint, latest_checkpoint
from torchest.checkpoint.tensorflow.locate import tensorflow_checkpoint
from torchest.errors import DamagedCheckpointError, suggest
from torchest.exported.golden import MANIFEST
from torchest.exported.weights import ExportedWeights
from torchest.keys import MetricKeys
from torchest.utils import files
from torchest.warm_start.slots import copy_slots
from torchest.warm_start.tensorflow_names import torchest_name
from torchest.warm_start.tensorflow_weights import TensorFlowWeights
from torchest.warm_start.vocabulary import Move, Taken, move_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from torchest.engine.scope import Scope
    from torchest.warm_start.settings import WarmStartSettings

_log = logging.getLogger("torchest")
Source: TypeAlias = Checkpoint | ExportedWeights | TensorFlowWeights


def warm_start(scope: Scope, known: Collection[str], settings: WarmStartSettings) -> None:
    """Copies values of another model into the objects of a new one.

    Args:
        scope: The objects. Slots are copied to the optimizers among them.
        known: The names of objects that an earlier call has filled.
        settings: What to copy.

    Raises:
        ValueError: There is no checkpoint; a pattern or a name matches no parameter; a parameter is missing from the
            checkpoint or has another shape there. Nothing has changed.
    """
    targets = _targets(scope, known)
    if not targets:
        return
    if not known:  # later objects need not be those that the settings are about
        _check_names(settings, targets)
    checkpoint = _opened(settings, targets)
    plan = _plan(targets, checkpoint, settings)
    _log.info("Warm-starting from: %s", checkpoint.path)
    aliases = checkpoint.part("aliases")
    with torch.no_grad():
        for name, taken in plan.items():
            saved = checkpoint.tensor(aliases.get(taken.source, taken.source))
            _copy(targets[name], saved, taken.move, settings, name)
    for name in targets:
        _log.info("Warm start: %s", _report(name, plan.get(name), settings))
    if settings.copy_slots and not isinstance(checkpoint, TensorFlowWeights):
        copy_slots(scope, checkpoint, plan)


def _targets(scope: Scope, known: Collection[str]) -> dict[str, Tensor]:
    """The parameters and buffers of the modules by name; a tied parameter has several."""
    return {
        f"{made}.{name}": tensor
        for made, module in scope.modules().items()
        if made not in known
        for name, tensor in module.state_dict(keep_vars=True).items()
    }


def _opened(settings: WarmStartSettings, targets: Collection[str]) -> Source:
    path = settings.ckpt_to_initialize_from
    if MANIFEST in files.names_in(path):
        return ExportedWeights(path)
    of_tensorflow = tensorflow_checkpoint(files.normal(path))
    if of_tensorflow is not None:
        if settings.copy_slots:
            raise ValueError(
                f"warm_start_from: copy_slots=True copies no slots of TensorFlow's checkpoint {path!r}: bring it over "
                "with `torchest import-checkpoint`, and start from the result."
            )
        return TensorFlowWeights(of_tensorflow, targets)
    try:
        return Checkpoint(latest_checkpoint(path) or path).check()
    except DamagedCheckpointError:
        raise
    except ValueError:
        raise ValueError(
            f"warm_start_from: {path!r} has no checkpoint: give the model_dir of a trained model, one of its "
            "checkpoints, such as 'model_dir/model.ckpt-100', or an export, such as 'exports/1790000000'."
        ) from None


def _check_names(settings: WarmStartSettings, targets: Mapping[str, Tensor]) -> None:
    patterns = settings.vars_to_warm_start
    for pattern in [patterns] if isinstance(patterns, str) else patterns or ():
        if not any(settings._replace(vars_to_warm_start=pattern).matches(name) for name in targets):
            raise ValueError(
                f"vars_to_warm_start: {pattern!r} matches no parameter; it is a regular expression, matched from the "
                f"start of the name.{_meant(pattern, targets)}"
            )
    for argument, names in (
        ("var_name_to_vocab_info", settings.var_name_to_vocab_info),
        ("var_name_to_prev_var_name", settings.var_name_to_prev_var_name),
    ):
        for name in names:
            if name not in targets:
                raise ValueError(
                    f"{argument} has {name!r}, which is not a parameter of the model.{_meant(name, targets)}"
                )


def _meant(name: str, targets: Collection[str]) -> str:
    translated = torchest_name(name)
    if translated in targets:
        return f" TensorFlow's name is {translated!r} in torchest."
    return suggest(name if translated is None else translated, targets)


def _plan(
    targets: Mapping[str, Tensor],
    checkpoint: Source,
    settings: WarmStartSettings,
) -> dict[str, Taken]:
    """What to copy, by the name in the new model.

    Raises:
        ValueError: The checkpoint lacks some of them, or has other shapes; the message names all.
    """
    shapes = _shapes(checkpoint)
    plan: dict[str, Taken] = {}
    missing: list[tuple[str, str]] = []
    reshaped: list[str] = []
    for name in _selected(targets, settings):
        source = settings.var_name_to_prev_var_name.get(name, name)
        if source not in shapes:
            missing.append((source, name))
            continue
        shape, saved = list(targets[name].shape), list(shapes[source])
        info = settings.var_name_to_vocab_info.get(name)
        axis = None if info is None else info.axis
        if not _fits(saved, shape, axis):
            reshaped.append(f"{name} ({saved} in the checkpoint, {shape} in the model)")
            continue
        move = None if info is None else move_of(info, name, saved[info.axis], shape[info.axis])
        plan[name] = Taken(source, move)
    _check_complete(missing, reshaped, checkpoint, shapes)
    return plan


def _shapes(checkpoint: Source) -> dict[str, list[int]]:
    """The shapes of parameters and buffers by name; a tied parameter has several names."""
    slots = tuple(f"{optimizer}." for optimizer in checkpoint.part("optimizers"))
    shapes = {
        name: shape
        for name, shape in checkpoint.get_variable_to_shape_map().items()
        if name != MetricKeys.GLOBAL_STEP and not name.startswith(slots)
    }
    aliases = checkpoint.part("aliases")
    return {**shapes, **{alias: shapes[name] for alias, name in aliases.items()}}


def _selected(targets: Mapping[str, Tensor], settings: WarmStartSettings) -> list[str]:
    """The names to copy: those that match, and the buffers of modules with a matching parameter."""
    chosen = {name for name in targets if settings.selects(name)}
    modules = {
        name.rpartition(".")[0] for name in chosen if isinstance(targets[name], nn.Parameter)
    }
    return [
        name
        for name, tensor in targets.items()
        if name in chosen
        or (not isinstance(tensor, nn.Parameter) and name.rpartition(".")[0] in modules)
    ]


def _fits(saved: list[int], shape: list[int], axis: int | None) -> bool:
    if axis is None:
        return saved == shape
    if len(saved) != len(shape) or len(shape) <= axis:
        return False
    return saved[:axis] + saved[axis + 1 :] == shape[:axis] + shape[axis + 1 :]


def _check_complete(
    missing: list[tuple[str, str]],
    reshaped: list[str],
    checkpoint: Source,
    known: Collection[str],
) -> None:
    if missing:
        listed = [name if source == name else f"{source} (for {name})" for source, name in missing]
        raise ValueError(
            f"warm_start_from: the checkpoint {str(checkpoint.path)!r} lacks {', '.join(listed)}: leave them out of "
            "vars_to_warm_start, or give their names there in var_name_to_prev_var_name."
            f"{suggest(missing[0][0], known)}"
        )
    if reshaped:
        raise ValueError(
            f"warm_start_from: the checkpoint {str(checkpoint.path)!r} has other shapes: {', '.join(reshaped)}. Give "
            "the two vocabularies of a table in var_name_to_vocab_info, or leave the name out of vars_to_warm_start."
        )


def _copy(
    target: Tensor, saved: Tensor, move: Move | None, settings: WarmStartSettings, name: str
) -> None:
    if move is None:
        target.copy_(saved)
        return
    fill = settings.var_name_to_vocab_info[name].backup_initializer
    fresh = move.fresh()
    if fill is not None and len(fresh):
        rows = target.index_select(move.axis, fresh.to(target.device))
        fill(rows)
        target.index_copy_(move.axis, fresh.to(target.device), rows)
    move.apply(saved, target)


def _report(name: str, taken: Taken | None, settings: WarmStartSettings) -> str:
    """Describes for the log what was done with a parameter."""
    if taken is None:
        return f"{name}: skipped, vars_to_warm_start={settings.vars_to_warm_start!r} does not match"
    origin = "" if taken.source == name else f" from {taken.source}"
    if taken.move is None:
        return f"{name}: loaded{origin}"
    fill = settings.var_name_to_vocab_info[name].backup_initializer
    by = "" if fill is None else ", by backup_initializer"
    return f"{name}: resized{origin}, rows: {taken.move}{by}"
