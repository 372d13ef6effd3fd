"""Properties that every column has: each is one test over the list of all columns."""

from __future__ import annotations

import copy
import itertools
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchest import columns as fc
from torchest.columns.base import CategoricalColumn, FeatureColumn
from torchest.columns.encode.strings import Text
from torchest.columns.features import Features
from torchest.columns.layers.dense import DenseFeatures
from torchest.columns.layers.linear import LinearFeatures
from torchest.columns.layers.sequence import SequenceFeatures
from torchest.columns.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from torchest.columns.ids import Ids

HERE = Path(__file__).parent

# ---- the list

# What a batch is drawn from: the cells of eight rows by the key of the feature.
ROWS: dict[str, list[Any]] = {
    "age": [22.0, 38.0, 26.0, 35.0, 18.0, 64.5, 0.25, 71.0],
    "vector": [[float(row + place) / 3 for place in range(3)] for row in range(8)],
    "hour": [0, 23, 7, 7, -1, 12, 1, 22],
    "town": ["x", "y", "", "unknown", "z", "Köln", "x" * 70, "y"],
    "word": ["a", "b", "", "ß", "c", "a", "b", "d"],
    "number": [5, -7, 3, -1, 10**12, 5, 3, 0],
    "tags": [["x"], [], ["y", "x", "y"], ["?"], ["z", ""], ["x"], ["x", "z"], []],
    "seen": [[1], [], [8, 1, 8], [3], [2, 2], [0], [5, 6], []],
    "amounts": [[0.5], [], [1.0, 2.0, 0.25], [1.0], [3.0, 1.0], [2.0], [0.125, 1.0], []],
    "steps": [[1.5], [], [2.0, 3.0, 4.0], [0.0], [-1.0, 1.0], [7.0], [8.0, 9.0], []],
}


@dataclass(frozen=True)
class Case:
    """A column.

    Attributes:
        make: Makes it; each time the same.
        name: Its name in TensorFlow 2.15.1.
    """

    make: Callable[[], FeatureColumn]
    name: str


def ones(table: torch.Tensor) -> torch.Tensor:
    return torch.nn.init.ones_(table)


def age():
    return fc.numeric_column("age")


def vector():
    return fc.numeric_column("vector", 3, normalizer_fn=torch.sqrt)


def hour():
    return fc.categorical_column_with_identity("hour", 24)


def town():
    return fc.categorical_column_with_vocabulary_list("town", ["x", "y", "z"], num_oov_buckets=2)


def number():
    return fc.categorical_column_with_hash_bucket("number", 1000, torch.int64)


def tags():
    return fc.categorical_column_with_vocabulary_list("tags", ["x", "y", "z"])


def seen():
    return fc.sequence_categorical_column_with_identity("seen", 9)


def shared(place: int):
    both = [fc.categorical_column_with_identity(key, 24) for key in ("hour", "seen")]
    return fc.shared_embeddings(both, 2)[place]


WORDS = HERE / "words.txt"

