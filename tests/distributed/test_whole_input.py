from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from torchest.columns.features import Features
from torchest.distributed.whole_input import digest, shuffles_by_itself
from torchest.inputs.batch import Batch

TENSORS = TensorDataset(torch.arange(4.0))


class Stream(IterableDataset):
    def __iter__(self):
        return iter([1, 2])


@pytest.mark.parametrize(
    "values",
    [
        lambda last: torch.tensor([1, last]),
        lambda last: torch.tensor([1.0, last]).to_sparse(),
        lambda last: torch.tensor([1.0, last], dtype=torch.bfloat16),
        lambda last: torch.tensor([True, bool(last - 2)]),
        lambda last: np.array([1.0, last]),
        lambda last: ["a", f"b{last}"],
        lambda last: pa.array([["a"], [f"b{last}", "c"]]),
        lambda last: np.array(["a", f"b{last}"], dtype=object),
    ],
    ids=["int64", "sparse", "bfloat16", "bool", "numpy", "list", "ragged", "objects"],
)
def test_batches_have_equal_digests_if_their_values_are_equal(values):
    def of_feature(last):
        return digest(Batch(Features({"x": values(last)}), None))

    def of_label(last):
        return digest(Batch(Features({"x": [1, 2]}), values(last)).to(torch.device("cpu")))

    for made in (of_feature, of_label):
        assert made(2) == made(2)
        assert made(2) != made(3)


def test_the_name_of_a_feature_counts():
    assert digest(Batch({"x": torch.ones(2)}, None)) != digest(Batch({"y": torch.ones(2)}, None))


def test_a_digest_travels_as_int64():
    assert 0 <= digest(Batch(torch.ones(1000, 2), None)) < 2**63


@pytest.mark.parametrize(
    ("source", "shuffles"),
    [
        (DataLoader(TENSORS, shuffle=True), True),
        (DataLoader(TENSORS), False),
        (DataLoader(TENSORS, sampler=DistributedSampler(TENSORS, 2, 0)), False),
        (DataLoader(Stream()), False),
        (iter([({"x": [1.0]}, [0])]), False),
    ],
)
def test_a_loader_that_shuffles_all_rows_is_known(source, shuffles):
    assert shuffles_by_itself(lambda: source, source) == shuffles


def test_an_input_fn_that_asks_for_its_place_is_trusted():
    loader = DataLoader(TENSORS, shuffle=True)
    assert not shuffles_by_itself(lambda input_context: loader, loader)


def test_a_function_without_a_signature_is_none_that_asks():
    assert shuffles_by_itself(type, DataLoader(TENSORS, shuffle=True))
