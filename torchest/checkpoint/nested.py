"""Splits a state_dict into its tensors, for a file of tensors, and everything else, for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from torchest.errors import with_article

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TENSOR = {"tensor": True}


def tensors_in(state: object, path: str) -> dict[str, Tensor]:
    """The tensors of nested dicts, lists and tuples by name, such as `path.key.0`.

    Raises:
        ValueError: Two of them have the same name.
        TypeError: One is sparse, or a dict has a key that a checkpoint cannot keep.
    """
    tensors: dict[str, Tensor] = {}
    for name, tensor in _leaves(state, path):
        if name in tensors:
            raise ValueError(
                f"A state_dict holds two tensors at {name!r}: name them by strings without dots."
            )
        tensors[name] = tensor
    return tensors


def _leaves(state: object, path: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(state, Tensor):
        if state.layout != torch.strided:
            raise TypeError(
                f"A state_dict holds a sparse tensor at {path!r}, which a checkpoint cannot keep: use its indices and "
                "its values."
            )
        yield path, state
    for key, value in _items(state, path):
        yield from _leaves(value, f"{path}.{key}")


def _items(state: object, path: str) -> Iterable[tuple[object, object]]:
    """The items of a dict, a list or a tuple; none for other values."""
    if isinstance(state, Mapping):
        return [(_key(key, path), value) for key, value in state.items()]
    return enumerate(state) if isinstance(state, (list, tuple)) else ()


def _key(key: object, path: str) -> object:
    """A key of a dict as it is restored: a NumPy number becomes a Python number."""
    if isinstance(key, str):
        return str(key)
    if isinstance(key, Tensor):
        raise TypeError(
            f"A state_dict has a tensor as a key of {path!r}: use strings and numbers as keys."
        )
    return with_tensors(without_tensors(key, f"{path}.<key>"), path, {})


def without_tensors(state: object, path: str) -> object:
    """Converts a state to JSON values, with a placeholder for each tensor.

    Args:
        state: Nested dicts, lists and tuples.
        path: Its name, for errors.

    Raises:
        TypeError: There is something other than tensors, numbers, strings, lists, tuples and dicts.
    """
    if isinstance(state, Tensor):
        return _TENSOR
    if isinstance(state, Mapping):
        return {
            "mapping": [
                [without_tensors(key, path), without_tensors(value, f"{path}.{key}")]
                for key, value in _items(state, path)
            ]
        }
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


def with_tensors(state: object, path: str, tensors: Mapping[str, Tensor]) -> Any:
    """Joins what the other two functions split, with copies of the tensors.

    Args:
        state: From `without_tensors`.
        path: As for `tensors_in`.
        tensors: From `tensors_in`.
    """
    if state == _TENSOR:
        return tensors[path].clone()
    if not isinstance(state, dict):
        return state
    ((kind, inner),) = state.items()
    if kind == "mapping":
        keys = [with_tensors(key, path, tensors) for key, _ in inner]
        return {
            key: with_tensors(value, f"{path}.{key}", tensors)
            for key, (_, value) in zip(keys, inner, strict=True)
        }
    items = [with_tensors(value, f"{path}.{at}", tensors) for at, value in enumerate(inner)]
    return tuple(items) if kind == "tuple" else items