CASES = {
    "numeric": Case(age, "age"),
    "numeric of a vector": Case(vector, "vector"),
    "bucketized": Case(lambda: fc.bucketized_column(age(), [18, 65]), "age_bucketized"),
    "bucketized of a vector": Case(
        lambda: fc.bucketized_column(fc.numeric_column("vector", 3), [1.0]), "vector_bucketized"
    ),
    "identity": Case(hour, "hour"),
    "vocabulary list": Case(town, "town"),
    "vocabulary list of several values": Case(tags, "tags"),
    "vocabulary of integers": Case(
        lambda: fc.categorical_column_with_vocabulary_list("number", [3, 5], num_oov_buckets=3),
        "number",
    ),
    "vocabulary file": Case(
        lambda: fc.categorical_column_with_vocabulary_file("word", WORDS), "word"
    ),
    "hash": Case(lambda: fc.categorical_column_with_hash_bucket("town", 1000), "town"),
    "hash of several values": Case(
        lambda: fc.categorical_column_with_hash_bucket("tags", 1000), "tags"
    ),
    "hash of integers": Case(number, "number"),
    "cross": Case(lambda: fc.crossed_column(["town", "number"], 1000), "number_X_town"),
    "cross of columns": Case(
        lambda: fc.crossed_column([fc.bucketized_column(age(), [18, 65]), town(), "word"], 1000),
        "age_bucketized_X_town_X_word",
    ),
    "cross of several values": Case(
        lambda: fc.crossed_column(["town", "tags", "seen"], 1000), "seen_X_tags_X_town"
    ),
    "cross of a cross": Case(
        lambda: fc.crossed_column([fc.crossed_column(["town", "word"], 5), "hour"], 1000),
        "hour_X_town_X_word",
    ),
    "weighted": Case(
        lambda: fc.weighted_categorical_column(tags(), "amounts"), "tags_weighted_by_amounts"
    ),
    "indicator": Case(lambda: fc.indicator_column(tags()), "tags_indicator"),
    "indicator of weights": Case(
        lambda: fc.indicator_column(fc.weighted_categorical_column(tags(), "amounts")),
        "tags_weighted_by_amounts_indicator",
    ),
    "embedding": Case(lambda: fc.embedding_column(tags(), 2, initializer=ones), "tags_embedding"),
    "embedding of a cross": Case(
        lambda: fc.embedding_column(fc.crossed_column(["town", "hour"], 9), 2),
        "hour_X_town_embedding",
    ),
    "embedding of a shared table": Case(lambda: shared(0), "hour_shared_embedding"),
    "the other of a shared table": Case(lambda: shared(1), "seen_shared_embedding"),
    "sequence numeric": Case(lambda: fc.sequence_numeric_column("steps"), "steps"),
    "sequence identity": Case(seen, "seen"),
    "sequence vocabulary": Case(
        lambda: fc.sequence_categorical_column_with_vocabulary_list("tags", ["x", "y"]), "tags"
    ),
    "sequence vocabulary file": Case(
        lambda: fc.sequence_categorical_column_with_vocabulary_file("tags", WORDS), "tags"
    ),
    "sequence hash": Case(
        lambda: fc.sequence_categorical_column_with_hash_bucket("tags", 1000), "tags"
    ),
    "indicator of a sequence": Case(lambda: fc.indicator_column(seen()), "seen_indicator"),
    "embedding of a sequence": Case(lambda: fc.embedding_column(seen(), 2), "seen_embedding"),
}  # fmt: skip

OF_SEQUENCES = [
    name for name in CASES if name.startswith("sequence") or name.endswith("of a sequence")
]
DENSE = ["numeric", "numeric of a vector", "bucketized", "bucketized of a vector", "indicator",
    "indicator of weights", "embedding", "embedding of a cross", "embedding of a shared table",
    "the other of a shared table"]  # fmt: skip
OF_TEXT = [
    "vocabulary list", "hash", "cross", "cross of columns", "cross of a cross",
    "embedding of a cross",
]  # fmt: skip
LINEAR = [name for name in CASES if name not in OF_SEQUENCES and "shared" not in name]
# Ids and numbers by themselves; what layers make of sequences is theirs.
ENCODED = [name for name in CASES if not name.endswith("of a sequence")]


@pytest.fixture(params=CASES)
def column(request):
    return CASES[request.param].make()


def batch(rows: list[int], keys=tuple(ROWS)) -> dict[str, Any]:
    """The features of some rows; what may have several values as Arrow lists."""
    return {key: feature(key, [ROWS[key][row] for row in rows]) for key in keys}


def feature(key: str, cells: list[Any]) -> Any:
    if key in ("tags", "seen", "amounts", "steps"):
        kind = pa.string() if key == "tags" else pa.int64() if key == "seen" else pa.float32()
        return pa.array(cells, pa.list_(kind))
    if key == "vector":
        return np.array(cells, np.float32).reshape(-1, 3)
    if key in ("town", "word"):
        return np.array(cells, object)
    return np.array(cells, np.float32 if key == "age" else np.int64)


def by_row(encoding: Any) -> list[Any]:
    """What a column made of each row, as plain lists."""
    if isinstance(encoding, Steps):
        bounds = encoding.offsets.tolist()
        steps = encoding.values.tolist()
        return [steps[start:stop] for start, stop in itertools.pairwise(bounds)]
    if isinstance(encoding, torch.Tensor):
        return encoding.tolist()
    return [row_of_ids(encoding, row) for row in range(encoding.batch_size)]


def row_of_ids(ids: Ids, row: int) -> Any:
    part = ids.rows(row, row + 1)
    values = part.values.tolist()
    if part.offsets is None:
        values = [value for value in values if value >= 0]
    return values if part.weights is None else list(zip(values, part.weights.tolist(), strict=True))


def encoded(column: FeatureColumn, features: dict[str, Any]) -> list[Any]:
    return by_row(Features(features).encoded(column))


# ---- the properties


@pytest.mark.parametrize("name", CASES)
def test_names_are_those_of_tensorflow(name):
    assert CASES[name].make().name == CASES[name].name


@pytest.mark.parametrize("name", ENCODED)
def test_an_empty_batch(name):
    assert encoded(CASES[name].make(), batch([])) == []


