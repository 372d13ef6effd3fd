"""A cache of one model, so that the next evaluation or prediction need not read its checkpoint again."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from torchest.checkpoint.directory import Checkpoint, latest_checkpoint, newest_whole_checkpoint
from torchest.utils import files

if TYPE_CHECKING:
    from collections.abc import Callable

    from torchest.engine.model import RunningModel


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
            newest = latest_checkpoint(self._model_dir) if checkpoint_path is None else None
            path = newest if checkpoint_path is None else files.normal(checkpoint_path)
            key = (path, *_identity(path))
            if self._kept is not None and key == self._key:
                return (*self._kept, False)
            if checkpoint_path is None:
                checkpoint = newest_whole_checkpoint(self._model_dir)
            else:
                checkpoint = Checkpoint(checkpoint_path).check()
            self._key, self._kept = key, (self._make(), checkpoint)
            return (*self._kept, True)


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
