"""Write feature_columns.json: what the feature columns of TensorFlow make of small batches.

Each of "cases" asks columns for one thing:

    name             what the case is about
    layer            what is asked: "ids", "DenseFeatures", "SequenceFeatures" or "LinearFeatures"
    columns          the columns, each as {"column": function, "arguments": keyword arguments}. Columns
                     among the arguments are written the same way. A dtype is its name,
                     `normalizer_fn` a name of NORMALIZERS, `initializer` the whole table of an
                     embedding, and `vocabulary_file` a name in "files". `shared_embeddings` makes
                     several columns.
    files            the text of each vocabulary file, by name
    features         the batch: arrays {"dtype", "shape", "values"}, or sparse tensors {"dtype",
                     "indices", "values", "dense_shape"}
    units, sparse_combiner, weights, bias
                     of LinearFeatures: weights by the columns' names [buckets or width, units]

and holds either "refused", the kind of error with which TensorFlow refuses columns or batch, or

    ids              for the layer "ids": the ids of each row, -1 for a value that has none. Those of
                     a sequence column are listed by step.
    weights_of_ids   the weight of each id, for a weighted column
    output           for the other layers, float32
    lengths          for SequenceFeatures, the number of steps of each row

The dtype "bytes" stands for byte strings, given as text; "base64" for those that are not UTF-8.
"""

# One case a line, however long, reads better than a case over ten lines.
# ruff: noqa: E501

from __future__ import annotations

import base64
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_estimator.python.estimator.canned.linear import LinearModel
from write_json import array, write_json

Column = dict[str, Any]
Case = dict[str, Any]

NORMALIZERS = {
    "standardized": lambda x: (x - 3) / 2,
    "squared": lambda x: x * x,
    "halved": lambda x: x / 2.0,
}


@dataclass
class Sparse:
    """A sparse tensor as it is written in a case."""

    indices: list[list[int]]
    values: list[Any]
    dense_shape: list[int]
    dtype: str


# ---- the columns, as data


def column(name: str, **arguments: Any) -> Column:
    return {"column": name, "arguments": arguments}


def numeric(key: str = "x", **arguments: Any) -> Column:
    return column("numeric_column", key=key, **arguments)


def bucketized(source: Column, boundaries: list[float]) -> Column:
    return column("bucketized_column", source_column=source, boundaries=boundaries)


def identity(key: str, num_buckets: int, **arguments: Any) -> Column:
    return column("categorical_column_with_identity", key=key, num_buckets=num_buckets, **arguments)


def words(key: str, vocabulary: list[Any], **arguments: Any) -> Column:
    return column(
        "categorical_column_with_vocabulary_list", key=key, vocabulary_list=vocabulary, **arguments
    )


def word_file(key: str = "a", **arguments: Any) -> Column:
    return column(
        "categorical_column_with_vocabulary_file",
        key=key,
        **({"vocabulary_file": "words.txt"} | arguments),
    )


def hashed(key: str, size: int, **arguments: Any) -> Column:
    return column(
        "categorical_column_with_hash_bucket", key=key, hash_bucket_size=size, **arguments
    )


def crossed(keys: list[Any], size: int, **arguments: Any) -> Column:
    return column("crossed_column", keys=keys, hash_bucket_size=size, **arguments)


def weighted(source: Column, key: str = "w", **arguments: Any) -> Column:
    return column(
        "weighted_categorical_column",
        categorical_column=source,
        weight_feature_key=key,
        **arguments,
    )


def indicator(source: Column) -> Column:
    return column("indicator_column", categorical_column=source)


def embedding(source: Column, buckets: int, dimension: int = 2, **arguments: Any) -> Column:
    return column(
        "embedding_column",
        categorical_column=source,
        dimension=dimension,
        initializer=table(buckets, dimension),
        **arguments,
    )


def shared(sources: list[Column], buckets: int, dimension: int = 2, **arguments: Any) -> Column:
    return column(
        "shared_embeddings",
        categorical_columns=sources,
        dimension=dimension,
        initializer=table(buckets, dimension),
        **arguments,
    )


def sequence(kind: str, **arguments: Any) -> Column:
    return column(f"sequence_categorical_column_with_{kind}", **arguments)


def table(rows: int, width: int) -> list[list[float]]:
    """Numbers that differ, of both signs, with norms below and above 1."""
    numbers = np.arange(rows * width).reshape(rows, width)
    return np.round(np.where(numbers % 3, 1, -1) * (0.1 + numbers * 0.17), 2).tolist()


# ---- the features


def text(*values: Any) -> np.ndarray:
    """An array of byte strings."""
    return np.array([_encoded(value) for value in values], dtype=object)


def _encoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    return value.encode() if isinstance(value, str) else value


def sparse(rows: list[list[Any]], dtype: str | None = None) -> Sparse:
    """A sparse matrix with the given rows, filled from the left; None leaves a place empty."""
    indices = [
        [row, place]
        for row, values in enumerate(rows)
        for place, value in enumerate(values)
        if value is not None
    ]
    values = [rows[row][place] for row, place in indices]
    if dtype is None:
        kinds = {bytes: "bytes", str: "bytes", int: "int64", float: "float32"}
        dtype = kinds[type(values[0])]
    return Sparse(indices, values, [len(rows), max(map(len, rows), default=0)], dtype)


def lengthy_strings() -> list[str]:
    """Strings of 1 to 300 bytes of UTF-8, every fourth of them with characters beyond ASCII."""
    draw = random.Random(300)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789 -_./"
    made = []
    for length in range(1, 301):
        start = "日本語é😀" if length % 4 == 0 and length > 20 else ""
        rest = length - len(start.encode())
        made.append(start + "".join(draw.choices(letters, k=rest)))
    return made


# ---- the cases


def ids(name: str, asked: Column, features: dict[str, Any], **rest: Any) -> Case:
    return {"name": name, "layer": "ids", "columns": [asked], "features": features} | rest


def dense(name: str, asked: Any, features: dict[str, Any], **rest: Any) -> Case:
    columns = asked if isinstance(asked, list) else [asked]
    return {"name": name, "layer": "DenseFeatures", "columns": columns, "features": features} | rest


def in_sequence(name: str, asked: Any, features: dict[str, Any], **rest: Any) -> Case:
    return dense(name, asked, features, **rest) | {"layer": "SequenceFeatures"}


def linear(name: str, asked: Any, features: dict[str, Any], weights: Any, **rest: Any) -> Case:
    """`weights` are the numbers of rows of the weights by the columns' names."""
    units = rest.setdefault("units", 1)
    case = dense(name, asked, features, **rest) | {"layer": "LinearFeatures"}
    case["weights"] = {key: table(rows, units) for key, rows in weights.items()}
    case["bias"] = [0.5 + unit for unit in range(units)]
    return case


