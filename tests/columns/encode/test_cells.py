from __future__ import annotations

import numpy as np

from torchest.columns.encode.cells import MISSING, Cells


def test_one_value_a_row_keeps_its_place_without_an_id() -> None:
    ids = Cells(np.array([3, -1, MISSING, 0])).ids(np.float32([1, 2, 3, 4]))
    assert ids.offsets is None
    assert ids.values.tolist() == [3, -1, -1, 0]
    assert ids.weights is not None
    assert ids.weights.tolist() == [1, 2, 3, 4]


def test_several_values_a_row_lose_those_without_an_id() -> None:
    cells = Cells(np.array([3, -1, MISSING, 0, 5]), np.array([0, 2, 3, 3, 5]))
    ids = cells.ids(np.float32([1, 2, 3, 4, 5]))
    assert ids.values.tolist() == [3, 0, 5]
    assert ids.offsets is not None
    assert ids.offsets.tolist() == [0, 1, 1, 1, 3]
    assert ids.weights is not None
    assert ids.weights.tolist() == [1, 4, 5]


def test_marked_values_stay_in_their_rows() -> None:
    kept = Cells(np.array([7, 8, 9])).where(np.array([True, False, True]))
    assert kept.values.tolist() == [7, 9]
    assert kept.offsets is not None
    assert kept.offsets.tolist() == [0, 1, 1, 2]


def test_offsets_of_one_value_a_row() -> None:
    values, offsets = Cells(np.array([7, 8])).with_offsets()
    assert values.tolist() == [7, 8]
    assert offsets.tolist() == [0, 1, 2]
