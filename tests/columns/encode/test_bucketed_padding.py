"""Lists of any length in matrices of few widths."""

from __future__ import annotations

import pytest
import torch

from torchest.columns.encode.bucketed_padding import with_bucketed_width
from torchest.columns.ids import Ids, PaddedIds, Time
from torchest.columns.steps import PaddedSteps, Steps


def offsets(*lengths: int) -> torch.Tensor:
    return torch.tensor([0, *lengths]).cumsum(0)


@pytest.mark.parametrize(
    ("longest", "width"), [(0, 8), (1, 8), (8, 8), (9, 16), (16, 16), (17, 32)]
)
def test_the_width_is_a_power_of_two_of_at_least_eight(longest, width):
    actual = with_bucketed_width(Ids(torch.arange(longest), offsets(0, longest)))
    assert isinstance(actual, PaddedIds)
    assert actual.values.tolist() == [
        [-1] * width,
        [*range(longest), *[-1] * (width - longest)],
    ]
    assert actual.lengths.tolist() == [0, longest]


def test_weights_are_padded_with_0():
    actual = with_bucketed_width(Ids(torch.tensor([4, 5]), offsets(2), torch.tensor([0.5, 2.0])))
    assert actual.weights.tolist() == [[0.5, 2.0, 0, 0, 0, 0, 0, 0]]


def test_steps_are_padded_to_the_same_width_as_ids():
    actual = with_bucketed_width(Steps(torch.ones(3, 2), offsets(1, 2)))
    assert isinstance(actual, PaddedSteps)
    assert actual.values.shape == (2, 8, 2)
    assert actual.padded(-1.0)[0].tolist() == [[1, 1], *[[-1, -1]] * 7]


@pytest.mark.parametrize("steps", [5, 9])
def test_sequences_of_a_matrix_keep_its_width(steps):
    time = Time(steps, is_fixed=True)
    ids = with_bucketed_width(Ids(torch.tensor([4, 5]), offsets(2), None, time))
    assert ids.values.tolist() == [[4, 5, *[-1] * (steps - 2)]]
    assert with_bucketed_width(Steps(torch.ones(3, 2), offsets(1, 2), time)).values.shape == (
        2,
        steps,
        2,
    )
    lists = Time(steps, is_fixed=False)
    width = 8 if steps < 8 else 16
    assert with_bucketed_width(Ids(torch.tensor([4]), offsets(1), None, lists)).values.shape == (
        1,
        width,
    )


def test_what_has_one_shape_stays_as_it_is():
    one_each, numbers = Ids(torch.tensor([3, -1])), torch.ones(2, 1)
    assert with_bucketed_width(one_each) is one_each
    assert with_bucketed_width(numbers) is numbers
