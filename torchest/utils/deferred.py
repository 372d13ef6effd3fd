"""Dicts that are computed when somebody reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Deferred(MutableMapping[str, Any]):
    """Values by name that are computed on first access, since many steps do not need them.

    Args:
        make: Computes all of them.

    >>> predictions = Deferred(lambda: print("made") or {"logits": 1})
    >>> predictions["logits"]
    made
    1
    >>> list(predictions)
    ['logits']
    """

    def __init__(self, make: Callable[[], Mapping[str, object]]) -> None:
        self._make: Callable[[], Mapping[str, object]] | None = make
        self._made: dict[str, object] = {}

    def _values(self) -> dict[str, object]:
        if self._make is not None:
            self._made, self._make = dict(self._make()), None
        return self._made

    def __getitem__(self, name: str) -> Any:
        return self._values()[name]

    def __or__(self, other: Mapping[str, object]) -> dict[str, Any]:
        return {**self, **other}

    def __ror__(self, other: Mapping[str, object]) -> dict[str, Any]:
        return {**other, **self}

    def __reduce__(self) -> tuple[object, ...]:
        return dict, (dict(self),)

    def __setitem__(self, name: str, value: object) -> None:
        self._values()[name] = value

    def __delitem__(self, name: str) -> None:
        del self._values()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def __repr__(self) -> str:
        return repr(self._values())
