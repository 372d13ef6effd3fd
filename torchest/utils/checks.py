"""Checks of arguments: each returns the value in its plain type, or raises one sentence that names argument and value.

>>> whole_number("n_classes", 1, at_least=2)
Traceback (most recent call last):
ValueError: n_classes=1 must be a whole number of at least 2.
"""

from __future__ import annotations

import math
import numbers
import os
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from torchest.errors import suggest

_BEYOND = 2**63  # what int64 does not hold
_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 80


def shown(value: Any) -> str:
    """The value for a message: its repr, shortened; never an error and never more than 100 characters."""
    try:
        text = _short.repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    text = " ".join(text.split())
    return text if len(text) <= 100 else f"{text[:97]}..."


def whole_number(
    argument: str,
    value: Any,
    way_out: str = "",
    *,
    at_least: int | None = None,
    at_most: int | None = None,
) -> int:
    """A whole number: an int or a numpy integer, not a bool.

    Args:
        argument: The argument as the user wrote it.
        value: Its value.
        way_out: Ends the message, with a leading space.
        at_least: The least value allowed.
        at_most: The greatest value allowed; None: what int64 holds.

    Raises:
        ValueError: It is something else, or out of bounds.

    >>> whole_number("units", 16, at_least=1)
    16
    """
    is_whole = isinstance(value, numbers.Integral) and not _is_bool(value)
    if is_whole and not -_BEYOND <= int(value) < _BEYOND and at_most is None:
        raise ValueError(f"{argument}={shown(value)} must fit into 64 bits.{way_out}")
    within = is_whole and (
        (at_least is None or int(value) >= at_least) and (at_most is None or int(value) <= at_most)
    )
    if not within:
        bounds = [
            f"{word} {bound}"
            for word, bound in (("at least", at_least), ("at most", at_most))
            if bound is not None
        ]
        bounded = f" of {' and '.join(bounds)}" if bounds else ""
        raise ValueError(f"{argument}={shown(value)} must be a whole number{bounded}.{way_out}")
    return int(value)


def step_count(argument: str, value: Any, *, at_least: int = 1) -> int:
    """A number of steps: a whole number, which may be written as 1e6.

    Args:
        argument: The argument as the user wrote it.
        value: Its value.
        at_least: The least value allowed.

    Raises:
        ValueError: It is something else.

    >>> step_count("save_steps", 1e3)
    1000
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return whole_number(argument, value, at_least=at_least)


def number(
    argument: str,
    value: Any,
    way_out: str = "",
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
) -> float:
    """A finite number: not NaN, not infinite, not a bool.

    Args:
        argument: The argument as the user wrote it.
        value: Its value.
        way_out: Ends the message, with a leading space.
        above: The bound that it must exceed.
        at_least: The least value allowed.
        at_most: The greatest value allowed.

    Raises:
        ValueError: It is something else, or out of bounds.

    >>> number("clip_norm", 1, above=0)
    1.0
    """
    as_float = _as_float(value) if is_number(value) else math.nan
    within = (
        math.isfinite(as_float)
        and (above is None or as_float > above)
        and (at_least is None or as_float >= at_least)
        and (at_most is None or as_float <= at_most)
    )
    if not within:
        bounds = [
            f"{word} {bound}"
            for word, bound in (("above", above), ("at least", at_least), ("at most", at_most))
            if bound is not None
        ]
        bounded = f" {' and '.join(bounds)}" if bounds else ""
        raise ValueError(f"{argument}={shown(value)} must be a finite number{bounded}.{way_out}")
    return as_float


def boolean(argument: str, value: Any) -> bool:
    """True or False, of Python or numpy.

    Raises:
        ValueError: It is something else, such as 1 or "False".

    >>> boolean("shuffle", np.True_)
    True
    """
    if not _is_bool(value):
        raise ValueError(f"{argument}={shown(value)} must be True or False.")
    return bool(value)


def text(argument: str, value: Any, way_out: str = "", *, empty: bool = False) -> str:
    """A string, which is not empty unless `empty` allows it.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(value, str) or not (value or empty):
        kind = "a string" if empty else "a string that is not empty"
        raise ValueError(f"{argument}={shown(value)} must be {kind}.{way_out}")
    return str(value)


