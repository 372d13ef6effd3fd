"""Columns as JSON values, and back: how an exported model knows them without code of the user's.

>>> from torchest.columns.numeric import numeric_column
>>> described = describe_column(numeric_column("age", default_value=0.0), Assets())
>>> described["type"], described["default_value"]
('NumericColumn', {'tuple': [0.0]})
>>> column_of(described, Assets()) == numeric_column("age", default_value=0.0)
True
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import torch

from torchest.columns.base import FeatureColumn
from torchest.columns.bucketized import BucketizedColumn
from torchest.columns.categorical import (
    HashedCategoricalColumn,
    IdentityCategoricalColumn,
    VocabularyListCategoricalColumn,
)
from torchest.columns.crossed import CrossedColumn
from torchest.columns.numeric import NumericColumn
from torchest.columns.sequence import SequenceCategoricalColumn, SequenceNumericColumn
from torchest.columns.vocabulary_file import VocabularyFileCategoricalColumn
from torchest.columns.weighted import WeightedCategoricalColumn
from torchest.export.archives import check_torchscript
from torchest.export.inputs import dtype_of
from torchest.utils import files

if TYPE_CHECKING:
    from collections.abc import Callable

_TYPES: dict[str, type[FeatureColumn]] = {
    column.__name__: column
    for column in (
        BucketizedColumn,
        CrossedColumn,
        HashedCategoricalColumn,
        IdentityCategoricalColumn,
        NumericColumn,
        SequenceCategoricalColumn,
        SequenceNumericColumn,
        VocabularyFileCategoricalColumn,
        VocabularyListCategoricalColumn,
        WeightedCategoricalColumn,
    )
}
_FILE = "vocabulary_file"


class Assets:
    """What columns need besides their fields: the files and functions that they name.

    Args:
        directory: The exported model; None keeps paths as they are.

    Attributes:
        files: Vocabulary files that were met, by the names that they have in the export.
        functions: normalizer_fns that were met, by their names in the export.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self.directory = directory
        self.files: dict[str, str] = {}
        self.functions: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {}

    def name_of_file(self, path: str) -> str:
        """The name of a file in the export, the same for the same file."""
        return _name_for(self.files, path, os.path.basename(path))

    def name_of_function(
        self, function: Callable[[torch.Tensor], torch.Tensor], column: str
    ) -> str:
        """The name of a function in the export, the same for the same function."""
        readable = "".join(sign if sign.isalnum() else "_" for sign in column)
        return _name_for(self.functions, function, f"{readable}.pt")

    def path_of_file(self, name: str) -> str:
        """Where a file of an export lies."""
        if self.directory is None:
            return name
        return files.inside(os.path.join(self.directory, "assets"), name)

    def function(self, name: str) -> Callable[[torch.Tensor], torch.Tensor]:
        """A function of an export."""
        if self.directory is None:
            return self.functions[name]
        path = files.inside(os.path.join(self.directory, "normalizers"), name)
        check_torchscript(path)
        loaded: Callable[[torch.Tensor], torch.Tensor] = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
        return loaded


def describe_column(column: FeatureColumn, assets: Assets) -> dict[str, Any]:
    """A column as JSON values.

    Args:
        column: One of torchest's columns that make numbers or ids.
        assets: Notes the files and functions that it names.
    """
    described: dict[str, Any] = {"type": type(column).__name__}
    for field in dataclasses.fields(column):  # type: ignore[arg-type]
        value = getattr(column, field.name)
        if field.name == _FILE:
            value = assets.name_of_file(value)
        elif callable(value):
            value = {"function": assets.name_of_function(value, column.name)}
        described[field.name] = _plain(value, assets)
    return described


def column_of(described: dict[str, Any], assets: Assets) -> FeatureColumn:
    """The column that was described.

    Args:
        described: What `describe_column` gave.
        assets: Finds the files and functions.
    """
    fields = {key: _made(value, assets) for key, value in described.items() if key != "type"}
    if _FILE in fields:
        fields[_FILE] = assets.path_of_file(fields[_FILE])
    column = _TYPES[described["type"]](**fields)
    if isinstance(column, VocabularyFileCategoricalColumn):
        column.read()
    return column


def digest(column: FeatureColumn) -> str:
    """What tells a column from any other: SHA-256 of its description, and of its vocabulary file."""
    assets = Assets()
    text = json.dumps(describe_column(column, assets), sort_keys=True)
    hashed = hashlib.sha256(text.encode())
    for path in assets.files.values():
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                hashed.update(block)
    return hashed.hexdigest()


def _plain(value: Any, assets: Assets) -> Any:
    if isinstance(value, FeatureColumn):
        return {"column": describe_column(value, assets)}
    if isinstance(value, tuple):
        return {"tuple": [_plain(item, assets) for item in value]}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    return value


def _made(value: Any, assets: Assets) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "column":
        return column_of(inner, assets)
    if kind == "tuple":
        return tuple(_made(item, assets) for item in inner)
    if kind == "dtype":
        return dtype_of(inner)
    return base64.b64decode(inner) if kind == "bytes" else assets.function(inner)


def _name_for(taken: dict[str, Any], wanted: Any, name: str) -> str:
    """The name under which something is kept already, or a new one."""
    for known, kept in taken.items():
        if kept == wanted:
            return known
    stem, extension = os.path.splitext(name)
    number = 2
    while name in taken:
        name, number = f"{stem}-{number}{extension}", number + 1
    taken[name] = wanted
    return name
