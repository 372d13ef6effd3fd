"""Nested structures of columns: dicts and tuples whose leaves are arrays or single values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from torchest.utils import arrays


class Struct(dict[Any, Any]):
    """A single value that is a dict, not a part of the structure around it: a cell of a column of structs."""


def is_named(value: Any) -> bool:
    """Whether the value is a structure with keys."""
    return isinstance(value, Mapping) and not isinstance(value, Struct)


def is_frame(value: Any) -> bool:
    """Whether the value is a pandas DataFrame; does not import pandas."""
    return type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "columns")


def columns_of(frame: Any) -> dict[Any, Any]:
    """A DataFrame as the dict of its columns.

    Raises:
        ValueError: Two columns have one name.
    """
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(
            f"The DataFrame has the column {twice!r} more than once: rename one of them, or take the first with "
            "frame.loc[:, ~frame.columns.duplicated()]."
        )
    return {name: frame[name] for name in frame.columns}


def labels_of(value: Any) -> Any:
    """Labels, where a DataFrame of one column is that column, and one of several the dict of its columns."""
    if not is_frame(value):
        return value
    named = columns_of(value)
    return named.popitem()[1] if len(named) == 1 else named


def map_leaves(function: Callable[[Any, str], Any], value: Any, name: str = "value") -> Any:
    """The same structure with function(leaf, name) at each leaf.

    A leaf is called by its dict key, or `name[i]` in a tuple; an outermost pair holds features and labels.
    A DataFrame counts as the dict of its columns.
    """
    if is_frame(value):
        value = columns_of(value)
    if is_named(value):
        return {key: map_leaves(function, inner, str(key)) for key, inner in value.items()}
    if isinstance(value, tuple):
        names = (
            ("features", "labels")
            if len(value) == 2 and name == "value"
            else [f"{name}[{i}]" for i in range(len(value))]
        )
        return tuple(map_leaves(function, inner, names[i]) for i, inner in enumerate(value))
    return function(value, name)


class Layout:
    """The shape of a structure without its leaves.

    Args:
        value: The structure to take the shape of.

    >>> layout = Layout(({"x": [1]}, [0]))
    >>> layout.names
    ['x', 'labels']
    >>> layout.rebuild(["first", "second"])
    ({'x': 'first'}, 'second')
    """

    def __init__(self, value: Any) -> None:
        self.names: list[str] = []

        def number(_: Any, name: str) -> int:
            self.names.append(name)
            return len(self.names) - 1

        self._tree = map_leaves(number, value)

    def have_keys(self) -> Iterator[bool]:
        """Whether each leaf has a key, so that a model may leave it unread."""
        return _under_keys(self._tree, inside=False)

    def rebuild(self, leaves: Sequence[Any]) -> Any:
        """The structure with these leaves."""
        return _rebuild(self._tree, leaves)

    def leaves(self, value: Any) -> list[Any]:
        """The leaves of a structure of this shape, in this layout's order.

        Raises:
            ValueError: The value has another shape.
        """
        return list(_leaves(self._tree, value))


def stack(elements: Sequence[Any]) -> Any:
    """Elements of one shape as one structure, each leaf with one more dimension in front.

    Raises:
        ValueError: The elements have other keys or shapes than each other.
    """
    layout = Layout(elements[0])
    rows = [layout.leaves(element) for element in elements]
    return layout.rebuild(
        [
            _stack_leaves(leaves, name)
            for leaves, name in zip(zip(*rows, strict=True), layout.names, strict=True)
        ]
    )


def read_only(value: Any) -> Any:
    """The structure with views of its numpy arrays that cannot be written to."""

    def protect(leaf: Any, _: str) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        view = leaf.view()
        view.flags.writeable = False
        return view

    return map_leaves(protect, value)


def _under_keys(tree: Any, *, inside: bool) -> Iterator[bool]:
    if isinstance(tree, int):
        yield inside
        return
    inside = inside or isinstance(tree, dict)
    for inner in tree.values() if isinstance(tree, dict) else tree:
        yield from _under_keys(inner, inside=inside)


def _rebuild(tree: Any, leaves: Sequence[Any]) -> Any:
    if isinstance(tree, dict):
        return {key: _rebuild(inner, leaves) for key, inner in tree.items()}
    if isinstance(tree, tuple):
        return tuple(_rebuild(inner, leaves) for inner in tree)
    return leaves[tree]


def _leaves(tree: Any, value: Any) -> Iterator[Any]:
    if is_frame(value):
        value = columns_of(value)
    if isinstance(tree, dict):
        if not is_named(value) or set(value) != set(tree):
            raise ValueError(
                f"Elements of one batch differ: one has the keys {list(tree)} and another is {_shown(value)}."
            )
        for key, inner in tree.items():
            yield from _leaves(inner, value[key])
    elif isinstance(tree, tuple):
        if not isinstance(value, tuple) or len(value) != len(tree):
            raise ValueError(
                f"Elements of one batch differ: one is a tuple of {len(tree)} and another is {_shown(value)}."
            )
        for inner, part in zip(tree, value, strict=True):
            yield from _leaves(inner, part)
    elif is_named(value) or isinstance(value, tuple):
        raise ValueError(
            f"Elements of one batch differ: one has a single value where another is {_shown(value)}."
        )
    else:
        yield value


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a dict with the keys {list(value)}"
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else f"a {type(value).__name__}"


def _stack_leaves(leaves: Sequence[Any], name: str) -> arrays.HostArray:
    first = leaves[0]
    if isinstance(first, torch.Tensor) and all(isinstance(leaf, torch.Tensor) for leaf in leaves):
        _check_shapes(leaves, name)
        return torch.stack(list(leaves))
    if isinstance(first, np.ndarray) and all(isinstance(leaf, np.ndarray) for leaf in leaves):
        _check_shapes(leaves, name)
        masked = np.ma.MaskedArray in set(map(type, leaves))
        return arrays.to_column(np.ma.stack(leaves) if masked else np.stack(leaves), name)
    if type(first).__module__.partition(".")[0] in ("pandas", "pyarrow") and hasattr(
        first, "__len__"
    ):
        return _stack_arrow([arrays.to_column(leaf, name) for leaf in leaves], name)
    return arrays.to_column(list(leaves), name)


def _stack_arrow(columns: list[Any], name: str) -> arrays.HostArray:
    if not arrays.is_arrow(columns[0]):
        return _stack_leaves(columns, name)
    import pyarrow as pa

    offsets = np.cumsum([0, *(len(column) for column in columns)], dtype=np.int32)
    lists: Any = pa.ListArray
    return arrays.to_column(lists.from_arrays(pa.array(offsets), arrays.concatenate(columns)), name)


def _check_shapes(leaves: Sequence[Any], name: str) -> None:
    shapes = {tuple(leaf.shape) for leaf in leaves}
    if len(shapes) > 1:
        shown = " and ".join(str(shape) for shape in sorted(shapes)[:2])
        raise ValueError(
            f"batch: {name!r} has the shapes {shown} in one batch, and all must agree; pad them, or call "
            "unbatch() first if they are batches already."
        )
