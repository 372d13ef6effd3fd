"""RNNModel: sequence columns, recurrent layers, logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.rnn import GRU  # torch_xla puts another one in the place of torch.nn.GRU

from torchest.columns.layers.dense import DenseFeatures
from torchest.columns.layers.sequence import SequenceFeatures
from torchest.columns.layers.stored_parameters import stored_parameters
from torchest.errors import suggest
from torchest.models.dnn import checked_widths, linear
from torchest.utils.checks import boolean, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torchest.columns.base import FeatureColumn

    MakeLayer = Callable[[int], nn.Module]

_LAYERS: dict[str, type[nn.RNN | nn.LSTM | GRU]] = {
    "simple_rnn": nn.RNN,
    "lstm": nn.LSTM,
    "gru": GRU,
}


class RNNModel(nn.Module):
    """Computes logits from sequences by recurrent layers.

    Input weights are initialised Glorot-uniform, recurrent ones orthogonal, biases to 0 but those of the forget gates
    of an LSTM to 1. A simple cell and an LSTM have one bias, as in TensorFlow: torch's second, `bias_hh_l0`, stays 0.

    Args:
        sequence_feature_columns: Columns of sequences.
        context_feature_columns: Dense columns, whose values are appended to those of every step.
        units: Widths of the recurrent layers.
        cell_type: "simple_rnn" (tanh), "lstm" or "gru".
        rnn_cell_fn: Instead of `units` and `cell_type`: a function from the number of inputs to a recurrent
            layer, such as `lambda inputs: nn.LSTM(inputs, 8, batch_first=True)`. It must not be bidirectional.
        outputs: Width of the output.
        return_sequences: Whether to return logits for each step instead of the last step of a row.

    Shape:
        - output: logits [batch, outputs] or [batch, time, outputs], and a mask [batch, time], True up to the last
          step of a row. After it, the logits of the last step repeat. A row without steps has the logits of a state of
          zeros.

    Raises:
        ValueError: An argument is invalid.
        TypeError: `rnn_cell_fn` is not a function, or did not return a recurrent module.
    """

    def __init__(  # noqa: PLR0913 - the arguments that tf.estimator's class takes
        self,
        sequence_feature_columns: Iterable[FeatureColumn],
        context_feature_columns: Iterable[FeatureColumn] | None = None,
        units: Sequence[int] | None = None,
        cell_type: str = "simple_rnn",
        rnn_cell_fn: MakeLayer | None = None,
        outputs: int = 1,
        return_sequences: bool = False,
    ) -> None:
        super().__init__()
        self.sequence = SequenceFeatures(sequence_feature_columns)
        self.context = DenseFeatures(context_feature_columns) if context_feature_columns else None
        width = self.sequence.width + (self.context.width if self.context else 0)
        self.layers, width = _layers(width, units, cell_type, rnn_cell_fn)
        self.logits = linear(width, outputs)
        self._return_sequences = boolean("return_sequences", return_sequences)

    def forward(self, features: Mapping[str, object]) -> tuple[Tensor, Tensor]:
        """Returns logits and mask for features by key."""
        values, lengths = self.sequence(features)
        steps = values.shape[1]
        values = _up_to_longest(values, lengths)
        if self.context is not None:
            context = self.context(features).unsqueeze(1).expand(-1, values.shape[1], -1)
            values = torch.cat([values, context], 2)
        values = self._through_layers(values.to(self.logits.weight.dtype))
        last = (lengths - 1).clamp_min(0)
        step = torch.arange(steps, device=lengths.device)
        mask = step < lengths.unsqueeze(1)
        at = torch.minimum(step, last.unsqueeze(1)) if self._return_sequences else last.unsqueeze(1)
        values = values.gather(1, at.unsqueeze(2).expand(-1, -1, values.shape[2]))
        values = values * (lengths > 0).to(values.dtype).reshape(-1, 1, 1)
        logits: Tensor = self.logits(values if self._return_sequences else values.squeeze(1))
        return logits, mask

    def gradients(self) -> list[list[nn.Parameter]]:
        """Returns the parameters in the groups that TensorFlow clips together: there, the two biases of a GRU are one.

        Parameters that tables share are in `banks` instead.
        """
        grus: list[Any] = [layer for layer in self.layers if type(layer) is GRU]
        pairs = [[gru.bias_ih_l0, gru.bias_hh_l0] for gru in grus]
        others = {id(parameter) for pair in pairs for parameter in pair}
        others.update(id(parameter) for parameter, _ in self.banks())
        return [*pairs, *([each] for each in self.parameters() if id(each) not in others)]

    def banks(self) -> list[tuple[nn.Parameter, list[slice]]]:
        """Returns the parameters that tables share, each with the rows of its tables."""
        banks: dict[nn.Parameter, list[slice]] = {}
        for _, parameter, rows in stored_parameters(self):
            if rows is not None:
                banks.setdefault(parameter, []).append(rows)
        return list(banks.items())

    def _through_layers(self, values: Tensor) -> Tensor:
        """[batch, time, width] to [batch, at least one step, units of the last layer]."""
        if _is_traced():
            # No branch can depend on sizes: one more step and row does not change the others.
            return self._layered(F.pad(values, (0, 0, 0, 1, 0, 1)))[: values.shape[0]]
        if values.shape[1] == 0:  # no row has a step, and layers need one
            values = values.new_zeros(len(values), 1, values.shape[2])
        if len(values) == 0:  # layers need a row, too
            return values.new_zeros(0, values.shape[1], self.logits.in_features)
        return self._layered(values)

    def _layered(self, values: Tensor) -> Tensor:
        for layer in self.layers:
            values, _ = layer(values)
        return values


def _is_traced() -> bool:
    return torch.compiler.is_exporting() or torch._C._get_tracing_state() is not None


def _up_to_longest(values: Tensor, lengths: Tensor) -> Tensor:
    """Cuts off the steps after the longest row, except in traces and on XLA, where no shape may depend on values."""
    if _is_traced() or values.device.type == "xla" or len(lengths) == 0:
        return values
    return values[:, : int(lengths.max())]


def _layers(
    width: int, units: Sequence[int] | None, cell_type: str, make: MakeLayer | None
) -> tuple[nn.ModuleList, int]:
    """The recurrent layers, and the width of their output."""
    if make is not None and not callable(make):
        raise TypeError(f"rnn_cell_fn={shown(make)} must be a function of the number of inputs.")
    if make is not None:
        if units is not None or cell_type != "simple_rnn":
            raise ValueError("rnn_cell_fn makes the layer itself: leave units and cell_type out.")
        layer: Any = make(width)
        is_module = isinstance(layer, nn.Module)
        if not is_module or isinstance(layer, nn.RNNCellBase) or not hasattr(layer, "hidden_size"):
            raise TypeError(
                f"rnn_cell_fn made a {type(layer).__name__}: it must make a recurrent module with the attribute "
                "hidden_size, such as torch.nn.LSTM(inputs, 8, batch_first=True)."
            )
        return nn.ModuleList([layer]), _checked_width(layer)
    if not isinstance(cell_type, str) or cell_type not in _LAYERS:
        raise ValueError(
            f"cell_type={shown(cell_type)} is not a type of cell.{suggest(str(cell_type), _LAYERS)}"
        )
    if units is None:
        raise ValueError("units is None: give the width of each recurrent layer, or rnn_cell_fn.")
    widths = checked_widths(units, "units")
    layers = [
        _initialized(_LAYERS[cell_type](inputs, outputs, batch_first=True))
        for inputs, outputs in zip([width, *widths], widths, strict=False)
    ]
    return nn.ModuleList(layers), widths[-1]


def _checked_width(layer: Any) -> int:
    """The width of the output of a user's layer."""
    if isinstance(layer, nn.RNNBase):
        name = f"rnn_cell_fn made {type(layer).__name__}"
        if not layer.batch_first:
            raise ValueError(
                f"{name}(batch_first=False), which mixes up rows and steps: give True."
            )
        if layer.bidirectional:
            raise ValueError(
                f"{name}(bidirectional=True), which reads beyond the end of a row: give False."
            )
        if layer.proj_size:
            projected: int = layer.proj_size
            return projected
    width: int = layer.hidden_size
    return width


def _initialized(layer: Any) -> nn.Module:
    nn.init.xavier_uniform_(layer.weight_ih_l0)
    nn.init.orthogonal_(layer.weight_hh_l0)
    nn.init.zeros_(layer.bias_ih_l0)
    nn.init.zeros_(layer.bias_hh_l0)
    kind = type(layer)
    if kind is nn.LSTM:
        with torch.no_grad():
            layer.bias_ih_l0[layer.hidden_size : 2 * layer.hidden_size] = 1.0
    if kind is not GRU:
        layer.bias_hh_l0.requires_grad_(False)
    made: nn.Module = layer
    return made