def numeric_cases() -> list[Case]:
    floats = np.array([1.5, -2.25, 0.1, 1e30], np.float32)
    return [
        dense("numeric: floats of shape [batch]", numeric(), {"x": floats}),
        dense("numeric: floats of shape [batch, 1]", numeric(), {"x": floats[:, None]}),
        dense("numeric: three numbers", numeric(shape=[3]), {"x": np.float32([[1, 2, 3], [4, 5, 6.5]])}),
        dense("numeric: shape given as an integer", numeric(shape=2), {"x": np.float32([[1, 2]])}),
        dense(
            "numeric: a matrix for each row",
            numeric(shape=[2, 2]),
            {"x": np.arange(12, dtype=np.float32).reshape(3, 2, 2)},
        ),
        dense("numeric: int64", numeric(dtype="int64"), {"x": np.array([3, -1, 2**24 + 1])}),
        dense("numeric: int32 in a column of floats", numeric(), {"x": np.int32([3, -1])}),
        dense("numeric: float64", numeric(dtype="float64"), {"x": np.array([0.1, 1 / 3, 1e-40])}),
        dense("numeric: infinity", numeric(), {"x": np.float32([np.inf, -np.inf])}),
        dense("numeric: NaN", numeric(), {"x": np.float32([np.nan, 1])}),
        dense("numeric: booleans", numeric(), {"x": np.array([True, False])}),
        dense("numeric: normalizer", numeric(normalizer_fn="standardized"), {"x": floats}),
        dense(
            "numeric: normalizer of a matrix",
            numeric(shape=[2, 2], normalizer_fn="squared"),
            {"x": np.arange(8, dtype=np.float32).reshape(2, 2, 2)},
        ),
        dense(
            "numeric: normalizer of integers",
            numeric(dtype="int64", normalizer_fn="standardized"),
            {"x": np.array([4, 2**24 + 2])},
        ),
        dense("numeric: no rows", numeric(), {"x": np.zeros([0, 1], np.float32)}),
        dense("numeric: no rows of three numbers", numeric(shape=[3]), {"x": np.zeros([0, 3], np.float32)}),
        dense("numeric: one row", numeric(), {"x": np.float32([7])}),
        dense("numeric: a default is not for dense features", numeric(default_value=5.0), {"x": floats}),
        dense("numeric: three numbers instead of two", numeric(shape=[2]), {"x": np.zeros([2, 3], np.float32)}),
        dense("numeric: text", numeric(), {"x": text("1", "2")}),
        dense("numeric: sparse", numeric(), {"x": sparse([[1.0], [2.0, 3.0]])}),
        dense("numeric: a scalar", numeric(), {"x": np.float32(3)}),
        dense("numeric: no such feature", numeric(), {"y": floats}),
        dense("numeric: shape 0", numeric(shape=[0]), {"x": floats}),
        dense("numeric: dtype string", numeric(dtype="string"), {"x": floats}),
    ]  # fmt: skip


def bucketized_cases() -> list[Case]:
    x = numeric()
    hit = {"x": np.float32([-1, 0, 0.5, 1, 1.5, 2, 3])}
    tenths = [0.1, 0.2, 0.3, 0.7]
    pairs = {"x": np.float32([[0, 1], [2, 3], [-5, 0.5]])}
    two = numeric(shape=[2])
    return [
        dense("bucketized: boundaries exactly hit", bucketized(x, [0, 1, 2]), hit),
        ids("bucketized: ids of boundaries exactly hit", bucketized(x, [0, 1, 2]), hit),
        dense("bucketized: one boundary", bucketized(x, [0.5]), hit),
        ids("bucketized: tenths hit by float32", bucketized(x, tenths), {"x": np.float32(tenths)}),
        ids("bucketized: tenths and float64", bucketized(numeric(dtype="float64"), tenths), {"x": np.array([0.1, 0.1 + 1e-12, 0.1 - 1e-12])}),
        ids("bucketized: integers", bucketized(numeric(dtype="int64"), [0, 10, 65]), {"x": np.array([-1, 0, 9, 10, 64, 65, 2**40])}),
        ids("bucketized: fractional boundaries of integers", bucketized(numeric(dtype="int64"), [0.5, 1.5]), {"x": np.array([0, 1, 2])}),
        ids("bucketized: next to a boundary", bucketized(x, [1, 2]), {"x": np.nextafter(np.float32([1, 1, 2, 2]), np.float32([0, 9, 0, 9]))}),
        ids("bucketized: infinity", bucketized(x, [0, 1]), {"x": np.float32([-np.inf, np.inf])}),
        ids("bucketized: NaN", bucketized(x, [0, 1]), {"x": np.float32([np.nan])}),
        ids("bucketized: two numbers", bucketized(two, [0, 1, 2]), pairs),
        dense("bucketized: two numbers, dense", bucketized(two, [0, 1, 2]), pairs),
        dense("bucketized: after a normalizer", bucketized(numeric(normalizer_fn="standardized"), [-1, 0, 1]), {"x": np.float32([1, 3, 5, 7])}),
        dense("bucketized: no rows", bucketized(x, [0, 1]), {"x": np.zeros([0], np.float32)}),
        dense("bucketized: negative boundaries", bucketized(x, [-10, -1, 0.25]), {"x": np.float32([-11, -10, -1, 0, 0.25])}),
        dense("bucketized: embedded", embedding(bucketized(x, [0, 1, 2]), 4), hit),
        dense("bucketized: two numbers, embedded by sum", embedding(bucketized(two, [0, 1, 2]), 8, combiner="sum"), pairs),
        ids("bucketized: boundaries not in order", bucketized(x, [2, 1]), hit),
        ids("bucketized: a boundary twice", bucketized(x, [1, 1]), hit),
        ids("bucketized: no boundaries", bucketized(x, []), hit),
        ids("bucketized: over a categorical column", bucketized(identity("x", 3), [1]), {"x": np.array([1])}),
        ids("bucketized: over a matrix", bucketized(numeric(shape=[2, 2]), [1]), {"x": np.zeros([1, 2, 2], np.float32)}),
    ]  # fmt: skip


def identity_cases() -> list[Case]:
    a = identity("a", 5)
    default = identity("a", 5, default_value=2)
    return [
        ids("identity: every id", a, {"a": np.arange(5)}),
        ids("identity: int32", a, {"a": np.int32([4, 0])}),
        ids("identity: padded with -1", a, {"a": np.array([[0, 4, -1], [-1, -1, -1], [3, -1, 3]])}),
        ids("identity: sparse", a, {"a": sparse([[1, 1, 0], [], [4]])}),
        ids("identity: sparse with a gap", a, {"a": sparse([[1, None, 2], [None, 3]])}),
        ids("identity: out of range with a default", default, {"a": np.array([7, 5, 4, 2**40])}),
        ids("identity: negative with a default", default, {"a": np.array([-2, -1, 1])}),
        ids("identity: sparse -1 with a default", default, {"a": sparse([[-1, 1], [9]])}),
        ids("identity: no rows", a, {"a": np.zeros([0], np.int64)}),
        ids("identity: no rows of two", a, {"a": np.zeros([0, 2], np.int64)}),
        ids("identity: one row", a, {"a": np.array([[2, 3]])}),
        ids("identity: nothing at all", a, {"a": np.full([2, 2], -1)}),
        dense("identity: embedding out of range", embedding(a, 5), {"a": np.array([1, 5])}),
        dense("identity: embedding of a negative id", embedding(a, 5), {"a": np.array([1, -2])}),
        dense("identity: indicator out of range", indicator(a), {"a": np.array([1, 5])}),
        dense("identity: indicator of a negative id", indicator(a), {"a": np.array([1, -2])}),
        linear("identity: linear out of range", a, {"a": np.array([1, 5])}, {"a": 5}),
        ids("identity: text", a, {"a": text("1")}),
        ids("identity: floats", a, {"a": np.float32([1])}),
        ids("identity: no buckets", identity("a", 0), {"a": np.array([0])}),
        ids("identity: a default out of range", identity("a", 3, default_value=3), {"a": np.array([0])}),
    ]  # fmt: skip


