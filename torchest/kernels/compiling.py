"""Compiles the functions of this package, and caches them on the disk."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pathlib
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from torchest.collector import collector_paused

with collector_paused():
    import numba
    from numba.core.caching import FunctionCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Function = TypeVar("Function", bound=Callable[..., object])

_njit: Any = numba.njit  # some options are missing in its annotations
_OPTIONS = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}


def kernel(function: Function) -> Function:
    """Compiles a function of arrays and numbers at its first call.

    The function releases the GIL. Arithmetic is that of NumPy, in the order of the source, so that results have the
    same bits on every machine; a division by 0 does not raise.
    """
    compiled: Any = _njit(function, **_OPTIONS)
    with contextlib.suppress(RuntimeError):  # no directory is writable
        compiled._cache = _Kept(function)
    return cast("Function", compiled)


def part(function: Function) -> Function:
    """Compiles a function that only kernels call, in half the time: Python cannot call it, and it is not cached.

    What is cached of a kernel contains its parts.
    """
    return cast("Function", _njit(function, **_OPTIONS, no_cpython_wrapper=True))


@functools.cache
def _sources() -> str:
    """A hash of all files of kernels, and of NumPy's version, which says where fields of its structs are."""
    digest = hashlib.sha256(np.__version__.encode())
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _Kept(FunctionCache):
    """A cache on the disk that one process uses at a time, and that never raises.

    Numba's own cache mixes up functions that two processes compile at once, raises if the disk is full or a file is
    damaged, and keeps a function that calls one in another file which has changed.
    """

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        # A kernel contains those that it calls, and Numba looks only at its own file.
        self._cache_file._source_stamp = _sources()

    def load_overload(self, *signature_and_target: object) -> object:
        """Returns the compiled function of a signature, or None if it is not cached."""
        try:
            with self._alone():
                return super().load_overload(*signature_and_target)  # type: ignore[no-untyped-call]
        except Exception:  # whatever a damaged file raises
            with contextlib.suppress(OSError):
                self.flush()  # type: ignore[no-untyped-call]
            return None

    def save_overload(self, *signature_and_code: object) -> None:
        """Caches a compiled function, if possible."""
        with contextlib.suppress(Exception), self._alone():
            super().save_overload(*signature_and_code)  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            import fcntl
        except ImportError:  # Windows, where Numba's writes are atomic
            yield
            return
        descriptor = os.open(os.path.join(self.cache_path, "kernels.lock"), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
