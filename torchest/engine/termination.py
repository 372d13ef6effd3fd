"""SIGTERM during training: the step that runs is finished and saved, then the process ends as it would have."""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("torchest")


class Termination:
    """Turns a SIGTERM into a wish to stop, as long as it is entered; a second one is not held up.

    Only the main thread of a process can do so, and only if the process does not ignore the signal.

    Args:
        on_request: Called when the signal comes, between two steps of the interpreter, in the main thread.

    Attributes:
        requested: Whether it came.
    """

    def __init__(self, on_request: Callable[[], None]) -> None:
        self._on_request = on_request
        self._previous: Any = None
        self.requested = False

    def __enter__(self) -> Termination:
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
            # None is a handler that was not set from Python, which cannot be set again
            self._previous = signal.signal(signal.SIGTERM, self._handle) or signal.SIG_DFL
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()

    def end_process(self) -> None:
        """Lets the signal do what it would have done when it came."""
        self._give_back()
        signal.raise_signal(signal.SIGTERM)
        raise SystemExit(128 + signal.SIGTERM)  # whoever handled it let the program go on

    def _handle(self, *_: object) -> None:
        if self.requested:
            self.end_process()
        self.requested = True
        self._on_request()

    def _give_back(self) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)
            self._previous = None
