"""Notes that processes leave for each other in the store of their process group, besides their messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchest.utils.json_form import JSON

_PREFIX = "torchest/note"


class Notes:
    """The notes of all processes.

    Args:
        store: The store of the process group.
        rank: The number of this process.
        world_size: The number of processes.
    """

    def __init__(self, store: Any, rank: int, world_size: int) -> None:
        self._store = store
        self.rank = rank
        self.world_size = world_size

    @property
    def others(self) -> list[int]:
        """The other processes."""
        return [rank for rank in range(self.world_size) if rank != self.rank]

    def leave(self, name: str, note: JSON) -> None:
        """Leaves a note, in place of an older one of the name."""
        self._store.set(f"{_PREFIX}/{name}", json.dumps(note))

    def leave_first(self, name: str, note: JSON) -> JSON:
        """Leaves a note unless there is one of the name; returns the one that is there."""
        text = self._store.compare_set(f"{_PREFIX}/{name}", "", json.dumps(note))
        return json.loads(text)  # type: ignore[no-any-return]

    def read(self, name: str) -> JSON | None:
        """The note of a name, if there is one."""
        key = f"{_PREFIX}/{name}"
        return json.loads(self._store.get(key)) if self._store.check([key]) else None

    def read_all(self, names: Sequence[str]) -> list[JSON]:
        """Notes that are there."""
        return [json.loads(self._store.get(f"{_PREFIX}/{name}")) for name in names]

    def remove(self, name: str) -> None:
        """Removes a note, if there is one."""
        self._store.delete_key(f"{_PREFIX}/{name}")

    def are_there(self, names: Sequence[str]) -> bool:
        """Whether there are notes of all names."""
        return bool(self._store.check([f"{_PREFIX}/{name}" for name in names]))