def one_of(argument: str, value: Any, choices: Iterable[Any]) -> Any:
    """One of several values; the nearest is named for a misspelt one.

    Raises:
        ValueError: It is none of them.
    """
    allowed = list(choices)
    if any(type(value) is type(choice) and value == choice for choice in allowed):
        return value
    hint = suggest(value, allowed) if isinstance(value, str) else ""
    if hint:
        raise ValueError(f"{argument}={shown(value)} is not known.{hint}")
    raise ValueError(f"{argument}={shown(value)} must be {' or '.join(map(repr, allowed))}.")


def listed(argument: str, value: Any, what: str) -> list[Any]:
    """The items of a list or another iterable; none for None.

    Args:
        argument: The argument as the user wrote it.
        value: Its value.
        what: What the items are, for the message.

    Raises:
        ValueError: It is a single value, a string or a dict.
    """
    if value is None:
        return []
    if not is_list(value):
        raise ValueError(f"{argument}={shown(value)} must be a list of {what}.")
    try:
        return list(value)
    except TypeError:  # a tensor of no dimension
        raise ValueError(f"{argument}={shown(value)} must be a list of {what}.") from None


def function(argument: str, value: Any, what: str) -> Callable[..., Any]:
    """Something that can be called.

    Args:
        argument: The argument as the user wrote it.
        value: Its value.
        what: What it is to be, for the message, such as "a function of features and labels".

    Raises:
        ValueError: It cannot be called.
    """
    if not callable(value):
        raise ValueError(f"{argument}={shown(value)} must be {what}.")
    called: Callable[..., Any] = value
    return called


def path(argument: str, value: Any) -> str:
    """A path as a string: a string, bytes or an `os.PathLike`, not empty and without NUL.

    Raises:
        ValueError: It is something else.
    """
    as_text = os.fsdecode(value) if isinstance(value, (str, bytes, os.PathLike)) else ""
    if not as_text or "\0" in as_text:
        raise ValueError(
            f"{argument}={shown(value)} must be a path, such as 'models/a' or pathlib.Path('models/a')."
        )
    return as_text


def checked_name(argument: str, value: Any) -> str | None:
    """A name that becomes a part of a directory's, or None.

    Raises:
        ValueError: It is something else, or leads to another directory.

    >>> checked_name("name", "validation")
    'validation'
    """
    if value is None:
        return None
    name = text(argument, value, " None is allowed, too.", empty=True)
    if "\0" in name or "\\" in name or ".." in name.split("/"):
        raise ValueError(f"{argument}={shown(value)} must be a plain name, such as 'validation'.")
    return name


def checked_count(name: str, value: Any) -> int | None:
    """None, or a whole number above 0, which may be written as 1e6.

    Args:
        name: The argument as the user wrote it.
        value: Its value.

    Raises:
        ValueError: It is something else.

    >>> checked_count("steps", 1e3)
    1000
    """
    if value is None:
        return None
    if not is_number(value) or not _as_float(value).is_integer():
        raise ValueError(f"{name}={shown(value)} must be a whole number; None sets no limit.")
    count: Any = value  # numbers.Real cannot be made an int, to mypy
    if count <= 0:
        raise ValueError(f"{name}={shown(value)} must be above 0; None sets no limit.")
    if count >= _BEYOND:
        raise ValueError(f"{name}={shown(value)} must fit into 64 bits; None sets no limit.")
    return int(count)


def is_list(value: Any) -> bool:
    """Whether a value is a list or another iterable of items, such as a numpy vector, and not a table.

    >>> is_list((1, 2)), is_list("ab"), is_list(np.array(1)), is_list({"a": 1})
    (True, False, False, False)
    """
    is_single = isinstance(value, (str, bytes, bytearray, Mapping, type))
    return isinstance(value, Iterable) and not is_single and getattr(value, "ndim", 1) == 1


def is_number(value: Any) -> bool:
    """Whether a value is a real number, NaN and infinity included; a bool is none."""
    return isinstance(value, numbers.Real) and not _is_bool(value)


def _is_bool(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an int beyond floats
        return math.inf
