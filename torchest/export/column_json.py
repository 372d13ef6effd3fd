"""The files and functions of columns that are described as JSON in an exported model.

>>> from torchest.columns.base import column_of_json
>>> from torchest.columns.numeric import numeric_column
>>> described = numeric_column("age", default_value=0.0).to_json(Assets())
>>> described["type"], described["default_value"]
('NumericColumn', {'tuple': [0.0]})
>>> column_of_json(described, Assets()) == numeric_column("age", default_value=0.0)
True
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, TypeVar

from torchest.export.torchscript import load
from torchest.utils import files

Value = TypeVar("Value")

if TYPE_CHECKING:
    from torchest.columns.base import FeatureColumn, TensorFunction


class Assets:
    """The files and functions that columns refer to.

    Args:
        directory: The exported model; None keeps paths as they are.

    Attributes:
        files: The paths of vocabulary files, by their names in the export.
        functions: The normalizer_fns, by their names in the export.
        shapes: The shape of a row that each of the functions gets.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self.directory = directory
        self.files: dict[str, str] = {}
        self.functions: dict[str, TensorFunction] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def name_of_file(self, path: str) -> str:
        """The name of a file in the export, the same for the same file."""
        return _name_for(self.files, path, os.path.basename(path))

    def name_of_function(self, function: TensorFunction, column: FeatureColumn) -> str:
        """The name of a column's function in the export, the same for the same function."""
        readable = "".join(sign if sign.isalnum() else "_" for sign in column.name)
        name = _name_for(self.functions, function, f"{readable}.pt")
        self.shapes[name] = getattr(column, "shape", ()) or (1,)
        return name

    def path_of_file(self, name: str) -> str:
        """Where a file of an export lies."""
        if self.directory is None:
            return name
        return files.inside(os.path.join(self.directory, "assets"), name)

    def function(self, name: str) -> TensorFunction:
        """A function of an export."""
        if self.directory is None:
            return self.functions[name]
        return load(files.inside(os.path.join(self.directory, "normalizers"), name))


def digest(column: FeatureColumn) -> str:
    """The SHA-256 of a column's description and vocabulary file."""
    assets = Assets()
    text = json.dumps(column.to_json(assets), sort_keys=True)
    hashed = hashlib.sha256(text.encode())
    for path in assets.files.values():
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                hashed.update(block)
    return hashed.hexdigest()


def _name_for(taken: dict[str, Value], wanted: Value, name: str) -> str:
    """The name of a value that is kept already, or a new one."""
    for known, kept in taken.items():
        if kept == wanted:
            return known
    stem, extension = os.path.splitext(name)
    number = 2
    while name in taken:
        name, number = f"{stem}-{number}{extension}", number + 1
    taken[name] = wanted
    return name
