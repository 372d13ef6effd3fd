"""The training step of a deep model without autograd: in one compiled loop if it is small, else by torch's products."""

from __future__ import annotations

import operator
from itertools import chain
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchest.columns.layers.named_modules import have_hooks
from torchest.columns.layers.planned_dense import plan_dense
from torchest.models.dnn import DNNModel
from torchest.optimizers.planned import plan_update

if TYPE_CHECKING:
    import numpy.typing as npt

    from torchest.columns.features import Features
    from torchest.columns.layers.planned_dense import PlannedDense
    from torchest.optimizers.planned import PlannedUpdate

    Floats = npt.NDArray[np.float32]

_parameters_of = operator.attrgetter("_parameters")
_requires_grad = operator.attrgetter("requires_grad")
_SMALL = (
    1 << 19
)  # products of a weight and a number; for more, torch's products are faster than loops


class _Net(Protocol):
    """Dense layers; `backward` writes the gradients of weights and biases where `plan_dnn` found their places."""

    def forward(self, matrix: Floats) -> Floats:
        """Outputs for inputs [batch, width]."""

    def backward(self, slopes: Floats) -> Floats:
        """The gradient of some columns of the inputs from that of the outputs."""


class PlannedDNN:
    """A deep model and its optimizer.

    Args:
        model: See `plan_dnn`.
        inputs: Its columns.
        update: Of its optimizer.
    """

    def __init__(self, model: DNNModel, inputs: PlannedDense, update: PlannedUpdate) -> None:
        self._model = model
        self._identities = _identities(model)
        dense = _dense_parameters(model)
        self._parameters = [*dense, *inputs.tables]
        self._inputs = inputs
        self._update = update
        parameters = [each.detach() for each in dense]
        flat = torch.split(torch.from_numpy(update.gradients), list(map(Tensor.numel, parameters)))
        gradients = [part.view_as(each) for part, each in zip(flat, parameters, strict=True)]
        is_relu = model.activation_fn is not None
        columns = slice(inputs.first, inputs.end)
        self._small: _Net = _SmallNet(parameters, gradients, is_relu, columns)
        self._large: _Net = _LargeNet(parameters, gradients, is_relu, columns)
        self._weights = sum(map(Tensor.numel, parameters[::2]))
        self._net: _Net = self._small

    def forward(self, features: Features) -> Floats | None:
        """The logits [batch, units]; None if the model itself has to compute them."""
        if not self._update.begin():
            return None
        matrix = self._inputs.matrix(features)
        if matrix is None or len(matrix) == 0:
            return None
        self._net = self._small if len(matrix) * self._weights <= _SMALL else self._large
        return self._net.forward(matrix)

    def update(self, gradient: Floats) -> None:
        """Updates the parameters of the last logits by their gradient, [batch, units]."""
        of_inputs = self._net.backward(gradient)
        self._update.finish(self._inputs.row_gradients(of_inputs))

    def show_gradients(self) -> None:
        """Leaves the last gradients of the layers in their `grad`."""
        self._update.show_gradients()

    def holds(self) -> bool:
        """Whether the model has the layers, parameters and slots that were planned, and no hooks."""
        return (
            _identities(self._model) == self._identities
            and all(map(_requires_grad, self._parameters))
            and self._inputs.holds()
            and self._update.holds()
        )


