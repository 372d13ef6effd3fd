"""Recurrent layers in traced models, as one operator that loops over any number of steps.

torch.export itself unrolls them for a fixed number of steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CELLS = ("lstm", "gru", "rnn_tanh", "rnn_relu")


@torch.library.custom_op("torchest::recurrent", mutates_args=())
def recurrent(  # noqa: PLR0913 - the arguments of the layers of torch
    cell: str,
    values: Tensor,
    states: list[Tensor],
    weights: list[Tensor],
    biases: bool,
    layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Runs recurrent layers.

    Args:
        cell: One of "lstm", "gru", "rnn_tanh" and "rnn_relu".
        values: [time, batch, width], or [batch, time, width] if `batch_first`.
        states: The initial states.
        weights: The weights of every layer and direction.
        biases: Whether the weights include biases.
        layers: The number of layers.
        bidirectional: Whether each layer runs in both directions.
        batch_first: See `values`.

    Returns:
        The outputs, the last hidden states, and the last states of the cells of an LSTM.
    """
    state = tuple(states) if cell == "lstm" else states[0]
    arguments = values, state, weights, biases, layers, 0.0, False, bidirectional, batch_first
    output, *last = getattr(torch, cell)(*arguments)
    return output, last[0].clone(), last[-1].clone()


@recurrent.register_fake
def _(  # noqa: PLR0913
    cell: str,  # noqa: ARG001
    values: Tensor,
    states: list[Tensor],
    weights: list[Tensor],  # noqa: ARG001
    biases: bool,  # noqa: ARG001
    layers: int,  # noqa: ARG001
    bidirectional: bool,
    batch_first: bool,  # noqa: ARG001
) -> tuple[Tensor, Tensor, Tensor]:
    width = states[0].shape[2] * (2 if bidirectional else 1)
    output = values.new_empty(values.shape[0], values.shape[1], width)
    return output, torch.empty_like(states[0]), torch.empty_like(states[-1])


def register_operators() -> None:
    """Registers the operator with torch, which needs it to read a program."""
    assert hasattr(torch.ops.torchest, "recurrent")


class WholeLayers(TorchFunctionMode):
    """A context in which recurrent layers are single operators.

    Args:
        parameters: The dicts with the parameters of modules. A tracer replaces parameters there, but not in the
            lists of recurrent layers.
    """

    def __init__(self, parameters: Sequence[Mapping[str, Tensor | None]]) -> None:
        super().__init__()
        self._places = {
            id(parameter): (holder, name)
            for holder in parameters
            for name, parameter in holder.items()
        }

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        """Replaces a call of torch by the operator."""
        name = getattr(func, "__name__", "")
        is_packed = len(args) > 3 and isinstance(args[3], list | tuple)
        if name not in CELLS or kwargs or is_packed:
            return func(*args, **(kwargs or {}))
        values, state, weights, biases, layers, _, _, bidirectional, batch_first = args
        states = list(state) if name == "lstm" else [state]
        output, hidden, cells = recurrent(
            name, values, states, self._traced(weights), biases, layers, bidirectional, batch_first
        )
        return (output, hidden, cells) if name == "lstm" else (output, hidden)

    def _traced(self, weights: Sequence[Tensor]) -> list[Tensor]:
        places = (self._places.get(id(weight), ({"": weight}, "")) for weight in weights)
        return [traced for holder, name in places if (traced := holder[name]) is not None]
