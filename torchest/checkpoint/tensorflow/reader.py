"""Reads one TensorFlow checkpoint by the names and shapes that TensorFlow has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchest.checkpoint.tensorflow.bundle import Bundle
from torchest.checkpoint.tensorflow.object_graph import KEY, names_in
from torchest.errors import DamagedCheckpointError, suggest
from torchest.keys import MetricKeys
from torchest.utils.arrays import NumpyArray, in_numpy_dtype
from torchest.utils.checks import shown, text

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_MOST_STEPS = 10**18


class TensorFlowCheckpoint:
    """A reader of one checkpoint that TensorFlow wrote.

    Variables have TensorFlow's names, shapes and values. A partitioned variable is whole; in an object-based checkpoint
    a name is a path of attributes that ends with `/.ATTRIBUTES/VARIABLE_VALUE`.

    Args:
        path: The checkpoint, without `.index`.

    Attributes:
        path: The checkpoint.

    Raises:
        DamagedCheckpointError: The index is missing or damaged.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._bundle = Bundle(path)
        except FileNotFoundError:
            raise DamagedCheckpointError(
                f"There is no {path + '.index'!r}: copy all files of the checkpoint."
            ) from None

    @property
    def global_step(self) -> int:
        """The number of training steps before the checkpoint.

        Raises:
            ValueError: The checkpoint has none.
        """
        name = MetricKeys.GLOBAL_STEP
        step = self.get_tensor(self.keys_by_name().get(name, name))
        if step.shape or step.dtype.kind not in "iu" or not 0 <= step < _MOST_STEPS:
            raise ValueError(f"The {name} of the checkpoint {self.path!r} is {shown(step)}.")
        return int(step)

    def tensor(self, *names: str) -> Tensor:
        """The value of a variable of numbers.

        Args:
            names: One of `get_variable_to_shape_map()`; or several, if each has only a part of the values.

        Raises:
            ValueError: There is no variable with that name.
            DamagedCheckpointError: Its file is missing or damaged.
        """
        return self._bundle.tensor(*map(self._known, names))

    def shape(self, name: str) -> list[int]:
        """The shape of a variable, one of `get_variable_to_shape_map()`."""
        return list(self._bundle.entries[name].shape)

    def get_tensor(self, name: str) -> NumpyArray:
        """The value of a variable; of strings, an array of bytes objects.

        Floating-point dtypes that numpy lacks, such as bfloat16, become float32.

        Args:
            name: One of `get_variable_to_shape_map()`.

        Raises:
            ValueError: There is no variable with that name.
            DamagedCheckpointError: Its file is missing or damaged.
        """
        entry = self._bundle.entries[self._known(name)]
        if self._bundle.dtype(name) is bytes:
            values = self._bundle.strings(name)
            strings = np.empty(len(values), object)
            strings[:] = values
            return strings.reshape(entry.shape)
        return in_numpy_dtype(self._bundle.tensor(name)).numpy()

    def names(self) -> list[str]:
        """The names of all variables, sorted."""
        return sorted(self._bundle.entries)

    def has_tensor(self, name: str) -> bool:
        """Whether there is a variable of that name."""
        return text("name", name) in self._bundle.entries

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """The shape of each variable, sorted by name."""
        return {name: self.shape(name) for name in self.names()}

    def get_variable_to_dtype_map(self) -> dict[str, torch.dtype | type]:
        """The torch dtype of each variable, or `bytes`, sorted by name."""
        return {name: self._bundle.dtype(name) for name in self.names()}

    def keys_by_name(self) -> dict[str, str]:
        """The key of each variable of numbers by the name that it has in a graph.

        They differ in an object-based checkpoint only; a variable whose name is not stored there has its path of
        attributes as its name.
        """
        entries = self._bundle.entries
        names = names_in(self._bundle.strings(KEY)[0]) if KEY in entries else {}
        keys = [key for key in entries if not isinstance(self._bundle.dtype(key), type)]
        return {names.get(key, key): key for key in keys}

    def _known(self, name: str) -> str:
        if text("name", name) not in self._bundle.entries:
            known = self._bundle.entries
            raise ValueError(
                f"name={shown(name)} is not a variable of the checkpoint.{suggest(name, known)}"
            )
        return name
