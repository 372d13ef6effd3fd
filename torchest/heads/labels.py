"""What heads are given, checked: logits, labels and weights of a batch.

Every function raises a ValueError of one sentence that says what was found, what was expected and the way
out. The checks look at values, so labels are best left on the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from torchest import arrays
from torchest.columns.features import Features
from torchest.errors import MissingFeatureError, suggest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from torchest.columns.base import FeatureColumn


class LabelVocabulary:
    """The names of the classes.

    Args:
        names: Distinct strings, the first of them for class 0.
        n_classes: How many there must be.
    """

    def __init__(self, names: Sequence[str], n_classes: int) -> None:
        if not isinstance(names, (list, tuple)):
            raise ValueError(
                f"label_vocabulary={names!r} must be a list or tuple of strings, not a {type(names).__name__}."
            )
        others = [name for name in names if not isinstance(name, (str, bytes))]
        if others:
            raise ValueError(
                f"label_vocabulary has {others[0]!r}, a {type(others[0]).__name__}: its items must be strings. "
                "Leave it out if labels are class ids."
            )
        if len(names) != n_classes or len(set(names)) != n_classes:
            raise ValueError(
                f"label_vocabulary={list(names)!r} must have n_classes={n_classes} different strings; it has "
                f"{len(set(names))}."
            )
        self.names = tuple(name.encode() if isinstance(name, str) else name for name in names)

    def class_ids(self, labels: Any) -> Tensor:
        """Class ids of strings, int64, of their shape."""
        array = arrays.to_host(labels, "labels")
        if not arrays.is_textual(array):
            raise ValueError(
                f"labels must be strings of label_vocabulary={self._listed()}; they are "
                f"{_host_kind(array)}. Leave label_vocabulary out if labels are class ids."
            )
        flat, shape = _as_arrow(array)
        ids = self._index(flat)
        unknown = ids < 0
        if unknown.any():
            shown = _text(flat[int(unknown.argmax())].as_py())
            raise ValueError(
                f"labels must be strings of label_vocabulary; found {shown!r} in {unknown.sum()} of {len(ids)} "
                f"rows.{suggest(str(shown), map(_text, self.names))}"
            )
        return torch.from_numpy(ids).reshape(shape)

    def _index(self, flat: pa.Array[Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
        import pyarrow as pa
        import pyarrow.compute as pc

        found = pc.index_in(flat, value_set=pa.array(list(self.names), type=pa.large_binary()))
        ids: Any = found.fill_null(-1).to_numpy(zero_copy_only=False)
        return np.asarray(ids, dtype=np.int64)

    def _listed(self) -> str:
        return repr([_text(name) for name in self.names])


def _as_arrow(array: Any) -> tuple[pa.Array[Any], tuple[int, ...]]:
    """Strings as a flat Arrow array of bytes, and their shape."""
    import pyarrow as pa

    shape: tuple[int, ...] = (len(array),)
    if isinstance(array, np.ndarray):
        shape = array.shape
        array = pa.array(array.reshape(-1).astype(object))
    elif hasattr(array.type, "value_field"):
        shape = (len(array), _width(array))
        array = array.flatten()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.cast(pa.large_binary()), shape


def _width(lists: Any) -> int:
    """How many values each row of an Arrow array of lists has."""
    import pyarrow.compute as pc

    widths = np.unique(np.asarray(pc.fill_null(pc.list_value_length(lists), 0)))
    if len(widths) > 1:
        raise ValueError(
            f"labels are lists of {widths[0]} to {widths[-1]} strings, and must be one string per row."
        )
    return int(widths[0]) if len(widths) else 0


def _text(value: bytes | None) -> str:
    return "a missing value" if value is None else value.decode(errors="replace")


def _host_kind(array: Any) -> str:
    kind = getattr(array, "dtype", None) or array.type
    return f"numbers of dtype {str(kind).removeprefix('torch.')}"


def check_logits(logits: Any, logits_dimension: int, head: str) -> Tensor:
    """Logits [batch, ..., logits_dimension]."""
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        raise ValueError(
            f"{head}: logits must be a tensor of floating point numbers, not {_kind(logits)}."
        )
    if logits.dim() < 2 or logits.shape[-1] != logits_dimension:
        raise ValueError(
            f"{head}: logits have shape {list(logits.shape)}, and their shape must be [batch, {logits_dimension}]: "
            f"let the model's last layer have {logits_dimension} output{'s' * (logits_dimension > 1)}, the head's "
            "logits_dimension."
        )
    return logits


def check_present(labels: Any, head: str) -> None:
    """Labels that are there."""
    if labels is None:
        raise ValueError(
            f"{head}: labels are missing: let the input_fn give (features, labels), or name their column by label_name."
        )


def numeric_labels(labels: Any, head: str) -> Tensor:
    """Labels as a tensor of numbers, of their own shape and dtype."""
    if isinstance(labels, Tensor):
        return labels
    check_present(labels, head)
    array = arrays.to_host(labels, "labels")
    if arrays.is_textual(array):
        example = _as_arrow(array)[0][:1].to_pylist()
        shown = (
            f" such as {example[0].decode(errors='replace')!r}" if example and example[0] else ""
        )
        raise ValueError(
            f"labels are strings{shown}, and {head} was made without label_vocabulary. Give label_vocabulary a list of "
            "all class names, or turn labels into numbers."
        )
    return arrays.to_tensor(array, "labels")


def fit_to_logits(labels: Tensor, logits: Tensor, dimension: int, head: str) -> Tensor:
    """Labels [batch, ..., dimension] on the device of the logits; where `dimension` is 1, also [batch, ...]."""
    leading = logits.shape[:-1]
    if dimension == 1 and labels.shape == leading:
        labels = labels.unsqueeze(-1)
    if labels.shape != (*leading, dimension):
        also = f" or {_shape(leading)}" if dimension == 1 else ""
        one_hot = (
            " For one-hot labels, give class ids: labels.argmax(1)."
            if dimension == 1 and labels.dim() == len(leading) + 1 and labels.shape[-1] > 1
            else ""
        )
        raise ValueError(
            f"{head}: labels have shape {list(labels.shape)}, and for logits of shape {list(logits.shape)} their shape "
            f"must be {_shape((*leading, dimension))}{also}.{one_hot}"
        )
    return labels.to(logits.device, non_blocking=True)


def check_class_ids(labels: Tensor, n_classes: int, head: str) -> Tensor:
    """Class ids as int64, from 0 to n_classes − 1."""
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(
            f"{head}: labels have dtype {_dtype(labels)} and must be class ids, whole numbers from 0 to "
            f"{n_classes - 1}: turn them into int64, such as by labels.long()."
        )
    check_range(labels, n_classes, head)
    return labels.long()


def check_range(labels: Tensor, n_classes: int, head: str) -> None:
    """Labels from 0 to n_classes − 1."""
    outside = ~((labels >= 0) & (labels <= n_classes - 1))
    if not outside.any():
        return
    found = labels[outside]
    example = found[0].item()
    rows = labels.shape[0] if labels.dim() else 1
    bound = f"below n_classes={n_classes}" if example >= n_classes - 1 else "at least 0"
    bound = "numbers" if example != example else bound  # noqa: PLR0124
    raise ValueError(
        f"{head}: labels must be {bound}; found {example:g} in {len(found)} of {rows} rows. Labels are class ids from "
        f"0 to {n_classes - 1}."
    )


def weights_of(
    features: Any,
    weight_column: str | FeatureColumn | None,
    logits: Tensor,
) -> Tensor | None:
    """The weights of the examples, [batch, ..., 1], or None without a weight column."""
    if weight_column is None:
        return None
    name, weights = _read(features, weight_column)
    leading = logits.shape[:-1]
    if weights.shape == leading:
        weights = weights.unsqueeze(-1)
    if weights.shape[:-1] != leading or weights.shape[-1] not in (1, logits.shape[-1]):
        raise ValueError(
            f"weight_column {name!r} has shape {list(weights.shape)}, and for logits of shape {list(logits.shape)} its "
            f"shape must be {_shape((*leading, 1))} or {_shape(leading)}: one weight per example."
        )
    weights = weights.to(logits.device, logits.dtype, non_blocking=True)
    wrong = ~(weights >= 0)
    if wrong.any():
        raise ValueError(
            f"weight_column {name!r} has the weight {weights[wrong][0].item():g}; found {int(wrong.sum())} such in "
            f"{len(weights)} rows. Weights must be numbers of at least 0."
        )
    return weights


def _read(features: Any, weight_column: str | FeatureColumn) -> tuple[str, Tensor]:
    """The name and the values of a weight column."""
    if not isinstance(features, Mapping):
        raise ValueError(
            f"weight_column={weight_column!r} needs features that are a dict; they are {_kind(features)}. "
            "Hand the features over to the head."
        )
    features = Features.of(features)
    if not isinstance(weight_column, str):
        encoded: Tensor = features.encoded(weight_column)
        return weight_column.name, encoded
    if weight_column not in features:
        raise MissingFeatureError(
            f"weight_column {weight_column!r} is not among the features.{suggest(weight_column, features)}"
        )
    value = features[weight_column]
    if not isinstance(value, Tensor):
        raise ValueError(f"weight_column {weight_column!r} holds strings, and must hold numbers.")
    return weight_column, value


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of dtype {_dtype(value)}"
    return "None" if value is None else f"a {type(value).__name__}"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shape(shape: Sequence[int]) -> str:
    return str(list(shape))