@pytest.mark.parametrize("name", ENCODED)
def test_a_batch_of_one_row(name):
    column = CASES[name].make()
    together = encoded(column, batch([0, 1, 2, 3, 4, 5, 6, 7]))
    assert [encoded(column, batch([row]))[0] for row in range(8)] == together


@pytest.mark.parametrize("name", ENCODED)
@settings(max_examples=15, deadline=None)
@given(rows=st.lists(st.integers(0, 7), max_size=12), at=st.integers(0, 12))
def test_order_and_splits_do_not_change_a_row(name, rows, at):
    column = CASES[name].make()
    each = encoded(column, batch(list(range(8))))
    assert encoded(column, batch(rows)) == [each[row] for row in rows]
    parts = [encoded(column, batch(part)) for part in (rows[:at], rows[at:])]
    assert parts[0] + parts[1] == [each[row] for row in rows]


def layer_of(kind, names):
    torch.manual_seed(0)
    made = {column.name: column for column in (CASES[name].make() for name in names)}
    return kind(made.values())


KEYS = ["age", "vector", "hour", "town", "word", "number", "tags", "amounts", "seen", "steps"]
OTHER_CELLS = {
    "age": 19.0, "vector": [9.0, 8.0, 7.0], "hour": 3, "town": "z", "word": "c", "number": 4,
    "tags": ["z"], "amounts": [9.0], "seen": [7], "steps": [6.0],
}  # fmt: skip


def changed(key: str) -> dict[str, Any]:
    """A batch of the rows 0 and 6 in which one feature of row 0 is another."""
    features = batch([0, 6])
    features[key] = feature(key, [OTHER_CELLS[key], ROWS[key][6]])
    return features


@pytest.mark.parametrize("key", KEYS)
def test_a_feature_changes_only_the_slices_of_its_columns(key):
    layer = layer_of(DenseFeatures, DENSE)
    made = {column.name: column for column in (CASES[name].make() for name in DENSE)}
    before, after = layer(batch([0, 6])), layer(changed(key))
    assert torch.equal(before[1], after[1])
    widths = list(layer.output_widths.values())
    for name, one, other in zip(
        layer.output_widths, before.split(widths, 1), after.split(widths, 1), strict=True
    ):
        if key not in made[name].feature_keys:
            assert torch.equal(one, other), name
    reads = any(key in column.feature_keys for column in made.values())
    assert torch.equal(before, after) != reads


@pytest.mark.parametrize("key", KEYS)
def test_a_feature_changes_only_what_its_columns_add_to_a_linear_model(key):
    for name in LINEAR:
        column = CASES[name].make()
        layer = LinearFeatures([column])
        for parameter in layer.parameters():
            torch.nn.init.normal_(parameter)
        before, after = layer(batch([0, 6])), layer(changed(key))
        assert torch.equal(before[1], after[1]), name
        if key not in column.feature_keys:
            assert torch.equal(before, after), name


@pytest.mark.parametrize("name", ENCODED)
def test_the_input_is_not_changed(name):
    features = batch(list(range(8)))
    saved = copy.deepcopy(features)
    objects = dict(features)
    Features(features).encoded(CASES[name].make())
    assert list(features) == list(saved)
    for key, value in features.items():
        assert value is objects[key]
        assert value.tolist() == saved[key].tolist()
        assert getattr(value, "dtype", None) == getattr(saved[key], "dtype", None)


@pytest.mark.parametrize("name", CASES)
def test_equal_columns(name):
    one, other = CASES[name].make(), CASES[name].make()
    assert one == other
    assert hash(one) == hash(other)
    assert {one: 1}[other] == 1
    unequal = [CASES[another].make() for another in CASES if another != name]
    assert one not in unequal


@dataclass
class Halved:
    """A function that is not hashable, as any dataclass that is not frozen."""

    by: float = 2.0

    def __call__(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers.div_(self.by)


@pytest.mark.parametrize(
    "make",
    [
        lambda: fc.numeric_column("age", normalizer_fn=Halved()),
        lambda: fc.sequence_numeric_column("steps", normalizer_fn=Halved()),
        lambda: fc.bucketized_column(fc.numeric_column("age", normalizer_fn=Halved()), [9.0]),
        lambda: fc.embedding_column(tags(), 2, initializer=Halved()),
        lambda: fc.shared_embeddings([hour()], 2, initializer=Halved())[0],
    ],
)
def test_functions_that_are_not_hashable(make):
    assert hash(make()) == hash(make())
    assert make() == make()
    assert encoded(make(), batch([0, 2])) == encoded(make(), batch([0, 2]))


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, copy.copy, lambda made: pickle.loads(pickle.dumps(made))],  # noqa: S301
    ids=["deepcopy", "copy", "pickle"],
)
def test_copies_are_equal_and_encode_alike(column, copied):
    features = batch(list(range(8)))
    if not is_only_for_layers(column):
        Features(features).encoded(column)  # caches do not travel
    again = copied(column)
    assert again == column
    assert hash(again) == hash(column)
    if not is_only_for_layers(column):
        assert encoded(again, features) == encoded(column, features)


