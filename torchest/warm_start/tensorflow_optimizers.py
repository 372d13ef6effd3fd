"""The optimizers of a model in a TensorFlow checkpoint: their slots, options and counts of steps."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from torch import Tensor

from torchest.warm_start.tensorflow_weights import Stored

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from torch.optim import Optimizer

    from torchest.engine.scope import Scope
    from torchest.warm_start.tensorflow_weights import TensorFlowWeights

_OPTION_OF_KERAS = re.compile(r"(training(?:_\d+)?/[^/]+)/([^/]+)")
_SLOT_OF_KERAS = re.compile(r"(training(?:_\d+)?/[^/]+)/(.+)/([^/]+)")
# A slot of a part is called `<variable>/part_0/Adam`; TensorFlow cuts letters off if the optimizer was made in a scope.
_SLOT_OF_TF1 = re.compile(r"(.+?)(?:/[a-z]*_\d+)?/([A-Z]\w*)")
_POWER_OF_TF1 = re.compile(r"(?:.*/)?beta([12])_power(?:_\d+)?")
_RENAMED = {"learning_rate": "lr"}
_STEPS = "iter"
_MOST_ROUNDING, _UNDERFLOW = 0.01, 1e-30  # of a power, which is rounded in each step


class Names(NamedTuple):
    """The names of an optimizer in TensorFlow.

    Attributes:
        in_keras: Its name in Keras, where slots have torchest's names; empty if it is not in Keras.
        in_tf1: Its name in TensorFlow 1; empty if it is not there.
        slots: The slots in the order in which TensorFlow 1 numbers them.
    """

    in_keras: str = ""
    in_tf1: str = ""
    slots: tuple[str, ...] = ()

    def are_of(self, scope: str) -> bool:
        """Whether an optimizer of Keras, whose name in its graph is `scope`, is of this kind."""
        pattern = rf"training(_\d+)?/{self.in_keras}(_\d+)?"
        return bool(self.in_keras) and re.fullmatch(pattern, scope) is not None

    def of_tf1(self, slot: str, slots: Collection[str]) -> str:
        """The name of a slot in TensorFlow 1, which numbers the slots that a variable has."""
        numbered = [each for each in self.slots if each in slots]
        number = numbered.index(slot) if slot in numbered else 0
        return f"{self.in_tf1}_{number}" if number else self.in_tf1


_NAMES = {
    "torchest.optimizers.adadelta.Adadelta": Names(
        "Adadelta", "Adadelta", ("accum_grad", "accum_var")
    ),
    "torchest.optimizers.adagrad.Adagrad": Names("Adagrad", "Adagrad", ("accumulator",)),
    "torchest.optimizers.adam.Adam": Names("Adam", "Adam", ("m", "v")),
    "torchest.optimizers.adamax.Adamax": Names("Adamax"),
    "torchest.optimizers.ftrl.Ftrl": Names("Ftrl", "Ftrl", ("accumulator", "linear")),
    "torchest.optimizers.rmsprop.RMSProp": Names("RMSprop"),
    "torchest.optimizers.sgd.SGD": Names("SGD"),
    "torchest.v1.momentum.Momentum": Names("", "Momentum", ("momentum",)),
    "torchest.v1.proximal.ProximalAdagrad": Names("", "ProximalAdagrad", ("accumulator",)),
    "torchest.v1.proximal.ProximalGradientDescent": Names("", "ProximalGradientDescent"),
    "torchest.v1.rmsprop.RMSProp": Names("", "RMSProp", ("rms", "mg", "momentum")),
}


class StoredOptimizers(NamedTuple):
    """What a checkpoint has of the optimizers of a model.

    Attributes:
        slots: What is stored of each slot, by `<optimizer>.<parameter>.<slot>`.
        options: The names of variables with options and counts of steps.
        differences: Options that are not those of the model, one clause each.
    """

    slots: dict[str, Stored]
    options: set[str]
    differences: list[str]


def stored_optimizers(scope: Scope, weights: TensorFlowWeights, step: int) -> StoredOptimizers:
    """Looks for the optimizers of a model, whose slots have been made, in a checkpoint.

    Args:
        scope: The objects of the model.
        weights: The checkpoint.
        step: Its number of steps.
    """
    stored = StoredOptimizers({}, set(), [])
    slots, options = _slots_in(weights), _options_in(weights)
    for name, optimizer in scope.optimizers().items():
        names = _NAMES[_kind(optimizer)]
        places = _places(name, optimizer, scope, weights)
        own = {place.slot for place in places}
        for place in places:
            by_graph = slots.get((place.variable, place.slot), {})
            in_keras = [each for graph, each in by_graph.items() if names.are_of(graph)]
            in_tf1 = slots.get((place.variable, names.of_tf1(place.slot, own)), {}).get("")
            if in_keras or in_tf1:
                stored.slots[place.name] = Stored(place.variable, tuple(in_tf1 or in_keras[0]))
        graph = _graph_of(name, names, stored.slots, options)
        if graph is not None:
            _compare(name, optimizer.param_groups[0], options[graph], weights, step, stored)
    _compare_powers(scope, weights, step, stored)
    return stored


def check_known(name: str, optimizer: Optimizer) -> None:
    """Raises ValueError if an optimizer, which the model has under this name, is not TensorFlow's."""
    if _kind(optimizer) not in _NAMES:
        known = ", ".join(sorted({kind.rpartition(".")[2] for kind in _NAMES}))
        raise ValueError(
            f"The estimator's {name} is a {_kind(optimizer)}, whose slots are not known by TensorFlow's names: use an "
            f"optimizer of torchest.optimizers or torchest.v1.train, which make {known}."
        )