def vocabulary_cases() -> list[Case]:
    towns = ["Southampton", "Cherbourg", "Queenstown"]
    a = words("a", towns)
    seen = text("Cherbourg", "Southampton", "Rome", "", "Queenstown")
    numbers = words("a", [7, -3, 10, 0])
    return [
        ids("vocabulary list: strings", a, {"a": seen}),
        ids("vocabulary list: default value", words("a", towns, default_value=0), {"a": seen}),
        ids("vocabulary list: one bucket for unknown words", words("a", towns, num_oov_buckets=1), {"a": seen}),
        ids("vocabulary list: five buckets for unknown words", words("a", towns, num_oov_buckets=5), {"a": text("Rome", "Oslo", "Bern", "München", "Cherbourg", "東京", "x" * 300)}),
        ids("vocabulary list: integers", numbers, {"a": np.array([0, 7, -3, 5, -1, 10])}),
        ids("vocabulary list: int32 list and feature", words("a", [7, 8], dtype="int32"), {"a": np.int32([8, 7, 9])}),
        ids("vocabulary list: int64 list, int32 feature", numbers, {"a": np.int32([10, -1, -3])}),
        ids("vocabulary list: integers with buckets for unknown ones", words("a", [7, -3], num_oov_buckets=3), {"a": np.array([7, 8, 9, -4, -1, 2**62])}),
        ids("vocabulary list: integers with a default", words("a", [7, -3], default_value=1), {"a": np.array([7, 8, -1])}),
        ids("vocabulary list: -1 is in the list", words("a", [5, -1]), {"a": np.array([5, -1])}),
        ids("vocabulary list: sparse -1 is in the list", words("a", [5, -1]), {"a": sparse([[5, -1]])}),
        ids("vocabulary list: the empty word is in the list", words("a", ["x", ""]), {"a": text("", "x")}),
        ids("vocabulary list: a sparse empty word is in the list", words("a", ["x", ""]), {"a": sparse([["", "x"]])}),
        ids("vocabulary list: a sparse empty word is unknown", words("a", ["x"], num_oov_buckets=2), {"a": sparse([["", "x"]])}),
        ids("vocabulary list: not ASCII", words("a", ["é", "e\u0301", "東京", "👩‍👩‍👧"]), {"a": text("東京", "é", "e\u0301", "👩‍👩‍👧", "👩")}),
        ids("vocabulary list: case and blanks matter", words("a", ["a", "A", " a"]), {"a": text("A", " a", "a", "a ")}),
        ids("vocabulary list: words with a common start", words("a", ["aaaaaaaa", "aaaaaaaab", "aaaaaaa"]), {"a": text("aaaaaaaab", "aaaaaaa", "aaaaaaaa", "aaaaaaaaa")}),
        ids("vocabulary list: padded", a, {"a": text(["Cherbourg", ""], ["", ""], ["Queenstown", "Queenstown"])}),
        ids("vocabulary list: sparse", a, {"a": sparse([["Rome", "Cherbourg"], [], ["Queenstown"]])}),
        ids("vocabulary list: no rows", a, {"a": np.zeros([0], object)}),
        ids("vocabulary list: one row", a, {"a": text("Cherbourg")}),
        ids("vocabulary list: a word twice", words("a", ["x", "x"]), {"a": text("x")}),
        ids("vocabulary list: empty", words("a", []), {"a": text("x")}),
        ids("vocabulary list: both ways for unknown words", words("a", ["x"], default_value=0, num_oov_buckets=1), {"a": text("x")}),
        ids("vocabulary list: integers for a list of words", words("a", ["3"]), {"a": np.array([3])}),
        ids("vocabulary list: words for a list of integers", words("a", [3]), {"a": text("3")}),
        ids("vocabulary list: floats", words("a", [3]), {"a": np.float32([3])}),
        ids("vocabulary list: list of floats", words("a", [1.5]), {"a": np.float32([3])}),
        ids("vocabulary list: negative number of buckets", words("a", ["x"], num_oov_buckets=-1), {"a": text("x")}),
    ]  # fmt: skip


def vocabulary_file_cases() -> list[Case]:
    plain = {"words.txt": "Southampton\nCherbourg\nQueenstown\n"}
    seen = {"a": text("Cherbourg", "Southampton", "Rome", "", "Queenstown")}
    numbers = {"words.txt": "7\n-3\n10\n"}
    return [
        ids("vocabulary file: strings", word_file(), seen, files=plain),
        ids("vocabulary file: no line break at the end", word_file(), seen, files={"words.txt": plain["words.txt"][:-1]}),
        ids("vocabulary file: carriage returns", word_file(), seen, files={"words.txt": plain["words.txt"].replace("\n", "\r\n")}),
        ids("vocabulary file: only the first two lines", word_file(vocabulary_size=2), seen, files=plain),
        ids("vocabulary file: default value", word_file(default_value=2), seen, files=plain),
        ids("vocabulary file: buckets for unknown words", word_file(num_oov_buckets=4), {"a": text("Rome", "Oslo", "Cherbourg", "Bern", "")}, files=plain),
        ids("vocabulary file: fewer lines and buckets", word_file(vocabulary_size=1, num_oov_buckets=2), seen, files=plain),
        ids("vocabulary file: integers", word_file(dtype="int64"), {"a": np.array([7, -3, 10, 5, -1])}, files=numbers),
        ids("vocabulary file: integers with buckets for unknown ones", word_file(dtype="int64", num_oov_buckets=3), {"a": np.array([7, -3, 11, 12, -1, -8])}, files=numbers),
        ids("vocabulary file: not ASCII, blanks", word_file(), {"a": text("東京", " a ", "é", "a")}, files={"words.txt": "é\n a \n東京\n"}),
        ids("vocabulary file: an empty line inside", word_file(), {"a": text("x", "y", "")}, files={"words.txt": "x\n\ny\n"}),
        ids("vocabulary file: a word that is a number", word_file(), {"a": text("7", "-3")}, files=numbers),
        ids("vocabulary file: padded", word_file(), {"a": text(["Cherbourg", ""], ["", ""])}, files=plain),
        ids("vocabulary file: sparse", word_file(), {"a": sparse([["Rome", "Cherbourg"], []])}, files=plain),
        ids("vocabulary file: no rows", word_file(), {"a": np.zeros([0], object)}, files=plain),
        dense("vocabulary file: embedded", embedding(word_file(), 3, combiner="sum"), seen, files=plain),
        ids("vocabulary file: more words than lines", word_file(vocabulary_size=9), seen, files=plain),
        ids("vocabulary file: no such file", word_file(vocabulary_file="none.txt"), seen),
        ids("vocabulary file: an empty file", word_file(), seen, files={"words.txt": ""}),
        ids("vocabulary file: a word twice", word_file(), {"a": text("x", "y", "z")}, files={"words.txt": "x\ny\nx\nz\n"}),
        ids("vocabulary file: both ways for unknown words", word_file(default_value=0, num_oov_buckets=1), seen, files=plain),
        ids("vocabulary file: integers for a file of words", word_file(), {"a": np.array([7])}, files=numbers),
    ]  # fmt: skip


