from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchest import columns
from torchest.columns import Description, describe
from torchest.columns.encode.cells import Cells
from torchest.inputs import Dataset

ROWS = {
    "town": ["Rome", "Oslo", "", "Lima", None, "Rome"],
    "words": [["a", "b"], [], ["c"], None, ["a", ""], [""]],
    "hour": [0, 23, -1, 24, 5, -7],
    "fare": [1.5, np.nan, 2.5, 1.5, np.nan, 7.0],
    "weights": [[1.0, 2.0], [], [1.0], [], [0.5, 1.0], [1.0]],
}
TOWN = columns.categorical_column_with_vocabulary_list("town", ["Oslo", "Rome"])


def of(column, dataset=None, **options):
    [described] = describe(column, ROWS if dataset is None else dataset, **options)
    return described


def counted(column, dataset=None):
    described = of(column, dataset)
    return described.missing, described.values, described.unknown, described.distinct


def with_options(make, **options):
    return make("town", ["Oslo", "Rome"], **options)


def test_vocabularies():
    assert counted(TOWN) == (2, 4, 1, 3)
    described = of(TOWN)
    assert (described.rows, described.num_buckets) == (6, 2)
    assert described.coverage == pytest.approx(4 / 6)
    assert described.out_of_vocabulary_rate == 0.25
    assert (described.collisions, described.suggested_bucket_size) == (None, None)


@pytest.mark.parametrize("options", [{"default_value": 1}, {"num_oov_buckets": 5}])
def test_unknown_values_count_also_where_they_get_an_id(options, tmp_path):
    make = columns.categorical_column_with_vocabulary_list
    assert counted(make("town", ["Oslo", "Rome"], **options)) == (2, 4, 1, 3)
    file = tmp_path / "towns"
    file.write_text("Oslo\nRome\n")
    column = columns.categorical_column_with_vocabulary_file("town", file, **options)
    assert counted(column) == (2, 4, 1, 3)


def test_integers_out_of_range_are_unknown_and_no_error():
    for default in (None, 0):
        column = columns.categorical_column_with_identity("hour", 24, default)
        assert counted(column) == (1, 5, 2, 5)


def test_rows_of_several_values():
    column = columns.categorical_column_with_hash_bucket("words", 1000)
    assert counted(column) == (3, 4, None, 3)
    padded = {"words": np.array([[b"a", b"b"], [b"", b""], [b"c", b"a"]])}
    assert counted(column, padded) == (1, 4, None, 3)


def test_numbers():
    assert counted(columns.numeric_column("fare")) == (2, 4, None, 3)
    matrix = {"x": torch.tensor([[1.0, 1.0], [torch.nan, 2.0], [torch.nan, torch.nan]])}
    assert counted(columns.numeric_column("x", 2), matrix) == (1, 3, None, 2)
    lists = {"x": [[1.0, 2.0], [], [2.0]]}
    assert counted(columns.sequence_numeric_column("x"), lists) == (1, 3, None, 2)


def test_buckets_of_numbers():
    column = columns.bucketized_column(columns.numeric_column("fare"), [2, 3, 100])
    assert counted(column) == (2, 4, None, 3)  # of four buckets the last is empty
    assert of(column).num_buckets == 4
    wide = columns.bucketized_column(columns.numeric_column("x", 2), [0])
    assert counted(wide, {"x": [[1.0, 1.0], [2.0, np.nan]]}) == (0, 3, None, 2)


def test_collisions_of_hashes_are_those_of_their_ids():
    words = [f"word {number}" for number in range(500)]
    column = columns.categorical_column_with_hash_bucket("w", 300)
    ids = columns.Features({"w": words}).encoded(column).values.numpy()
    _, counts = np.unique(ids, return_counts=True)
    described = of(column, {"w": words + words})
    assert described.distinct == 500
    assert described.collisions == counts[counts > 1].sum()
    assert described.suggested_bucket_size == 4800  # 1 / (1 - 0.9^(1/499)) = 4736.6
    assert of(column, {"w": words}, collision_share=0.5).suggested_bucket_size == 730  # 720.4