class _SmallNet:
    """One compiled loop in one thread."""

    def __init__(
        self, parameters: list[Tensor], gradients: list[Tensor], is_relu: bool, columns: slice
    ) -> None:
        addresses = [[each.data_ptr() for each in tensors] for tensors in (parameters, gradients)]
        self._addresses = np.array(
            [
                (*addresses[0][place : place + 2], *addresses[1][place : place + 2])
                for place in range(0, len(parameters), 2)
            ]
        )
        weights = parameters[::2]
        self._widths = np.array([weights[0].shape[1], *(len(weight) for weight in weights)])
        self._is_relu = is_relu
        self._columns = columns
        self._memory: Floats = np.empty((2 * self._widths.sum() + 1, 0), np.float32)

    def forward(self, matrix: Floats) -> Floats:
        from torchest.kernels import small_nets
        from torchest.kernels.memory import LANES

        rows = -(-len(matrix) // LANES) * LANES
        if rows != self._memory.shape[1]:
            self._memory = np.empty((len(self._memory), rows), np.float32)
        outputs = np.empty((len(matrix), self._widths[-1]), np.float32)
        small_nets.forward(
            np.ascontiguousarray(matrix, np.float32),
            self._widths,
            self._addresses,
            self._is_relu,
            self._memory,
            outputs,
        )
        return outputs

    def backward(self, slopes: Floats) -> Floats:
        from torchest.kernels import small_nets

        columns = self._columns
        of_inputs = np.empty((len(slopes), columns.stop - columns.start), np.float32)
        small_nets.backward(
            np.ascontiguousarray(slopes, np.float32),
            self._widths,
            self._addresses,
            self._is_relu,
            self._memory,
            columns.start,
            of_inputs,
        )
        return of_inputs


class _LargeNet:
    """Operations of torch, on memory that is used again in each step."""

    def __init__(
        self, parameters: list[Tensor], gradients: list[Tensor], is_relu: bool, columns: slice
    ) -> None:
        self._weights, self._biases = parameters[::2], parameters[1::2]
        self._of_weights, self._of_biases = gradients[::2], gradients[1::2]
        self._is_relu = is_relu
        self._columns = columns
        self._of_inputs = torch.empty(0, columns.stop - columns.start)
        self._values: list[Tensor] = []  # of the inputs and the hidden layers
        self._slopes: list[Tensor] = []  # of the hidden layers

    def forward(self, matrix: Floats) -> Floats:
        self._reserve(len(matrix))
        values = self._values
        values[0] = torch.from_numpy(matrix)
        for place, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            if place == len(self._weights) - 1:
                return torch.addmm(bias, values[place], weight.t()).numpy()
            torch.addmm(bias, values[place], weight.t(), out=values[place + 1])
            if self._is_relu:
                values[place + 1].relu_()
        raise AssertionError

    def backward(self, slopes: Floats) -> Floats:
        slope = torch.from_numpy(slopes)
        for place in reversed(range(len(self._weights))):
            torch.mm(slope.t(), self._values[place], out=self._of_weights[place])
            torch.sum(slope, 0, out=self._of_biases[place])
            if place == 0:
                break
            out = self._slopes[place - 1]
            torch.mm(slope, self._weights[place], out=out)
            if self._is_relu:
                torch.ops.aten.threshold_backward.grad_input(
                    out, self._values[place], 0, grad_input=out
                )
            slope = out
        if self._columns.stop > self._columns.start:
            torch.mm(slope, self._weights[0][:, self._columns], out=self._of_inputs)
        return self._of_inputs.numpy()

    def _reserve(self, rows: int) -> None:
        """Makes memory for a batch, if the last one had another size."""
        if self._values and len(self._of_inputs) == rows:
            return
        widths = list(map(len, self._weights[:-1]))
        self._values = [torch.empty(rows, width) for width in (0, *widths)]
        self._slopes = [torch.empty(rows, width) for width in widths]
        self._of_inputs = torch.empty(rows, self._of_inputs.shape[1])


def plan_dnn(model: nn.Module, optimizer: object) -> PlannedDNN | None:
    """Plans the training of a deep model.

    Args:
        model: The model.
        optimizer: The optimizer of all its parameters.

    Returns:
        None if the model has dropout, batch normalisation, another activation than ReLU, frozen parameters, modules of
        other classes or hooks, or the optimizer cannot be planned.
    """
    if type(model) is not DNNModel or _identities(model) is None:
        return None
    inputs = plan_dense(model.embeddings)
    if inputs is None:
        return None
    update = plan_update(optimizer, _dense_parameters(model), inputs.tables)
    return None if update is None else PlannedDNN(model, inputs, update)


def _dense_parameters(model: DNNModel) -> list[Tensor]:
    """The weight and the bias of each hidden layer, and of the logits."""
    layers = [*model.hidden, model.logits]
    return [each for layer in layers for each in (layer.weight, layer.bias)]


def _identities(model: DNNModel) -> list[int] | None:
    """The identities of layers and parameters; None if the model has other layers than those planned, or hooks."""
    layers = [*model.hidden._modules.values(), model.logits]
    is_plain = (
        set(map(type, layers)) == {nn.Linear}
        and model.activation_fn in (None, F.relu, torch.relu)
        and not model._dropout
        and not model.batch_norm._modules
        and not have_hooks([model, model.hidden, *layers])
    )
    if not is_plain:
        return None
    parameters = list(chain.from_iterable(map(dict.values, map(_parameters_of, layers))))
    if type(None) in map(type, parameters):  # no bias
        return None
    return list(map(id, [model.activation_fn, model.embeddings, *layers, *parameters]))
