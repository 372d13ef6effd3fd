"""Nested dicts, lists and tuples: their leaves by name, and the same structure with other leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

_CONTAINERS = (Mapping, list, tuple)


def map_nested(
    function: Callable[[Any], Any], value: object, containers: tuple[type, ...] = _CONTAINERS
) -> Any:
    """The same structure with function(leaf) at each leaf.

    Args:
        function: Returns the new leaf for a leaf.
        value: The structure. Mappings become dicts; lists, tuples and named tuples keep their type.
        containers: The types of containers; values of all other types are leaves.

    >>> map_nested(len, {"a": ["x", "yy"], "b": "zzz"})
    {'a': [1, 2], 'b': 3}
    """
    if not isinstance(value, containers):
        return function(value)
    if isinstance(value, (dict, Mapping)):  # dict first: an abstract class takes longer
        return {key: map_nested(function, inner, containers) for key, inner in value.items()}
    sequence: Any = value
    kind = type(sequence)
    items = [map_nested(function, inner, containers) for inner in sequence]
    return kind(*items) if hasattr(value, "_fields") else kind(items)


def as_tuples(value: object) -> Any:
    """Nested lists as nested tuples, which can be compared and hashed."""
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value


def named_leaves(value: object, name: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a structure with their paths, such as `key.inner[0]`.

    >>> dict(named_leaves({"a": [1, {"b": 2}], "c": 3}))
    {'a[0]': 1, 'a[1].b': 2, 'c': 3}
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from named_leaves(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        for place, inner in enumerate(value):
            yield from named_leaves(inner, f"{name}[{place}]")
    else:
        yield name, value