def hash_cases() -> list[Case]:
    integers = {"dtype": "int64"}
    extremes = np.array([0, 1, -2, 7, -100, 10**9, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)])
    return [
        ids("hash: strings of 1 to 300 bytes", hashed("a", 1_000_003), {"a": text(*lengthy_strings())}),
        ids("hash: few buckets", hashed("a", 2), {"a": text("a", "b", "c", "d")}),
        ids("hash: one bucket", hashed("a", 1), {"a": text("a", "", "b")}),
        ids("hash: more than 2^31 buckets", hashed("a", 2**40), {"a": text("a", "b", "First")}),
        ids("hash: not ASCII", hashed("a", 1000), {"a": text("é", "e\u0301", "東京", "👩‍👩‍👧", "\u00a0")}),
        ids("hash: blanks, capitals and numbers in text", hashed("a", 1000), {"a": text(" ", "a", "A", "a ", "0", "-1", "3.0", "\t")}),
        ids("hash: not UTF-8", hashed("a", 1000), {"a": text(b"\xff\xfe", b"\x80abc", b"\xc3")}),
        ids("hash: a zero byte inside", hashed("a", 1000), {"a": text("a\0b", "ab", "a")}),
        ids("hash: integers", hashed("a", 1000, **integers), {"a": extremes}),
        ids("hash: -1 among integers", hashed("a", 10, **integers), {"a": np.array([3, -1, -1])}),
        ids("hash: int32", hashed("a", 10, dtype="int32"), {"a": np.int32([3, -4, -1])}),
        ids("hash: int32 in a column of int64", hashed("a", 10, **integers), {"a": np.int32([3, -4])}),
        ids("hash: integers as in their text", hashed("a", 1000), {"a": text("3", "-4", "-1")}),
        ids("hash: padded", hashed("a", 10), {"a": text(["x", "", "y"], ["", "", ""], ["x", "x", "x"])}),
        ids("hash: padded integers", hashed("a", 10, **integers), {"a": np.array([[5, -1], [-1, -1], [5, 5]])}),
        ids("hash: sparse", hashed("a", 10), {"a": sparse([["x", "y"], [], ["x"]])}),
        ids("hash: sparse with an empty string", hashed("a", 10), {"a": sparse([["x", ""], [""]])}),
        ids("hash: sparse integers", hashed("a", 10, **integers), {"a": sparse([[5, -7], [], [5]])}),
        ids("hash: sparse with -1", hashed("a", 10, **integers), {"a": sparse([[5, -1]])}),
        ids("hash: no rows", hashed("a", 10), {"a": np.zeros([0], object)}),
        ids("hash: one row", hashed("a", 10), {"a": text("x")}),
        ids("hash: nothing at all", hashed("a", 10), {"a": text(["", ""], ["", ""])}),
        ids("hash: floats", hashed("a", 10), {"a": np.float32([1])}),
        ids("hash: column of floats", hashed("a", 10, dtype="float32"), {"a": np.float32([1])}),
        ids("hash: no buckets", hashed("a", 0), {"a": text("x")}),
        ids("hash: integers in a column of strings", hashed("a", 10), {"a": np.array([1])}),
        ids("hash: strings in a column of integers", hashed("a", 10, **integers), {"a": text("1")}),
    ]  # fmt: skip


def crossed_cases() -> list[Case]:
    two = {"a": text("x", "y", "z", "x"), "b": text("1", "2", "3", "2")}
    mixed = {"a": text("x", "y", "z"), "n": np.array([3, -7, 2**40])}
    three = mixed | {"x": np.float32([0.5, 1, 7])}
    buckets = bucketized(numeric(), [0, 1, 2])
    many = {
        "a": text(["x", "y"], ["z", ""], ["", ""]),
        "b": text(["p", "q", "r"], ["p", "p", "p"], ["s", "t", "u"]),
    }
    ragged = {"a": sparse([["x", "y"], [], ["z"]]), "b": sparse([["p", "q"], ["r"], ["s", "s"]])}
    lengthy = lengthy_strings()[::3]
    return [
        ids("crossed: two strings", crossed(["a", "b"], 1000), two),
        ids("crossed: two strings in the other order", crossed(["b", "a"], 1000), two),
        ids("crossed: hash key 0", crossed(["a", "b"], 1000, hash_key=0), two),
        ids("crossed: hash key 7", crossed(["a", "b"], 1000, hash_key=7), two),
        ids("crossed: the default hash key", crossed(["a", "b"], 1000, hash_key=0xDECAFCAFFE), two),
        ids("crossed: few buckets", crossed(["a", "b"], 3), two),
        ids("crossed: one bucket", crossed(["a", "b"], 1), two),
        ids("crossed: more than 2^31 buckets", crossed(["a", "b"], 2**40), two),
        ids("crossed: a string and an integer", crossed(["a", "n"], 1000), mixed),
        ids("crossed: an integer and a string", crossed(["n", "a"], 1000), mixed),
        ids("crossed: integers in the text differ", crossed(["a", "n"], 1000), {"a": mixed["a"], "n": text("3", "-7", str(2**40))}),
        ids("crossed: two integers", crossed(["n", "m"], 10**6), {"n": np.array([0, 1, -2, -1]), "m": np.array([5, -6, 2**63 - 1, -(2**63)])}),
        ids("crossed: int32", crossed(["n", "m"], 1000), {"n": np.int32([0, -5]), "m": np.int32([5, 1])}),
        ids("crossed: -1 as a key", crossed(["a", "n"], 1000), {"a": text("x", "y"), "n": np.array([-1, 2])}),
        ids("crossed: -1 in a matrix", crossed(["a", "n"], 1000), {"a": text("x", "y"), "n": np.array([[-1, 2], [3, -1]])}),
        ids("crossed: the empty string as a key", crossed(["a", "b"], 1000), {"a": text("", "x", ""), "b": text("1", "", "")}),
        ids("crossed: strings of 1 to 300 bytes", crossed(["a", "n"], 10**9), {"a": text(*lengthy), "n": np.arange(len(lengthy)) - 50}),
        ids("crossed: not ASCII", crossed(["a", "b"], 1000), {"a": text("é", "東京"), "b": text("👩‍👩‍👧", "ø")}),
        ids("crossed: bucketized", crossed([buckets, "a"], 1000), three),
        ids("crossed: two bucketized", crossed([buckets, bucketized(numeric("y"), [5])], 1000), {"x": np.float32([0, 1, 9]), "y": np.float32([5, 4, 6])}),
        ids("crossed: bucketized of two numbers", crossed([bucketized(numeric(shape=[2]), [0, 1]), "a"], 1000), {"x": np.float32([[0, 1], [-1, 0.5]]), "a": text("x", "y")}),
        ids("crossed: three keys", crossed(["a", "n", buckets], 10**6), three),
        ids("crossed: three keys, hash key", crossed([buckets, "n", "a"], 10**6, hash_key=123456789), three),
        ids("crossed: three strings, several values each", crossed(["a", "b", "c"], 10**6), many | {"c": text(["1", "2"], ["3", "4"], ["5", "6"])}),
        ids("crossed: identity", crossed([identity("n", 5), "a"], 1000), {"n": np.array([0, 4, -1]), "a": text("x", "y", "z")}),
        ids("crossed: identity with a default", crossed([identity("n", 5, default_value=1), "a"], 1000), {"n": np.array([0, 9, -3]), "a": text("x", "y", "z")}),
        ids("crossed: vocabulary", crossed([words("a", ["x", "y"]), "b"], 1000), two),
        ids("crossed: vocabulary with buckets for unknown words", crossed(["b", words("a", ["x", "y"], num_oov_buckets=2)], 1000), two),
        ids("crossed: vocabulary, missing words", crossed([words("a", ["x", "y"]), "b"], 1000), {"a": text("x", "", "q"), "b": text("1", "2", "3")}),
        ids("crossed: several values in a row", crossed(["a", "b"], 1000), many),
        ids("crossed: several values through vocabularies", crossed([words("a", ["x", "y", "z"]), words("b", ["p", "q"])], 1000), many),
        ids("crossed: sparse", crossed(["a", "b"], 1000), ragged),
        ids("crossed: sparse and dense", crossed(["a", "n"], 1000), {"a": ragged["a"], "n": np.array([4, 5, 6])}),
        ids("crossed: sparse integers and two more keys", crossed(["n", "a", buckets], 10**6), {"n": sparse([[1, -2], [3], [4, 4, 5]]), "a": ragged["a"], "x": np.float32([0, 1, 2])}),
        ids("crossed: sparse empty string and -1", crossed(["a", "n"], 1000), {"a": sparse([["x", ""]]), "n": sparse([[-1, 3]])}),
        ids("crossed: a cross as a key", crossed([crossed(["a", "b"], 10), "n"], 1000), two | {"n": np.array([1, 2, 3, 4])}),
        ids("crossed: no rows", crossed(["a", "b"], 10), {"a": np.zeros([0], object), "b": np.zeros([0], object)}),
        ids("crossed: one row", crossed(["a", "n"], 10), {"a": text("x"), "n": np.array([1])}),
        dense("crossed: indicator", indicator(crossed(["a", "b"], 5)), many),
        dense("crossed: embedded", embedding(crossed(["a", "b"], 5), 5), many),
        ids("crossed: one key", crossed(["a"], 10), two),
        ids("crossed: floats", crossed(["a", "x"], 10), three),
        ids("crossed: a hash column as a key", crossed([hashed("a", 5), "b"], 10), two),
        ids("crossed: a numeric column as a key", crossed([numeric(), "a"], 10), three),
        ids("crossed: a weighted column as a key", crossed([weighted(identity("n", 5)), "a"], 10), {"n": np.array([1]), "w": np.float32([1]), "a": text("x")}),
        ids("crossed: no buckets", crossed(["a", "b"], 0), two),
    ]  # fmt: skip


