"""Labels that list the classes of an example, as one number for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchest.columns.ids import Ids
from torchest.heads.labels import check_class_ids, numeric_labels
from torchest.utils import arrays

if TYPE_CHECKING:
    from torchest.heads.classes import Classes
    from torchest.heads.vocabulary import LabelVocabulary


def multi_hot(labels: Any, classes: Classes, head: str) -> Tensor:
    """Labels as [batch, n_classes]: 1 for each class that an example has, else 0.

    Args:
        labels: Lists of classes; a sparse tensor, of class ids [batch, any number] if its values are integers, else
            of [batch, n_classes]; or a tensor of numbers, which is given back as it is.
        classes: The classes.
        head: The head's name, for error messages.

    Raises:
        ValueError: The labels list something that is no class.
    """
    if isinstance(labels, Tensor):
        return labels if labels.layout is torch.strided else _of_sparse(labels, classes, head)
    if isinstance(labels, Ids):
        counts = _counts_of_ids(labels)
        return _hot(counts, labels.values, labels.values >= 0, classes, head)
    array: Any = arrays.to_host(labels, "labels")
    if arrays.is_textual(array) and classes.vocabulary is not None:
        return _of_names(array, classes, classes.vocabulary, head)
    if arrays.is_arrow(array) and hasattr(array.type, "value_field"):
        return _of_lists(array, classes, head)
    return numeric_labels(array, head)


def _of_sparse(labels: Tensor, classes: Classes, head: str) -> Tensor:
    if labels.is_floating_point() or labels.dtype == torch.bool:
        return labels.to_dense()
    if labels.dim() != 2:
        raise ValueError(
            f"{head}: labels are a sparse tensor of shape {list(labels.shape)}, and must list class ids, "
            "[batch, any number]."
        )
    listed = labels.to_sparse().coalesce()
    (rows, places), ids = listed.indices(), listed.values()
    counts = torch.bincount(rows, minlength=len(labels))
    if not torch.equal(places, _places(counts)):
        raise ValueError(
            f"{head}: labels are a sparse tensor of integers, which lists the class ids of each example from its first "
            "place on, as in TensorFlow, and has gaps: for 1 in the place of each class, give labels.float()."
        )
    return _hot(counts, ids, torch.ones_like(ids, dtype=torch.bool), classes, head)


def _places(counts: Tensor) -> Tensor:
    """0, 1, … for each of the rows with these numbers of elements."""
    return torch.arange(int(counts.sum())) - torch.repeat_interleave(
        counts.cumsum(0) - counts, counts
    )


def _counts_of_ids(ids: Ids) -> Tensor:
    return torch.ones_like(ids.values) if ids.offsets is None else ids.offsets.diff()


def _of_names(array: Any, classes: Classes, vocabulary: LabelVocabulary, head: str) -> Tensor:
    """Lists of names; empty and missing ones fill up the lists."""
    rows = vocabulary.text_rows(array)
    counts = torch.ones(rows.batch, dtype=torch.int64)
    if rows.counts is not None:
        counts = torch.from_numpy(rows.counts.astype("int64"))
    kept = torch.from_numpy(_not_empty(rows.flat))
    ids = torch.full_like(kept, -1, dtype=torch.int64)
    ids[kept] = torch.from_numpy(vocabulary.index(rows.flat.filter(kept.numpy())))
    return _hot(counts, ids, kept, classes, head)


def _not_empty(flat: Any) -> Any:
    import pyarrow.compute as pc

    # the length of a missing string is missing
    return pc.binary_length(flat).fill_null(0).to_numpy(zero_copy_only=False) > 0


def _of_lists(array: Any, classes: Classes, head: str) -> Tensor:
    """Arrow lists of class ids."""
    import pyarrow.compute as pc

    counts = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    ids = numeric_labels(array.flatten(), head)
    ids = ids if len(ids) else ids.long()  # lists that are all empty have no type
    kept = torch.ones_like(ids, dtype=torch.bool)
    return _hot(torch.from_numpy(counts.astype("int64")), ids, kept, classes, head)


def _hot(counts: Tensor, ids: Tensor, kept: Tensor, classes: Classes, head: str) -> Tensor:
    """From the number of ids of each row, and all ids, of which only some are kept."""
    rows = torch.repeat_interleave(counts)[kept]
    found = ids.new_zeros(len(counts), classes.count, dtype=torch.float32)
    found[rows, check_class_ids(ids[kept], classes.count, head)] = 1
    return found
