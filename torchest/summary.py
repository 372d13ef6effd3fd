"""Event files that TensorBoard reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping


class SummaryWriter:
    """Writes event files into a directory; the first value opens the file.

    Args:
        directory: Where to; made if it is not there.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        from torch.utils.tensorboard import SummaryWriter as EventWriter

        self._writer = EventWriter(str(directory))

    def scalars(self, values: Mapping[str, float], global_step: int) -> None:
        """Writes one number for each tag."""
        for tag, value in values.items():
            self._writer.add_scalar(tag, value, global_step)

    def text(self, tag: str, value: str, global_step: int) -> None:
        """Writes a text."""
        self._writer.add_text(tag, value, global_step)

    def close(self) -> None:
        """Writes what is buffered and closes the file."""
        self._writer.close()
