"""Large requests are converted in a thread of their own, so that they hold up no small ones."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_LARGE = 1 << 16  # bytes; what is smaller takes about as long as the change of threads
_thread = ThreadPoolExecutor(1, "large requests")  # one, as they share the interpreter


async def converted(size: int, function: Callable[..., T], *arguments: object) -> T:
    """What a function returns; in another thread if `size`, the bytes that it converts, is large."""
    if size < _LARGE:
        return function(*arguments)
    return await asyncio.get_running_loop().run_in_executor(_thread, function, *arguments)
