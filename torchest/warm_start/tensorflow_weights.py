"""Reads a TensorFlow checkpoint by torchest's names, with the methods of a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torchest.checkpoint.tensorflow.reader import TensorFlowCheckpoint
from torchest.warm_start.tensorflow_names import tensorflow_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from torchest.utils.json_form import JSON


class Stored(NamedTuple):
    """A variable, or a slot of one, in a TensorFlow checkpoint.

    Attributes:
        variable: The name of the variable.
        names: The name under which its values are stored; several if they are stored in parts.
    """

    variable: str
    names: tuple[str, ...]


class TensorFlowWeights:
    """The variables of a TensorFlow checkpoint under the names of a model's parameters and buffers, and their own.

    Kernels have their axes in the order of torch's layers.

    Args:
        path: The checkpoint, without `.index`.
        targets: The names of the model's parameters and buffers.

    Attributes:
        path: The checkpoint.
        checkpoint: Its reader.
        keys: The keys in the checkpoint by the names of variables.
        sources: What is stored of the model's parameters and buffers, by their names.

    Raises:
        DamagedCheckpointError: The index is damaged.
    """

    def __init__(self, path: str, targets: Iterable[str]) -> None:
        self.path = path
        self.checkpoint = TensorFlowCheckpoint(path)
        self.keys = self.checkpoint.keys_by_name()
        self._names = {key: name for name, key in self.keys.items()}
        self.sources: dict[str, Stored] = {}
        for target in targets:
            names = [name for name in tensorflow_names(target) if name in self.keys]
            if names:
                self.sources[target] = Stored(names[0], (names[0],))

    def part(self, name: str) -> JSON:  # noqa: ARG002
        """As `Checkpoint.part`: no parameters are tied, and the optimizers are not torchest's."""
        return {}

    def names(self) -> list[str]:
        """The names of parameters and buffers, and the names and keys of all variables."""
        return sorted({*self.sources, *self.keys, *self._names})

    def tensor(self, name: str) -> Tensor:
        """A parameter, a buffer or a variable by its name; a variable also by its key."""
        return self.value(self._stored(name))

    def value(self, stored: Stored) -> Tensor:
        """What is stored of a variable."""
        tensor = self.checkpoint.tensor(*(self.keys[name] for name in stored.names))
        return tensor.permute(_axes(stored.variable, tensor.dim()))

    def shape(self, stored: Stored) -> list[int]:
        """The shape of `value`."""
        shape = self.checkpoint.shape(self.keys[stored.names[0]])
        return [shape[axis] for axis in _axes(stored.variable, len(shape))]

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """The shapes of all, by name."""
        return {name: self.shape(self._stored(name)) for name in self.names()}

    def _stored(self, name: str) -> Stored:
        variable = self._names.get(name, name)
        return self.sources.get(name) or Stored(variable, (variable,))


def _axes(variable: str, rank: int) -> list[int]:
    """The order of a variable's axes in torch, where the outputs and the inputs of a kernel come first."""
    axes = list(range(rank))
    path = variable.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE")  # of one that shares its name
    is_kernel = rank > 1 and path.rpartition("/")[2] == "kernel"
    return [*axes[:-3:-1], *axes[:-2]] if is_kernel else axes
