"""How the functions of this package are compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compiles a function of arrays and numbers when it is first called.

    It runs without the interpreter's lock, beside other threads. Arithmetic is that of numpy, in the order of the
    source, so that results have the same bits on every machine; a division by 0 is none that raises.
    """
    compiled: Any
    try:
        compiled = numba.njit(function, cache=True, nogil=True, error_model="numpy")
    except RuntimeError:  # there is no directory to keep it in
        compiled = numba.njit(function, nogil=True, error_model="numpy")
    return cast("Function", compiled)
