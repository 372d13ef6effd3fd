"""The normalizer_fns of numeric columns as one module, which can be traced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from torchest.columns.model_inputs import TensorSpec
from torchest.export.forward import export_program

if TYPE_CHECKING:
    from torchest.columns.onnx_graph import NormalizedColumn


class Normalizers(nn.Module):
    """Applies the normalizer_fn of each column to its numbers.

    Args:
        columns: Columns with a normalizer_fn; each may have its own number of rows.

    Shape:
        - input: [rows, width] for each column, in the dtype that its function gets
        - output: float32 [rows, width] for each column
    """

    def __init__(self, columns: list[NormalizedColumn]) -> None:
        super().__init__()
        self._columns = columns
        # the tracer must find the tensors of functions that are modules
        functions = [column.normalizer_fn for column in columns]
        self._modules_among_them = nn.ModuleList(
            function for function in functions if isinstance(function, nn.Module)
        )

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Normalizes numbers, with defaults filled in."""
        return tuple(
            column.normalized(numbers)
            for column, numbers in zip(self._columns, inputs, strict=True)
        )

    def program(self) -> torch.export.ExportedProgram:
        """The module as a graph that takes any number of rows.

        Raises:
            ValueError: A function cannot be traced.
        """
        specs = [
            TensorSpec(column.name, column.seen_dtype, (f"rows {number}", column.width))
            for number, column in enumerate(self._columns)
        ]
        example = [torch.ones(2, spec.shape[1], dtype=spec.dtype) for spec in specs]  # type: ignore[arg-type]
        try:
            return export_program(self, example, specs)
        except ValueError as error:
            names = ", ".join(repr(column.name) for column in self._columns)
            raise ValueError(f"normalizer_fn of {names}: {error}") from error
