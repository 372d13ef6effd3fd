"""The form of JSON values that somebody else may have written, looked at before anything is made of them.

>>> form = {"name": str, "shape": shape, "kind": {"a", "b"}}
>>> check_form({"name": "age", "shape": [None, 1], "kind": "a"}, form)
>>> check_form({"name": "age", "shape": [None, "1"], "kind": "a"}, form)
Traceback (most recent call last):
ValueError: shape is [None, '1']
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_LARGEST = 2**31  # elements of a dimension


def shape(value: Any) -> bool:
    """Whether a value is the shape of a batch: None for the rows, and for each size that may be any."""
    return isinstance(value, list) and value[:1] == [None] and all(map(_is_size, value))


def text_or_none(value: Any) -> bool:
    """Whether a value is a text or None."""
    return value is None or isinstance(value, str)


def check_form(value: Any, form: Any, place: str = "") -> None:
    """Looks whether a value has a form.

    Args:
        value: Parsed JSON.
        form: A class, for its instances; a set, for its elements; a function, for what it is true of; a list of one
            form, for lists of such; a dict, for dicts with these keys at least, or, if its key is `str`, for dicts
            whose values all are of one form.
        place: Where the value stands.

    Raises:
        ValueError: It has not; where, and what is there.
    """
    if isinstance(form, dict):
        _check(isinstance(value, dict), value, place)
        for key, inner in form.items():
            if key is str:
                for name, each in value.items():
                    check_form(each, inner, f"{place}[{name!r:.80}]")
            elif key not in value:
                raise ValueError(f"{place or 'it'} lacks {key!r}")
            else:
                check_form(value[key], inner, f"{place}.{key}".lstrip("."))
    elif isinstance(form, list):
        _check(isinstance(value, list), value, place)
        for number, each in enumerate(value):
            check_form(each, form[0], f"{place}[{number}]")
    else:
        _check(_fits(value, form), value, place)


def _is_size(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value < _LARGEST)


def _fits(value: Any, form: type | set[str] | Callable[[Any], bool]) -> bool:
    if isinstance(form, type):
        return isinstance(value, form)
    if isinstance(form, set):
        return isinstance(value, str) and value in form
    return form(value)


def _check(fits: bool, value: Any, place: str) -> None:
    if not fits:
        raise ValueError(f"{place or 'it'} is {value!r:.80}")