def weighted_cases() -> list[Case]:
    a = identity("a", 5)
    rows = {
        "a": sparse([[0, 1, 1], [], [3], [4, 2]]),
        "w": sparse([[0.5, 2.0, -1.0], [], [0.0], [1.5, 3.0]]),
    }
    padded = {
        "a": text(["x", "y"], ["z", ""], ["", ""]),
        "w": np.float32([[1, 2.5], [-3, 0], [0, 0]]),
    }
    letters = words("a", ["x", "y", "z"])
    below = {"a": np.array([[0, 1], [2, 3]]), "w": np.float32([[-1, -2], [-0.5, 2]])}
    cases = [
        ids("weighted: sparse", weighted(a), rows),
        ids("weighted: dense", weighted(a), {"a": np.array([1, 2]), "w": np.float32([0.5, -2])}),
        ids("weighted: padded", weighted(letters), padded),
        ids("weighted: hash", weighted(hashed("a", 10)), padded),
        ids("weighted: unknown words", weighted(words("a", ["x"])), padded),
        ids("weighted: integer weights", weighted(a, dtype="int64"), {"a": np.array([1, 2]), "w": np.array([3, -4])}),
        ids("weighted: no rows", weighted(a), {"a": np.zeros([0], np.int64), "w": np.zeros([0], np.float32)}),
        ids("weighted: one row", weighted(a), {"a": np.array([[1, 2]]), "w": np.float32([[0.5, 0.25]])}),
        ids("weighted: sparse weights of 0", weighted(a), {"a": sparse([[1, 2]]), "w": sparse([[0.0, 1.0]])}),
        ids("weighted: cross", weighted(crossed(["b", "c"], 100)), {"b": text("x", "y"), "c": text("1", "2"), "w": np.float32([2, 3])}),
        dense("weighted: a dense weight of 0", embedding(weighted(a), 5), {"a": np.array([[1, 2]]), "w": np.float32([[0, 1]])}),
        dense("weighted: indicator", indicator(weighted(a)), rows),
        dense("weighted: indicator of padded words", indicator(weighted(letters)), padded),
        dense("weighted: indicator with an unknown word", indicator(weighted(words("a", ["x", "z"]))), padded),
        dense("weighted: embedding with an unknown word", embedding(weighted(words("a", ["x", "z"])), 2), padded),
        dense("weighted: fewer weights than ids", embedding(weighted(a), 5), {"a": np.array([[1, 2]]), "w": sparse([[1.0]])}),
        ids("weighted: weights of text", weighted(a), {"a": np.array([1]), "w": text("x")}),
        ids("weighted: no such weights", weighted(a), {"a": np.array([1])}),
        ids("weighted: dtype string", weighted(a, dtype="string"), {"a": np.array([1]), "w": text("1")}),
        dense("weighted: over a numeric column", embedding(weighted(numeric("a")), 5), {"a": np.array([1]), "w": np.float32([1])}),
    ]  # fmt: skip
    for combiner in ("sum", "mean", "sqrtn"):
        how = {"combiner": combiner}
        cases += [
            dense(f"weighted: embedding, {combiner}", embedding(weighted(a), 5, **how), rows),
            dense(f"weighted: embedding, {combiner}, padded", embedding(weighted(letters), 3, **how), padded),
            dense(f"weighted: embedding, {combiner}, negative weights", embedding(weighted(a), 5, **how), below),
            dense(f"weighted: embedding, {combiner}, one id each", embedding(weighted(a), 5, **how), {"a": np.array([1, 2, 3]), "w": np.float32([0.5, -2, 3])}),
            dense(f"weighted: embedding, {combiner}, max_norm", embedding(weighted(a), 5, max_norm=0.8, **how), rows),
            linear(f"weighted: linear, {combiner}", weighted(a), rows, {"a_weighted_by_w": 5}, sparse_combiner=combiner),
        ]  # fmt: skip
    return cases


def indicator_cases() -> list[Case]:
    a = identity("a", 4)
    return [
        dense("indicator: one id each", indicator(a), {"a": np.array([3, 0, -1])}),
        dense("indicator: several ids, some twice", indicator(a), {"a": np.array([[3, 0, 3], [-1, -1, -1], [2, 2, 2]])}),
        dense("indicator: sparse", indicator(a), {"a": sparse([[3, 0, 3], [], [1]])}),
        dense("indicator: unknown words", indicator(words("a", ["x", "y"])), {"a": text(["x", "q"], ["q", ""], ["y", "y"])}),
        dense("indicator: buckets for unknown words", indicator(words("a", ["x"], num_oov_buckets=2)), {"a": text("x", "q", "r", "s")}),
        dense("indicator: hash", indicator(hashed("a", 3)), {"a": text(["a", "b"], ["c", ""], ["", ""])}),
        dense("indicator: bucketized", indicator(bucketized(numeric(), [0, 1])), {"x": np.float32([0, 1, -1])}),
        dense("indicator: no rows", indicator(a), {"a": np.zeros([0], np.int64)}),
        dense("indicator: one row", indicator(a), {"a": np.array([[1, -1]])}),
        dense("indicator: over a numeric column", indicator(numeric()), {"x": np.float32([0])}),
    ]  # fmt: skip


def embedding_cases() -> list[Case]:
    a = identity("a", 5)
    letters = words("a", ["x", "y", "z"])
    single = {"a": np.array([4, 0, -1, 4])}
    several = {"a": np.array([[4, 0, 4], [-1, -1, -1], [1, -1, 3], [2, -1, -1]])}
    ragged = {"a": sparse([[4, 0, 4, 4], [], [1, 3], []])}
    cases = []
    for combiner in ("sum", "mean", "sqrtn"):
        how = {"combiner": combiner}
        cases += [
            dense(f"embedding: {combiner}, one id each", embedding(a, 5, **how), single),
            dense(f"embedding: {combiner}, padded", embedding(a, 5, **how), several),
            dense(f"embedding: {combiner}, sparse", embedding(a, 5, **how), ragged),
            dense(f"embedding: {combiner}, max_norm", embedding(a, 5, max_norm=0.5, **how), ragged),
            dense(f"embedding: {combiner}, unknown words", embedding(letters, 3, **how), {"a": text(["x", "q"], ["q", "q"], ["z", "z"])}),
        ]  # fmt: skip
    return [
        *cases,
        dense("embedding: max_norm, one id each", embedding(a, 5, max_norm=1.0), single),
        dense("embedding: max_norm above all norms", embedding(a, 5, max_norm=100.0), single),
        dense("embedding: one number", embedding(a, 5, 1), several),
        dense("embedding: five numbers", embedding(a, 5, 5), several),
        dense("embedding: hash", embedding(hashed("a", 4), 4), {"a": text(["a", "b"], ["c", ""], ["", ""])}),
        dense("embedding: buckets for unknown words", embedding(words("a", ["x"], num_oov_buckets=2), 3), {"a": text("x", "q", "r", "")}),
        dense("embedding: no rows", embedding(a, 5), {"a": np.zeros([0], np.int64)}),
        dense("embedding: one row", embedding(a, 5), {"a": np.array([[1, 2]])}),
        dense("embedding: nothing at all", embedding(a, 5), {"a": np.array([-1, -1])}),
        dense("embedding: not trainable", embedding(a, 5, trainable=False), single),
        dense("embedding: without the safe lookup", embedding(a, 5, use_safe_embedding_lookup=False), {"a": np.array([[1, 2], [3, 3]])}),
        dense("embedding: without the safe lookup, a row without ids", embedding(a, 5, use_safe_embedding_lookup=False), {"a": np.array([[1, 2], [-1, -1], [3, -1]])}),
        dense("embedding: max_norm 0", embedding(a, 5, max_norm=0.0), single),
        dense("embedding: dimension 0", column("embedding_column", categorical_column=a, dimension=0), single),
        dense("embedding: misspelt combiner", embedding(a, 5, combiner="avg"), single),
        dense("embedding: over a numeric column", embedding(numeric("a"), 5), single),
    ]  # fmt: skip


