"""What the elements of a generator are: `TensorSpec`, and elements converted to it.

>>> TensorSpec((None, 2), "float32")
TensorSpec(shape=(None, 2), dtype=torch.float32, name=None)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from torchest.columns.feature_specs import as_dtype, dtype_name
from torchest.inputs.structure import Layout
from torchest.utils import arrays, checks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torchest.inputs.structure import Structure


@dataclass(frozen=True)
class TensorSpec:
    """The shape and the dtype of values.

    Attributes:
        shape: The size of each dimension, None for any; None for any shape.
        dtype: A dtype of torch or NumPy, `str` for text, or `bytes`.
        name: Has no effect.

    Raises:
        TypeError: The dtype is not supported.
        ValueError: A size is negative or not whole.
    """

    shape: tuple[int | None, ...] | None
    dtype: Any = torch.float32
    name: str | None = None

    def __post_init__(self) -> None:
        if self.shape is not None:
            object.__setattr__(self, "shape", _shape(self.shape))
        object.__setattr__(self, "dtype", as_dtype(self.dtype))
        if self.name is not None:
            checks.text("name", self.name, empty=True)

    def converted(self, value: object, name: str) -> Structure:
        """A value as text, or as a NumPy array or scalar of the dtype, or as a tensor if it is one.

        Raises:
            TypeError: It is of another kind.
            ValueError: It has another shape.
        """
        result = (
            self._text(value, name) if isinstance(self.dtype, type) else self._numbers(value, name)
        )
        shape = tuple(np.shape(result))
        fits = self.shape is None or (
            len(shape) == len(self.shape)
            and all(size in (None, own) for own, size in zip(shape, self.shape, strict=True))
        )
        if not fits:
            raise ValueError(
                f"The generator gave {checks.shown(value)} for {name!r}, of shape {shape}, but the shape "
                f"{self.shape} is declared: give values of it, or None in place of sizes that differ."
            )
        return result

    def _numbers(self, value: object, name: str) -> np.ndarray[Any, Any] | torch.Tensor:
        if isinstance(value, torch.Tensor):
            return value.to(self.dtype)
        array = np.asarray(value)
        target = numpy_dtype(self.dtype)
        if array.dtype.kind not in "biuf":
            raise TypeError(self._refused(value, name))
        converted = array.astype(target)
        if target.kind in "biu" and (converted != array).any():
            raise TypeError(self._refused(value, name))
        result: np.ndarray[Any, Any] = converted[()]
        return result

    def _text(self, value: object, name: str) -> Structure:
        cells = np.asarray(value.to_pylist() if arrays.is_arrow(value) else value, object)
        try:
            texts = [_as_text(self.dtype, cell) for cell in cells.ravel().tolist()]
        except (TypeError, UnicodeDecodeError):
            raise TypeError(self._refused(value, name)) from None
        if not cells.ndim:
            return texts[0]
        result = np.empty(len(texts), object)
        result[:] = texts
        return result.reshape(cells.shape)

    def _refused(self, value: object, name: str) -> str:
        return (
            f"The generator gave {checks.shown(value)} for {name!r}, but the dtype {dtype_name(self.dtype)} is "
            "declared: give such values, or declare their dtype."
        )


def conversion(
    output_types: Structure, output_shapes: Structure, output_signature: Structure
) -> Callable[[Structure], Structure] | None:
    """A function that brings elements of a generator into the declared form; None if none is declared.

    Args:
        output_types: A structure of dtypes, or None.
        output_shapes: A structure of shapes, or None.
        output_signature: A structure of `TensorSpec`, or None.

    Raises:
        TypeError: A leaf is neither a dtype nor a `TensorSpec`.
        ValueError: The arguments contradict each other.
    """
    if output_signature is not None:
        if output_types is not None or output_shapes is not None:
            raise ValueError(
                f"output_signature={checks.shown(output_signature)} takes the place of output_types="
                f"{checks.shown(output_types)} and output_shapes={checks.shown(output_shapes)}: leave these out."
            )
        layout = Layout(_as_tuple(output_signature))
        specs = layout.parts("output_signature", output_signature)
        for spec in specs:
            if not isinstance(spec, TensorSpec):
                raise TypeError(
                    f"output_signature has {checks.shown(spec)}: give a TensorSpec(shape, dtype) for each value."
                )
        return _Conversion(layout, specs)
    if output_types is None:
        if output_shapes is not None:
            raise ValueError(
                f"output_shapes={checks.shown(output_shapes)} needs output_types: give both, or output_signature."
            )
        return None
    layout = Layout(_as_tuple(output_types))
    types = list(map(as_dtype, layout.parts("output_types", output_types)))
    shapes = [None] * len(types)
    if output_shapes is not None:
        shapes = layout.parts("output_shapes", output_shapes)
    return _Conversion(layout, list(map(TensorSpec, shapes, types)))


def numpy_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype of NumPy for a dtype of numbers of torch or NumPy.

    Raises:
        TypeError: It is another one.
    """
    plain = as_dtype(dtype)
    if isinstance(plain, type):
        raise TypeError(f"dtype is {checks.shown(dtype)}: give a dtype of numbers.")
    return torch.empty(0, dtype=plain).numpy().dtype


class _Conversion:
    """Converts the elements of a generator.

    Args:
        layout: Their structure.
        specs: What each leaf is.
    """

    def __init__(self, layout: Layout, specs: Sequence[TensorSpec]) -> None:
        self._layout = layout
        self._specs = specs

    def __call__(self, element: Structure) -> Structure:
        values = self._layout.parts("An element of the generator", element)
        return self._layout.rebuild(
            [
                spec.converted(value, name)
                for spec, value, name in zip(self._specs, values, self._layout.names, strict=True)
            ]
        )


def _as_tuple(structure: Structure) -> Structure:
    return tuple(structure) if isinstance(structure, list) else structure


def _as_text(kind: type, cell: object) -> str | bytes:
    if isinstance(cell, str):
        return cell if kind is str else cell.encode()
    if isinstance(cell, bytes):
        return cell if kind is bytes else cell.decode()
    raise TypeError


def _shape(value: object) -> tuple[int | None, ...]:
    sizes = checks.listed("shape", value, "sizes, with None for any")
    return tuple(
        None if size is None else checks.whole_number("shape", size, at_least=0) for size in sizes
    )
