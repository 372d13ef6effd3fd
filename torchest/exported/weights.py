"""Reads the parameters and buffers of an exported model, with the methods of a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import safetensors

from torchest.exported.golden import MANIFEST, WEIGHTS, believed, exported, read_manifest
from torchest.utils import files
from torchest.utils.json_form import JSON, check_form

if TYPE_CHECKING:
    from torch import Tensor


class ExportedWeights:
    """The parameters of an export, for a warm start.

    Args:
        path: The export; a path, or a URL.

    Attributes:
        path: The export.
        state: The state as in a checkpoint; an export has no optimizers.

    Raises:
        ValueError: It is not an export, or is damaged.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        with exported(path) as directory:
            aliases = read_manifest(directory).get("aliases", {})
            with believed(directory, MANIFEST):
                check_form(aliases, {str: str}, "aliases")
            with believed(directory, WEIGHTS):
                path = files.join(directory, WEIGHTS)
                self._file: Any = safetensors.safe_open(path, framework="pt")
        self.state: JSON = {"aliases": aliases, "optimizers": {}, "objects": {}}

    def part(self, name: str) -> JSON:
        """As `Checkpoint.part`."""
        part: JSON = self.state[name]
        return part

    def names(self) -> list[str]:
        """The names of all parameters and buffers."""
        return sorted(self._file.keys())

    def tensor(self, name: str) -> Tensor:
        """A parameter or buffer by its name."""
        with believed(self.path, WEIGHTS):
            tensor: Tensor = self._file.get_tensor(name)
        return tensor

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """The shapes of all, by name."""
        return {name: self._file.get_slice(name).get_shape() for name in self.names()}
