"""Placeholders as `serving_input_receiver_fn`s of TensorFlow 1 make them: specs of features.

>>> age = placeholder("float32", [None], name="age")
>>> age, age[:, None]
(FixedLenFeature(shape=(), dtype=torch.float32, default_value=None), FixedLenFeature(shape=(1,), dtype=torch.float32, \
default_value=None))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from torchest.columns.feature_specs import FixedLenFeature, VarLenFeature
from torchest.utils import checks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.columns.feature_specs import Dtype, FeatureSpec

_SHAPE = " The first dimension is that of the examples, such as in [None] for one value in each."


def placeholder(dtype: Dtype, shape: Sequence[int | None], name: str | None = None) -> FeatureSpec:
    """The spec of a feature that clients send.

    Dimensions of 1 can be added to it, as in `tensor[:, None]`. `torchest.inputs.parse_example(tensor, features)` makes
    the specs of what serialized examples hold.

    Args:
        dtype: A dtype of torch or NumPy, `str` for text, or `bytes`.
        shape: [None, ...]: the number of examples, and the shape of the values of each. [None, None] is any number of
            values.
        name: Has no effect: clients use the name in the receiver.

    Returns:
        A `FixedLenFeature`, or a `VarLenFeature` for any number of values.

    Raises:
        TypeError: The dtype is not supported.
        ValueError: The shape has no dimension of examples, or None in another place.
    """
    inner = _without_examples(shape)
    _check_name(name)
    if inner == (None,):
        return VarLenFeature(dtype)
    if None in inner:
        raise ValueError(
            f"shape={checks.shown(shape)} may have None in the first place, or be [None, None]."
        )
    return FixedLenFeature(tuple(size for size in inner if size is not None), dtype)


def placeholder_with_default(
    input: object, shape: Sequence[int | None], name: str | None = None
) -> FixedLenFeature:
    """The spec of a feature that clients may leave out.

    Args:
        input: The default, for one example or for several that have the same one.
        shape: [None, ...]; see `placeholder`.
        name: Has no effect.

    Raises:
        ValueError: The default has another shape, or differs between examples.

    >>> placeholder_with_default([0.5], [None])
    FixedLenFeature(shape=(), dtype=torch.float32, default_value=0.5)
    """
    inner = _without_examples(shape)
    _check_name(name)
    value: Any = input.numpy(force=True) if isinstance(input, torch.Tensor) else input
    values = np.asarray(value)
    rows = values[None] if values.ndim == len(inner) else values
    if rows.shape[1:] != inner or not len(rows) or (rows != rows[:1]).any():
        raise ValueError(
            f"input={checks.shown(input)} must be one default of the shape {list(inner)}, which shape="
            f"{checks.shown(shape)} says, for all examples."
        )
    dtype: Dtype = str if values.dtype.kind in "USO" else values.dtype
    if values.dtype == np.float64 and not isinstance(value, (np.ndarray, np.generic)):
        dtype = torch.float32  # as TensorFlow makes of Python's numbers
    return FixedLenFeature(values.shape[values.ndim - len(inner) :], dtype, rows[0].tolist())


def sparse_placeholder(
    dtype: Dtype, shape: Sequence[int | None] | None = None, name: str | None = None
) -> VarLenFeature:
    """The spec of a feature of any number of values.

    Args:
        dtype: See `placeholder`.
        shape: None or [None, None].
        name: Has no effect.

    Raises:
        TypeError: The dtype is not supported.
        ValueError: The shape has more dimensions.
    """
    if shape is not None and len(_without_examples(shape)) != 1:
        raise ValueError(f"shape={checks.shown(shape)} must be [None, None], or None.")
    _check_name(name)
    return VarLenFeature(dtype)


def _without_examples(shape: Sequence[int | None]) -> tuple[int | None, ...]:
    """The shape of the values of one example."""
    sizes = [
        None if size is None else checks.whole_number("shape", size, _SHAPE, at_least=1)
        for size in checks.listed("shape", shape, f"dimensions.{_SHAPE}")
    ]
    if not sizes:
        raise ValueError(f"shape={checks.shown(shape)} has no dimension.{_SHAPE}")
    return tuple(sizes[1:])


def _check_name(name: str | None) -> None:
    if name is not None:
        checks.text("name", name)
