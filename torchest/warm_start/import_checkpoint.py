"""Writes a checkpoint of torchest from one that a premade estimator of TensorFlow wrote.

Every parameter, buffer and slot of the model has to have a variable, and every variable a place, before anything is
written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from torchest.checkpoint.directory import latest_checkpoint, write_checkpoint
from torchest.checkpoint.tensorflow.locate import tensorflow_checkpoint
from torchest.engine.object_state import ObjectState
from torchest.engine.scope import Scope
from torchest.errors import CheckpointMismatchError
from torchest.keys import MetricKeys
from torchest.optimizers.base import RowOptimizer
from torchest.utils import files
from torchest.utils.checks import shown
from torchest.warm_start.tensorflow_names import tensorflow_names
from torchest.warm_start.tensorflow_optimizers import check_known, stored_optimizers
from torchest.warm_start.tensorflow_weights import TensorFlowWeights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from torchest.engine.model_fn import ModelFn
    from torchest.warm_start.tensorflow_weights import Stored

_OF_THE_MODEL = {MetricKeys.GLOBAL_STEP, "save_counter"}
_MOST_LISTED = 8


class Imported(NamedTuple):
    """What was imported.

    Attributes:
        path: The new checkpoint.
        source: The checkpoint of TensorFlow, without `.index`.
        parameters: The number of parameters and buffers.
        slots: The number of slots.
    """

    path: str
    source: str
    parameters: int
    slots: int


def import_checkpoint(source: str, model_dir: str, model_fn: ModelFn) -> Imported:
    """Writes the weights, the slots and the step of a TensorFlow checkpoint as a checkpoint of torchest.

    Args:
        source: A model_dir of TensorFlow, or a checkpoint in it.
        model_dir: The directory of the new checkpoint, which has none yet.
        model_fn: That of a premade estimator with the columns, layers and optimizers that it had in TensorFlow.

    Raises:
        ValueError: There is no checkpoint at `source`, or there is one in `model_dir`; or the estimator is not premade.
        CheckpointMismatchError: A variable has no place, or a place has no variable. Nothing has been written.
        DamagedCheckpointError: A file is damaged.
    """
    prefix, directory = tensorflow_checkpoint(files.normal(source)), files.normal(model_dir)
    if prefix is None:
        raise ValueError(
            f"{shown(source)} has no checkpoint of TensorFlow: give a model_dir with the files 'checkpoint' and "
            "'model.ckpt-100.index', or one of its checkpoints, such as 'model_dir/model.ckpt-100'."
        )
    if latest_checkpoint(directory) is not None:
        raise ValueError(f"{shown(model_dir)} has a checkpoint already: give a new directory.")
    if not model_fn.is_canned:
        raise ValueError(
            "The estimator is not a premade one with optimizers, whose variables are known: copy its weights with "
            "warm_start_from=torchest.WarmStartSettings(..., var_name_to_prev_var_name=...)."
        )
    scope = Scope(torch.device("cpu"), training=True)
    with scope.creating():
        scope.call(model_fn.make_objects)
    state = ObjectState(scope, is_private=True)
    state.remember_options()
    weights = TensorFlowWeights(prefix, _names(scope))
    step = weights.checkpoint.global_step
    _make_slots(scope, step)
    contents = state.contents()
    places = {**contents.model, **contents.optimizer}
    for place, stored in _matched(scope, weights, places).items():
        places[place].copy_(weights.value(stored))
    path = write_checkpoint(directory, step, lambda: contents, keep=None)
    return Imported(path, prefix, len(contents.model), len(contents.optimizer))


def _names(scope: Scope) -> list[str]:
    """The names of parameters and buffers."""
    modules = scope.modules().items()
    return [f"{made}.{name}" for made, module in modules for name in module.state_dict()]


def _make_slots(scope: Scope, step: int) -> None:
    """Makes the slots of all parameters that are trained, and sets the counts of steps."""
    for name, optimizer in scope.optimizers().items():
        check_known(name, optimizer)
        assert isinstance(optimizer, RowOptimizer)
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.requires_grad:
                    optimizer.slots(parameter, group)
                optimizer.state[parameter]["step"] = step


def _matched(
    scope: Scope, weights: TensorFlowWeights, places: Mapping[str, Tensor]
) -> dict[str, Stored]:
    """What is stored of each place.

    Raises:
        CheckpointMismatchError: A place has no variable, or a variable no place.
    """
    optimizers = stored_optimizers(scope, weights, weights.checkpoint.global_step)
    matched = {**weights.sources, **optimizers.slots}
    used = {name for stored in matched.values() for name in stored.names}
    problems = {
        "variables without a place": sorted(
            weights.keys.keys() - used - optimizers.options - _OF_THE_MODEL
        ),
        "places without a variable": [
            _with_theirs(place) for place in places.keys() - matched.keys()
        ],
        "of another shape": [
            f"{place} {list(places[place].shape)} ({stored.names[0]} {weights.shape(stored)})"
            for place, stored in matched.items()
            if list(places[place].shape) != weights.shape(stored)
        ],
        "other options": optimizers.differences,
    }
    if any(problems.values()):
        listed = "; ".join(f"{what}: {_listed(each)}" for what, each in problems.items() if each)
        raise CheckpointMismatchError(
            f"The TensorFlow checkpoint {weights.path!r} is not one of this estimator; {listed}. Make the estimator "
            "with the columns, layers and optimizers that the model had in TensorFlow."
        )
    return matched


def _with_theirs(place: str) -> str:
    """A parameter or a slot, with the name that a parameter has in TensorFlow."""
    return " = ".join([place, *tensorflow_names(place)[:1]])


def _listed(clauses: list[str]) -> str:
    listed = ", ".join(sorted(clauses)[:_MOST_LISTED])
    more = len(clauses) - _MOST_LISTED
    return f"{listed} and {more} more" if more > 0 else listed
