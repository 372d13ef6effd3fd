from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from torchest import columns
from torchest.columns.features import Features
from torchest.columns.ids import Ids
from torchest.inputs.batch import Batch

CPU = torch.device("cpu")
GIVEN = {
    "number": np.array([1.0, 2.0]),
    "tensor": torch.zeros(2, 3),
    "words": ["a", "b"],
    "ragged": [["a"], ["b", "c"]],
    "series": pd.Series([1, 2]),
    "missing": pa.array([1, None]),
    "list": [1, 2],
}


def test_every_kind_of_feature_loses_its_rows_and_nothing_else():
    features, labels = Batch(Features(GIVEN), torch.zeros(2, 1)).first_rows(0).to(CPU)
    assert isinstance(features, Features)
    assert list(features) == list(GIVEN)
    assert features.batch_size == 0
    assert labels.shape == (0, 1)
    assert features["tensor"].shape == (0, 3)
    assert features["number"].dtype == torch.float64
    word = columns.categorical_column_with_hash_bucket("words", 5)
    assert features.encoded(word).batch_size == 0
    ragged = columns.categorical_column_with_hash_bucket("ragged", 5)
    assert features.encoded(ragged).batch_size == 0


def test_a_column_that_cannot_be_read_is_left_out():
    features, _ = Batch(Features({"x": [1.0], "thing": object()}), None).first_rows(0).to(CPU)
    assert list(features) == ["x"]


def test_the_batch_stays_as_it_is():
    given = Features(GIVEN)
    Batch(given, None).first_rows(0)
    assert given.batch_size == 2
    assert given.usage.keys == set()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (None, None),
        ({"a": torch.ones(2), "b": (torch.ones(2, 4),)}, {"a": (0,), "b": ((0, 4),)}),
        (np.array(["x", "y"]), (0,)),
    ],
)
def test_labels_in_any_structure(labels, expected):
    def shapes(value):
        if isinstance(value, dict):
            return {key: shapes(inner) for key, inner in value.items()}
        if isinstance(value, tuple):
            return tuple(shapes(inner) for inner in value)
        if value is None:
            return None
        return tuple(value.shape) if hasattr(value, "shape") else (len(value),)

    empty = Batch(torch.ones(2), labels).first_rows(0).to(CPU)
    assert shapes(empty.labels) == expected


@pytest.mark.parametrize(("count", "rows", "values"), [(0, 0, 0), (1, 1, 1), (5, 2, 3)])
def test_labels_of_ids(count, rows, values):
    ids = Ids(torch.tensor([1, 2, 3]), torch.tensor([0, 1, 3]))
    first = Batch(torch.ones(2), ids).first_rows(count).to(CPU)
    assert (first.labels.batch_size, len(first.labels.values)) == (rows, values)


def test_the_first_rows_of_every_kind_of_feature():
    features, labels = Batch(Features(GIVEN), torch.zeros(2, 1)).first_rows(1).to(CPU)
    assert isinstance(features, Features)
    assert list(features) == list(GIVEN)
    assert (features.batch_size, labels.shape) == (1, (1, 1))


@pytest.mark.parametrize(
    ("batch", "rows"),
    [
        ((Features(GIVEN), None), 2),
        ((torch.ones(3, 2), None), 3),
        ((Features({}), torch.ones(4)), 4),
        (((torch.ones(5), torch.ones(5)), None), 5),
        ((Ids(torch.ones(2)), None), 2),
        ((Features({}), None), 1),
        ((Features({}), {}), 1),
        ((Features({}), ()), 1),
        ((Features({}), {"a": None, "b": (None, torch.ones(4))}), 4),
        ((None, torch.ones(4)), 4),
        (((None, torch.ones(5)), None), 5),
        ((Features({}), np.array([], object)), 0),
    ],
)
def test_the_number_of_rows(batch, rows):
    assert Batch(*batch).rows == rows
