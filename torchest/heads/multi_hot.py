"""Multi-hot labels from lists of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from torchest.columns.ids import Ids
from torchest.heads.labels import check_class_ids, numeric_labels
from torchest.utils import arrays

if TYPE_CHECKING:
    from torchest.heads.base import Labels
    from torchest.heads.classes import Classes
    from torchest.heads.vocabulary import LabelVocabulary
    from torchest.utils.arrays import HostArray


def multi_hot(labels: Labels, classes: Classes, head: str) -> Tensor:
    """Returns labels as [batch, n_classes], 1 for each class of an example, else 0. Dense tensors are unchanged."""
    if isinstance(labels, Tensor):
        return labels if labels.layout is torch.strided else _of_sparse(labels, classes, head)
    if isinstance(labels, Ids):
        offsets = labels.offsets
        counts = torch.ones_like(labels.values) if offsets is None else offsets.diff()
        return _hot(counts, labels.values, labels.values >= 0, classes, head)
    array = arrays.to_host(labels, "labels")
    if arrays.is_textual(array) and classes.vocabulary is not None:
        return _of_names(array, classes, classes.vocabulary, head)
    if not isinstance(array, Tensor | np.ndarray) and hasattr(array.type, "value_field"):
        return _of_lists(array, classes, head)
    return numeric_labels(array, head)


def _of_sparse(labels: Tensor, classes: Classes, head: str) -> Tensor:
    if labels.is_floating_point() or labels.dtype == torch.bool:
        return labels.to_dense()
    if labels.dim() != 2:
        raise ValueError(
            f"{head}: labels are a sparse tensor of shape {list(labels.shape)}, but must list class ids, "
            "[batch, any number]."
        )
    listed = labels.to_sparse().coalesce()
    (rows, places), ids = listed.indices(), listed.values()
    counts = torch.bincount(rows, minlength=len(labels))
    if not torch.equal(places, _places(counts)):
        raise ValueError(
            f"{head}: labels are a sparse tensor of integers, which must list the class ids of each example without "
            "gaps, as in TensorFlow. For multi-hot labels, 1 in the place of each class, give labels.float()."
        )
    return _hot(counts, ids, torch.ones_like(ids, dtype=torch.bool), classes, head)


def _places(counts: Tensor) -> Tensor:
    """The position of each element in its row, from the number of elements in each row."""
    starts = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    return torch.arange(int(counts.sum())) - starts


def _of_names(array: HostArray, classes: Classes, vocabulary: LabelVocabulary, head: str) -> Tensor:
    """Multi-hot labels from lists of names; empty and missing names are padding."""
    import pyarrow.compute as pc

    rows = vocabulary.text_rows(array)
    counts = torch.ones(rows.batch, dtype=torch.int64)
    if rows.counts is not None:
        counts = torch.from_numpy(rows.counts.astype("int64"))
    # the length of a missing string is missing
    lengths = pc.binary_length(rows.flat).fill_null(0).to_numpy(zero_copy_only=False)
    kept = torch.from_numpy(lengths > 0)
    ids = torch.full_like(kept, -1, dtype=torch.int64)
    ids[kept] = torch.from_numpy(vocabulary.index(rows.flat.filter(kept.numpy())))
    return _hot(counts, ids, kept, classes, head)


def _of_lists(array: Any, classes: Classes, head: str) -> Tensor:
    """From Arrow lists of class ids."""
    import pyarrow.compute as pc

    counts = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    ids = numeric_labels(array.flatten(), head)
    ids = ids if len(ids) else ids.long()  # lists that are all empty have no type
    kept = torch.ones_like(ids, dtype=torch.bool)
    return _hot(torch.from_numpy(counts.astype("int64")), ids, kept, classes, head)


def _hot(counts: Tensor, ids: Tensor, kept: Tensor, classes: Classes, head: str) -> Tensor:
    """Multi-hot labels from the number of ids in each row, all ids, and a mask of those that count."""
    rows = torch.repeat_interleave(counts)[kept]
    hot = ids.new_zeros(len(counts), classes.count, dtype=torch.float32)
    hot[rows, check_class_ids(ids[kept], classes.count, head)] = 1
    return hot
