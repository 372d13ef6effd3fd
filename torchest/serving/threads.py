"""Conversion of large requests in a separate thread, so that they do not delay small ones."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_LARGE = 1 << 16  # bytes; converting fewer takes about as long as switching threads
_thread = ThreadPoolExecutor(1, "large requests")  # a second one would share the GIL with it


async def converted(size: int, function: Callable[..., T], *arguments: object) -> T:
    """Returns the result of a function. It runs in another thread if it converts many bytes."""
    if size < _LARGE:
        return function(*arguments)
    return await asyncio.get_running_loop().run_in_executor(_thread, function, *arguments)
