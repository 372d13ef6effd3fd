"""Handles SIGTERM during training: finishes and saves the running step, then ends the process by the signal."""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    _Handler = Callable[[int, FrameType | None], object] | int | None

_log = logging.getLogger("torchest")


class Termination:
    """A context that turns the first SIGTERM into a request to stop; a second one ends the process at once.

    It has an effect in the main thread only, and only if the process does not ignore the signal.

    Args:
        on_request: The signal handler.

    Attributes:
        requested: Whether the process received the signal.
    """

    def __init__(self, on_request: Callable[[], None]) -> None:
        self._on_request = on_request
        self._previous: _Handler = None
        self.requested = False

    def __enter__(self) -> Termination:
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
            # None is a handler that was not set from Python, which cannot be set again
            self._previous = signal.signal(signal.SIGTERM, self._handle) or signal.SIG_DFL
        return self

    def __exit__(self, *_: object) -> None:
        self._restore_handler()

    def end_process(self) -> None:
        """Restores the former handler, and raises the signal again."""
        self._restore_handler()
        signal.raise_signal(signal.SIGTERM)
        raise SystemExit(128 + signal.SIGTERM)  # the former handler let the program continue

    def _handle(self, *_: object) -> None:
        if self.requested:
            self.end_process()
        self.requested = True
        self._on_request()

    def _restore_handler(self) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)
            self._previous = None
