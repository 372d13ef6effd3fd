"""Checks of the logits and labels of a head.

The functions raise ValueError; `head` is the name of the head in messages. The checks read values, so keep labels on
the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torchest.heads.vocabulary import TextRows, shown
from torchest.utils import arrays

if TYPE_CHECKING:
    from torchest.heads.base import Labels


def check_logits(logits: object, logits_dimension: int, head: str) -> Tensor:
    """Returns logits [batch, ..., logits_dimension], with half precision converted to float32."""
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        raise ValueError(
            f"{head}: logits must be a tensor of floating point numbers, not {kind_of(logits)}."
        )
    if logits.dim() < 2 or logits.shape[-1] != logits_dimension:
        raise ValueError(
            f"{head}: logits have shape {list(logits.shape)}, but their shape must be [batch, {logits_dimension}]: "
            f"let the model's last layer have {logits_dimension} output{'s' * (logits_dimension > 1)}, the head's "
            "logits_dimension."
        )
    return logits.float() if logits.dtype.itemsize < 4 else logits


def check_present(labels: object, head: str) -> None:
    """Raises if labels are missing, or a dict for several heads."""
    if labels is None:
        raise ValueError(
            f"{head}: labels are missing: let the input_fn give (features, labels), or name their column by label_name."
        )
    if isinstance(labels, Mapping):
        raise ValueError(
            f"{head}: labels are a dict of {', '.join(map(repr, labels))}: give the labels alone, not by key; a dict "
            "is for a MultiHead."
        )


def numeric_labels(labels: Labels, head: str, *, of_classes: bool = True) -> Tensor:
    """Returns labels as a tensor of numbers, of their own shape and dtype."""
    if isinstance(labels, Tensor):
        if labels.is_complex() or labels.layout is not torch.strided:
            what = "complex numbers" if labels.is_complex() else "a sparse tensor"
            raise ValueError(f"{head}: labels are {what}: give a dense tensor of real numbers.")
        return labels
    array = arrays.to_host(labels, "labels")
    if not arrays.is_textual(array):
        return arrays.to_tensor(array, "labels")
    example = TextRows.of(array).flat[:1].to_pylist()
    strings = (
        f"labels are strings such as {shown(example[0])!r}" if example else "labels are strings"
    )
    if of_classes:
        raise ValueError(
            f"{strings}, and {head} was made without label_vocabulary. Give label_vocabulary a list of all class "
            "names, or turn labels into numbers."
        )
    raise ValueError(
        f"{strings}, and {head} needs numbers. Turn them into numbers, for example with astype(float); for names of "
        "classes use a classifier, or a head such as BinaryClassHead."
    )


def fit_to_logits(
    labels: Tensor,
    logits: Tensor,
    dimension: int,
    head: str,
    if_wider: str = "For one-hot labels, give class ids: labels.argmax(1).",
) -> Tensor:
    """Returns labels of shape [batch, ..., dimension]; if `dimension` is 1, [batch, ...] is allowed too.

    `if_wider` ends the message if there are several labels instead of one.
    """
    leading = logits.shape[:-1]
    if dimension == 1 and labels.shape == leading:
        return labels.unsqueeze(-1)
    if labels.shape == (*leading, dimension):
        return labels
    expected, way_out = f"{[*leading, dimension]}", ""
    if dimension == 1:
        expected += f" or {list(leading)}"
        is_wider = labels.dim() == len(leading) + 1 and labels.shape[-1] > 1
        way_out = f" {if_wider}" if is_wider else ""
    raise ValueError(
        f"{head}: labels have shape {list(labels.shape)}, but for logits of shape {list(logits.shape)} their shape "
        f"must be {expected}.{way_out}"
    )


def check_class_ids(labels: Tensor, n_classes: int, head: str) -> Tensor:
    """Returns class ids as int64, and raises unless they are whole numbers from 0 to n_classes − 1."""
    if labels.is_floating_point() and labels.isnan().any():
        check_range(labels, n_classes, head)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(
            f"{head}: labels have dtype {_dtype_of(labels)} and must be class ids, whole numbers from 0 to "
            f"{n_classes - 1}: turn them into int64, for example with labels.long()."
        )
    check_range(labels, n_classes, head, may_be_names=True)
    return labels.long()


def check_range(labels: Tensor, n_classes: int, head: str, *, may_be_names: bool = False) -> None:
    """Raises unless labels are from 0 to n_classes − 1; `may_be_names`: others may be names of classes."""
    if labels.device.type == "cpu" and labels.numel() and not labels.is_complex():
        least, most = torch.aminmax(labels)
        if least.item() >= 0 and most.item() <= n_classes - 1:  # false for NaN
            return
    outside = labels[~((labels >= 0) & (labels <= n_classes - 1))]
    if not len(outside):
        return
    example = outside[0].item()
    if example > n_classes - 1:
        bound = f"below n_classes={n_classes}" if n_classes > 2 else "0 or 1"
    else:
        bound = "at least 0" if example < 0 else "there for every example"
    way_out = ""
    if may_be_names and float(example).is_integer():
        way_out = (
            f" If {example:g} is the name of a class, number the classes, for example with np.searchsorted(names, "
            "labels), or make labels text and give label_vocabulary."
        )
    raise ValueError(
        f"{head}: labels must be {bound}; found {example:g} in {len(outside)} of {labels.numel()} labels. Labels are "
        f"class ids from 0 to {n_classes - 1}.{way_out}"
    )


def kind_of(value: object) -> str:
    """The kind of a value, for an error message."""
    if isinstance(value, Tensor):
        return f"a tensor of dtype {_dtype_of(value)}"
    return "None" if value is None else f"a {type(value).__name__}"


def _dtype_of(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