def shared_cases() -> list[Case]:
    both = [identity("b", 4), identity("a", 4)]
    rows = {"a": np.array([[3, 0], [1, -1]]), "b": np.array([2, -1])}
    letters = [words("a", ["x", "y", "z"]), words("b", ["x", "y", "z"])]
    return [
        dense("shared: two columns", shared(both, 4), rows),
        dense("shared: by sum", shared(both, 4, combiner="sum"), rows),
        dense("shared: by sqrtn", shared(both, 4, combiner="sqrtn"), rows),
        dense("shared: max_norm", shared(both, 4, max_norm=0.5), rows),
        dense("shared: a name for the table", shared(both, 4, shared_embedding_collection_name="all"), rows),
        dense("shared: vocabularies", shared(letters, 3, 3), {"a": text("x", "z", "q"), "b": text(["y", "x"], ["", ""], ["z", ""])}),
        dense("shared: three columns and others", [numeric("c"), shared([identity(key, 4) for key in ("d", "b", "a")], 4), indicator(identity("a", 4))], {"c": np.float32([1]), "d": np.array([[1, 2]]), "b": np.array([3]), "a": np.array([0])}),
        dense("shared: weighted", shared([weighted(identity("a", 4)), weighted(identity("b", 4), "v")], 4), {"a": rows["a"], "w": np.float32([[2, 1], [3, 0]]), "b": np.array([2, 1]), "v": np.float32([4, -1])}),
        dense("shared: one column", shared(both[:1], 4), {"b": rows["b"]}),
        dense("shared: two tables", [shared(both, 4), shared([identity("c", 3), identity("d", 3)], 3, 1)], rows | {"c": np.array([0, 1]), "d": np.array([2, -1])}),
        in_sequence("shared: sequences", shared([sequence("identity", key="b", num_buckets=4), sequence("identity", key="a", num_buckets=4)], 4), {"a": sparse([[3, 0], [1]]), "b": sparse([[2, 2], [0]])}),
        dense("shared: differing numbers of buckets", shared([identity("a", 4), identity("b", 5)], 4), rows),
        dense("shared: differing kinds", shared([identity("a", 3), hashed("b", 3)], 3), rows),
        dense("shared: misspelt combiner", shared(both, 4, combiner="avg"), rows),
    ]  # fmt: skip


def concatenated_cases() -> list[Case]:
    keys = ["x9", "x10", "x1", "a", "B", "_a", "a.b", "type"]
    row = {key: np.float32([number, -number]) for number, key in enumerate(keys, start=1)}
    kinds = [
        numeric("z", shape=[2]),
        indicator(identity("m", 3)),
        embedding(hashed("t", 4), 4),
        bucketized(numeric("q"), [0.5]),
        embedding(crossed(["t", "m"], 6), 6, 1, combiner="sum"),
    ]
    batch = {
        "z": np.float32([[1, 2], [3, 4], [5, 6]]),
        "m": np.array([2, -1, 0]),
        "t": text("x", "", "y"),
        "q": np.float32([0, 0.5, 1]),
    }
    return [
        dense("several: in the order of their names", [numeric(key) for key in keys], row),
        dense("several: the other way round", [numeric(key) for key in reversed(keys)], row),
        dense("several: a name that is not ASCII", [numeric("é"), numeric("z")], {"é": np.float32([1]), "z": np.float32([2])}),
        dense("several: all kinds", kinds, batch),
        dense("several: one feature in three columns", [numeric("m"), indicator(identity("m", 3)), embedding(identity("m", 3), 3)], {"m": np.array([2, 1, 0])}),
        dense("several: no rows", kinds, {key: value[:0] for key, value in batch.items()}),
        dense("several: a categorical column as it is", [numeric("z", shape=[2]), identity("m", 3)], batch),
        dense("several: two of one name", [numeric("q"), numeric("q", shape=[2])], batch),
        dense("several: differing numbers of rows", [numeric("q"), numeric("r")], {"q": np.float32([1, 2, 3]), "r": np.float32([1, 2])}),
        dense("several: a sequence column", [embedding(sequence("identity", key="m", num_buckets=3), 3)], batch),
        dense("several: none", [], batch),
    ]  # fmt: skip


def linear_cases() -> list[Case]:
    a, b = identity("a", 5), words("b", ["x", "y"], num_oov_buckets=1)
    several = {"a": np.array([[4, 0, 4], [-1, -1, -1], [1, -1, 3]])}
    x = {"x": np.float32([1.5, -2, 0])}
    cases = [
        linear(f"linear: {combiner} of several ids", a, several, {"a": 5}, sparse_combiner=combiner)
        for combiner in ("sum", "mean", "sqrtn")
    ]
    return [
        *cases,
        linear("linear: numeric", numeric(), x, {"x": 1}),
        linear("linear: three numbers", numeric(shape=[3]), {"x": np.float32([[1, 2, 3]])}, {"x": 3}),
        linear("linear: a matrix for each row", numeric(shape=[2, 2]), {"x": np.arange(8, dtype=np.float32).reshape(2, 2, 2)}, {"x": 4}),
        linear("linear: bucketized", bucketized(numeric(), [0, 1]), x, {"x_bucketized": 3}),
        linear("linear: bucketized of two numbers", bucketized(numeric(shape=[2]), [0, 1]), {"x": np.float32([[0, 1], [-1, 0.5]])}, {"x_bucketized": 6}),
        linear("linear: bucketized of two numbers by mean", bucketized(numeric(shape=[2]), [0, 1]), {"x": np.float32([[0, 1], [-1, 0.5]])}, {"x_bucketized": 6}, sparse_combiner="mean"),
        linear("linear: three units", a, several, {"a": 5}, units=3),
        linear("linear: hash", hashed("a", 4), {"a": text(["a", "b"], ["c", ""], ["", ""])}, {"a": 4}),
        linear("linear: cross", crossed(["a", "b"], 7), {"a": text("p", "q"), "b": text("1", "2")}, {"a_X_b": 7}),
        linear("linear: unknown words", words("a", ["x", "y"]), {"a": text(["x", "q"], ["q", "q"])}, {"a": 2}),
        linear("linear: indicator", indicator(a), several, {"a_indicator": 5}),
        linear("linear: several columns", [numeric(), b, a], several | x | {"b": text("x", "q", "")}, {"a": 5, "b": 3, "x": 1}, units=2),
        linear("linear: several columns by mean", [b, numeric(), a], several | x | {"b": text(["x", "y"], ["q", ""], ["y", "y"])}, {"a": 5, "b": 3, "x": 1}, sparse_combiner="mean"),
        linear("linear: sparse", a, {"a": sparse([[4, 0, 4], [], [1]])}, {"a": 5}, sparse_combiner="sqrtn"),
        linear("linear: no rows", [numeric(), a], {"x": np.zeros([0], np.float32), "a": np.zeros([0], np.int64)}, {"a": 5, "x": 1}),
        linear("linear: one row", a, {"a": np.array([3])}, {"a": 5}),
        linear("linear: nothing at all", a, {"a": np.array([-1, -1])}, {"a": 5}),
        linear("linear: a sequence column", sequence("identity", key="a", num_buckets=5), {"a": np.array([[4, -1, 0], [-1, -1, -1], [1, 1, -1]])}, {"a": 5}),
        linear("linear: a sequence column with unknown words by mean", sequence("vocabulary_list", key="a", vocabulary_list=["x", "y"]), {"a": sparse([["x", "q", "y"], [], ["q"]])}, {"a": 2}, sparse_combiner="mean"),
        linear("linear: an embedding", embedding(a, 5), several, {"a_embedding": 2}),
        linear("linear: weighted and one id each", weighted(a), {"a": np.array([1, 2]), "w": np.float32([2, -1])}, {"a_weighted_by_w": 5}),
        linear("linear: misspelt combiner", a, several, {"a": 5}, sparse_combiner="avg"),
        linear("linear: none", [], several, {}),
    ]  # fmt: skip


