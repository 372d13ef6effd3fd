"""Checks that all processes see the directory of a model, by a file that the chief writes for a moment."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from torchest.distributed.waiting import listed
from torchest.utils import files

if TYPE_CHECKING:
    from torchest.distributed.strategy import Strategy

_PATIENCE_SECS = 5.0  # for file systems that show a new file late


def check_is_shared(model_dir: str, strategy: Strategy) -> None:
    """Raises an error in all processes unless each of them sees what the chief writes.

    Args:
        model_dir: A directory, which exists for the chief.
        strategy: The processes.

    Raises:
        ValueError: Some process does not see the chief's file.
    """
    if strategy.world_size == 1:
        return
    path = files.join(model_dir, f"{files.TEMPORARY}shared-{uuid.uuid4().hex}")
    path = strategy.in_chief(lambda: _written(path))
    seen = strategy.gather(_is_seen(path))
    if strategy.is_chief:
        files.remove_file(path)
    blind = [rank for rank, sees in enumerate(seen) if not sees]
    if blind:
        raise ValueError(
            f"model_dir={model_dir!r} is not the same directory for all processes: {listed(blind)} cannot see what the "
            "chief writes there. Give one that all reach by the same path, such as one on NFS or an object store."
        )


def _written(path: str) -> str:
    files.write_text(path, "")
    return path


def _is_seen(path: str) -> bool:
    give_up = time.monotonic() + _PATIENCE_SECS
    while True:
        try:
            files.read_text(path)
        except OSError:
            if time.monotonic() > give_up:
                return False
        else:
            return True
        time.sleep(0.05)
