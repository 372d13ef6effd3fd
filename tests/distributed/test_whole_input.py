from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from torchest.distributed.whole_input import seems_whole
from torchest.inputs.dataset import Dataset

ROWS = Dataset.from_tensor_slices({"x": [1.0, 2.0, 3.0, 4.0]})
TENSORS = TensorDataset(torch.ones(4))


class Stream(IterableDataset):
    def __iter__(self):
        return iter([1, 2])


@pytest.mark.parametrize(
    ("source", "whole"),
    [
        (ROWS.shuffle(2).batch(2), True),
        (ROWS.shard(2, 0).shuffle(2).batch(2).prefetch(1), False),
        (DataLoader(TENSORS), True),
        (DataLoader(TENSORS, sampler=DistributedSampler(TENSORS, 2, 0)), False),
        (DataLoader(Stream()), False),
        (({"x": torch.ones(2)}, torch.ones(2)), True),
        (iter([({"x": [1.0]}, [0])]), False),
    ],
)
def test_only_what_is_known_to_be_whole_is_called_so(source, whole):
    assert seems_whole(lambda: source, source) == whole


def test_an_input_fn_that_asks_for_its_place_is_trusted():
    assert not seems_whole(lambda input_context: ROWS.batch(2), ROWS.batch(2))


def test_a_function_without_a_signature_is_none_that_asks():
    assert seems_whole(type, ROWS.batch(2))