def sequence_cases() -> list[Case]:
    numbers = column("sequence_numeric_column", key="x")
    pairs = column("sequence_numeric_column", key="x", shape=[2])
    x = {"x": sparse([[1.0, 2.5], [], [3.0, -4.0, 5.0]])}
    by_id = sequence("identity", key="a", num_buckets=4)
    by_word = sequence("vocabulary_list", key="a", vocabulary_list=["x", "y"])
    by_file = sequence("vocabulary_file", key="a", vocabulary_file="words.txt")
    by_hash = sequence("hash_bucket", key="a", hash_bucket_size=10)
    files = {"words.txt": "x\ny\n"}
    a = {"a": sparse([[3, 0, 3], [], [1]])}
    letters = {"a": sparse([["x", "q", "y"], [], ["y"]])}
    padded = {"a": text(["x", "q", "y"], ["", "", ""], ["y", "", ""])}
    gap = {"a": np.array([[1, -1, 2], [-1, 3, -1], [-1, -1, -1]])}
    empty = {"a": Sparse([], [], [0, 0], "int64")}
    wide = {"a": np.array([[1, 2, -1, -1, -1], [3, -1, -1, -1, -1]])}

    def of_shape(rows: list[list[Any]], width: int) -> Sparse:
        made = sparse(rows)
        return Sparse(made.indices, made.values, [len(rows), width], made.dtype)

    return [
        in_sequence("sequence numeric: lengths differ", numbers, x),
        in_sequence("sequence numeric: pairs", pairs, {"x": sparse([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0]])}),
        in_sequence("sequence numeric: padding value", column("sequence_numeric_column", key="x", default_value=-1.0), x),
        in_sequence("sequence numeric: integers", column("sequence_numeric_column", key="x", dtype="int64", default_value=0), {"x": sparse([[1, 2], [3]])}),
        in_sequence("sequence numeric: normalizer", column("sequence_numeric_column", key="x", normalizer_fn="halved"), x),
        in_sequence("sequence numeric: one row", numbers, {"x": sparse([[1.0]])}),
        in_sequence("sequence numeric: first row empty", numbers, {"x": sparse([[], [1.0]])}),
        in_sequence("sequence numeric: last row empty", numbers, {"x": sparse([[1.0], []])}),
        in_sequence("sequence numeric: dense", numbers, {"x": np.float32([[1, 2], [3, 0]])}),
        in_sequence("sequence numeric: half a pair", pairs, {"x": sparse([[1.0, 2.0, 3.0], [5.0]])}),
        in_sequence("sequence numeric: half a pair in a shorter row", pairs, {"x": sparse([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0]])}),
        in_sequence("sequence numeric: steps in a third dimension", pairs, {"x": Sparse([[0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1]], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 2, 2], "float32")}),
        ids("sequence identity: ids", by_id, a),
        ids("sequence identity: ids of a padded matrix", by_id, gap),
        ids("sequence identity: out of range with a default", sequence("identity", key="a", num_buckets=4, default_value=1), {"a": sparse([[9, 0], [-5]])}),
        ids("sequence vocabulary list: ids", by_word, letters),
        ids("sequence vocabulary list: padded", by_word, padded),
        ids("sequence vocabulary list: buckets for unknown words", sequence("vocabulary_list", key="a", vocabulary_list=["x", "y"], num_oov_buckets=2), letters),
        ids("sequence vocabulary list: default value", sequence("vocabulary_list", key="a", vocabulary_list=["x", "y"], default_value=0), letters),
        ids("sequence vocabulary list: integers", sequence("vocabulary_list", key="a", vocabulary_list=[5, 7]), {"a": sparse([[7, 5, 6], [5]])}),
        ids("sequence vocabulary file: ids", by_file, letters, files=files),
        ids("sequence vocabulary file: buckets for unknown words", sequence("vocabulary_file", key="a", vocabulary_file="words.txt", num_oov_buckets=3), letters, files=files),
        ids("sequence hash: ids", by_hash, letters),
        ids("sequence hash: integers", sequence("hash_bucket", key="a", hash_bucket_size=10, dtype="int64"), a),
        in_sequence("sequence embedding: identity", embedding(by_id, 4), a),
        in_sequence("sequence embedding: padded, with a gap", embedding(by_id, 4), gap),
        in_sequence("sequence embedding: one value a row", embedding(by_id, 4), {"a": np.array([1, 3])}),
        in_sequence("sequence embedding: unknown words", embedding(by_word, 2), letters),
        in_sequence("sequence embedding: padded words", embedding(by_word, 2), padded),
        in_sequence("sequence embedding: vocabulary file", embedding(by_file, 2, 1), letters, files=files),
        in_sequence("sequence embedding: hash", embedding(by_hash, 10, 1), letters),
        in_sequence("sequence embedding: max_norm", embedding(by_id, 4, max_norm=0.5), a),
        in_sequence("sequence embedding: the combiner is of no matter", embedding(by_id, 4, combiner="sqrtn"), a),
        in_sequence("sequence embedding: several ids a step", embedding(by_id, 4, combiner="sum"), {"a": Sparse([[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]], [1, 2, 3, 3], [2, 2, 2], "int64")}),
        in_sequence("sequence embedding: one row", embedding(by_id, 4), {"a": np.array([[1, 2]])}),
        in_sequence("sequence embedding: no rows", embedding(by_id, 4), empty),
        in_sequence("sequence embedding: only empty rows", embedding(by_id, 4), {"a": np.full([2, 2], -1)}),
        in_sequence("sequence embedding: weighted", embedding(weighted(by_id), 4, combiner="sum"), a | {"w": sparse([[1.0, 2.0, 0.5], [], [-1.0]])}),
        in_sequence("sequence embedding: wider than the longest row", embedding(by_id, 4), wide),
        in_sequence("sequence embedding: words, wider than the longest row", embedding(by_word, 2), {"a": text(["x", "", "y", "", ""], ["q", "", "", "", ""])}),
        in_sequence("sequence embedding: a sparse tensor wider than the longest row", embedding(by_id, 4), {"a": of_shape([[3, 0], [1]], 4)}),
        in_sequence("sequence embedding: several ids a step, more steps than the longest row", embedding(by_id, 4, combiner="sum"), {"a": np.array([[[1, 2], [3, -1], [-1, -1], [-1, -1]], [[-1, -1]] * 4])}),
        in_sequence("sequence embedding: a width of 0", embedding(by_id, 4), {"a": np.zeros([2, 0], np.int64)}),
        in_sequence("sequence embedding: no rows of three steps", embedding(by_id, 4), {"a": np.zeros([0, 3], np.int64)}),
        in_sequence("sequence embedding: no value in one value a row", embedding(by_id, 4), {"a": np.array([-1, -1])}),
        in_sequence("sequence indicator: wider than the longest row", indicator(by_id), wide),
        in_sequence("sequence numeric: a sparse tensor wider than the longest row", column("sequence_numeric_column", key="x", default_value=-1.0), {"x": of_shape([[1.0, 2.5], [3.0]], 4)}),
        in_sequence("sequence numeric: pairs in a sparse tensor wider than the longest row", pairs, {"x": of_shape([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0]], 8)}),
        in_sequence("sequences: a wide matrix beside a sparse tensor as wide", [numbers, embedding(by_id, 4)], wide | {"x": of_shape([[1.0, 2.5], [3.0]], 5)}),
        in_sequence("sequences: differing widths", [numbers, embedding(by_id, 4, 1)], wide | {"x": sparse([[1.0, 2.5], [3.0]])}),
        in_sequence("sequence indicator: identity", indicator(by_id), a),
        in_sequence("sequence indicator: unknown words", indicator(by_word), letters),
        in_sequence("sequence indicator: padded, with a gap", indicator(by_id), gap),
        in_sequence("sequences: two columns", [numbers, embedding(by_id, 4)], a | {"x": sparse([[1.0, 2.0, 3.0], [], [4.0]])}),
        in_sequence("sequences: in the order of their names", [embedding(sequence("identity", key="z", num_buckets=4), 4, 1), indicator(by_id)], a | {"z": a["a"]}),
        in_sequence("sequences: lengths that disagree", [numbers, embedding(by_id, 4)], a | {"x": sparse([[1.0, 2.0, 3.0], [], [4.0, 5.0]])}),
        in_sequence("sequences: a column that is none", embedding(identity("a", 4), 4), a),
        in_sequence("sequences: a numeric column", numeric(), {"x": np.float32([1])}),
        in_sequence("sequences: out of range", embedding(by_id, 4), {"a": np.array([[1, 4]])}),
    ]  # fmt: skip


