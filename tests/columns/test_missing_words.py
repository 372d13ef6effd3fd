"""Values that a vocabulary cannot have, masked values, and files of words in other encodings."""

from __future__ import annotations

import codecs
import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import torchest
from torchest import columns as fc
from torchest import inputs
from torchest.columns.features import Features

ZIPS = ["01234", "00501"]
INTEGERS = [
    pd.Series([1234, 501]),
    np.array([1234, 501]),
    np.array([1234.0, np.nan]),
    torch.tensor([[1234], [501]]),
    pa.array([1234, None]),
    pa.array([[1234, 501], []]),
    pd.Series([1234, 501], dtype="category"),
]


def in_list(words, **options):
    return fc.categorical_column_with_vocabulary_list("zip", words, **options)


@pytest.fixture
def in_file(tmp_path):
    def column(content, **options):
        path = tmp_path / "words.txt"
        path.write_bytes(content if isinstance(content, bytes) else "\n".join(content).encode())
        return fc.categorical_column_with_vocabulary_file("zip", path, **options)

    return column


def ids(column, values):
    return column.encode(Features({"zip": values})).values.tolist()


@pytest.mark.parametrize("values", INTEGERS)
@pytest.mark.parametrize("words", [ZIPS, ["1.0", "2.5"], ["a"], ["+5"], ["0x10"], ["12 "]])
def test_integers_that_no_word_can_be_the_text_of_are_an_error(words, values, in_file):
    message = (
        r"Column 'zip' got integers such as 1234, and no word of its vocabulary is the text of an "
        rf"integer: they are '{words[0][:1].replace('+', '.')}"
    )
    for column in (in_list(words), in_list(words, num_oov_buckets=5), in_file(words)):
        with pytest.raises(ValueError, match=message):
            ids(column, values)


@pytest.mark.parametrize(
    "make",
    [
        fc.indicator_column,
        lambda column: fc.embedding_column(column, 2),
        lambda column: fc.indicator_column(fc.crossed_column([column, "b"], 10)),
        lambda column: fc.indicator_column(fc.weighted_categorical_column(column, "w")),
    ],
)
def test_they_are_an_error_wherever_the_column_is_used(make):
    layer_features = {"zip": np.array([1234]), "b": ["x"], "w": np.array([1.0])}
    with pytest.raises(ValueError, match="got integers such as 1234"):
        fc.DenseFeatures([make(in_list(ZIPS))])(layer_features)


def test_words_that_are_integers_take_integers(in_file):
    for column in (in_list(["7", "01234"]), in_file(["7", "01234"])):
        assert ids(column, np.array([7, 1234])) == [0, -1]
        assert ids(column, np.array([7.0, np.nan])) == [0, -1]
        assert ids(column, ["01234", "7"]) == [1, 0]


def test_missing_values_alone_are_no_integers():
    assert ids(in_list(ZIPS), pa.array([None, None])) == [-1, -1]
    assert ids(in_list(ZIPS), np.array([np.nan, np.nan])) == [-1, -1]
    assert ids(in_list(ZIPS), np.array([-1, -1])) == [-1, -1]


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if "no value" in record.getMessage()]


WITHOUT_HIT = [
    (in_list(["rome", "oslo", "bonn", "kiel"]), ["Rome", "Rome", "Oslo", "Bonn"], "'Rome', 'Oslo', 'Bonn'"),
    (in_list(["12 rome", "7 oslo"]), pa.array(["rome", None]), "'rome'"),
    (in_list(["a"], num_oov_buckets=3), np.array([b"b", b"c"]), "'b', 'c'"),
    (in_list(["a"], default_value=0), pd.Series(["b", "c"], dtype="category"), "'b', 'c'"),
    (in_list([1, 2]), np.array([3, -1]), "3"),
]  # fmt: skip


@pytest.mark.parametrize(("column", "values", "shown"), WITHOUT_HIT)
def test_a_feature_without_a_known_value_in_a_hundred_batches_is_told_of_once(
    column, values, shown, caplog
):
    column = fc.categorical_column_with_vocabulary_list(
        "zip", column.vocabulary_list, column.dtype, column.default_value, column.num_oov_buckets
    )
    with caplog.at_level(logging.WARNING, "torchest"):
        for _ in range(99):
            ids(column, values)
        ids(column, [None, None])
        assert not warnings_of(caplog)
        for _ in range(101):
            ids(column, values)
    [message] = warnings_of(caplog)
    words = ", ".join(map(repr, column.vocabulary_list[:3]))
    assert message == (
        f"Column 'zip': of the first 100 batches no value is in the vocabulary. The feature holds values such as "
        f"{shown}, the vocabulary {words}; compare how they are written."
    )


def test_lines_of_counts_and_words_are_told_of(in_file, caplog):
    column = in_file(["12 rome", "7 oslo"])
    with caplog.at_level(logging.WARNING, "torchest"):
        for _ in range(150):
            ids(column, ["rome", "oslo"])
    [message] = warnings_of(caplog)
    assert "such as 'rome', 'oslo', the vocabulary '12 rome', '7 oslo'" in message


def test_one_known_value_is_enough(caplog):
    column = in_list(["a"])
    with caplog.at_level(logging.WARNING, "torchest"):
        for number in range(200):
            ids(column, ["a" if number == 50 else "b"])
    assert not warnings_of(caplog)


