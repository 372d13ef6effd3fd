"""Checks of arguments. Each returns the value in its plain type, or raises one sentence that names argument and value.

All take the argument as the user wrote it, preceded by its owner if necessary ("Column 'age': shape"), and its value;
some take the end of the message, with a leading space, that names a way out. All raise ValueError.

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
from typing import Any, TypeGuard, TypeVar

import numpy as np

from torchest.errors import suggest

_BEYOND = 2**63  # what int64 does not hold
_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 80

Choice = TypeVar("Choice")


def shown(value: object) -> str:
    """The value for a message: its repr, shortened; never an error and never more than 100 characters."""
    try:
        text = _short.repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    text = " ".join(text.split())
    return text if len(text) <= 100 else f"{text[:97]}..."


def whole_number(
    argument: str,
    value: object,
    way_out: str = "",
    *,
    at_least: int | None = None,
    at_most: float | None = None,
) -> int:
    """An integer of Python or numpy, not a bool.

    Args:
        argument: The argument.
        value: Its value.
        way_out: The end of the message.
        at_least: The least value allowed.
        at_most: The greatest value allowed, which may be infinity; by default what int64 holds.

    >>> whole_number("units", np.int64(16), at_least=1)
    16
    """
    number = int(value) if isinstance(value, numbers.Integral) and not is_bool(value) else None
    if number is not None and at_most is None and not -_BEYOND <= number < _BEYOND:
        raise ValueError(f"{argument}={shown(value)} must fit into 64 bits.{way_out}")
    if number is None or not _is_within(number, at_least, at_most):
        bounds = _bounds(("at least", at_least), ("at most", at_most))
        of = f" of {bounds}" if bounds else ""
        raise ValueError(f"{argument}={shown(value)} must be a whole number{of}.{way_out}")
    return number


def step_count(argument: str, value: object, way_out: str = "", *, at_least: int = 1) -> int:
    """A whole number, which may be written as 1e6.

    >>> step_count("save_steps", 1e3)
    1000
    """
    if is_number(value) and not is_whole(value) and _as_float(value).is_integer():
        value = int(_as_float(value))
    return whole_number(argument, value, way_out, at_least=at_least)


def checked_count(argument: str, value: object) -> int | None:
    """None, or a whole number above 0, which may be written as 1e6."""
    return None if value is None else step_count(argument, value, " None sets no limit.")


def number(
    argument: str,
    value: object,
    way_out: str = "",
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
) -> float:
    """A finite number: not NaN, not infinite, not a bool.

    Args:
        argument: The argument.
        value: Its value.
        way_out: The end of the message.
        above: The bound that it must exceed.
        at_least: The least value allowed.
        at_most: The greatest value allowed.

    >>> number("clip_norm", 1, above=0)
    1.0
    """
    as_float = _as_float(value) if is_number(value) else math.nan
    is_above = above is None or as_float > above
    if not (math.isfinite(as_float) and is_above and _is_within(as_float, at_least, at_most)):
        bounds = _bounds(("above", above), ("at least", at_least), ("at most", at_most))
        of = f" {bounds}" if bounds else ""
        raise ValueError(f"{argument}={shown(value)} must be a finite number{of}.{way_out}")
    return as_float


def boolean(argument: str, value: object) -> bool:
    """True or False, of Python or numpy; not 1 or "False".

    >>> boolean("shuffle", np.True_)
    True
    """
    if not is_bool(value):
        raise ValueError(f"{argument}={shown(value)} must be True or False.")
    return bool(value)


def text(argument: str, value: object, way_out: str = "", *, empty: bool = False) -> str:
    """A string, which is not empty unless `empty` allows it."""
    if not isinstance(value, str) or not (value or empty):
        kind = "a string" if empty else "a string that is not empty"
        raise ValueError(f"{argument}={shown(value)} must be {kind}.{way_out}")
    return str(value)


def one_of(argument: str, value: object, choices: Iterable[Choice]) -> Choice:
    """One of several values of one type. The message suggests the nearest one."""
    allowed = list(choices)
    for choice in allowed:
        if type(value) is type(choice) and value == choice:
            return choice
    hint = suggest(value, allowed) if isinstance(value, str) else ""
    if hint:
        raise ValueError(f"{argument}={shown(value)} is not known.{hint}")
    raise ValueError(f"{argument}={shown(value)} must be {' or '.join(map(repr, allowed))}.")


def listed(argument: str, value: object, what: str) -> list[Any]:
    """The items of a list or another iterable; empty for None.

    Args:
        argument: The argument.
        value: Its value: not a single value, a string or a dict.
        what: A description of the items, for the message.
    """
    if value is None:
        return []
    if is_list(value):
        try:
            return list(value)
        except TypeError:  # a tensor of no dimension
            pass
    raise ValueError(f"{argument}={shown(value)} must be a list of {what}.")


def function(argument: str, value: object, what: str) -> Callable[..., Any]:
    """Something that can be called.

    Args:
        argument: The argument.
        value: Its value.
        what: A description of the function, for the message, such as "a function of features and labels".
    """
    if not callable(value):
        raise ValueError(f"{argument}={shown(value)} must be {what}.")
    return value


def path(argument: str, value: object) -> str:
    """A path as a string: a string, bytes or an `os.PathLike`, not empty and without NUL."""
    as_text = os.fsdecode(value) if isinstance(value, (str, bytes, os.PathLike)) else ""
    if not as_text or "\0" in as_text:
        raise ValueError(
            f"{argument}={shown(value)} must be a path, such as 'models/a' or pathlib.Path('models/a')."
        )
    return as_text


def left_out(argument: str, value: object, why: str) -> None:
    """Raises an error unless the value of an argument that has no meaning here is None.

    Args:
        argument: The argument.
        value: Its value.
        why: What makes it meaningless.
    """
    if value is not None:
        raise ValueError(f"{argument}={shown(value)} must be None: {why}. Leave it out.")


def checked_name(argument: str, value: object) -> str | None:
    """None, or a name that is safe as a part of a directory's name."""
    if value is None:
        return None
    name = text(argument, value, " None is allowed, too.", empty=True)
    if "\0" in name or "\\" in name or ".." in name.split("/"):
        raise ValueError(f"{argument}={shown(value)} must be a plain name, such as 'validation'.")
    return name


def is_list(value: object) -> TypeGuard[Iterable[Any]]:
    """Whether a value is a list or another iterable of items, such as a numpy vector, and not a table.

    >>> is_list((1, 2)), is_list("ab"), is_list(np.array(1)), is_list({"a": 1})
    (True, False, False, False)
    """
    is_single = isinstance(value, (str, bytes, bytearray, Mapping, type))
    return isinstance(value, Iterable) and not is_single and getattr(value, "ndim", 1) == 1


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is an integer of Python or NumPy, and not a bool."""
    return isinstance(value, numbers.Integral) and not is_bool(value)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a real number, including NaN and infinity, and not a bool."""
    return isinstance(value, numbers.Real) and not is_bool(value)


def is_bool(value: object) -> bool:
    """Whether a value is True or False, of Python or numpy."""
    return isinstance(value, (bool, np.bool_))


def _is_within(value: float, least: float | None, most: float | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def _bounds(*bounds: tuple[str, float | None]) -> str:
    """The bounds that there are, in words."""
    return " and ".join(
        f"{word} {bound}" for word, bound in bounds if bound not in (None, math.inf)
    )


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an int beyond floats
        return math.inf
