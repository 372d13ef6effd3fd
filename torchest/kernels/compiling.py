"""How the functions of this package are compiled, and kept."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba
from numba.core.caching import FunctionCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compiles a function of arrays and numbers when it is first called.

    It runs without the interpreter's lock, beside other threads. Arithmetic is that of numpy, in the order of the
    source, so that results have the same bits on every machine; a division by 0 is none that raises.
    """
    compiled: Any = numba.njit(function, nogil=True, error_model="numpy")
    with contextlib.suppress(RuntimeError):  # there is no directory to keep it in
        compiled._cache = _Kept(function)  # type: ignore[no-untyped-call]
    return cast("Function", compiled)


class _Kept(FunctionCache):
    """What was compiled, on the disk: used by one process at a time, and never in the way.

    numba's own would mix up what two processes compile at once, and raise where the disk is full or a file damaged.
    """

    def load_overload(self, *signature_and_target: Any) -> Any:
        """What was compiled for a signature; None if it has to be compiled."""
        try:
            with self._alone():
                return super().load_overload(*signature_and_target)  # type: ignore[no-untyped-call]
        except Exception:  # damaged, by whatever it raises
            with contextlib.suppress(OSError):
                self.flush()  # type: ignore[no-untyped-call]
            return None

    def save_overload(self, *signature_and_code: Any) -> None:
        """Keeps what was compiled, if that can be done."""
        with contextlib.suppress(Exception), self._alone():
            super().save_overload(*signature_and_code)  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            import fcntl
        except ImportError:  # Windows, where numba writes files in a way that others see whole
            yield
            return
        descriptor = os.open(os.path.join(self.cache_path, "kernels.lock"), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
