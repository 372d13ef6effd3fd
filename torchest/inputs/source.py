"""What an input_fn may return, as one stream of batches.

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
from typing import Any

import numpy as np
import torch

from torchest.inputs.batch import Batch
from torchest.inputs.dataset import Dataset
from torchest.inputs.structure import columns_of, is_frame, labels_of
from torchest.utils import arrays

_EXPECTED = (
    "a torchest.inputs.Dataset, a DataLoader, an iterable of batches, each (features, labels) or features, "
    "or one batch of tensors or arrays"
)

# Iterators that an input_fn returned, while they live: by identity, as an iterator may have an `__eq__`.
_returned: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
# Built-in iterators (zip, map) take no weak references: the last of each input_fn is kept.
_last_returned: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def call_input_fn(input_fn: Any, **offered: Any) -> Any:
    """Calls the input_fn with those of mode, params, config and input_context that it has arguments for.

    Returns:
        What the input_fn returned, for `batches`.

    Raises:
        TypeError: It is not callable, needs other arguments, or returned None.
        ValueError: It returned an iterator that it has returned before.
    """
    source = _result_of(input_fn, offered)
    if isinstance(source, Iterator):
        _refuse_second_use(input_fn, source)
    return source


class CheckedInput:
    """An input_fn that is called at once, to see that what it gives ends; its first call then gives that.

    Args:
        input_fn: The user's.
        steps: The argument that does not limit the number of batches, as the user wrote it.
        offered: The arguments of the call that is made at once.

    Raises:
        ValueError: What it gives never ends.
    """

    def __init__(self, input_fn: Any, steps: str, **offered: Any) -> None:
        self._input_fn = input_fn
        self._made = _result_of(input_fn, offered)
        check_end(self._made, steps)

    def __call__(self, **offered: Any) -> Any:
        """What the input_fn returned at once, and then what it returns now."""
        made, self._made = self._made, None
        return _result_of(self._input_fn, offered) if made is None else made


def batches(source: Any) -> Iterator[Batch]:
    """The batches of what an input_fn returned; labels are None if there are none.

    One batch (see `is_one_batch`) comes once, unless it has no rows; training repeats it.
    A DataFrame becomes the dict of its columns, or as labels its only column; a list of features or of (features,
    labels) a tuple; a tuple of labels without arrays in it a list. Nothing else is converted here.

    Raises:
        TypeError: The source, or one of its elements, is not understood.
        ValueError: The elements are single rows.
    """
    if is_one_batch(source):
        batch = _as_batch(source)
        return iter(() if _has_no_rows(batch[0]) else (batch,))
    if not may_be_batches(source):
        raise TypeError(
            f"input_fn returned an object of type {type(source).__name__}; return {_EXPECTED}."
        )
    if isinstance(source, (tuple, list)) and _holds_columns(source) and not _are_batches(source):
        raise TypeError(
            f"input_fn returned {_shown(source)}, which is neither one batch nor several: return features, "
            "(features, labels), a list of such batches with the same names each, or a torchest.inputs.Dataset. "
            "Weights, as all that a model reads, are features."
        )
    return map(_as_batch, source)


def check_end(source: Any, steps: str) -> None:
    """Refuses a source that is known never to end.

    Args:
        source: What an input_fn returned.
        steps: The argument that limits the number of batches, and does not, as the user wrote it.

    Raises:
        ValueError: It never ends.
    """
    if is_endless(source):
        raise ValueError(
            f"{steps}=None reads the input to its end, and it never ends: the input_fn gives a Dataset that repeats "
            "without end. Give a number of steps, or a Dataset that ends."
        )


def is_endless(source: Any) -> bool:
    """Whether the batches of the source are known never to end."""
    return isinstance(source, Dataset) and source.cardinality() == math.inf


def may_be_batches(source: Any) -> bool:
    """Whether the source is one batch, or something that can be iterated and is not known to hold no batches."""
    return is_one_batch(source) or (
        isinstance(source, Iterable) and not isinstance(source, (str, bytes, Mapping, type))
    )


def is_one_batch(source: Any) -> bool:
    """Whether the source is one batch: features, or features and labels.

    Features are a dict, a DataFrame, an array (tensor, numpy, pandas or Arrow), or a tuple or list of these.
    A tuple or list of two is (features, labels), as in TensorFlow, unless its parts are themselves batches of one
    stream, which never depends on how many they are:

    - (dict, labels) each;
    - dicts of the same names each, in a list: `[{"x": a}, {"x": b}]` are two batches, while `[{"x": a}, {"y": b}]`
      and `({"x": a}, {"x": b})` are features and labels;
    - (array, labels) each, in a list, which is what `list(data_loader)` gives: `[(a, b), (c, d)]` are two batches,
      while `((a, b), (c, d))` and `[(a, b), c]` are features and labels.

    Several arrays in a list are no stream: `[a, b]` is features and labels, and three are refused.
    """
    if isinstance(source, (tuple, list)):
        return len(source) == 2 and _is_features(source[0]) and not _are_batches(source)
    return _is_features(source)


def _are_batches(parts: Sequence[Any]) -> bool:
    """Whether each of the parts is a batch of one stream."""
    if len(parts) < 2:
        return any(map(_is_features, parts))
    if all(_is_batch(part) for part in parts):
        return _may_be_many(parts) or all(_has_names(part[0]) for part in parts)
    if all(map(_has_names, parts)):
        return _may_be_many(parts) and len({frozenset(part) for part in parts}) == 1
    return False


def _may_be_many(parts: Sequence[Any]) -> bool:
    # A tuple of two is (features, labels).
    return isinstance(parts, list) or len(parts) != 2


def _holds_columns(parts: Sequence[Any]) -> bool:
    return any(_has_names(part) or _is_column(part) for part in parts)


def _is_batch(value: Any) -> bool:
    """Whether a value is (features, labels), or (features,), which a DataLoader makes of rows without labels."""
    return isinstance(value, (tuple, list)) and len(value) in (1, 2) and _is_features(value[0])


def _result_of(input_fn: Any, offered: dict[str, Any]) -> Any:
    if not callable(input_fn):
        raise TypeError(_not_callable(input_fn))
    source = input_fn(**_arguments(input_fn, offered))
    if source is None:
        raise TypeError(f"{_named(input_fn)} returned None; return {_EXPECTED}.")
    return source


def _has_no_rows(features: Any) -> bool:
    if isinstance(features, tuple):
        return any(map(_has_no_rows, features))
    columns = features.values() if isinstance(features, Mapping) else [features]
    return any(
        column.size(0) == 0 if isinstance(column, torch.Tensor) else len(column) == 0
        for column in columns
        if hasattr(column, "__len__")
    )


def _is_features(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_is_features, value))
    return _has_names(value) or _is_column(value)


def _has_names(value: Any) -> bool:
    return isinstance(value, Mapping) or is_frame(value)


def _is_column(value: Any) -> bool:
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return True
    library = type(value).__module__.partition(".")[0]
    return library in ("pandas", "pyarrow") and hasattr(value, "__len__") and not is_frame(value)


def _as_batch(element: Any) -> Batch:
    # A DataLoader makes lists of what were tuples.
    if _is_batch(element):
        features, labels = (*element, None)[:2]
    elif _has_names(element) or _is_column(element):
        features, labels = element, None
    else:
        raise TypeError(_not_a_batch(element))
    features = _with_names(features)
    _refuse_single_rows(features)
    return Batch(features, _labels(labels))


def _with_names(value: Any) -> Any:
    """Features, or a part of them, with dicts for frames and tuples for lists of columns."""
    if type(value) is dict:
        return value  # as most are
    if is_frame(value):
        return columns_of(value)
    if isinstance(value, (tuple, list)) and _is_features(value):
        return tuple(map(_with_names, value))
    return value


def _labels(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_labels, value)) if _is_features(value) else list(value)
    return labels_of(value)


def _not_a_batch(element: Any) -> str:
    shown = _shown(element) if isinstance(element, (tuple, list)) else f"{element!r:.60}"
    return (
        f"The input gave {shown}, and a batch must be (features, labels) or features, with features a dict of "
        "columns, one tensor or a tuple of these; weights are features, too; if these are single rows, call "
        ".batch(...)."
    )


def _shown(parts: Sequence[Any]) -> str:
    kinds = ", ".join(type(part).__name__ for part in parts[:10])
    more = ", …" if len(parts) > 10 else ""
    return f"a {type(parts).__name__} of {len(parts)} ({kinds}{more})"


def _refuse_single_rows(features: Any, name: str = "features") -> None:
    if isinstance(features, tuple):
        for number, part in enumerate(features):
            _refuse_single_rows(part, f"{name}[{number}]")
        return
    columns = features if isinstance(features, Mapping) else {name: features}
    for key, column in columns.items():
        if type(column) is np.ndarray and column.ndim:
            continue  # as most are
        single = isinstance(column, (str, bytes, int, float, np.generic))
        if single or (isinstance(column, (torch.Tensor, np.ndarray)) and column.ndim == 0):
            raise ValueError(
                f"The input gives single rows, not batches: the feature {key!r} is {column!r}; call .batch(...) on "
                f"the dataset, or give arrays with one value per row{arrays.comparison_hint(column)}."
            )


def _not_callable(input_fn: Any) -> str:
    kind = type(input_fn).__name__
    if isinstance(input_fn, Iterator):
        return (
            f"input_fn is a {kind} object, which can be read only once, and a function that makes one is "
            "needed; give the generator function without calling it, or lambda: make_batches()."
        )
    return f"input_fn is a {kind}, and must be a function; give lambda: … that returns {_EXPECTED}."


def _arguments(input_fn: Callable[..., Any], offered: dict[str, Any]) -> dict[str, Any]:
    try:
        parameters = inspect.signature(input_fn).parameters
    except ValueError:  # some built-in functions have no signature
        return {}
    bound = input_fn.keywords if isinstance(input_fn, functools.partial) else {}
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    taken = {
        name
        for name in offered
        if takes_all or (name in parameters and parameters[name].kind in by_name)
    }
    others = [
        name
        for name, parameter in parameters.items()
        if name not in offered
        and parameter.default is inspect.Parameter.empty
        and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    if others:
        raise TypeError(
            f"{_named(input_fn)} needs the argument {others[0]!r}, and an input_fn is given only mode, params, "
            "config and input_context; bind it with functools.partial or a lambda."
        )
    return {name: value for name, value in offered.items() if name in taken and name not in bound}


def _named(input_fn: Any) -> str:
    name = getattr(input_fn, "__name__", None)
    return "input_fn" if name in (None, "<lambda>", "input_fn") else f"input_fn {name!r}"


def _refuse_second_use(input_fn: Any, source: Iterator[Any]) -> None:
    known = _returned.get(id(source)) is source
    with contextlib.suppress(TypeError):  # an input_fn that cannot be hashed
        known = known or _last_returned.get(input_fn) is source
    if known:
        raise ValueError(
            f"{_named(input_fn)} returned the same {type(source).__name__} object again, which was read already; "
            "make a new one in each call."
        )
    try:
        _returned[id(source)] = source
    except TypeError:
        with contextlib.suppress(TypeError):
            _last_returned[input_fn] = source
