"""What an input_fn may return, as one stream of batches.

>>> stream = batches(({"x": [1.0, 2.0]}, [0, 1]))     # one batch, again and again
>>> next(stream)
({'x': [1.0, 2.0]}, [0, 1])
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from torchest.inputs.dataset import Dataset
from torchest.inputs.structure import columns_of, is_frame

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


def batches(source: Any) -> Iterator[tuple[Any, Any]]:
    """The batches of what an input_fn returned, as (features, labels); labels are None if there are none.

    A tuple of features and labels, and features alone, are one batch, which is repeated for ever, unless it
    has no rows.
    A DataFrame becomes the dict of its columns. Nothing else is converted here.

    Raises:
        TypeError: The source, or one of its elements, is not understood.
        ValueError: The elements are single rows.
    """
    if is_one_batch(source):
        batch = _as_batch(source)
        return iter(()) if _has_no_rows(batch[0]) else _repeated(batch)
    if (
        isinstance(source, Mapping)
        or not isinstance(source, Iterable)
        or isinstance(source, (str, bytes))
    ):
        raise TypeError(
            f"input_fn returned an object of type {type(source).__name__}; return {_EXPECTED}."
        )
    return _each(source)


def check_end(source: Any, steps: str) -> None:
    """Refuses a source that is known never to end.

    Args:
        source: What an input_fn returned.
        steps: The argument that limits the number of batches, and does not, as the user wrote it.

    Raises:
        ValueError: It never ends.
    """
    if is_endless(source):
        what = "a Dataset that repeats" if isinstance(source, Dataset) else "one batch, repeated"
        raise ValueError(
            f"{steps}=None reads the input to its end, and it never ends: the input_fn gives {what} without end. "
            "Give a number of steps, or a Dataset that ends."
        )


def is_endless(source: Any) -> bool:
    """Whether the batches of the source are known never to end."""
    if isinstance(source, Dataset):
        return source.cardinality() == math.inf
    return is_one_batch(source)


def is_one_batch(source: Any) -> bool:
    """Whether the source is one batch, which is repeated."""
    if isinstance(source, tuple):
        return len(source) == 2 and _is_features(source[0])
    return _is_features(source)


def _result_of(input_fn: Any, offered: dict[str, Any]) -> Any:
    if not callable(input_fn):
        raise TypeError(_not_callable(input_fn))
    source = input_fn(**_arguments(input_fn, offered))
    if source is None:
        raise TypeError(f"{_named(input_fn)} returned None; return {_EXPECTED}.")
    return source


def _has_no_rows(features: Any) -> bool:
    columns = features.values() if isinstance(features, Mapping) else [features]
    return any(
        column.size(0) == 0 if isinstance(column, torch.Tensor) else len(column) == 0
        for column in columns
        if hasattr(column, "__len__")
    )


def _repeated(batch: tuple[Any, Any]) -> Iterator[tuple[Any, Any]]:
    while True:
        yield batch


def _each(source: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    for element in source:
        yield _as_batch(element)


def _is_features(value: Any) -> bool:
    return isinstance(value, Mapping) or is_frame(value) or _is_column(value)


def _is_column(value: Any) -> bool:
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return True
    library = type(value).__module__.partition(".")[0]
    return library in ("pandas", "pyarrow") and hasattr(value, "__len__") and not is_frame(value)


def _as_batch(element: Any) -> tuple[Any, Any]:
    # A DataLoader makes lists of what were tuples.
    if isinstance(element, (tuple, list)) and len(element) in (1, 2) and _is_features(element[0]):
        features, labels = (*element, None)[:2]
    elif _is_features(element):
        features, labels = element, None
    else:
        raise TypeError(_not_a_batch(element))
    if is_frame(features):
        features = columns_of(features)
    _refuse_single_rows(features)
    if is_frame(labels):
        labels = columns_of(labels)
    return features, labels


def _not_a_batch(element: Any) -> str:
    if isinstance(element, (tuple, list)):
        kinds = ", ".join(type(part).__name__ for part in element)
        shown = f"a {type(element).__name__} of {len(element)} ({kinds})"
    else:
        shown = f"{element!r:.60}"
    return (
        f"The input gave {shown}, and a batch must be (features, labels) or features, with features a dict of "
        "columns or one tensor; if these are single rows, call .batch(...)."
    )


def _refuse_single_rows(features: Any) -> None:
    columns = features if isinstance(features, Mapping) else {"features": features}
    for name, column in columns.items():
        if type(column) is np.ndarray and column.ndim:
            continue  # as most are
        single = isinstance(column, (str, bytes, int, float, np.generic))
        if single or (isinstance(column, (torch.Tensor, np.ndarray)) and column.ndim == 0):
            raise ValueError(
                f"The input gives single rows, not batches: the feature {name!r} is {column!r}; "
                "call .batch(...) on the dataset, or give arrays with one value per row."
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