# ---- running them


class Builder:
    """Makes TensorFlow's columns of a case's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def columns(self, described: list[Column]) -> list[Any]:
        made = []
        for one in described:
            built = self.column(one)
            made += built if isinstance(built, list) else [built]
        return made

    def column(self, described: Column) -> Any:
        function = getattr(tf.feature_column, described["column"])
        arguments = described["arguments"].items()
        return function(**{name: self._argument(name, value) for name, value in arguments})

    def _argument(self, name: str, value: Any) -> Any:
        if name == "dtype":
            return tf.as_dtype(value)
        if name == "normalizer_fn":
            return NORMALIZERS[value]
        if name == "initializer":
            return tf.compat.v1.constant_initializer(np.float32(value))
        if name == "vocabulary_file":
            return str(self._folder / value)
        if isinstance(value, list):
            return [self._argument("", item) for item in value]
        return self.column(value) if isinstance(value, dict) else value


def tensor(feature: np.ndarray | Sparse) -> Any:
    if isinstance(feature, Sparse):
        values = np.array(_encoded(feature.values), tf.as_dtype(_dtype(feature)).as_numpy_dtype)
        indices = np.array(feature.indices, np.int64).reshape(-1, len(feature.dense_shape))
        return tf.SparseTensor(indices, tf.constant(values, _dtype(feature)), feature.dense_shape)
    return tf.constant(feature, tf.string if feature.dtype == object else None)


def _dtype(feature: Sparse) -> str:
    return "string" if feature.dtype == "bytes" else feature.dtype


def asked_of(case: Case, columns: list[Any], features: dict[str, Any]) -> dict[str, Any]:
    """The tensors that answer a case, and the assignments to run before."""
    fc = tf.compat.v2.__internal__.feature_column
    if case["layer"] == "ids":
        cache = fc.FeatureTransformationCache(features)
        manager = fc.StateManager(tf.keras.layers.Layer(), True)
        columns[0].create_state(manager)
        pair = columns[0].get_sparse_tensors(cache, manager)
        return {"ids": pair.id_tensor} | (
            {} if pair.weight_tensor is None else {"weights_of_ids": pair.weight_tensor}
        )
    if case["layer"] == "DenseFeatures":
        return {"output": tf.keras.layers.DenseFeatures(columns)(features)}
    if case["layer"] == "SequenceFeatures":
        output, lengths = tf.keras.experimental.SequenceFeatures(columns)(features)
        return {"output": output, "lengths": lengths}
    model = LinearModel(columns, case["units"], case.get("sparse_combiner", "sum"))
    output = model(features)
    named = {
        column.name: model.layer._state_manager.get_variable(column, "weights")
        for column in model.layer._feature_columns
    }
    assert set(named) == set(case["weights"]), named
    assigned = [named[name].assign(np.float32(value)) for name, value in case["weights"].items()]
    return {"output": output, "assign": [*assigned, model.bias.assign(np.float32(case["bias"]))]}


def answer(case: Case, folder: Path) -> dict[str, Any]:
    for name, content in case.get("files", {}).items():
        (folder / name).write_bytes(content.encode())
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        columns = Builder(folder).columns(case["columns"])
        features = {key: tensor(value) for key, value in case["features"].items()}
        asked = asked_of(case, columns, features)
        session.run(
            [tf.compat.v1.global_variables_initializer(), tf.compat.v1.tables_initializer()]
        )
        session.run(asked.pop("assign", []))
        return session.run(asked)


def by_row(actual: tf.compat.v1.SparseTensorValue) -> list[Any]:
    """The values of a sparse tensor as lists of rows, or of steps in rows."""
    rank = len(actual.dense_shape)
    rows: list[Any] = [[] for _ in range(actual.dense_shape[0])]
    for index, value in zip(actual.indices.tolist(), actual.values.tolist(), strict=True):
        row = rows[index[0]]
        if rank == 3:
            row.extend([] for _ in range(index[1] + 1 - len(row)))
            row = row[index[1]]
        row.append(value)
    return rows


def run(case: Case) -> Case:
    """The case with what TensorFlow answers, or how it refuses."""
    written = case | {
        "features": {key: written_feature(value) for key, value in case["features"].items()}
    }
    with tempfile.TemporaryDirectory() as folder:
        try:
            actual = answer(case, Path(folder))
        except (ValueError, TypeError, KeyError, AttributeError, tf.errors.OpError) as error:
            return written | {"refused": type(error).__name__}
    for name, value in actual.items():
        actual[name] = (
            by_row(value) if isinstance(value, tf.compat.v1.SparseTensorValue) else array(value)
        )
    return written | actual


def written_feature(feature: np.ndarray | Sparse) -> dict[str, Any]:
    if isinstance(feature, Sparse):
        return vars(feature)
    if feature.dtype == object:
        try:
            [value.decode() for value in feature.flat]
        except UnicodeDecodeError:
            encoded = [base64.b64encode(value).decode() for value in feature.flat]
            return {"dtype": "base64", "shape": list(feature.shape), "values": encoded}
    return array(feature)


def main() -> None:
    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
    groups = [
        numeric_cases, bucketized_cases, identity_cases, vocabulary_cases, vocabulary_file_cases,
        hash_cases, crossed_cases, weighted_cases, indicator_cases, embedding_cases, shared_cases,
        concatenated_cases, linear_cases, sequence_cases,
    ]  # fmt: skip
    cases = [run(case) for group in groups for case in group()]
    write_json(__file__, {"cases": cases})


if __name__ == "__main__":
    main()
