"""A cache of one model, so that the next evaluation or prediction need not read its checkpoint again."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from torchest.checkpoint.directory import Checkpoint, latest_checkpoint, newest_whole_checkpoint
from torchest.utils import files

if TYPE_CHECKING:
    from collections.abc import Callable

    from torchest.engine.model import RunningModel

_TICK = 2_000_000_000  # nanoseconds, of the coarsest file systems


class ModelCache:
    """Keeps the model that was requested last.

    Args:
        model_dir: The directory that is searched for the newest checkpoint.
        make: Makes a model that is not restored yet.
    """

    def __init__(self, model_dir: str, make: Callable[[], RunningModel]) -> None:
        self._model_dir = model_dir
        self._make = make
        self._key: tuple[object, ...] = ()
        self._kept: tuple[RunningModel, Checkpoint | None] | None = None
        self._lock = threading.Lock()
        self._newest: str | None = None
        self._state: tuple[int, ...] | None = (
            None  # of the directory before it was searched for `_newest`
        )

    def get(
        self, checkpoint_path: str | os.PathLike[str] | None
    ) -> tuple[RunningModel, Checkpoint | None, bool]:
        """The model for a checkpoint.

        Args:
            checkpoint_path: The path of the checkpoint. None: the newest undamaged one.

        Returns:
            The model; the checkpoint to restore it from, if there is one; whether the model is new.

        Raises:
            ValueError: There is no such checkpoint, or it is damaged.
        """
        with self._lock:
            path = files.normal(checkpoint_path) if checkpoint_path is not None else self._latest()
            key = (path, *_identity(path))
            if self._kept is not None and key == self._key:
                return (*self._kept, False)
            if checkpoint_path is None:
                checkpoint = newest_whole_checkpoint(self._model_dir)
            else:
                checkpoint = Checkpoint(checkpoint_path).check()
            self._key, self._kept = key, (self._make(), checkpoint)
            return (*self._kept, True)

    def _latest(self) -> str | None:
        """The path of the newest checkpoint; reads the directory only if it may have changed."""
        state = _state_of(self._model_dir)
        if state is None or state != self._state:
            self._newest = latest_checkpoint(self._model_dir)
            self._state = state
        return self._newest


def _state_of(directory: str) -> tuple[int, ...] | None:
    """A value that changes with the checkpoints in a directory; None if that cannot be told.

    It may have changed twice in one tick of the clock of its file system, so that a recent change does not count.
    Programs that copy directories set the time of modification back, but not that of the change.
    """
    try:
        both = [os.stat(directory), os.stat(os.path.join(directory, "checkpoint"))]
    except (OSError, ValueError):  # there is none yet, or it is not on this machine
        return None
    times = [of_file for each in both for of_file in (each.st_mtime_ns, each.st_ctime_ns)]
    if time.time_ns() - max(times) < _TICK:
        return None
    return (*times, *(each.st_ino for each in both))


def _identity(path: str | None) -> tuple[object, ...]:
    """A value that distinguishes checkpoints written under the same name."""
    if path is None:
        return ()
    if files.is_remote(path):
        return (files.read_text(files.join(path, "checksums.json")),)
    if not os.path.exists(path):
        return ()
    status = os.stat(path)
    return status.st_ino, status.st_mtime_ns
