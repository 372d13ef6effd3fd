"""Recurrent layers as operators of ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnxscript import opset18

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.export.onnx.nodes import Value

op: Any = opset18  # its types know no values that are put together

_INT32 = 6

# The order in which ONNX has the gates of torch.
_GATES = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn_tanh": (0,), "rnn_relu": (0,)}


def recurrent(  # noqa: PLR0913 - the arguments of the operator
    cell: str,
    values: Value,
    states: Sequence[Value],
    weights: Sequence[Value],
    biases: bool,
    layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Value, Value, Value]:
    """The nodes of `torchest.export.recurrent.recurrent`.

    onnxruntime crashes without rows or without steps. So layers get one more row, which is cut off again, and one more
    step after the end of all sequences.
    """
    directions = 2 if bidirectional else 1
    each = 4 if biases else 2
    output = op.Transpose(values, perm=[1, 0, 2]) if batch_first else values  # [time, batch, width]
    steps, rows = op.Shape(output, start=0, end=1), op.Shape(output, start=1, end=2)
    lengths = op.Expand(op.Cast(steps, to=_INT32), op.Add(rows, _ints(1)))
    output = op.Pad(output, _ints(0, 0, 0, 1, 1, 0))
    states = [op.Pad(state, _ints(0, 0, 0, 0, 1, 0)) for state in states]
    last: list[list[Value]] = [[], []]
    for layer in range(layers):
        first = layer * directions
        places = _ints(first), _ints(first + directions), _ints(0)
        start = [op.Slice(state, *places) for state in states]
        of_layer = weights[first * each : (first + directions) * each]
        inputs, hidden, *bias = (
            op.Concat(
                *(op.Unsqueeze(_reordered(part, cell), _ints(0)) for part in of_layer[kind::each]),
                axis=0,
            )
            for kind in range(each)
        )
        both = op.Concat(*bias, axis=1) if biases else None
        form = {
            "hidden_size": _size(of_layer[1], 1),
            "direction": "bidirectional" if bidirectional else "forward",
        }
        made = _layer(cell, [output, inputs, hidden, both, lengths, *start], form)
        for kept, state in zip(last, made[1:], strict=False):
            kept.append(op.Slice(state, _ints(0), rows, _ints(1)))
        # [time, directions, batch, units] to [time, batch, directions · units]
        output = op.Transpose(made[0], perm=[0, 2, 1, 3])
        output = op.Reshape(output, _ints(0, 0, -1))
    output = op.Slice(output, _ints(0, 0), op.Concat(steps, rows, axis=0), _ints(0, 1))
    output = op.Transpose(output, perm=[1, 0, 2]) if batch_first else output
    state = op.Concat(*last[0], axis=0)
    return output, state, op.Concat(*last[1], axis=0) if last[1] else state


def _layer(cell: str, inputs: list[Value | None], form: dict[str, int | str]) -> Sequence[Value]:
    """One layer: the outputs of all steps, and the last states."""
    layer: Sequence[Value]
    if cell == "lstm":
        layer = op.LSTM(*inputs, **form)
    elif cell == "gru":
        layer = op.GRU(*inputs, linear_before_reset=1, **form)
    else:
        directions = 2 if form["direction"] == "bidirectional" else 1
        activation = "Tanh" if cell == "rnn_tanh" else "Relu"
        layer = op.RNN(*inputs, activations=[activation] * directions, **form)
    return layer


def _reordered(weight: Value, cell: str) -> Value:
    """The rows of a weight or bias in the order of ONNX's gates."""
    gates = _GATES[cell]
    if len(gates) == 1:
        return weight
    units = _size(weight, 0) // len(gates)
    parts = [
        op.Slice(weight, _ints(gate * units), _ints((gate + 1) * units), _ints(0)) for gate in gates
    ]
    joined: Value = op.Concat(*parts, axis=0)
    return joined


def _size(value: Value, axis: int) -> int:
    assert value.shape is not None
    size = value.shape[axis]
    assert isinstance(size, int)
    return size


def _ints(*numbers: int) -> Value:
    constant: Value = op.Constant(value_ints=list(numbers))
    return constant
