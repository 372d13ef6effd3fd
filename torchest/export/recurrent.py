"""Recurrent layers in traced models: torch.export takes them apart step by step, for one number of steps only.

Here each becomes one operator of a graph, in which it stays what it is: a loop over any number of steps.
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
    """The outputs of recurrent layers, and their last states; the third is that of an LSTM's cells.

    Args:
        cell: One of "lstm", "gru", "rnn_tanh" and "rnn_relu".
        values: [time, batch, width], or [batch, time, width] if `batch_first`.
        states: The first states.
        weights: Those of every layer and direction.
        biases: Whether they include biases.
        layers: How many layers there are.
        bidirectional: Whether each goes in both directions.
        batch_first: See `values`.
    """
    state = tuple(states) if cell == "lstm" else states[0]
    given = values, state, weights, biases, layers, 0.0, False, bidirectional, batch_first
    output, *last = getattr(torch, cell)(*given)
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
    """Makes the operator known to torch, without which a program that has it cannot be read."""
    assert hasattr(torch.ops.torchest, "recurrent")


class WholeLayers(TorchFunctionMode):
    """Within it, recurrent layers are single operators.

    Args:
        parameters: The dicts that hold the parameters of modules. A tracer puts others in the place of
            parameters there, but not in the lists that recurrent layers keep of their own.
    """

    def __init__(self, parameters: Sequence[Mapping[str, Tensor | None]]) -> None:
        super().__init__()
        self._holders = parameters
        self._places = {
            id(parameter): (holder, name)
            for holder in parameters
            for name, parameter in holder.items()
        }

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Puts the operator in the place of a call of torch."""
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
        found = []
        for weight in weights:
            holder, name = self._places.get(id(weight), ({"": weight}, ""))
            traced = holder[name]
            assert traced is not None
            found.append(traced)
        return found
