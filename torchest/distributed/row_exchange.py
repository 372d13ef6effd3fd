"""Gathers the row gradients of all tables, in one message of bytes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torchest.distributed.gathering import Gathering, joined
from torchest.optimizers.row_gradients import RowGradient, is_on_host

if TYPE_CHECKING:
    from collections.abc import Sequence

_ABSENT = -1  # in place of the number of rows, for a table without look-ups
_ROW_NUMBER = 8  # bytes


class RowExchange:
    """Gathers whole numbers, and rows of some of the tables, from all processes.

    On the CPU everything travels in one message. Elsewhere, numbers travel over the host and rows from the device, so
    that no process waits for its device.

    Args:
        tables: All tables, in the same order in every process.
    """

    def __init__(self, tables: Sequence[Tensor]) -> None:
        self._tables = tables
        # the widest numbers come first, so that all parts of a message are aligned
        self._by_width = sorted(range(len(tables)), key=lambda place: -tables[place].element_size())
        self._is_on_host = all(map(is_on_host, tables))
        self._gather = Gathering()

    def __call__(
        self, numbers: Sequence[int], rows: Sequence[RowGradient | None]
    ) -> tuple[list[list[int]], list[list[RowGradient]]]:
        """Gathers.

        Args:
            numbers: Whole numbers of this process.
            rows: The rows of this process, for each table.

        Returns:
            The numbers by rank, and the rows by table and rank. A table that no process has looked up has no rows; in
            another, a process without look-ups has rows of length 0, or none.
        """
        lengths = [_ABSENT if own is None else len(own.rows) for own in rows]
        head = torch.tensor([*numbers, *lengths], dtype=torch.int64)
        body = self._bytes(rows)
        on_host = [_bytes(head), *(body if self._is_on_host else ())]
        readers = list(map(_Reader, self._gather(torch.cat(on_host))))
        heads = [reader.next((len(head),), torch.int64).tolist() for reader in readers]
        lengths_of_all = [each[len(numbers) :] for each in heads]
        if not self._is_on_host:
            nothing = torch.empty(0, dtype=torch.uint8, device=self._tables[0].device)
            sizes = list(map(self._size, lengths_of_all))
            readers = list(map(_Reader, joined(torch.cat([nothing, *body]), sizes)))
        received: list[list[RowGradient]] = [[] for _ in rows]
        for reader, of_rank in zip(readers, lengths_of_all, strict=True):
            for place, part in self._read(reader, of_rank).items():
                received[place].append(part)
        return [each[: len(numbers)] for each in heads], received

    def _bytes(self, rows: Sequence[RowGradient | None]) -> list[Tensor]:
        values = [rows[place] for place in self._by_width]
        return [
            *(_bytes(each.rows) for each in rows if each is not None),
            *(_bytes(each.values) for each in values if each is not None),
        ]

    def _size(self, lengths: Sequence[int]) -> int:
        """The bytes of the rows of one process."""
        pairs = zip(self._tables, lengths, strict=True)
        return sum(
            length * (_ROW_NUMBER + math.prod(table.shape[1:]) * table.element_size())
            for table, length in pairs
            if length > 0
        )

    def _read(self, reader: _Reader, lengths: Sequence[int]) -> dict[int, RowGradient]:
        there = [place for place, length in enumerate(lengths) if length != _ABSENT]
        rows = {place: reader.next((lengths[place],), torch.int64) for place in there}
        parts: dict[int, RowGradient] = {}
        for place in self._by_width:
            if place in rows:
                table = self._tables[place]
                values = reader.next((lengths[place], *table.shape[1:]), table.dtype)
                parts[place] = RowGradient(rows[place], values)
        return parts


class _Reader:
    """Takes tensors out of a message of bytes, one after the other."""

    def __init__(self, message: Tensor) -> None:
        self._message = message
        self._at = 0

    def next(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        start = self._at
        self._at += math.prod(shape) * dtype.itemsize
        return self._message[start : self._at].view(dtype).view(shape)


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(-1).view(torch.uint8)
