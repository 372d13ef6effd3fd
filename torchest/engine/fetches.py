"""Fetches: names of a step's values, in any structure of lists, tuples and dicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from torchest.errors import with_article
from torchest.utils.arrays import in_numpy_dtype
from torchest.utils.nested import map_nested, named_leaves
from torchest.utils.predicted_text import is_text, text_to_numpy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def names_in(fetches: object) -> Iterator[str]:
    """All names in a structure of fetches.

    Raises:
        TypeError: It holds something other than names.

    >>> sorted(names_in({"a": "loss", "b": ["global_step", ("loss",)]}))
    ['global_step', 'loss', 'loss']
    """
    for _, name in named_leaves(fetches):
        if not isinstance(name, str):
            raise TypeError(
                f"A hook fetches {with_article(type(name).__name__)}: give the name of a value, such as 'loss' or a "
                "key of the predictions; a value itself belongs to one batch only."
            )
        yield name


def fetched(fetches: object, find: Callable[[str], Any]) -> Any:
    """The values of fetches as NumPy, in the same structure.

    Args:
        fetches: Names.
        find: Returns the value of a name.

    >>> import torch
    >>> fetched({"a": ["x"], "b": "y"}, {"x": torch.tensor([1, 2]), "y": torch.tensor(3)}.get)
    {'a': [array([1, 2])], 'b': np.int64(3)}
    """
    return map_nested(lambda name: as_numpy(find(name)), fetches)


def as_numpy(value: object) -> Any:
    """A tensor, a metric or text as NumPy; waits for the device."""
    if hasattr(value, "compute"):
        value = value.compute()
    if isinstance(value, Tensor):
        array = in_numpy_dtype(value.detach()).cpu().numpy()
        return array[()] if array.ndim == 0 else array
    if is_text(value):
        return text_to_numpy(value)
    return value.numpy() if hasattr(value, "numpy") else value
