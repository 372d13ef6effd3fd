"""What became of a call: accepted, refused with a clear sentence, or something worse."""

from __future__ import annotations

import linecache
import os
import re
import traceback
import types
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

import torchest
from torchest.utils.checks import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PACKAGE = os.path.dirname(torchest.__file__) + os.sep
HERE = os.path.dirname(__file__) + os.sep
CLEAR = "clear"
ACCEPTED = "accepted"


def judged(error: Exception, wrong: Mapping[str, Any], aliases: Iterable[str]) -> str:
    """`CLEAR`, or what is unclear about an error.

    Args:
        error: What the call raised.
        wrong: The wrong values by argument; a message needs to name one of them.
        aliases: What else a message may call them, such as the name of a column.
    """
    message = str(error)
    if _is_of_python(error):
        return CLEAR if "argument" in message else f"Python's own words: {_told(error)}"
    if not _is_raised_by_torchest(error):
        return f"internal: {_told(error)}"
    names = [*wrong, *(name.replace("_", " ") for name in wrong), *aliases]
    if not any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message) for name in names):
        return f"does not name the argument: {_told(error)}"
    if not any(shows(message, value) for value in wrong.values()):
        return f"does not show the value: {_told(error)}"
    return CLEAR


def shows(message: str, value: Any) -> bool:
    """Whether a message shows a value: as it is written, shortened, or by its type, dtype or shape.

    >>> shows("units=1.5 must be a whole number.", 1.5), shows("units must be a whole number.", 1.5)
    (True, False)
    """
    return any(form and form in message for form in _forms(value))


def _forms(value: Any) -> Iterable[str]:
    yield shown(value).removesuffix("...")
    yield repr(value)[:20]
    yield str(value)[:20]
    yield type(value).__name__
    yield repr(str(value))[:20]  # as the command line gets it
    if isinstance(value, bytes):
        yield repr(value.decode())  # of a path
    if isinstance(value, type | types.FunctionType):
        yield value.__name__
    if value is None or _is_empty(value):
        yield from ("missing", "empty", "neither", "no ", "not there")
    if isinstance(value, tuple):
        yield shown(list(value))
    if isinstance(value, (bool, int, float, complex, np.generic, list, tuple, np.ndarray)):
        yield f"shape {_shape(value)}"
    if isinstance(value, (np.ndarray, torch.Tensor, pd.Series)):
        yield str(value.dtype).removeprefix("torch.")
        yield from (str(list(value.shape)), str(tuple(value.shape)))
    if isinstance(value, (list, tuple)) and len(value) == 0:
        yield "(0,)"
    for item in _items(value):
        yield from (shown(item), repr(item))


def _is_empty(value: Any) -> bool:
    try:
        return len(value) == 0
    except TypeError:
        return False


def _shape(value: Any) -> list[int]:
    try:
        return list(np.shape(value))
    except ValueError:  # of lists of differing lengths
        return [len(value)]


def _items(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple, set, dict, pd.Series, pd.DataFrame)):
        return list(value)
    if isinstance(value, (np.ndarray, torch.Tensor)) and value.ndim:
        return [*value, *value.tolist()]
    return []


def _is_of_python(error: Exception) -> bool:
    """Whether the arguments did not even fit the signature: raised where the call is made, not inside."""
    if not isinstance(error, TypeError):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    is_outside = all(frame.filename.startswith(HERE) for frame in frames)
    # a module's forward is called by torch, and a user's function by torchest
    return (
        is_outside
        or re.search(r"unexpected keyword|positional arguments? ", str(error)) is not None
    )


def _is_raised_by_torchest(error: Exception) -> bool:
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None or isinstance(error, AssertionError):
        return False
    name = last.tb_frame.f_code.co_filename
    line = linecache.getline(name, last.tb_lineno)
    return name.startswith((PACKAGE, HERE)) and "raise" in line


def _told(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(PACKAGE)]
    place = f" [{ours[-1].filename.removeprefix(PACKAGE)}:{ours[-1].lineno}]" if ours else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}{place}"