def _kind(optimizer: Optimizer) -> str:
    return f"{type(optimizer).__module__}.{type(optimizer).__name__}"


class _Place(NamedTuple):
    """A slot of a parameter: its name in a checkpoint of torchest, the variable's name in TensorFlow, its own name."""

    name: str
    variable: str
    slot: str


def _places(
    name: str, optimizer: Optimizer, scope: Scope, weights: TensorFlowWeights
) -> list[_Place]:
    """The slots of an optimizer, of parameters that the checkpoint has."""
    stored = scope.stored_parameters()
    return [
        _Place(f"{name}.{each.name}.{slot}", weights.sources[each.name].variable, slot)
        for parameter, slots in optimizer.state.items()
        for each in stored[id(parameter)]
        if each.name in weights.sources
        for slot, value in slots.items()
        if isinstance(value, Tensor)
    ]


def _slots_in(weights: TensorFlowWeights) -> dict[tuple[str, str], dict[str, list[str]]]:
    """The names under which slots are stored, by variable and slot, then by optimizer ("" for one of TensorFlow 1)."""
    variables = {each.variable for each in weights.sources.values()}
    slots: dict[tuple[str, str], dict[str, list[str]]] = {}
    for name in weights.keys:
        in_keras, in_tf1 = _SLOT_OF_KERAS.fullmatch(name), _SLOT_OF_TF1.fullmatch(name)
        if in_keras and in_keras[2] in variables:
            graph, variable, slot = in_keras.groups()
        elif in_tf1 and in_tf1[1] in variables:
            graph, variable, slot = "", *in_tf1.groups()
        else:
            continue
        slots.setdefault((variable, slot), {}).setdefault(graph, []).append(name)
    return slots


def _scalars_in(weights: TensorFlowWeights) -> list[str]:
    return sorted(name for name in weights.keys if not weights.shape(Stored(name, (name,))))


def _options_in(weights: TensorFlowWeights) -> dict[str, dict[str, str]]:
    """The names of variables with options, by optimizer of Keras and option."""
    options: dict[str, dict[str, str]] = {}
    for match in filter(None, map(_OPTION_OF_KERAS.fullmatch, _scalars_in(weights))):
        options.setdefault(match[1], {})[match[2]] = match[0]
    return options


def _graph_of(
    name: str, names: Names, slots: Mapping[str, Stored], options: Mapping[str, Mapping[str, str]]
) -> str | None:
    """The name of an optimizer in the graph of Keras."""
    own = [graph for graph in options if names.are_of(graph)]
    for place, stored in slots.items():
        if place.startswith(f"{name}."):
            return next((graph for graph in own if stored.names[0].startswith(f"{graph}/")), None)
    # without slots: of two, the one of the linear model counts its steps itself
    is_linear = name == "linear_optimizer"
    of_part = [graph for graph in own if (_STEPS in options[graph]) == is_linear]
    return next(iter(of_part or own), None)


def _compare(
    name: str,
    now: Mapping[str, Any],
    options: Mapping[str, str],
    weights: TensorFlowWeights,
    step: int,
    stored: StoredOptimizers,
) -> None:
    """Compares the options of an optimizer."""
    known = {"decay": 0.0, _STEPS: step, **now}
    for option, variable in options.items():
        ours = _RENAMED.get(option, option)
        if ours in known:
            stored.options.add(variable)
            value = known[ours](step) if callable(known[ours]) else known[ours] or 0.0
            was = weights.tensor(variable).item()
            if not math.isclose(np.float32(value), was, rel_tol=1e-6):
                stored.differences.append(
                    f"{variable} is {was:.7g}, but {ours} of {name} {value!r}"
                )


def _compare_powers(
    scope: Scope, weights: TensorFlowWeights, step: int, stored: StoredOptimizers
) -> None:
    """Compares the powers of decay rates by which Adam counts steps in TensorFlow 1."""
    for match in filter(None, map(_POWER_OF_TF1.fullmatch, _scalars_in(weights))):
        option = f"beta_{match[1]}"
        rates = {
            optimizer.param_groups[0][option]
            for optimizer in scope.optimizers().values()
            if option in optimizer.param_groups[0]
        }
        value = weights.tensor(match[0]).item()
        if rates:
            stored.options.add(match[0])
        if rates and not any(
            math.isclose(rate ** (step + 1), value, rel_tol=_MOST_ROUNDING, abs_tol=_UNDERFLOW)
            for rate in rates
        ):
            listed = " or ".join(map(str, sorted(rates)))
            stored.differences.append(
                f"{match[0]} is {value:.7g}, but {option} {listed} and the step {step}"
            )
