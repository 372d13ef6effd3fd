"""Nested structures of columns: dicts and tuples whose leaves are arrays or single values."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from torchest.utils import arrays
from torchest.utils.checks import shown

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import TypeIs

Structure: TypeAlias = Any  # dicts and tuples, nested as you like, or a leaf
_Tree: TypeAlias = (
    "dict[Any, _Tree] | tuple[_Tree, ...] | int"  # a structure of the numbers of its leaves
)


class Struct(dict[Any, Any]):
    """A dict that is a leaf, not a structure: a cell of a column of structs."""


def is_named(value: object) -> TypeIs[Mapping[Any, Structure]]:
    """Whether the value is a structure with keys."""
    return isinstance(value, Mapping) and not isinstance(value, Struct)


def is_frame(value: object) -> TypeIs[pd.DataFrame]:
    """Whether the value is a pandas DataFrame; does not import pandas."""
    return type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "columns")


def has_rows(value: object) -> bool:
    """Whether the value may be a column: it has a length and is not text."""
    is_single = isinstance(value, (str, bytes)) or getattr(value, "ndim", 1) == 0
    return hasattr(value, "__len__") and not is_single


def columns_of(frame: pd.DataFrame) -> dict[Any, pd.Series[Any]]:
    """A DataFrame as the dict of its columns.

    Raises:
        ValueError: Two columns have the same name.
    """
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(
            f"The DataFrame has the column {twice!r} more than once: rename one of them, or take the first with "
            "frame.loc[:, ~frame.columns.duplicated()]."
        )
    return {name: frame[name] for name in frame.columns}


def labels_of(value: Structure) -> Structure:
    """Labels, where a DataFrame becomes its only column or the dict of its columns."""
    if not is_frame(value):
        return value
    named = columns_of(value)
    return named.popitem()[1] if len(named) == 1 else named


def map_leaves(
    function: Callable[[Any, str], Structure], value: Structure, name: str = "value"
) -> Structure:
    """The same structure with function(leaf, name) at each leaf.

    The name of a leaf is its dict key, or `name[i]` in a tuple; an outermost pair holds features and labels. A
    DataFrame counts as the dict of its columns.
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
        value: A structure of that shape.

    Attributes:
        names: The name of each leaf.
        rebuild: A function from a sequence of leaves to the structure with these leaves.

    >>> layout = Layout(({"x": [1]}, [0]))
    >>> layout.names
    ['x', 'labels']
    >>> layout.rebuild(["first", "second"])
    ({'x': 'first'}, 'second')
    """

    def __init__(self, value: Structure) -> None:
        self.names: list[str] = []

        def number(_: object, name: str) -> int:
            self.names.append(name)
            return len(self.names) - 1

        self._tree: _Tree = map_leaves(number, value)
        self.rebuild = _builder(self._tree)

    def have_keys(self) -> Iterator[bool]:
        """Whether each leaf has a key, so that a model may leave it unread."""
        return _under_keys(self._tree, inside=False)

    def equals(self, other: Layout) -> bool:
        """Whether structures of both have the same leaves in the same order."""
        return self is other or self._tree == other._tree

    def leaves(self, value: Structure) -> list[Structure]:
        """The leaves of a structure of this shape, in the order of `names`.

        Raises:
            ValueError: The value has another shape.
        """
        return list(_leaves(self._tree, value))

    def parts(self, argument: str, value: Structure) -> list[Structure]:
        """What another structure of this shape, such as one of shapes, has in the place of each leaf.

        Raises:
            ValueError: The argument has another shape.
        """
        return list(_parts(argument, self._tree, value))


def stack(elements: Sequence[Structure]) -> Structure:
    """Stacks elements of the same shape along a new first dimension.

    Raises:
        ValueError: The keys or shapes of the elements differ.
    """
    layout = Layout(elements[0])
    leaves = zip(*map(layout.leaves, elements), strict=True)
    return layout.rebuild(list(map(_stack_leaves, leaves, layout.names)))


def read_only(value: Structure) -> Structure:
    """The structure with read-only views of its NumPy arrays."""

    def protect(leaf: Structure, _: str) -> Structure:
        if not isinstance(leaf, np.ndarray):
            return leaf
        view = leaf.view()
        view.flags.writeable = False
        return view

    return map_leaves(protect, value)


def _under_keys(tree: _Tree, *, inside: bool) -> Iterator[bool]:
    if isinstance(tree, int):
        yield inside
        return
    inside = inside or isinstance(tree, dict)
    for inner in tree.values() if isinstance(tree, dict) else tree:
        yield from _under_keys(inner, inside=inside)


def _builder(tree: _Tree) -> Callable[[Sequence[Structure]], Structure]:
    """A function from leaves to the structure, which calls as few functions as possible."""
    if isinstance(tree, int):
        return operator.itemgetter(tree)
    inner = tree.values() if isinstance(tree, dict) else tree
    builders = [_builder(part) for part in inner]
    if isinstance(tree, tuple) and len(tree) == 2:
        features, labels = builders
        return lambda leaves: (features(leaves), labels(leaves))
    if isinstance(tree, tuple):
        return lambda leaves: tuple([build(leaves) for build in builders])
    keys = list(tree)
    numbers = [part for part in inner if isinstance(part, int)]
    if len(numbers) < len(keys) or not numbers:
        pairs = list(zip(keys, builders, strict=True))
        return lambda leaves: {key: build(leaves) for key, build in pairs}
    first, last = numbers[0], numbers[-1]  # leaves are numbered in order
    return lambda leaves: dict(zip(keys, leaves[first : last + 1], strict=True))


def _leaves(tree: _Tree, value: Structure) -> Iterator[Structure]:
    if is_frame(value):
        value = columns_of(value)
    if isinstance(tree, dict):
        if not is_named(value) or set(value) != set(tree):
            raise _different(f"has the keys {list(tree)} and another", value)
        for key, inner in tree.items():
            yield from _leaves(inner, value[key])
    elif isinstance(tree, tuple):
        if not isinstance(value, tuple) or len(value) != len(tree):
            raise _different(f"is a tuple of {len(tree)} and another", value)
        for inner, part in zip(tree, value, strict=True):
            yield from _leaves(inner, part)
    elif is_named(value) or isinstance(value, tuple):
        raise _different("has a single value where another", value)
    else:
        yield value


def _parts(argument: str, tree: _Tree, value: Structure) -> Iterator[Structure]:
    if isinstance(tree, dict):
        if not is_named(value) or set(value) != set(tree):
            raise ValueError(
                f"{argument} has {shown(value)} where elements have a dict: give a dict with the keys {list(tree)}."
            )
        for key, inner in tree.items():
            yield from _parts(argument, inner, value[key])
    elif isinstance(tree, tuple):
        if not isinstance(value, (tuple, list)) or len(value) != len(tree):
            raise ValueError(
                f"{argument} has {shown(value)} where elements have a tuple of {len(tree)}: give a tuple of as many."
            )
        for inner, part in zip(tree, value, strict=True):
            yield from _parts(argument, inner, part)
    else:
        yield value


def _different(one: str, value: Structure) -> ValueError:
    if isinstance(value, Mapping):
        what = f"a dict with the keys {list(value)}"
    else:
        size = f" of {len(value)}" if isinstance(value, tuple) else ""
        what = f"a {type(value).__name__}{size}"
    return ValueError(f"Elements of one batch differ: one {one} is {what}.")


def _stack_leaves(leaves: Sequence[Structure], name: str) -> arrays.HostArray:
    first = leaves[0]
    if isinstance(first, torch.Tensor) and all(isinstance(leaf, torch.Tensor) for leaf in leaves):
        _check_shapes(leaves, name)
        return torch.stack(list(leaves))
    if isinstance(first, np.ndarray) and all(isinstance(leaf, np.ndarray) for leaf in leaves):
        _check_shapes(leaves, name)
        masked = np.ma.MaskedArray in set(map(type, leaves))
        return arrays.to_column(np.ma.stack(leaves) if masked else np.stack(leaves), name)
    library = type(first).__module__.partition(".")[0]
    if library == "pyarrow" and hasattr(first, "__len__"):
        return _stack_lists([arrays.to_column(leaf, name) for leaf in leaves], name)
    if library == "pandas" and hasattr(first, "__len__"):
        columns = [arrays.to_column(leaf, name) for leaf in leaves]
        is_arrow = any(map(arrays.is_arrow, columns))
        return (_stack_lists if is_arrow else _stack_leaves)(columns, name)
    return arrays.to_column(list(leaves), name)


def _stack_lists(columns: list[arrays.HostArray], name: str) -> arrays.HostArray:
    """Rows that are lists, whatever their lengths."""
    import pyarrow as pa

    offsets = np.cumsum([0, *map(arrays.length, columns)], dtype=np.int32)
    joined: arrays.ArrowArray = arrays.concatenate(columns)
    values = joined if arrays.is_arrow(joined) else pa.array(joined)
    lists: type[arrays.ArrowArray] = pa.ListArray
    return arrays.to_column(lists.from_arrays(pa.array(offsets), values), name)


def _check_shapes(leaves: Sequence[Structure], name: str) -> None:
    shapes = {tuple(leaf.shape) for leaf in leaves}
    if len(shapes) > 1:
        both = " and ".join(str(shape) for shape in sorted(shapes)[:2])
        raise ValueError(
            f"batch: {name!r} has the shapes {both} in one batch, but all must agree; call padded_batch, or "
            "unbatch() first if they are batches already."
        )
