from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchest.checkpoint import old_rows
from torchest.checkpoint.old_rows import OldRows

ROWS = 23
CHANGES = st.lists(st.sets(st.integers(0, ROWS - 1), min_size=1), max_size=9)


@pytest.fixture(autouse=True, scope="module")
def _few_runs():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(old_rows, "_RUNS", 2)
        yield


@given(CHANGES, st.integers(1, 3), st.integers(1, 70), st.integers(0, ROWS - 1))
def test_pieces_are_what_a_tensor_was_at_the_beginning(changes, width, size, first):
    table, slot = torch.randn(ROWS, width), torch.randn(ROWS, dtype=torch.float64)
    before = {table: table.clone(), slot: slot.clone()}
    old = OldRows([table, slot])
    for whole in (table, slot):
        for tensor, expected in (
            (whole, before[whole]),
            (whole[first:], before[whole][first:]),
        ):
            read = b""
            for piece in old.pieces(tensor, size):
                read += bytes(piece)
                if changes:
                    rows = np.array(sorted(changes.pop()))
                    old.keep(rows)
                    table[rows] += 1
                    slot[rows] -= 1
            assert read == expected.numpy().tobytes()


@pytest.mark.parametrize(
    "other",
    [
        torch.zeros(4, 2),
        torch.zeros(0, 2),
        torch.arange(8.0).reshape(4, 2)[:, :1],
    ],
)
def test_other_tensors_are_not_of_the_table(other):
    assert not OldRows([torch.arange(8.0).reshape(4, 2)]).has(other)


def test_a_part_of_a_row_is_not_of_the_table():
    table = torch.arange(8.0).reshape(4, 2)
    old = OldRows([table])
    assert old.has(table)
    assert old.has(table[1:3])
    assert not old.has(table.reshape(-1)[1:3])
    assert not old.has(table.reshape(-1)[:3])