def is_only_for_layers(column: FeatureColumn) -> bool:
    return column.name == "seen_indicator"


def test_its_repr_is_one_line_that_tells_the_kind_and_the_keys(column):
    shown = repr(column)
    assert shown.startswith(type(column).__name__ + "(")
    assert "\n" not in shown
    assert " at 0x" not in shown.replace(repr(torch.sqrt), "").replace(repr(ones), "")
    assert all(repr(key) in shown for key in column.feature_keys)


# ---- forms of input

TOWNS = ["x", "y", "", "unknown", "z", "Köln", "x" * 70, "y"]


def category(categories: list[str]) -> pd.Series:
    return pd.Series(pd.Categorical(TOWNS, categories=categories))


FORMS = {
    "list": lambda: TOWNS,
    "tuple": lambda: tuple(TOWNS),
    "numpy U": lambda: np.array(TOWNS),
    "numpy S": lambda: np.array([word.encode() for word in TOWNS]),
    "numpy object": lambda: np.array(TOWNS, object),
    "numpy object of bytes": lambda: np.array([word.encode() for word in TOWNS], object),
    "pandas object": lambda: pd.Series(TOWNS, dtype=object),
    "pandas str": lambda: pd.Series(TOWNS, dtype="str"),
    "pandas string[python]": lambda: pd.Series(TOWNS, dtype="string[python]"),
    "pandas string[pyarrow]": lambda: pd.Series(TOWNS, dtype="string[pyarrow]"),
    "pandas ArrowDtype": lambda: pd.Series(TOWNS, dtype=pd.ArrowDtype(pa.string())),
    "pandas category": lambda: category(sorted(set(TOWNS))),
    "pandas category, reordered": lambda: category(sorted(set(TOWNS))[::-1]),
    "pandas category, unused": lambda: category(["q", *sorted(set(TOWNS)), "r"]),
    "pandas category, ordered": lambda: pd.Series(pd.Categorical(TOWNS, ordered=True)),
    "Arrow string": lambda: pa.array(TOWNS),
    "Arrow large_string": lambda: pa.array(TOWNS, pa.large_string()),
    "Arrow binary": lambda: pa.array([word.encode() for word in TOWNS], pa.binary()),
    "Arrow dictionary": lambda: pa.array(TOWNS).dictionary_encode(),
    "Arrow dictionary of large_string": lambda: (
        pa.array(TOWNS, pa.large_string()).dictionary_encode()
    ),
    "Arrow chunks": lambda: pa.chunked_array([TOWNS[:3], TOWNS[3:]]),
    "Arrow slice": lambda: pa.array(["q", *TOWNS, "r"]).slice(1, 8),
    "Arrow null for the empty string": lambda: pa.array([word or None for word in TOWNS]),
    "pandas None for the empty string": lambda: pd.Series([word or None for word in TOWNS]),
    "pandas NaN for the empty string": lambda: (
        pd.Series([word or float("nan") for word in TOWNS], dtype=object)
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", OF_TEXT)
def test_all_forms_of_text_have_the_same_ids(name, form):
    column = CASES[name].make()
    features = batch(list(range(8)))
    expected = encoded(column, features)
    assert encoded(column, {**features, "town": FORMS[form]()}) == expected


NUMBERS = [5, -7, 3, -1, 2**31 - 1, 5, 3, 0]
FORMS_OF_INTEGERS = {
    "numpy int32": lambda: np.array(NUMBERS, np.int32),
    "numpy, big-endian": lambda: np.array(NUMBERS, ">i8"),
    "torch": lambda: torch.tensor(NUMBERS),
    "pandas": lambda: pd.Series(NUMBERS),
    "pandas Int64": lambda: pd.Series(NUMBERS, dtype="Int64"),
    "pandas Int64, NA for -1": lambda: (
        pd.Series([None if number == -1 else number for number in NUMBERS], dtype="Int64")
    ),
    "pandas float for a missing integer": lambda: (
        pd.Series([None if number == -1 else number for number in NUMBERS], dtype=float)
    ),
    "pandas category": lambda: pd.Series(NUMBERS).astype("category"),
    "Arrow": lambda: pa.array(NUMBERS),
    "Arrow int32": lambda: pa.array(NUMBERS, pa.int32()),
    "Arrow null for -1": lambda: pa.array([None if n == -1 else n for n in NUMBERS]),
    "Arrow dictionary": lambda: pa.array(NUMBERS).dictionary_encode(),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS_OF_INTEGERS)
@pytest.mark.parametrize("name", ["vocabulary of integers", "hash of integers", "cross"])
def test_all_forms_of_integers_have_the_same_ids(name, form):
    column = CASES[name].make()
    features = {**batch(list(range(8))), "number": NUMBERS}
    assert encoded(column, {**features, "number": FORMS_OF_INTEGERS[form]()}) == encoded(
        column, features
    )


LISTS = ROWS["tags"]
FORMS_OF_LISTS = {
    "nested lists": lambda: LISTS,
    "numpy matrix, padded": lambda: np.array([row + [""] * (3 - len(row)) for row in LISTS]),
    "pandas cells": lambda: pd.Series(LISTS),
    "pandas cells of arrays": lambda: pd.Series([np.array(row, object) for row in LISTS]),
    "Arrow large_list": lambda: pa.array(LISTS, pa.large_list(pa.large_string())),
    "Arrow list of dictionary": lambda: (
        pa.array(LISTS, pa.list_(pa.dictionary(pa.int32(), pa.string())))
    ),
    "values and offsets": lambda: (
        np.array([word for row in LISTS for word in row], object),
        np.concatenate([[0], np.cumsum([len(row) for row in LISTS])]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS_OF_LISTS)
@pytest.mark.parametrize(
    "name",
    ["vocabulary list of several values", "hash of several values", "indicator", "sequence hash"],
)
def test_all_forms_of_several_values_have_the_same_ids(name, form):
    column = CASES[name].make()
    expected = encoded(column, {"tags": pa.array(LISTS)})
    assert encoded(column, {"tags": FORMS_OF_LISTS[form]()}) == expected


PROGRAM = """
from tests.catalogue import test_all_columns as tests
print([tests.encoded(tests.CASES[name].make(), tests.batch(list(range(8))))
       for name in tests.ENCODED])
"""


def test_ids_do_not_depend_on_the_seed_of_pythons_hash():
    expected = str([encoded(CASES[name].make(), batch(list(range(8)))) for name in ENCODED])
    for seed in ("0", "4711"):
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)]),
            },
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == expected


