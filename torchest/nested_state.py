"""A state_dict apart in its tensors, for a file of tensors, and all else, for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from torchest.errors import with_article

if TYPE_CHECKING:
    from collections.abc import Iterable

_TENSOR = {"tensor": True}


def tensors_in(state: Any, path: str) -> dict[str, Tensor]:
    """The tensors of nested dicts, lists and tuples by their place, such as `path.key.0`."""
    if isinstance(state, Tensor):
        return {path: state}
    if isinstance(state, Mapping):
        items: Iterable[tuple[Any, Any]] = state.items()
    elif isinstance(state, (list, tuple)):
        items = enumerate(state)
    else:
        return {}
    return {
        name: leaf
        for key, value in items
        for name, leaf in tensors_in(value, f"{path}.{key}").items()
    }


def without_tensors(state: Any, path: str) -> Any:
    """The same as JSON values, a mark in the place of each tensor.

    Args:
        state: Nested dicts, lists and tuples.
        path: Where it stands, for the error.

    Raises:
        TypeError: There is something else than tensors, numbers, strings, lists, tuples and dicts.
    """
    if isinstance(state, Tensor):
        return _TENSOR
    if isinstance(state, Mapping):
        items = state.items()
        return {"mapping": [[key, without_tensors(v, f"{path}.{key}")] for key, v in items]}
    if isinstance(state, (list, tuple)):
        kind = "tuple" if isinstance(state, tuple) else "list"
        return {kind: [without_tensors(v, f"{path}.{i}") for i, v in enumerate(state)]}
    if isinstance(state, np.generic):
        return state.item()
    if state is None or isinstance(state, (bool, int, float, str)):
        return state
    raise TypeError(
        f"A state_dict holds {with_article(type(state).__name__)} at {path!r}, which a checkpoint cannot keep: use "
        "tensors, numbers, strings, lists and dicts."
    )


def with_tensors(state: Any, path: str, tensors: Mapping[str, Tensor]) -> Any:
    """What the other two functions took apart, each tensor a copy.

    Args:
        state: From `without_tensors`.
        path: As given to `tensors_in`.
        tensors: What that gave.
    """
    if state == _TENSOR:
        return tensors[path].clone()
    if not isinstance(state, dict):
        return state
    ((kind, inner),) = state.items()
    if kind == "mapping":
        return {key: with_tensors(value, f"{path}.{key}", tensors) for key, value in inner}
    items = [with_tensors(value, f"{path}.{at}", tensors) for at, value in enumerate(inner)]
    return tuple(items) if kind == "tuple" else items
