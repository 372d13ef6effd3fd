"""Values of several tensors move to a device together."""

from __future__ import annotations

import torch

from torchest.columns.ids import Ids, PaddedIds, Time
from torchest.columns.steps import IdSteps, PaddedSteps, Steps
from torchest.utils.host_copies import on_host

ELSEWHERE = torch.device("meta")
ONES = torch.ones(2, dtype=torch.int64)


def test_all_tensors_move_and_other_values_stay():
    time = Time(3, is_fixed=True)
    moved = Ids(ONES, ONES, ONES, time).to(ELSEWHERE)
    assert {tensor.device for tensor in (moved.values, moved.offsets, moved.weights)} == {ELSEWHERE}
    assert moved.time is time
    assert moved.device == ELSEWHERE


def test_what_is_missing_stays_missing():
    moved = Ids(ONES).to("meta")
    assert (moved.offsets, moved.weights) == (None, None)


def test_a_group_inside_a_group_moves_with_it():
    moved = IdSteps(Ids(ONES), ONES, Time(3, is_fixed=True)).to(ELSEWHERE)
    assert moved.ids.device == moved.offsets.device == moved.device == ELSEWHERE


def test_lengths_of_padded_values_are_known_on_the_host():
    padded = PaddedIds(ONES, None, ONES).to(ELSEWHERE), PaddedSteps(ONES, ONES).to(ELSEWHERE)
    assert all(on_host(values.lengths) is ONES for values in padded)
    assert on_host(Steps(ONES, ONES).to(ELSEWHERE).offsets).device == ELSEWHERE