# ---- what is done once


@pytest.mark.parametrize("name", LINEAR)
def test_a_column_is_encoded_once_for_all_layers(name, monkeypatch):
    column = CASES[name].make()
    calls = []
    kind = type(column)
    encode = kind.encode
    monkeypatch.setattr(
        kind, "encode", lambda self, features: calls.append(self) or encode(self, features)
    )
    features = Features(batch(list(range(8))))
    for _ in range(2):
        LinearFeatures([CASES[name].make()])(features)
        features.encoded(column)
        if isinstance(column, CategoricalColumn):
            DenseFeatures([fc.embedding_column(column, 2), fc.indicator_column(column)])(features)
    assert calls.count(column) == 1


@pytest.mark.parametrize("name", ["vocabulary list", "hash", "cross"])
@pytest.mark.parametrize("form", ["pandas category", "Arrow dictionary"])
def test_a_dictionary_is_encoded_once_for_all_batches(name, form, monkeypatch):
    hashed = []
    fingerprints = Text.fingerprints
    monkeypatch.setattr(
        Text, "fingerprints", lambda self: hashed.append(len(self)) or fingerprints(self)
    )
    column = CASES[name].make()
    whole = FORMS[form]()
    whole = pa.array(whole, from_pandas=True) if isinstance(whole, pd.Series) else whole
    encoded(column, {"town": whole.slice(0, 2), "number": [1, 2]})
    first = len(hashed)
    assert first
    for start in range(0, 8, 2):
        encoded(column, {"town": whole.slice(start, 2), "number": [1, 2]})
    assert len(hashed) == first


def test_sequences_go_through_their_layer():
    layer = layer_of(
        SequenceFeatures,
        ["sequence numeric", "indicator of a sequence", "embedding of a sequence"],
    )
    whole, lengths = layer(batch(list(range(8))))
    assert lengths.tolist() == [len(row) for row in ROWS["steps"]]
    for row in range(8):
        alone, (length,) = layer(batch([row]))
        assert length == lengths[row]
        assert torch.equal(alone[0], whole[row, : int(length)])
        assert not whole[row, int(length) :].any()
    assert layer(batch([]))[0].shape == (0, 0, layer.width)