@pytest.mark.parametrize("make", [torchest.LinearClassifier, torchest.DNNClassifier])
def test_training_and_evaluation_tell_of_it(make, tmp_path, caplog):
    column = in_list(["rome", "oslo"])
    deep = make is torchest.DNNClassifier
    options = {"hidden_units": [2]} if deep else {}
    columns = [fc.embedding_column(column, 2) if deep else column]
    model = make(feature_columns=columns, model_dir=tmp_path, **options)

    def input_fn():
        return inputs.Dataset.from_tensor_slices(({"zip": ["Rome"]}, [1])).batch(1).repeat(60)

    with caplog.at_level(logging.WARNING, "torchest"):
        model.train(input_fn)
        assert not warnings_of(caplog)
        model.evaluate(input_fn)
    assert len(warnings_of(caplog)) == 1


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("last", [True, False])
def test_words_are_read_whatever_the_line_ends_and_the_byte_order_mark(ending, mark, last, in_file):
    content = mark + ending.join(["é", "b", "c"]).encode() + (ending.encode() if last else b"")
    for size in (None, 3):
        column = in_file(content, vocabulary_size=size)
        assert ids(column, ["c", "é", "b"]) == [2, 0, 1]


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("latin-1", r"has b'caf\\xe9' in line 2, which is not UTF-8: convert the file to UTF-8"),
        ("utf-16", "is not UTF-8 text, but probably UTF-16: convert it to UTF-8"),
        ("utf-16-be", "is not UTF-8 text, but probably UTF-16: convert it to UTF-8"),
    ],
)
def test_a_vocabulary_in_another_encoding_is_an_error(encoding, message, in_file):
    content = "tea\ncafé\n".encode(encoding)
    with pytest.raises(ValueError, match=rf"The vocabulary file '.*' of column 'zip' {message}"):
        in_file(content)
    with pytest.raises(ValueError, match=message):
        ids(in_file(content, vocabulary_size=2), ["tea"])


MASK = [False, True, False]
MASKED = {
    "i": np.ma.array([5, 6, 7], mask=MASK),
    "f": np.ma.array([5.0, 6.0, 7.0], mask=MASK, dtype=np.float32),
    "s": np.ma.array(["a", "b", "a"], mask=MASK),
    "o": np.ma.array(["a", "b", "a"], mask=MASK, dtype=object),
    "y": np.ma.array([b"a", b"b", b"a"], mask=MASK),
    "m": np.ma.array([[1, 2], [3, 4], [5, 6]], mask=[[0, 1], [0, 0], [0, 0]]),
    "g": np.ma.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], mask=[[0, 1], [0, 0], [0, 0]]),
}


def plain():
    return {key: np.ma.array(values.data) for key, values in MASKED.items()}


def sources(features):
    rows = [{key: values[row] for key, values in features.items()} for row in range(3)]
    lists = [{key: [*values] for key, values in features.items()}]
    slices = inputs.Dataset.from_tensor_slices(features)
    return {
        "a dict": [features],
        "lists": lists,
        "numpy_input_fn": inputs.numpy_input_fn(features, shuffle=False)(),
        "slices": slices.batch(3),
        "shuffled": slices.shuffle(5).batch(3),
        "cached": slices.cache().repeat(2).batch(3),
        "rows": inputs.Dataset.from_generator(lambda: iter(rows)).batch(3),
        "batches": inputs.Dataset.from_generator(lambda: iter([features])).unbatch().batch(3),
        "an element": inputs.Dataset.from_tensors(features),
        "a DataLoader": torch.utils.data.DataLoader([features], batch_size=None),
    }


@pytest.mark.parametrize("source", sources(MASKED))
def test_masked_values_are_missing_in_every_input(source):
    batch = next(iter(sources(MASKED)[source]))
    features = Features(batch)
    for key, column in {
        "i": fc.categorical_column_with_identity("i", 9),
        "f": fc.categorical_column_with_vocabulary_list("f", ["5", "7"]),
        "s": fc.categorical_column_with_vocabulary_list("s", ["a", "b"]),
        "o": fc.categorical_column_with_vocabulary_list("o", ["a", "b"]),
        "y": fc.categorical_column_with_hash_bucket("y", 100),
    }.items():
        encoded = column.encode(features).values.tolist()
        assert sum(value >= 0 for value in encoded) == 2, key
    pairs = fc.categorical_column_with_identity("m", 9).encode(features)
    assert sorted(pairs.values.tolist()) == [1, 3, 4, 5, 6]
    for key, shape in {"i": (1,), "f": (1,), "m": (2,), "g": (2,)}.items():
        column = fc.numeric_column(key, shape, default_value=40.0)
        assert 40.0 in fc.DenseFeatures([column])(batch)
        with pytest.raises(ValueError, match=f"'{key}'"):
            fc.DenseFeatures([fc.numeric_column(key, shape)])(batch)


@pytest.mark.parametrize("source", sources(plain()))
def test_masked_arrays_without_a_mask_are_arrays(source):
    batch = next(iter(sources(plain())[source]))
    numbers = fc.DenseFeatures([fc.numeric_column("i"), fc.numeric_column("g", 2)])(batch)
    assert sorted(numbers.reshape(-1).tolist()) == sorted([5, 6, 7, 1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize("kind", [int, float])
@pytest.mark.parametrize("make", [torchest.LinearClassifier, torchest.LinearRegressor])
def test_masked_labels_are_an_error(make, kind, tmp_path):
    labels = np.ma.array([0, 1, 0], kind, mask=MASK)
    model = make(feature_columns=[fc.numeric_column("x")], model_dir=tmp_path)
    with pytest.raises((ValueError, RuntimeError), match="label"):
        model.train(lambda: ({"x": np.ones(3)}, labels), steps=1)


def test_masked_weights_are_an_error(tmp_path):
    model = torchest.LinearRegressor([fc.numeric_column("x")], tmp_path, weight_column="w")
    features = {"x": np.ones(3), "w": np.ma.array([1.0, 2.0, 1.0], mask=MASK)}
    with pytest.raises(ValueError, match="weight"):
        model.train(lambda: (features, np.ones(3)), steps=1)
