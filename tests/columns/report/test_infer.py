from __future__ import annotations

import pathlib

import numpy as np
import pandas as pd
import pytest
import torch

from torchest import columns
from torchest.columns import infer

TITANIC = pathlib.Path(__file__).parents[3] / "examples" / "data" / "titanic_train.csv"
WORDS = columns.categorical_column_with_vocabulary_list
HASHED = columns.categorical_column_with_hash_bucket
NUMBER = columns.numeric_column
N = 200


def table():
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "fare": random.random(N),
            "age": np.where(np.arange(N) % 4 == 0, np.nan, np.arange(N) % 40 + 0.5),
            "income": random.integers(0, 10**6, N),
            "rooms": np.arange(N) % 5,
            "rooms or none": np.where(np.arange(N) % 5 == 0, np.nan, np.arange(N) % 5),
            "coded": np.arange(N) % 4 - 1,
            "alive": np.arange(N) % 3 == 0,
            "alive or none": pd.array([True, False, None, False] * (N // 4), "boolean"),
            "class": np.array(["Third", "First", "", None], object)[np.arange(N) % 4],
            "deck": pd.Categorical(np.array(["B", "A"])[np.arange(N) % 2], ["C", "B", "A"]),
            "town": [f"town {number % 90}" for number in range(N)],
            "tags": [[f"tag {number % 3}", "all"] for number in range(N)],
            "seen": [[number % 7] * (number % 3) for number in range(N)],
            "point": [[float(number), 1.0] for number in range(N)],
            # left out
            "row": np.arange(N),
            "user_id": random.permutation(10**6)[:N],
            "name": [f"name {number}" for number in range(N)],
            "constant": 1,
            "word": "same",
            "nothing": [None] * N,
            "day": pd.date_range("2020-01-01", periods=N),
            "ragged": [[0.5] * (number % 3) for number in range(N)],
            "mixed": [1, "a"] * (N // 2),
            7: 1.5,
        }
    )


def test_every_kind_of_feature():
    inferred = infer(table())
    assert list(inferred) == [
        NUMBER("fare"),
        # The median of k + 0.5 over the 40 remainders k that are no multiple of 4.
        NUMBER("age", default_value=20.5),
        NUMBER("income"),
        WORDS("rooms", [0, 1, 2, 3, 4]),
        WORDS("rooms or none", [1, 2, 3, 4]),
        WORDS("coded", [0, 1, 2]),  # −1 means missing
        WORDS("alive", [0, 1]),
        WORDS("alive or none", [0, 1]),
        WORDS("class", ["First", "Third"]),
        WORDS("deck", ["A", "B"]),
        HASHED("town", 850),  # 1 / (1 - 0.9^(1/89)) = 845.2
        WORDS("tags", ["all", "tag 0", "tag 1", "tag 2"]),
        WORDS("seen", [0, 1, 2, 3, 4, 5, 6]),
        NUMBER("point", shape=(2,)),
    ]
    assert inferred.left_out == {
        "row": "another number in every row",
        "user_id": "another number in every row",
        "name": "another text in nearly every row",
        "constant": "one value only",
        "word": "one value only",
        "nothing": "no values",
        "day": "dates; make numbers of them, such as the hour or the weekday",
        "ragged": "lists of numbers of differing lengths; sequence_numeric_column takes them",
        "mixed": "its values do not make one column",
        7: "its name is not a string",
    }


def run(code):
    names = {}
    exec(code, names)
    return names["feature_columns"]


def test_the_code_makes_equal_columns():
    inferred = infer(table())
    assert run(str(inferred)) == list(inferred)
    assert repr(inferred) == str(inferred)
    awkward = {'a "quoted"\nname': ["x'", "y\n\\"] * 9, b"x".decode() + "é": [b"\xff", b"a"] * 9}
    assert run(str(infer(awkward))) == list(infer(awkward))
    assert run(str(infer({}))) == []


def test_the_columns_encode_their_table():
    frame = table()
    features = columns.Features({key: frame[key] for key in frame.columns if isinstance(key, str)})
    for column in infer(frame):
        features.encoded(column)
    described = columns.describe(infer(frame), {key: frame[key] for key in frame if key != 7})
    assert all(column.out_of_vocabulary_rate in (None, 0) for column in described)


def test_printed_it_is_code_with_reasons():
    frame = table()[["fare", "age", "town", "row"]]
    assert str(infer(frame)) == (
        "from torchest import columns\n"
        "\n"
        "feature_columns = [\n"
        "    columns.numeric_column('fare'),\n"
        "    columns.numeric_column('age', default_value=20.5),  # 25.0% missing\n"
        "    columns.categorical_column_with_hash_bucket('town', 850),  # 90 distinct values\n"
        "    # 'row' is left out: another number in every row\n"
        "]"
    )


def test_titanic():
    frame = pd.read_csv(TITANIC).drop(columns="survived")
    inferred = infer(frame)
    assert {column.name: type(column).__name__[:7] for column in inferred} == {
        "sex": "Vocabul", "age": "Numeric", "n_siblings_spouses": "Vocabul", "parch": "Vocabul",
        "fare": "Numeric", "class": "Vocabul", "deck": "Vocabul", "embark_town": "Vocabul",
        "alone": "Vocabul",
    }  # fmt: skip
    assert inferred.left_out == {}
    assert run(str(inferred)) == list(inferred)


def test_few_rows_say_little():
    # In a handful of rows all values may differ by chance.
    inferred = infer({"age": [22, 38, 26], "town": ["Rome", "Oslo", "Lima"]})
    assert list(inferred) == [NUMBER("age"), WORDS("town", ["Lima", "Oslo", "Rome"])]


def test_arrays_of_other_kinds():
    rows = {
        "tensor": torch.arange(6).reshape(3, 2) * 0.5,
        "bytes": np.array([b"a", b"b", b"a"]),
        "padded": np.array([[b"a", b""], [b"b", b"a"], [b"", b""]]),
    }
    assert list(infer(rows)) == [
        NUMBER("tensor", shape=(2,)),
        WORDS("bytes", [b"a", b"b"]),
        WORDS("padded", [b"a", b"b"]),
    ]


@pytest.mark.parametrize("value", [[1, 2], pd.Series([1, 2])])
def test_wrong_arguments(value):
    with pytest.raises(
        TypeError, match=r"dataframe is a (list|Series): give a pandas DataFrame or"
    ):
        infer(value)
