"""Checks of the form of untrusted JSON values, before use.

>>> form = {"name": str, "shape": shape, "kind": {"a", "b"}, "step": optional(whole)}
>>> check_form({"name": "age", "shape": [None, 1], "kind": "a"}, form)
>>> check_form({"name": "age", "shape": [None, "1"], "kind": "a"}, form)
Traceback (most recent call last):
ValueError: shape is [None, '1']
>>> check_form({"name": "age", "shape": [None], "kind": "a", "step": -1}, form)
Traceback (most recent call last):
ValueError: step is -1 and not a whole number of at least 0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from torchest.utils.checks import is_whole, shown

Form = type | set[str] | Callable[[object], bool] | list[Any] | Mapping[Any, Any]

JSON: TypeAlias = dict[str, Any]  # an object of JSON

_LARGEST = 2**31  # elements of a dimension


class optional(NamedTuple):  # noqa: N801 - reads as a function
    """The form of a value whose key may be left out."""

    form: Form


def shape(value: object) -> bool:
    """Whether a value is the shape of a batch: None for the rows, and for each size that may be any."""
    return isinstance(value, list) and value[:1] == [None] and all(map(_is_size, value))


def text_or_none(value: object) -> bool:
    """Whether a value is a text or None."""
    return value is None or isinstance(value, str)


def object_or_none(value: object) -> bool:
    """Whether a value is a dict or None."""
    return value is None or isinstance(value, dict)


def whole(value: object) -> bool:
    """Whether a value is an integer of at least 0 that int64 holds."""
    return is_whole(value) and 0 <= value < 2**63


_KINDS: dict[object, str] = {
    dict: "an object in braces",
    list: "a list",
    str: "a string",
    text_or_none: "a string",
    object_or_none: "an object in braces",
    whole: "a whole number of at least 0",
}


def check_form(value: Any, form: Form, place: str = "") -> None:
    """Checks that a value has a form.

    Args:
        value: Parsed JSON.
        form: A class matches its instances, a set its elements, and a function the values for which it is true. A list
            of one form matches lists of such values. A dict matches dicts with at least these keys; if its key is
            `str`, dicts whose values all have one form.
        place: The path of the value, for the message.

    Raises:
        ValueError: It does not. The message names the path and the value.
    """
    if isinstance(form, Mapping):
        _check(value, dict, place)
        for key, inner in form.items():
            if key is str:
                for name, each in value.items():
                    _check(name, str, f"a key of {place or 'it'}")
                    check_form(each, inner, f"{place}[{name!r:.80}]")
                continue
            inner_place = f"{place}.{key}".lstrip(".")
            if key in value:
                check_form(
                    value[key], inner.form if isinstance(inner, optional) else inner, inner_place
                )
            elif not isinstance(inner, optional):
                raise ValueError(f"{place or 'it'} lacks {key!r}")
    elif isinstance(form, list):
        _check(value, list, place)
        for number, each in enumerate(value):
            check_form(each, form[0], f"{place}[{number}]")
    else:
        _check(value, form, place)


def _is_size(value: object) -> bool:
    return value is None or (type(value) is int and 0 <= value < _LARGEST)


def _check(value: object, form: type | set[str] | Callable[[object], bool], place: str) -> None:
    if isinstance(form, type):
        fits = isinstance(value, form)
    elif isinstance(form, set):
        fits = isinstance(value, str) and value in form
    else:
        fits = form(value)
    if not fits:
        is_named = not isinstance(form, set) and form in _KINDS
        expected = f" and not {_KINDS[form]}" if is_named else ""
        raise ValueError(f"{place or 'it'} is {shown(value)}{expected}")