def test_collisions_of_crosses_are_those_of_their_ids():
    rows = {"a": np.arange(400) % 20, "b": np.arange(400) // 20}
    column = columns.crossed_column(["a", "b"], 250)
    ids = columns.Features(rows).encoded(column).values.numpy()
    _, counts = np.unique(ids, return_counts=True)
    described = of(column, rows)
    assert described.distinct == 400
    assert described.collisions == counts[counts > 1].sum()


def test_columns_around_a_categorical_one_are_described_by_it():
    expected = counted(TOWN)
    shared = columns.shared_embeddings([TOWN], 2)[0]
    weighted = columns.weighted_categorical_column(
        columns.categorical_column_with_hash_bucket("words", 9), "weights"
    )
    for column in (columns.embedding_column(TOWN, 2), columns.indicator_column(TOWN), shared):
        assert counted(column) == expected
        assert of(column).name == column.name
    assert counted(weighted) == (3, 4, None, 3)
    sequence = columns.sequence_categorical_column_with_hash_bucket("words", 9)
    assert counted(columns.embedding_column(sequence, 2)) == (3, 4, None, 3)


@dataclass(frozen=True, eq=False)
class _Parity(columns.CategoricalColumn):
    name = "parity"
    feature_keys = ("hour",)
    num_buckets = 2

    def look_up(self, features):
        return Cells(np.asarray(features["hour"]) % 2)


@dataclass(frozen=True, eq=False)
class _Doubled(columns.DenseColumn):
    name = "doubled"
    feature_keys = ("fare",)
    width = 1

    def encode(self, features):
        return features["fare"].unsqueeze(1).to(torch.float32) * 2


def test_columns_of_the_users_own():
    assert counted(_Parity()) == (0, 6, 0, 2)
    assert counted(_Doubled()) == (2, 4, None, 3)


@given(st.lists(st.sampled_from(["", "a", "b", "cc", "ddd"]), min_size=1), st.integers(1, 5))
def test_batches_do_not_matter(words, size):
    column = columns.categorical_column_with_hash_bucket("w", 7)
    whole = of(column, {"w": words})
    assert of(column, Dataset.from_tensor_slices({"w": words}).batch(size)) == whole
    present = [word for word in words if word]
    assert (whole.missing, whole.values) == (words.count(""), len(present))
    assert whole.distinct == len(set(present))


def test_what_an_input_fn_may_return_is_a_dataset():
    expected = of(TOWN)
    frame = pd.DataFrame({"town": ROWS["town"]})
    for dataset in (frame, (ROWS, [0] * 6), [ROWS]):
        assert of(TOWN, dataset) == expected


def test_printed_it_is_an_aligned_table():
    hashed = columns.categorical_column_with_hash_bucket("words", 1000)
    described = describe([TOWN, hashed, columns.numeric_column("fare")], ROWS)
    assert str(described).splitlines() == [
        "column  coverage  missing  out of vocabulary  distinct  buckets  collisions  suggested size",
        "town       66.7%        2              25.0%         3        2           –               –",
        "words      50.0%        3                  –         3    1,000           0              20",
        "fare       66.7%        2                  –         3        –           –               –",
    ]
    assert [column.name for column in described] == ["town", "words", "fare"]
    assert len(described) == 3
    assert described["fare"] == of(columns.numeric_column("fare"))
    with pytest.raises(KeyError, match=r"There is no column 'far'\. Did you mean 'fare'\?"):
        described["far"]


def test_estimates_are_marked():
    [column] = describe(columns.categorical_column_with_hash_bucket("town", 9), ROWS)
    estimated = type(column)(**{**vars(column), "exact": False, "distinct": 2_500_000})
    assert "~2,500,000" in str(Description((estimated,)))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([TOWN], {"town": []}), ValueError, "The dataset has no rows, so that there is nothing to"),
        (([TOWN], ROWS, 1), ValueError, "collision_share is 1: give a share between 0 and 1, such as"),
        ((["town"], ROWS), ValueError, r"columns has 'town' \(str\): every item must be a column"),
        (([TOWN], {"city": ["Rome"]}), ValueError, "feature 'town'"),
        (([TOWN], 7), TypeError, "^dataset=7 must be a Dataset, an iterable of batches, or one batch"),
        (([TOWN], "towns.csv"), TypeError, "^dataset='towns.csv' must be a Dataset"),
        (([TOWN], dict), TypeError, "^dataset=<class 'dict'> must be a Dataset"),
        ((None, ROWS), ValueError, "^columns=None must be a list of columns"),
        (
            ([TOWN], Dataset.from_tensor_slices(ROWS).repeat().batch(2)),
            ValueError, "The dataset has no end: make it with num_epochs=1, or give dataset.take",
        ),
    ],
)  # fmt: skip
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        describe(*arguments)
