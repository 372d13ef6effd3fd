"""The result of an input_fn as one stream of batches.

>>> list(batches(({"x": [1.0, 2.0]}, [0, 1])))     # one batch
[Batch(features={'x': [1.0, 2.0]}, labels=[0, 1])]
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from torchest.inputs.batch import Batch
from torchest.inputs.dataset import Dataset
from torchest.inputs.structure import Structure, columns_of, is_frame, labels_of
from torchest.utils import arrays

Source: TypeAlias = Any  # what an input_fn returns

_EXPECTED = (
    "a torchest.inputs.Dataset, a DataLoader, an iterable of batches, each (features, labels) or features, "
    "or one batch of tensors or arrays"
)

_arrow_arrays: set[type] = set()  # the classes of Arrow arrays that were seen
# Live iterators that an input_fn returned: by identity, as an iterator may have an `__eq__`.
_returned: weakref.WeakValueDictionary[int, Iterator[object]] = weakref.WeakValueDictionary()
# Built-in iterators (zip, map) have no weak references: the last one of each input_fn is kept.
_last_returned: weakref.WeakKeyDictionary[object, Iterator[object]] = weakref.WeakKeyDictionary()


def call_input_fn(input_fn: object, **offered: object) -> Source:
    """Calls the input_fn with the arguments that it takes, of mode, params, config and input_context.

    Returns:
        The result of the input_fn, for `batches`.

    Raises:
        TypeError: input_fn is not callable, needs other arguments, or returned None.
        ValueError: It returned the same iterator as an earlier call.
    """
    source = _result_of(input_fn, offered)
    if isinstance(source, Iterator):
        _refuse_second_use(input_fn, source)
    return source


class CheckedInput:
    """Wraps an input_fn: calls it at once to check that its input ends, and returns this input in the first call.

    Args:
        input_fn: The user's function.
        steps: The name of the user's argument that does not limit the number of batches.
        offered: The arguments of the immediate call.

    Raises:
        ValueError: The input never ends.
    """

    def __init__(self, input_fn: object, steps: str, **offered: object) -> None:
        self._input_fn = input_fn
        self._made = _result_of(input_fn, offered)
        check_end(self._made, steps)

    def __call__(self, **offered: object) -> Source:
        """Returns the checked input in the first call, and a new one in each later call."""
        made, self._made = self._made, None
        return _result_of(self._input_fn, offered) if made is None else made


def batches(source: Source) -> Iterator[Batch]:
    """The batches in the result of an input_fn; labels are None if there are none.

    A single batch (see `is_one_batch`) is yielded once, unless it has no rows; training repeats it. A DataFrame becomes
    the dict of its columns, or as labels its only column; a list of features or of (features, labels) becomes a tuple;
    a tuple of labels without arrays becomes a list. Nothing else is converted here.

    Raises:
        TypeError: The source, or one of its elements, is of an unknown kind.
        ValueError: The elements are single rows.
    """
    if is_one_batch(source):
        batch = _as_batch(source)
        return iter(() if _has_no_rows(batch[0]) else (batch,))
    if not may_be_batches(source):
        raise TypeError(
            f"input_fn returned an object of type {type(source).__name__}; return {_EXPECTED}."
        )
    if (
        isinstance(source, (tuple, list))
        and any(map(_is_array_or_named, source))
        and not _are_batches(source)
    ):
        raise TypeError(
            f"input_fn returned {_shown(source)}, which is neither one batch nor several: return features, "
            "(features, labels), a list of such batches with the same names, or a torchest.inputs.Dataset. "
            "Weights are features, like everything that a model reads."
        )
    return map(_as_batch, source)


def check_end(source: Source, steps: str) -> None:
    """Checks that a source may end.

    Args:
        source: The result of an input_fn.
        steps: The name of the user's argument that does not limit the number of batches.

    Raises:
        ValueError: The source never ends.
    """
    if is_endless(source):
        raise ValueError(
            f"{steps}=None reads the input to its end, but the input_fn returns a Dataset that never ends. Give a "
            "number of steps, or a Dataset that ends."
        )


def is_endless(source: object) -> bool:
    """Whether the batches of the source are known never to end."""
    return isinstance(source, Dataset) and source.cardinality() == math.inf


def may_be_batches(source: object) -> bool:
    """Whether the source is one batch, or an iterable that may hold batches."""
    return is_one_batch(source) or (
        isinstance(source, Iterable) and not isinstance(source, (str, bytes, Mapping, type))
    )


def is_one_batch(source: object) -> bool:
    """Whether the source is one batch: features, or features and labels.

    Features are a dict, a DataFrame, an array (tensor, numpy, pandas or Arrow), or a tuple or list of these.
    A tuple or list of two is (features, labels), as in TensorFlow, unless its parts are batches of one stream. They
    are, however many there are, if they are all

    - (dict, labels);
    - dicts with the same keys, in a list: `[{"x": a}, {"x": b}]` are two batches, while `[{"x": a}, {"y": b}]`
      and `({"x": a}, {"x": b})` are features and labels;
    - (array, labels), in a list, such as `list(data_loader)`: `[(a, b), (c, d)]` are two batches, while
      `((a, b), (c, d))` and `[(a, b), c]` are features and labels.

    Arrays in a list are not a stream: `[a, b]` is features and labels, and three arrays are an error.
    """
    if isinstance(source, (tuple, list)):
        return len(source) == 2 and _is_features(source[0]) and not _are_batches(source)
    return _is_features(source)


def _are_batches(parts: Sequence[Structure]) -> bool:
    """Whether each of the parts is a batch of one stream."""
    if len(parts) < 2:
        return any(map(_is_features, parts))
    may_be_pair = isinstance(parts, tuple) and len(parts) == 2  # (features, labels)
    if all(map(_is_batch, parts)):
        return not may_be_pair or all(_has_names(part[0]) for part in parts)
    if all(map(_has_names, parts)):
        return not may_be_pair and len({frozenset(part) for part in parts}) == 1
    return False


def _is_batch(value: Structure) -> bool:
    """Whether a value is (features, labels), or (features,) as from a DataLoader of rows without labels."""
    return isinstance(value, (tuple, list)) and len(value) in (1, 2) and _is_features(value[0])


def _result_of(input_fn: object, offered: dict[str, object]) -> Source:
    if not callable(input_fn):
        raise TypeError(_not_callable(input_fn))
    source = input_fn(**_arguments(input_fn, offered))
    if source is None:
        raise TypeError(f"{_named(input_fn)} returned None; return {_EXPECTED}.")
    return source


def _has_no_rows(features: Structure) -> bool:
    if isinstance(features, tuple):
        return any(map(_has_no_rows, features))
    columns = features.values() if isinstance(features, Mapping) else [features]
    return any(arrays.length(column) == 0 for column in columns if hasattr(column, "__len__"))


def _is_features(value: object) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_is_features, value))
    return _is_array_or_named(value)


def _is_array_or_named(value: object) -> bool:
    return _has_names(value) or _is_column(value)


def _has_names(value: object) -> bool:
    return isinstance(value, Mapping) or is_frame(value)


def _is_column(value: object) -> bool:
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return True
    library = type(value).__module__.partition(".")[0]
    return library in ("pandas", "pyarrow") and hasattr(value, "__len__") and not is_frame(value)


def _as_batch(element: Structure) -> Batch:
    pair = element if type(element) is tuple and len(element) == 2 else (element, None)
    if _is_usual(*pair):
        return Batch(*pair)
    # A DataLoader converts tuples to lists.
    if _is_batch(element):
        features, labels = (*element, None)[:2]
    elif _is_array_or_named(element):
        features, labels = element, None
    else:
        raise TypeError(_not_a_batch(element))
    features = _with_names(features)
    _refuse_single_rows(features)
    return Batch(features, _labels(labels))


def _is_usual(features: Structure, labels: Structure) -> bool:
    """Whether features are a dict of columns, and labels an array or None, so that nothing has to be converted."""
    if type(features) is not dict:
        return False
    if labels is not None and type(labels) is not np.ndarray and type(labels) is not torch.Tensor:
        return False
    for column in features.values():
        kind = type(column)
        is_array = kind is np.ndarray or kind is torch.Tensor
        if not (column.ndim if is_array else kind in _arrow_arrays):
            return False
    return True


def _with_names(value: Structure) -> Structure:
    """Replaces DataFrames in features by dicts, and lists of columns by tuples."""
    if type(value) is dict:
        return value  # as most are
    if is_frame(value):
        return columns_of(value)
    if isinstance(value, (tuple, list)) and _is_features(value):
        return tuple(map(_with_names, value))
    return value


def _labels(value: Structure) -> Structure:
    if isinstance(value, tuple):
        return tuple(map(_labels, value)) if _is_features(value) else list(value)
    return labels_of(value)


def _not_a_batch(element: object) -> str:
    shown = _shown(element) if isinstance(element, (tuple, list)) else f"{element!r:.60}"
    return (
        f"The input gave {shown}, but a batch must be (features, labels) or features, with features a dict of "
        "columns, one tensor or a tuple of these; weights are features, too; if these are single rows, call "
        ".batch(...)."
    )


def _shown(parts: Sequence[object]) -> str:
    kinds = ", ".join(type(part).__name__ for part in parts[:10])
    more = ", …" if len(parts) > 10 else ""
    return f"a {type(parts).__name__} of {len(parts)} ({kinds}{more})"


def _refuse_single_rows(features: Structure, name: str = "features") -> None:
    if isinstance(features, tuple):
        for number, part in enumerate(features):
            _refuse_single_rows(part, f"{name}[{number}]")
        return
    columns = features if isinstance(features, Mapping) else {name: features}
    for key, column in columns.items():
        if type(column) is np.ndarray and column.ndim:
            continue  # as most are
        if type(column).__module__ == "pyarrow.lib" and hasattr(column, "buffers"):
            _arrow_arrays.add(type(column))
            continue
        single = isinstance(column, (str, bytes, int, float, np.generic))
        if single or (isinstance(column, (torch.Tensor, np.ndarray)) and column.ndim == 0):
            raise ValueError(
                f"The input gives single rows, not batches: the feature {key!r} is {column!r}; call .batch(...) on "
                f"the dataset, or give arrays with one value per row{arrays.comparison_hint(column)}."
            )


def _not_callable(input_fn: object) -> str:
    kind = type(input_fn).__name__
    if isinstance(input_fn, Iterator):
        return (
            f"input_fn is a {kind} object, which can be read only once, but must be a function that makes one; give "
            "the generator function without calling it, or lambda: make_batches()."
        )
    return f"input_fn is a {kind}, but must be a function; give lambda: … that returns {_EXPECTED}."


def _arguments(input_fn: Callable[..., object], offered: dict[str, object]) -> dict[str, object]:
    try:
        parameters = inspect.signature(input_fn).parameters
    except ValueError:  # some built-in functions have no signature
        return {}
    bound = input_fn.keywords if isinstance(input_fn, functools.partial) else {}
    kind = inspect.Parameter
    by_name = (kind.POSITIONAL_OR_KEYWORD, kind.KEYWORD_ONLY)
    takes_all = any(each.kind is kind.VAR_KEYWORD for each in parameters.values())
    for name, each in parameters.items():
        is_required = each.default is kind.empty and each.kind in (*by_name, kind.POSITIONAL_ONLY)
        if is_required and name not in offered:
            raise TypeError(
                f"{_named(input_fn)} needs the argument {name!r}, but an input_fn is called only with mode, params, "
                "config and input_context; bind it with functools.partial or a lambda."
            )
    return {
        name: value
        for name, value in offered.items()
        if name not in bound
        and (takes_all or (name in parameters and parameters[name].kind in by_name))
    }


def _named(input_fn: object) -> str:
    name = getattr(input_fn, "__name__", None)
    return "input_fn" if name in (None, "<lambda>", "input_fn") else f"input_fn {name!r}"


def _refuse_second_use(input_fn: object, source: Iterator[object]) -> None:
    is_known = _returned.get(id(source)) is source
    with contextlib.suppress(TypeError):  # an input_fn that cannot be hashed
        is_known = is_known or _last_returned.get(input_fn) is source
    if is_known:
        raise ValueError(
            f"{_named(input_fn)} returned the same {type(source).__name__} object again, which was read already; "
            "make a new one in each call."
        )
    try:
        _returned[id(source)] = source
    except TypeError:
        with contextlib.suppress(TypeError):
            _last_returned[input_fn] = source
