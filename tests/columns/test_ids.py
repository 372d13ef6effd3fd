from __future__ import annotations

import torch

from torchest.columns.ids import Ids


def test_padding_is_left_out_with_its_weights() -> None:
    ids = Ids.from_padded(
        torch.tensor([[3, -1, 4], [-1, -1, -1], [5, 1, -2]], dtype=torch.int32),
        torch.tensor([[0.5, 9.0, 1.5], [9.0, 9.0, 9.0], [2.0, 3.0, 9.0]], dtype=torch.float64),
    )
    assert ids.values.dtype == torch.int64
    assert ids.values.tolist() == [3, 4, 5, 1]
    assert ids.offsets is not None
    assert ids.offsets.tolist() == [0, 2, 2, 4]
    assert ids.weights is not None
    assert ids.weights.dtype == torch.float32
    assert ids.weights.tolist() == [0.5, 1.5, 2.0, 3.0]
    assert ids.batch_size == 3


def test_rows_of_ids_with_offsets_start_at_zero_again() -> None:
    ids = Ids(torch.arange(6), torch.tensor([0, 1, 1, 4, 6]), torch.arange(6) * 0.5)
    part = ids.rows(1, 4)
    assert part.values.tolist() == [1, 2, 3, 4, 5]
    assert part.offsets is not None
    assert part.offsets.tolist() == [0, 0, 3, 5]
    assert part.weights is not None
    assert part.weights.tolist() == [0.5, 1.0, 1.5, 2.0, 2.5]
    assert part.batch_size == 3


def test_rows_of_one_id_each() -> None:
    part = Ids(torch.tensor([4, -1, 2])).rows(1, 3)
    assert part.values.tolist() == [-1, 2]
    assert part.offsets is None
    assert part.batch_size == 2


def test_no_rows() -> None:
    assert Ids.from_padded(torch.empty(0, 3, dtype=torch.int64)).batch_size == 0
    assert Ids(torch.arange(6), torch.tensor([0, 2, 6])).rows(1, 1).batch_size == 0


def test_all_parts_move_to_the_device() -> None:
    ids = Ids(torch.arange(2), torch.tensor([0, 2]), torch.ones(2)).to("meta")
    assert ids.offsets is not None
    assert ids.weights is not None
    assert {part.device.type for part in (ids.values, ids.offsets, ids.weights)} == {"meta"}
